// Drawing figures, on the dashboard's pages and on the exported page: this file goes before the script of either.

// Without plotly's button that sends a figure to its own server, which is there by default.
const CONFIG = {
  displaylogo: false,
  responsive: true,
  showSendToCloud: false,
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["autoScale2d"],
};
const LEGEND_LINE = 30;
const MANY = 400;

// Figures have no text or background colours of their own: these come from the page's theme, light or dark.
function themed(figure, { text, family, raised, border }) {
  const font = { family, color: text, size: 12 };
  const layout = { ...figure.layout, width: undefined, autosize: true };
  layout.font = { ...font, ...layout.font };
  layout.hoverlabel = { bgcolor: raised, bordercolor: border, ...layout.hoverlabel, font };
  layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: "#8b929c", activecolor: text, ...layout.modebar };
  return { ...figure, layout };
}

// Reserve a figure's height before it is drawn, so that what is below does not move.
function reserve(place, height) {
  place.bare = height;
  place.style.height = `${height + (place.legendLines ?? 0)}px`;
}

async function drawn(Plotly, place, { data, layout }) {
  reserve(place, layout.height);
  const now = (traces, more) =>
    Plotly.react(place, traces, { ...layout, height: place.bare + (place.legendLines ?? 0), ...more }, CONFIG);
  if (place.legendLines === undefined && data.some((trace) => trace.x?.length > MANY)) {
    // The legend is measured with empty axes, so that thousands of points are drawn only once.
    const shapes = (layout.shapes ?? []).map((shape) => (shape.path ? { ...shape, path: "M0,0" } : shape));
    await now(data.map((trace) => ({ ...trace, x: [null], y: [null], text: [], customdata: [] })), { shapes });
    await makeRoom(Plotly, place);
  }
  await now(data);
  if (!place.grows) place.on("plotly_afterplot", () => setTimeout(() => makeRoom(Plotly, place)));
  place.grows = true;
  await makeRoom(Plotly, place);
}

// A legend of several lines, as on a phone, takes room from the figure: make the figure that much taller.
function makeRoom(Plotly, place) {
  const legend = place._fullLayout?.legend;
  const more = Math.round(Math.max(0, (legend?._height ?? 0) - LEGEND_LINE));
  if (legend?.orientation !== "h" || Math.abs(more - (place.legendLines ?? 0)) < 2) return undefined;
  place.legendLines = more;
  reserve(place, place.bare);
  return Plotly.relayout(place, { height: place.bare + more });
}
