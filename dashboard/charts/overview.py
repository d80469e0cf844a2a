"""Figures of how a run goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

import plotly.graph_objects as go

from dashboard.charts.style import CYAN, GREEN, GREY, ORANGE, OUTCOMES, PALETTE, columns, figure, line
from dashboard.queries.history import Bests
from dashboard.words import axis, hover
from evo.lineage import Table

Clock = Literal["tells", "time"]
TITLES = {"tells": "evaluations told", "time": "time (UTC)"}


def best_so_far(
    bests: Bests, objective: tuple[str, str, str], *, clock: Clock, end: tuple[int, Any], revision: str, colour: int = 0
) -> go.Figure:
    """The best value of one objective as a stair, up to the present.

    Args:
        end: the last tell and its time, to which the last step is drawn out.
    """
    name, direction, unit = objective
    steps = [step for step in bests.steps if step.name == name]
    x: list[Any] = [step.tell if clock == "tells" else step.told_at for step in steps]
    y = [step.value for step in steps]
    who = [step.individual for step in steps]
    if steps:
        x, y, who = [*x, end[0] if clock == "tells" else end[1]], [*y, y[-1]], [*who, who[-1]]
    stair = line(
        x,
        y,
        name=hover(name),
        colour=PALETTE[colour % len(PALETTE)],
        line={"shape": "hv"},
        customdata=who,
        hovertemplate="%{y:.6g}<br>individual %{customdata}<br>%{x}<extra></extra>",
    )
    title = axis(name, unit) + (", lower is better" if direction == "min" else ", higher is better")
    return figure([stair], x=TITLES[clock], y=title, revision=revision, height=250)


def hypervolume(samples: Table, *, clock: Clock, revision: str) -> go.Figure:
    """The hypervolume of the front over time."""
    return _over_time(samples, "hypervolume", "hypervolume", GREEN, clock=clock, revision=revision)


def diversity(samples: Table, *, clock: Clock, revision: str) -> go.Figure:
    """Front size and population over time."""
    tells = _clock(samples, clock)
    shown = [
        line(tells, _column(samples, "population"), name="population", colour=GREY),
        line(tells, _column(samples, "front_size"), name="front", colour=ORANGE),
    ]
    return figure(shown, x=TITLES[clock], y="individuals", revision=revision)


def rate(parts: Table, *, clock: Clock, revision: str) -> go.Figure:
    """Results a second over time."""
    return _over_time(parts, "per_second", "results a second", CYAN, clock=clock, revision=revision, fill="tozeroy")


def outcomes(parts: Table, *, clock: Clock, revision: str) -> go.Figure:
    """What came of evaluations, as shares of equal stretches."""
    counts: dict[str, dict[int, int]] = defaultdict(dict)
    at: dict[int, Any] = {}
    for tell, ended, outcome, individuals in parts.rows:
        counts[outcome][tell] = individuals
        at[tell] = tell if clock == "tells" else ended
    totals = {tell: sum(of.get(tell, 0) for of in counts.values()) for tell in at}
    order = [*OUTCOMES, *sorted(set(counts) - set(OUTCOMES))]
    shown = [
        go.Scatter(
            x=list(at.values()),
            y=[100 * counts[one].get(tell, 0) / totals[tell] for tell in at],
            customdata=[counts[one].get(tell, 0) for tell in at],
            name=hover(one),
            mode="lines",
            stackgroup="outcomes",
            line={"color": OUTCOMES.get(one, GREY), "width": 0.5, "shape": "hv"},
            hovertemplate="%{customdata:,} " + hover(one) + " (%{y:.3g} %)<extra></extra>",
        )
        for one in order
        if one in counts
    ]
    drawn = figure(shown, x=TITLES[clock], y="share of the evaluations (%)", revision=revision)
    drawn.update_layout(showlegend=True, hovermode="x unified")
    drawn.update_yaxes(range=[0, 100])
    return drawn


def spending(points: Table, *, cap: float | None, revision: str) -> go.Figure:
    """Dollars by model, on top of each other, and the cap where there is one."""
    by_model: dict[str, list[tuple[Any, float]]] = defaultdict(list)
    for completed, model, usd in points.rows:
        by_model[model].append((completed, usd))
    times = sorted({row[0] for row in points.rows})
    shown = [
        go.Scatter(
            x=times,
            y=_carried(times, by_model[model]),
            name=hover(model or "no model"),
            mode="lines",
            stackgroup="usd",
            line={"color": PALETTE[at % len(PALETTE)], "width": 1, "shape": "hv"},
            hovertemplate="$%{y:.4g} " + hover(model) + "<extra></extra>",
        )
        for at, model in enumerate(sorted(by_model))
    ]
    drawn = figure(shown, x=TITLES["time"], y="spent (US dollars)", revision=revision)
    if cap is not None and points.rows and points.rows[-1][2] > cap / 10:
        drawn.add_hline(y=cap, line={"color": ORANGE, "dash": "dot", "width": 1.5}, annotation_text="cap")
    drawn.update_layout(showlegend=True)
    return drawn


def _over_time(
    table: Table, column: str, title: str, colour: str, *, clock: Clock, revision: str, **more: Any
) -> go.Figure:
    shown = line(_clock(table, clock), _column(table, column), name=title, colour=colour, **more)
    shown.hovertemplate = "%{y:.5g}<br>%{x}<extra></extra>"
    return figure([shown], x=TITLES[clock], y=title, revision=revision)


def _clock(table: Table, clock: Clock) -> list[Any]:
    return _column(table, "tell" if clock == "tells" else "told_at")


def _column(table: Table, name: str) -> list[Any]:
    return columns(table.rows, len(table.columns))[table.columns.index(name)]


def _carried(times: Sequence[Any], points: Sequence[tuple[Any, float]]) -> list[float]:
    """The value at each time: that of the latest point up to then."""
    values = dict(points)
    carried, last = [], 0.0
    for one in times:
        last = values.get(one, last)
        carried.append(last)
    return carried
