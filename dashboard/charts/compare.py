"""Figures of methods side by side: curves with a band over seeds, and gains with their interval."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import plotly.graph_objects as go

from dashboard.charts.style import GREY, PALETTE, figure, objective_title, translucent
from dashboard.queries.objectives import Objective
from dashboard.words import hover, number
from evo.analysis.comparison import Gain
from evo.lineage import Table

Across = Literal["evaluations", "time", "dollars"]
Upwards = Literal["best", "hypervolume", "dollars"]
GRID_POINTS = 120
AXES: Mapping[str, tuple[str, str]] = {
    "evaluations": ("tell", "evaluations"),
    "time": ("seconds", "seconds since the start, without pauses"),
    "dollars": ("usd", "spent (US dollars)"),
}
LEVELS: Mapping[str, str] = {"best": "best", "hypervolume": "hypervolume", "dollars": "usd"}


@dataclass(frozen=True, slots=True)
class Band:
    """Least, median and most of a method's runs at the same places, up to where the shortest run ends."""

    x: tuple[float, ...]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]


def curves(
    methods: Mapping[str, Mapping[str, Table]],
    across: Across,
    upwards: Upwards,
    *,
    objective: Objective | None,
    revision: str,
) -> go.Figure:
    """A thick line for each method, the median of its runs, in a band from least to most; a thin line for each run.

    Args:
        methods: label to the curves of its runs by name.
        objective: what "best" is by.
    """
    shown: list[Any] = []
    for at, (label, runs) in enumerate(methods.items()):
        colour = PALETTE[at % len(PALETTE)]
        lines = {name: line for name, found in runs.items() if (line := points(found, across, upwards))}
        if not lines:
            continue
        many = len(lines) > 1
        shown += [_run(name, line, colour, group=label, many=many) for name, line in lines.items()]
        if many:
            shown += _band(band(list(lines.values())), label, colour, count=len(lines))
    best = f"best {objective_title(objective)}" if objective else "best"
    title = {"best": best, "hypervolume": "hypervolume", "dollars": "spent (US dollars)"}[upwards]
    drawn = figure(shown, x=AXES[across][1], y=title, revision=revision, height=360)
    drawn.update_layout(showlegend=True, legend={"groupclick": "togglegroup"})
    return drawn


def points(found: Table, across: Across, upwards: Upwards) -> list[tuple[float, float]]:
    """A run's curve: the points that have both values."""
    x, y = found.columns.index(AXES[across][0]), found.columns.index(LEVELS[upwards])
    more = 1 if across == "evaluations" else 0
    return [(row[x] + more, row[y]) for row in found.rows if row[x] is not None and row[y] is not None]


def band(lines: Sequence[Sequence[tuple[float, float]]]) -> Band:
    """Least, median and most of several curves; each holds its value until its next point."""
    first, last = max(line[0][0] for line in lines), min(line[-1][0] for line in lines)
    if last < first:
        return Band((), (), (), ())
    places = [first + (last - first) * at / (GRID_POINTS - 1) for at in range(GRID_POINTS)] if last > first else [first]
    values = [[_held(line, place) for line in lines] for place in places]
    return Band(
        tuple(places),
        tuple(map(min, values)),
        tuple(map(median, values)),
        tuple(map(max, values)),
    )


def _held(line: Sequence[tuple[float, float]], place: float) -> float:
    # A place that rounding put just before a point counts as at it.
    return line[max(0, bisect_right(line, place + 1e-9 * abs(place), key=lambda point: point[0]) - 1)][1]


def _run(name: str, line: Sequence[tuple[float, float]], colour: str, *, group: str, many: bool) -> go.Scatter:
    return go.Scatter(
        x=[x for x, _ in line],
        y=[y for _, y in line],
        mode="lines",
        line={"color": colour, "width": 1 if many else 2, "shape": "hv"},
        opacity=0.45 if many else 1,
        name=hover(name if many else group, 40),
        legendgroup=hover(group, 40),
        showlegend=not many,
        hovertemplate=f"{hover(name)}<br>%{{x:.6g}}: %{{y:.6g}}<extra></extra>",
    )


def _band(of: Band, label: str, colour: str, *, count: int) -> list[go.Scatter]:
    edge = {"mode": "lines", "line": {"width": 0, "shape": "hv"}, "showlegend": False, "hoverinfo": "skip"}
    group = hover(label, 40)
    return [
        go.Scatter(x=of.x, y=of.low, legendgroup=group, **edge),
        go.Scatter(
            x=of.x,
            y=of.high,
            legendgroup=group,
            fill="tonexty",
            fillcolor=translucent(colour, 0.16),
            **edge,
        ),
        go.Scatter(
            x=of.x,
            y=of.middle,
            mode="lines",
            line={"color": colour, "width": 2.5, "shape": "hv"},
            name=f"{group} ({count} seeds)",
            legendgroup=group,
            customdata=list(zip(of.low, of.high, strict=True)),
            hovertemplate=f"<b>{hover(label)}</b>, median of {count}<br>%{{x:.6g}}: %{{y:.6g}}"
            "<br>%{customdata[0]:.6g} to %{customdata[1]:.6g}<extra></extra>",
        ),
    ]


def gains(found: Sequence[Gain], unit: str, *, methods: Sequence[str], revision: str) -> go.Figure:
    """Each method's mean gain over the reference method with its 95 % confidence interval; right of 0 is better.

    Args:
        methods: the labels of all methods in the order of `curves`, so that colours are the same.
    """
    ordered = list(reversed(found))
    shown = go.Scatter(
        x=[gain.mean for gain in ordered],
        y=list(range(len(ordered))),
        mode="markers",
        marker={
            "size": 11,
            "color": [PALETTE[methods.index(gain.method) % len(PALETTE)] for gain in ordered],
            "symbol": ["circle" if gain.interval else "circle-open" for gain in ordered],
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [gain.interval[1] - gain.mean if gain.interval else 0 for gain in ordered],
            "arrayminus": [gain.mean - gain.interval[0] if gain.interval else 0 for gain in ordered],
            "color": GREY,
            "thickness": 2,
            "width": 6,
        },
        customdata=[
            [hover(_interval(gain)), f"{gain.won} won, {gain.lost} lost, {gain.tied} tied"] for gain in ordered
        ],
        hovertemplate="gain %{x:.6g}<br>%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
    )
    over = hover(found[0].over, 30) if found else ""
    title = f"gain over {over}" + (f" ({hover(unit)})" if unit else "")
    drawn = figure([shown], x=title, y="", revision=revision, height=110 + 44 * max(1, len(ordered)))
    drawn.add_vline(x=0, line={"color": GREY, "dash": "dot", "width": 1.5})
    labels = [f"{hover(gain.method, 20)}<br>{hover(gain.part)}" for gain in ordered]
    drawn.update_yaxes(tickvals=list(range(len(ordered))), ticktext=labels, range=[-0.6, len(ordered) - 0.4])
    drawn.update_layout(showlegend=False)
    return drawn


def _interval(gain: Gain) -> str:
    return f"95 %: {number(gain.interval[0])} to {number(gain.interval[1])}" if gain.interval else gain.without
