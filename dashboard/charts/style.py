"""How all figures look. The colours run_status out on white and on near-black alike, and for the colour-blind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

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
# From early to late, light enough at neither end to be lost on a background.
SEQUENCE = ((0.0, "#2d5fa8"), (0.35, "#2aa5b8"), (0.7, "#8fb84a"), (1.0, "#e8a524"))
FAINT = "rgba(139, 146, 156, 0.35)"
GRID = "rgba(139, 146, 156, 0.22)"


def figure(traces: Iterable[Any], *, x: str, y: str, revision: str, height: int = 280) -> go.Figure:
    """A figure of one pair of axes.

    Args:
        x: title of the axis, with its unit.
        revision: what the reader looks at, as a text: while it stays the same, so do zoom and hidden traces.
    """
    shown = go.Figure(list(traces))
    style(shown, revision=revision, height=height)
    shown.update_xaxes(title_text=x)
    shown.update_yaxes(title_text=y)
    return shown


def style(shown: go.Figure, *, revision: str, height: int) -> None:
    """Make a figure look like all others."""
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
    """Times along the axis that can be read in half a window: few, and none of them turned."""
    shown.update_xaxes(type="date", tickangle=0, nticks=5)


def colours(names: Sequence[Any], fixed: Mapping[str, str] | None = None) -> dict[Any, str]:
    """A colour for each name; the same for the same names, whatever comes and goes of the others' figures."""
    ordered = sorted(set(names), key=str)
    return {name: (fixed or {}).get(str(name), PALETTE[at % len(PALETTE)]) for at, name in enumerate(ordered)}


def line(x: Sequence[Any], y: Sequence[Any], *, name: str, colour: str, **more: Any) -> go.Scatter:
    """A line trace. The name has to be escaped."""
    return go.Scatter(
        x=x, y=y, name=name, mode="lines", line={"color": colour, "width": 2, **more.pop("line", {})}, **more
    )


def columns(rows: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    """Rows turned into columns, of which there are so many even if there is no row."""
    return [[row[at] for row in rows] for at in range(count)]
