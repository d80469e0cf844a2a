"""Figures of a run's progress."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

import plotly.graph_objects as go

from dashboard.charts.style import CYAN, GREEN, GREY, ORANGE, OUTCOMES, PALETTE, figure, line, objective_title
from dashboard.queries.history import Bests
from dashboard.queries.objectives import Objective
from dashboard.words import hover
from evo.lineage import Table

Clock = Literal["tells", "time"]
TITLES = {"tells": "evaluations", "time": "time (UTC)"}


def best_so_far(
    bests: Bests, objective: Objective, *, clock: Clock, end: tuple[int, Any], revision: str, colour: int = 0
) -> go.Figure:
    """The best value so far of an objective, as a stair up to the present.

    Args:
        end: the last tell and its time; the last step is drawn up to there.
    """
    name = objective[0]
    steps = [step for step in bests.steps if step.name == name]
    x: list[Any] = [step.tell if clock == "tells" else step.told_at for step in steps]
    y = [step.value for step in steps]
    holders = [step.individual for step in steps]
    if steps:
        x, y, holders = [*x, end[0] if clock == "tells" else end[1]], [*y, y[-1]], [*holders, holders[-1]]
    stair = line(
        x,
        y,
        name=hover(name),
        colour=PALETTE[colour % len(PALETTE)],
        line={"shape": "hv"},
        customdata=holders,
        hovertemplate="%{y:.6g}<br>individual %{customdata}<br>%{x}<extra></extra>",
    )
    return figure([stair], x=TITLES[clock], y=objective_title(objective), revision=revision, height=250)


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
    """Results per second over time."""
    return _over_time(parts, "per_second", "results per second", CYAN, clock=clock, revision=revision, fill="tozeroy")


def outcomes(parts: Table, *, clock: Clock, revision: str) -> go.Figure:
    """The outcomes of evaluations, as shares of equal stretches."""
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
            y=[100 * counts[outcome].get(tell, 0) / totals[tell] for tell in at],
            customdata=[counts[outcome].get(tell, 0) for tell in at],
            name=hover(outcome),
            mode="lines",
            stackgroup="outcomes",
            line={"color": OUTCOMES.get(outcome, GREY), "width": 0.5, "shape": "hv"},
            hovertemplate="%{customdata:,} " + hover(outcome) + " (%{y:.3g} %)<extra></extra>",
        )
        for outcome in order
        if outcome in counts
    ]
    drawn = figure(shown, x=TITLES[clock], y="share of the evaluations (%)", revision=revision)
    drawn.update_layout(showlegend=True, hovermode="x unified")
    drawn.update_yaxes(range=[0, 100])
    return drawn


def spending(points: Table, *, cap: float | None, revision: str) -> go.Figure:
    """Dollars by model, stacked, and the cap, if any."""
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
    at = table.columns.index(name)
    return [row[at] for row in table.rows]


def _carried(times: Sequence[Any], points: Sequence[tuple[Any, float]]) -> list[float]:
    """The value of the latest point up to each time."""
    values = dict(points)
    carried, last = [], 0.0
    for time in times:
        last = values.get(time, last)
        carried.append(last)
    return carried
