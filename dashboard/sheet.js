// Draws the figures of a page that stands alone, each when it comes into sight, in light or dark as the reader has it.
"use strict";

const figures = JSON.parse(document.getElementById("figures").textContent);
const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["autoScale2d"] };

// The figures themselves know neither light nor dark; the page's colours are in its style.
function themed(figure) {
  const css = getComputedStyle(document.documentElement);
  const said = (name) => css.getPropertyValue(name).trim();
  const family = getComputedStyle(document.body).fontFamily;
  const layout = { ...figure.layout, font: { family, color: said("--text"), size: 12 }, autosize: true };
  layout.hoverlabel = {
    ...layout.hoverlabel,
    bgcolor: said("--raised"),
    bordercolor: said("--border"),
    font: { family, color: said("--text"), size: 12 },
  };
  layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: "#8b929c", activecolor: said("--text") };
  return layout;
}

function draw(place) {
  const figure = figures[Number(place.dataset.figure)];
  place.style.height = `${figure.layout.height}px`;
  place.dataset.drawn = "yes";
  return Plotly.react(place, figure.data, themed(figure), config);
}

const places = [...document.querySelectorAll("[data-figure]")];
for (const place of places) place.style.height = `${figures[Number(place.dataset.figure)].layout.height}px`;
const seen = new IntersectionObserver(
  (entries) => {
    for (const one of entries) {
      if (one.isIntersecting && !one.target.dataset.drawn) draw(one.target);
    }
  },
  { rootMargin: "600px" },
);
places.forEach((place) => seen.observe(place));
window.addEventListener("beforeprint", () => places.filter((one) => !one.dataset.drawn).forEach(draw));
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  places.filter((one) => one.dataset.drawn).forEach(draw);
});
