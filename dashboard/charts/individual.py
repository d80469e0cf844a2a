"""Figures of one individual: an architecture's slots, a vector, its line of descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from dashboard.charts.style import BLUE, FAINT, GREY, GRID, ORANGE, PALETTE, figure, style
from dashboard.words import axis, hover
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
    """A row a slot: the choices that the run made there, this design's filled, the other one's outlined."""
    names = list(dict.fromkeys([*design, *(other or {}), *seen]))[:MOST_SLOTS]
    drawn = go.Figure()
    for row, slot in enumerate(reversed(names)):
        cells = _cells(slot, design, other or {}, seen)
        for at, choice in enumerate(cells):
            chosen, was = _is(design, slot, choice), _is(other or {}, slot, choice)
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
        drawn.add_trace(_labels(row, cells, [_is(design, slot, one) for one in cells], slot))
    style(drawn, revision=revision, height=60 + 34 * max(1, len(names)))
    ticks = {
        "tickvals": [at + 0.5 for at in range(len(names))],
        "ticktext": [hover(one, 24) for one in reversed(names)],
    }
    drawn.update_yaxes(**ticks, showgrid=False, zeroline=False, range=[0, max(1, len(names))], fixedrange=True)
    widest = max([len(_cells(slot, design, other or {}, seen)) for slot in names] or [1])
    drawn.update_xaxes(visible=False, range=[0, max(4, widest)], fixedrange=True)
    drawn.update_layout(showlegend=False)
    return drawn


def vector(
    values: Sequence[float], other: Sequence[float] | None, seen: Mapping[str, Sequence[SlotValue]], *, revision: str
) -> go.Figure:
    """A point a number, the other one's beside it, and the range that the run went through."""
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
        go.Scatter(x=places, y=list(values[:count]), name="this one", mode="markers", marker={"color": BLUE, "size": 9})
    )
    for one in shown[1:]:
        one.hovertemplate = "number %{x}: %{y:.6g}<extra></extra>"
    drawn = figure(shown, x="number of the vector", y="value", revision=revision, height=340)
    drawn.update_layout(showlegend=True)
    return drawn


def descent(line: Table, objective: tuple[str, str, str], *, revision: str) -> go.Figure:
    """The first objective along the line of bases, the earliest to the left."""
    name, direction, unit = objective
    at = line.columns.index(name, 4)
    rows = [row for row in reversed(line.rows) if row[at] is not None]
    operators = sorted({row[2] for row in rows})
    shade = {one: PALETTE[number % len(PALETTE)] for number, one in enumerate(operators)}
    shown = go.Scatter(
        x=list(range(len(rows))),
        y=[row[at] for row in rows],
        mode="lines+markers",
        line={"color": GREY, "width": 1},
        marker={"color": [shade[row[2]] for row in rows], "size": 9},
        customdata=[[row[0], hover(row[2] + (f" with {row[3]}" if row[3] else ""))] for row in rows],
        hovertemplate="<b>individual %{customdata[0]}</b><br>%{y:.6g}<br>%{customdata[1]}<extra></extra>",
    )
    title = axis(name, unit) + (", lower is better" if direction == "min" else ", higher is better")
    drawn = figure([shown], x="from base to base", y=title, revision=revision, height=240)
    drawn.update_xaxes(tickvals=list(range(len(rows))), ticktext=[str(row[0]) for row in rows], title_text="individual")
    return drawn


def _cells(
    slot: str, design: Mapping[str, SlotValue], other: Mapping[str, SlotValue], seen: Mapping[str, Sequence[SlotValue]]
) -> list[SlotValue]:
    """The choices to draw; where there are many, those of the two designs and the first others."""
    own = [one[slot] for one in (design, other) if slot in one]
    known = list(seen.get(slot, ()))
    missing = [one for at, one in enumerate(own) if one not in known and one not in own[:at]]
    if len(known) + len(missing) <= MOST_CELLS:
        return known + missing
    return list(dict.fromkeys([*own, *known[: MOST_CELLS - len(own)]]))


def _is(design: Mapping[str, SlotValue], slot: str, choice: SlotValue) -> bool:
    return slot in design and type(design[slot]) is type(choice) and design[slot] == choice


def _labels(row: int, cells: Sequence[SlotValue], chosen: Sequence[bool], slot: str) -> go.Scatter:
    return go.Scatter(
        x=[at + 0.5 for at in range(len(cells))],
        y=[row + 0.5] * len(cells),
        text=[hover(one, CELL_TEXT) for one in cells],
        mode="text",
        textfont={"color": ["#ffffff" if one else GREY for one in chosen], "size": 12},
        customdata=[hover(one, 200) for one in cells],
        hovertemplate=f"{hover(slot)}: %{{customdata}}<extra></extra>",
    )
