"""Figures of an individual: an architecture's slots, a vector's numbers, its line of bases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from dashboard.charts.style import BLUE, FAINT, GREY, GRID, ORANGE, colours, figure, objective_title, style
from dashboard.queries.objectives import Objective
from dashboard.words import hover, made_by
from evo.genomes import SlotValue
from evo.lineage import Table

MOST_SLOTS = 60
MOST_CELLS = 12
MOST_NUMBERS = 500
CELL_TEXT = 14


def slots(
    design: Mapping[str, SlotValue],
    other: Mapping[str, SlotValue] | None,
    seen: Mapping[str, Sequence[SlotValue]],
    *,
    revision: str,
) -> go.Figure:
    """A row for each slot: the values that the run tried there, this design's filled, the other design's outlined."""
    names = list(dict.fromkeys([*design, *(other or {}), *seen]))[:MOST_SLOTS]
    drawn = go.Figure()
    for row, slot in enumerate(reversed(names)):
        cells = _cells(slot, design, other or {}, seen)
        for at, value in enumerate(cells):
            chosen, was = _has(design, slot, value), _has(other or {}, slot, value)
            drawn.add_shape(
                type="rect",
                layer="below",
                x0=at + 0.04,
                x1=at + 0.96,
                y0=row + 0.1,
                y1=row + 0.9,
                fillcolor=BLUE if chosen else "rgba(0,0,0,0)",
                line={"color": ORANGE if was and not chosen else BLUE if chosen else GRID, "width": 2 if was else 1},
            )
        drawn.add_trace(_labels(row, cells, [_has(design, slot, value) for value in cells], slot))
    style(drawn, revision=revision, height=60 + 34 * max(1, len(names)))
    ticks = {
        "tickvals": [at + 0.5 for at in range(len(names))],
        "ticktext": [hover(name, 24) for name in reversed(names)],
    }
    drawn.update_yaxes(**ticks, showgrid=False, zeroline=False, range=[0, max(1, len(names))], fixedrange=True)
    widest = max([len(_cells(slot, design, other or {}, seen)) for slot in names] or [1])
    drawn.update_xaxes(visible=False, range=[0, max(4, widest)], fixedrange=True)
    drawn.update_layout(showlegend=False)
    return drawn


def vector(
    values: Sequence[float], other: Sequence[float] | None, seen: Mapping[str, Sequence[SlotValue]], *, revision: str
) -> go.Figure:
    """A point for each component, the other vector's beside it, and the range that the run covered."""
    count = min(len(values), MOST_NUMBERS)
    places = list(range(count))
    ranges = [seen.get(str(at), (values[at], values[at])) for at in places]
    shown = [
        go.Bar(
            x=places,
            y=[float(high) - float(low) for low, high in ranges],
            base=[float(low) for low, _ in ranges],
            name="range in this run",
            marker={"color": FAINT, "line": {"width": 0}},
            hoverinfo="skip",
        )
    ]
    if other is not None:
        marker = {"color": ORANGE, "symbol": "circle-open", "size": 10, "line": {"width": 2}}
        shown.append(go.Scatter(x=places, y=list(other[:count]), name="compared with", mode="markers", marker=marker))
    shown.append(
        go.Scatter(
            x=places, y=list(values[:count]), name="this individual", mode="markers", marker={"color": BLUE, "size": 9}
        )
    )
    for points in shown[1:]:
        points.hovertemplate = "component %{x}: %{y:.6g}<extra></extra>"
    drawn = figure(shown, x="component", y="value", revision=revision, height=340)
    drawn.update_layout(showlegend=True)
    return drawn


def line_of_bases(line: Table, objective: Objective, *, revision: str) -> go.Figure:
    """The first objective along the line of bases, the earliest to the left."""
    at = line.columns.index(objective[0], 4)
    rows = [row for row in reversed(line.rows) if row[at] is not None]
    shade = colours([row[2] for row in rows])
    shown = go.Scatter(
        x=list(range(len(rows))),
        y=[row[at] for row in rows],
        mode="lines+markers",
        line={"color": GREY, "width": 1},
        marker={"color": [shade[row[2]] for row in rows], "size": 9},
        customdata=[[row[0], hover(made_by(row[2], row[3]))] for row in rows],
        hovertemplate="<b>individual %{customdata[0]}</b><br>%{y:.6g}<br>%{customdata[1]}<extra></extra>",
    )
    drawn = figure([shown], x="individual", y=objective_title(objective), revision=revision, height=240)
    drawn.update_xaxes(tickvals=list(range(len(rows))), ticktext=[str(row[0]) for row in rows])
    return drawn


def _cells(
    slot: str, design: Mapping[str, SlotValue], other: Mapping[str, SlotValue], seen: Mapping[str, Sequence[SlotValue]]
) -> list[SlotValue]:
    """The values to draw; where there are many, those of the two designs and the first others."""
    own = [values[slot] for values in (design, other) if slot in values]
    known = list(seen.get(slot, ()))
    missing = [value for at, value in enumerate(own) if value not in known and value not in own[:at]]
    if len(known) + len(missing) <= MOST_CELLS:
        return known + missing
    return list(dict.fromkeys([*own, *known[: MOST_CELLS - len(own)]]))


def _has(design: Mapping[str, SlotValue], slot: str, value: SlotValue) -> bool:
    return slot in design and type(design[slot]) is type(value) and design[slot] == value


def _labels(row: int, cells: Sequence[SlotValue], chosen: Sequence[bool], slot: str) -> go.Scatter:
    return go.Scatter(
        x=[at + 0.5 for at in range(len(cells))],
        y=[row + 0.5] * len(cells),
        text=[hover(value, CELL_TEXT) for value in cells],
        mode="text",
        textfont={"color": ["#ffffff" if filled else GREY for filled in chosen], "size": 12},
        customdata=[hover(value, 200) for value in cells],
        hovertemplate=f"{hover(slot)}: %{{customdata}}<extra></extra>",
    )
