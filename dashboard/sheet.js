// Draws the figures of an exported page, each when it scrolls into view, in the reader's light or dark theme.
"use strict";

const figures = JSON.parse(document.getElementById("figures").textContent);

// The page's colours are in its style.
function look() {
  const css = getComputedStyle(document.documentElement);
  const value = (name) => css.getPropertyValue(name).trim();
  const { fontFamily: family } = getComputedStyle(document.body);
  return { family, text: value("--text"), raised: value("--raised"), border: value("--border") };
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
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting && !target.dataset.drawn) draw(target);
    }
  },
  { rootMargin: "600px" },
);
places.forEach((place) => seen.observe(place));
window.addEventListener("beforeprint", () => places.filter((place) => !place.dataset.drawn).forEach(draw));
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  places.filter((place) => place.dataset.drawn).forEach(draw);
});
