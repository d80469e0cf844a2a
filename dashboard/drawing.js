// How figures are drawn, on the dashboard's pages and on the page that stands alone: this goes before the script of either.

// Without a button that would send a figure to plotly's own server; there is one unless it is refused.
const CONFIG = {
  displaylogo: false,
  responsive: true,
  showSendToCloud: false,
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["autoScale2d"],
};
const LEGEND_LINE = 30;
const MANY = 400;

// The figures themselves know neither light nor dark: what they do not say, the page's theme does.
function themed(figure, { text, family, raised, border }) {
  const font = { family, color: text, size: 12 };
  const layout = { ...figure.layout, width: undefined, autosize: true };
  layout.font = { ...font, ...layout.font };
  layout.hoverlabel = { bgcolor: raised, bordercolor: border, ...layout.hoverlabel, font };
  layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: "#8b929c", activecolor: text, ...layout.modebar };
  return { ...figure, layout };
}

// Hold a figure's place, before there is anything in it: what is below must not move under a reader's hand.
function reserve(place, height) {
  place.bare = height;
  place.style.height = `${height + (place.legendLines ?? 0)}px`;
}

async function drawn(Plotly, place, { data, layout }) {
  reserve(place, layout.height);
  const now = (traces, more) =>
    Plotly.react(place, traces, { ...layout, height: place.bare + (place.legendLines ?? 0), ...more }, CONFIG);
  if (place.legendLines === undefined && data.some((one) => one.x?.length > MANY)) {
    // The legend's room is found out with the bare axes: thousands of points are drawn once.
    const shapes = (layout.shapes ?? []).map((one) => (one.path ? { ...one, path: "M0,0" } : one));
    await now(data.map((one) => ({ ...one, x: [null], y: [null], text: [], customdata: [] })), { shapes });
    await makeRoom(Plotly, place);
  }
  await now(data);
  if (!place.grows) place.on("plotly_afterplot", () => setTimeout(() => makeRoom(Plotly, place)));
  place.grows = true;
  await makeRoom(Plotly, place);
}

// A legend of many lines, as on a phone, takes its place from the figure: the figure gets as much more.
function makeRoom(Plotly, place) {
  const legend = place._fullLayout?.legend;
  const more = Math.round(Math.max(0, (legend?._height ?? 0) - LEGEND_LINE));
  if (legend?.orientation !== "h" || Math.abs(more - (place.legendLines ?? 0)) < 2) return undefined;
  place.legendLines = more;
  reserve(place, place.bare);
  return Plotly.relayout(place, { height: place.bare + more });
}
