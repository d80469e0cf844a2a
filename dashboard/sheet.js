// Draws the figures of a page that stands alone, each when it comes into sight, in light or dark as the reader has it.
"use strict";

const figures = JSON.parse(document.getElementById("figures").textContent);

// The page's colours are in its style.
function look() {
  const css = getComputedStyle(document.documentElement);
  const said = (name) => css.getPropertyValue(name).trim();
  const { fontFamily: family } = getComputedStyle(document.body);
  return { family, text: said("--text"), raised: said("--raised"), border: said("--border") };
}

const figureOf = (place) => figures[Number(place.dataset.figure)];

function draw(place) {
  place.dataset.drawn = "yes";
  return drawn(Plotly, place, themed(figureOf(place), look()));
}

const places = [...document.querySelectorAll("[data-figure]")];
for (const place of places) reserve(place, figureOf(place).layout.height);
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
