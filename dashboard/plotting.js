// A plotly figure that stays itself when its data change: zoom, hidden traces and selection survive (layout.uirevision).
// plotly.js is the one that the Python package brings along, served by the dashboard itself.

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

// What the page's theme says, where the figure says nothing: the figures themselves know neither light nor dark.
function themed(figure, element) {
  const css = getComputedStyle(element);
  const said = (name, otherwise) => css.getPropertyValue(name).trim() || otherwise;
  const text = said("--st-text-color", "#444");
  const layout = figure.layout;
  layout.font = { family: said("--st-font", "sans-serif"), color: text, size: 12, ...layout.font };
  layout.hoverlabel = {
    bgcolor: said("--st-secondary-background-color", "#fff"),
    bordercolor: said("--st-border-color", "#ccc"),
    ...layout.hoverlabel,
    font: { color: text, family: said("--st-font", "sans-serif"), size: 12 },
  };
  layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: "#8b929c", activecolor: text, ...layout.modebar };
  layout.width = undefined;
  layout.autosize = true;
  return figure;
}

// The individuals behind points: the first of their custom data.
function identities(event) {
  const found = (event?.points ?? []).map((point) => [point.customdata].flat()[0]);
  return [...new Set(found.filter((one) => Number.isInteger(one)))].sort((a, b) => a - b);
}

function listen(chart, component) {
  const pick = (ids) => component.setStateValue("picked", ids);
  chart.on("plotly_selected", (event) => event && pick(identities(event)));
  chart.on("plotly_click", (event) => {
    const ids = identities(event);
    if (ids.length) pick(ids);
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
  library().then((Plotly) => {
    const busy = chart.dragging;
    if (chart.drawn === chart.latest || busy) return;
    const figure = themed(JSON.parse(chart.latest), parentElement);
    chart.style.height = `${figure.layout.height}px`;
    chart.drawn = chart.latest;
    const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["autoScale2d", "sendDataToCloud"] };
    Plotly.react(chart, figure.data, figure.layout, config).then(() => {
      if (!chart.watched) {
        chart.watched = true;
        // An update in the middle of a drag would end it: it waits for the next one.
        chart.addEventListener("pointerdown", () => (chart.dragging = true));
        window.addEventListener("pointerup", () => (chart.dragging = false));
        if (data.picks) listen(chart, component);
      }
    });
  });
  return () => window.Plotly?.purge(chart);
}
