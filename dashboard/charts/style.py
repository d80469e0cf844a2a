"""How all figures look. The colours stand out on white and on near-black alike, and for the colour-blind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.queries.objectives import Objective
from dashboard.words import axis, hover

BLUE, ORANGE, GREEN, PURPLE, RED = "#3b82d6", "#e0812f", "#2c9f74", "#a864c9", "#d9485f"
CYAN, GOLD, BROWN, PINK, GREY = "#2aa5b8", "#c29a1f", "#9a6b4f", "#d66ba0", "#8b929c"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, CYAN, GOLD, PINK, BROWN, RED)
OUTCOMES: Mapping[str, str] = {
    "ok": GREEN,
    "pruned": CYAN,
    "invalid": GOLD,
    "timeout": ORANGE,
    "oom": PURPLE,
    "crash": RED,
    "lost": GREY,
}
# From early to late; neither end is so light or so dark that it is lost on a background.
SEQUENCE = ((0.0, "#2d5fa8"), (0.35, "#2aa5b8"), (0.7, "#8fb84a"), (1.0, "#e8a524"))
FAINT = "rgba(139, 146, 156, 0.35)"
POINT_EDGE = "rgba(255,255,255,0.6)"
GRID = "rgba(139, 146, 156, 0.22)"


def figure(traces: Iterable[Any], *, x: str, y: str, revision: str, height: int = 280) -> go.Figure:
    """A figure with two axes.

    Args:
        x: title of the axis, with its unit.
        revision: names what the figure shows: as long as it stays the same, zoom and hidden traces survive an update.
    """
    shown = go.Figure(list(traces))
    style(shown, revision=revision, height=height)
    shown.update_xaxes(title_text=x)
    shown.update_yaxes(title_text=y)
    return shown


def style(shown: go.Figure, *, revision: str, height: int) -> None:
    """Give a figure the common look."""
    shown.update_layout(
        height=height,
        uirevision=revision,
        margin={"l": 8, "r": 12, "t": 28, "b": 8},
        colorway=list(PALETTE),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "title": None},
        hoverlabel={"align": "left", "namelength": -1},
        dragmode="zoom",
    )
    for update in (shown.update_xaxes, shown.update_yaxes):
        update(automargin=True, gridcolor=GRID, zerolinecolor=GRID, nticks=7, separatethousands=True)


def upright(shown: go.Figure) -> None:
    """Few, upright labels on a time axis, so that it can be read in half a window."""
    shown.update_xaxes(type="date", tickangle=0, nticks=5)


def colours(names: Sequence[Any], fixed: Mapping[str, str] | None = None) -> dict[Any, str]:
    """A colour for each name; the same set of names has the same colours in every figure."""
    ordered = sorted(set(names), key=str)
    return {name: (fixed or {}).get(str(name), PALETTE[at % len(PALETTE)]) for at, name in enumerate(ordered)}


def line(x: Sequence[Any], y: Sequence[Any], *, name: str, colour: str, **more: Any) -> go.Scatter:
    """A line trace; the caller escapes the name."""
    return go.Scatter(
        x=x, y=y, name=name, mode="lines", line={"color": colour, "width": 2, **more.pop("line", {})}, **more
    )


def translucent(colour: str, opacity: float) -> str:
    """A colour of the palette (`#rrggbb`) that lets the background through."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def objective_title(objective: Objective) -> str:
    """The title of an objective's axis: its name, its unit, and which way is better."""
    name, direction, unit = objective
    better = {"min": ", lower is better", "max": ", higher is better"}
    return axis(name, unit) + better.get(direction, "")


def arm_label(operator: str, model: str) -> str:
    """Operator and model beside a bar, on two lines."""
    return f"{hover(operator, 18)}<br>{hover(model, 18)}" if model else hover(operator, 18)
