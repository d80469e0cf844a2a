// A plotly figure that is updated in place: zoom, hidden traces and selection survive (layout.uirevision).
// plotly.js is the file of the Python package, served by the dashboard itself.

const LIBRARY = "/_stcore/bidi-components/evo.plotly/plotly.min.js";

function library() {
  window.evoPlotly ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = LIBRARY;
    script.onload = () => done(window.Plotly);
    script.onerror = () => failed(new Error("plotly.js could not be loaded"));
    document.head.appendChild(script);
  });
  return window.evoPlotly;
}

function look(element) {
  const css = getComputedStyle(element);
  const value = (name, fallback) => css.getPropertyValue(name).trim() || fallback;
  return {
    text: value("--st-text-color", "#444"),
    family: value("--st-font", "sans-serif"),
    raised: value("--st-secondary-background-color", "#fff"),
    border: value("--st-border-color", "#ccc"),
  };
}

// The individuals of points: the first of their custom data.
function identities(points) {
  const found = points.map((point) => [point.customdata].flat()[0]);
  return [...new Set(found.filter((id) => Number.isInteger(id)))].sort((a, b) => a - b);
}

// Parallel axes have no points: the lines that pass through all ranges marked on axes are picked.
function narrowed(trace) {
  const marked = trace.dimensions.filter((axis) => axis.constraintrange?.length);
  const ranges = ({ constraintrange: range }) => (Array.isArray(range[0]) ? range : [range]);
  const within = (axis, at) => ranges(axis).some(([low, high]) => low <= axis.values[at] && axis.values[at] <= high);
  if (!marked.length) return [];
  return trace.customdata.filter((_, at) => marked.every((axis) => within(axis, at))).map((id) => ({ customdata: id }));
}

function listen(chart, component) {
  const pick = (ids) => component.setStateValue("picked", ids);
  chart.on("plotly_selected", (event) => event && pick(identities(event.points ?? [])));
  chart.on("plotly_click", (event) => {
    const ids = identities(event?.points ?? []);
    if (ids.length) pick(ids);
  });
  chart.on("plotly_restyle", () => {
    const [lines] = chart.data.filter((trace) => trace.type === "parcoords");
    if (lines) pick(identities(narrowed(lines)));
  });
  chart.on("plotly_deselect", () => pick([]));
  chart.on("plotly_doubleclick", () => pick([]));
}

export default function (component) {
  const { data, parentElement } = component;
  let chart = parentElement.querySelector(":scope > .evo-chart");
  if (!chart) {
    chart = document.createElement("div");
    chart.className = "evo-chart";
    parentElement.appendChild(chart);
  }
  chart.latest = data.figure;
  reserve(chart, data.height);
  library().then((Plotly) => {
    const busy = chart.dragging;
    if (chart.shown === chart.latest || busy) return;
    chart.shown = chart.latest;
    drawn(Plotly, chart, themed(JSON.parse(chart.latest), look(parentElement))).then(() => {
      if (!chart.watched) {
        chart.watched = true;
        // An update in the middle of a drag would end the drag: it waits for the next update.
        chart.addEventListener("pointerdown", () => (chart.dragging = true));
        window.addEventListener("pointerup", () => (chart.dragging = false));
        if (data.picks) listen(chart, component);
      }
    });
  });
  return () => {
    window.Plotly?.purge(chart);
    chart.remove();
  };
}
