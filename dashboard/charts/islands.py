"""Figures of islands and of the migrations between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.charts.style import (
    BLUE,
    GREEN,
    POINT_EDGE,
    PURPLE,
    RED,
    SEQUENCE,
    colours,
    figure,
    objective_title,
    style,
    translucent,
)
from dashboard.queries.objectives import Objective
from dashboard.words import hover
from evo.lineage import Table

REASONS = {"migrated": BLUE, "founded": GREEN, "born": PURPLE, "reset": RED}
TELLS = "evaluations"
# With more islands than this the migrations are a matrix instead of bands.
MOST_BANDS = 12


def best(parts: Table, objective: Objective, *, revision: str) -> go.Figure:
    """The best so far of each island, over time."""
    return _by_island(parts, "best", objective_title(objective), "%{y:.6g}", revision=revision, shape="hv")


def population(parts: Table, *, revision: str) -> go.Figure:
    """The population of each island, over time."""
    drawn = _by_island(parts, "population", "individuals", "%{y:,}", revision=revision, shape="hv")
    drawn.update_yaxes(rangemode="tozero")
    return drawn


def coverage(parts: Table, *, revision: str) -> go.Figure:
    """The share of cells that hold a feasible individual, over time."""
    drawn = _by_island(parts, "coverage", "share of the cells", "%{y:.1%}", revision=revision)
    drawn.update_yaxes(tickformat=".3~%", rangemode="tozero")
    return drawn


def qd_score(parts: Table, *, revision: str) -> go.Figure:
    """The QD score: by how much the elites exceed the offset, summed; over time."""
    return _by_island(parts, "qd_score", "QD score", "%{y:.6g}", revision=revision)


def flows(table: Table, *, revision: str) -> go.Figure:
    """Migrations from island to island: as bands, or as a matrix where there are many islands."""
    numbers = sorted({island for row in table.rows for island in row[:2]})
    return _bands(table, numbers, revision) if len(numbers) <= MOST_BANDS else _matrix(table, numbers, revision)


def moves(table: Table, *, revision: str) -> go.Figure:
    """Each migration at its tell: a line from the source island to the target island."""
    shown: list[Any] = []
    for reason, shade in REASONS.items():
        rows = [row for row in table.rows if row[4] == reason]
        if not rows:
            continue
        shown.append(_strokes(rows, shade))
        shown.append(
            go.Scattergl(
                x=[row[0] for row in rows],
                y=[row[3] for row in rows],
                name=hover(reason),
                mode="markers",
                marker={"color": shade, "size": 8, "line": {"width": 0.5, "color": POINT_EDGE}},
                customdata=[[row[1], row[2]] for row in rows],
                hovertemplate="<b>individual %{customdata[0]}</b><br>from island %{customdata[1]} to %{y}, after tell "
                "%{x}<extra></extra>",
            )
        )
    numbers = sorted({island for row in table.rows for island in row[2:4]})
    tall = 160 + 26 * min(20, len(numbers))
    drawn = figure(shown, x=TELLS, y="island", revision=revision, height=tall)
    drawn.update_layout(showlegend=True, clickmode="event", hovermode="closest")
    if len(numbers) <= 20:
        drawn.update_yaxes(tickvals=numbers)
    return drawn


def _by_island(parts: Table, column: str, title: str, value: str, *, revision: str, shape: str = "linear") -> go.Figure:
    at = {name: place for place, name in enumerate(parts.columns)}
    numbers = sorted({row[at["island"]] for row in parts.rows})
    shade = shades(numbers)
    last = max((row[at["tell"]] for row in parts.rows), default=0)
    shown = []
    for number in numbers:
        rows = [row for row in parts.rows if row[at["island"]] == number and row[at[column]] is not None]
        if not rows:
            continue
        x, y = [row[at["tell"]] for row in rows], [row[at[column]] for row in rows]
        shown.append(
            go.Scatter(
                # An island without results since then stays as it was, up to the last tell.
                x=[*x, last] if x[-1] < last else x,
                y=[*y, y[-1]] if x[-1] < last else y,
                name=f"island {number}",
                mode="lines" if x[0] < last else "markers",
                line={"color": shade[number], "width": 2, "shape": shape},
                hovertemplate=f"{value} on island {number}<extra></extra>",
            )
        )
    drawn = figure(shown, x=TELLS, y=title, revision=revision, height=300)
    many = len(numbers) > 1
    drawn.update_layout(showlegend=many, hovermode="x unified" if 1 < len(numbers) <= 12 else "closest")
    return drawn


def shades(numbers: Sequence[int]) -> dict[int, str]:
    """A colour for each island, the same in all figures of the page."""
    return colours(list(range(max(numbers, default=0) + 1)))


def _strokes(rows: Sequence[Sequence[Any]], shade: str) -> go.Scattergl:
    return go.Scattergl(
        x=[tell for row in rows for tell in (row[0], row[0], None)],
        y=[island for row in rows for island in (row[2], row[3], None)],
        mode="lines",
        line={"color": shade, "width": 1},
        opacity=0.45,
        hoverinfo="skip",
        showlegend=False,
    )


def _bands(table: Table, numbers: Sequence[int], revision: str) -> go.Figure:
    shade = shades(numbers)
    place = {number: at for at, number in enumerate(numbers)}
    nodes = {
        "label": [f"from {island}" for island in numbers] + [f"to {island}" for island in numbers],
        "color": [shade[island] for island in numbers] * 2,
        "pad": 10,
        "thickness": 14,
        "line": {"width": 0},
        "hovertemplate": "%{label}: %{value:,} individuals<extra></extra>",
    }
    links = {
        "source": [place[row[0]] for row in table.rows],
        "target": [len(numbers) + place[row[1]] for row in table.rows],
        "value": [row[3] for row in table.rows],
        "color": [translucent(shade[row[0]], 0.4) for row in table.rows],
        "customdata": [[hover(row[2]), row[4]] for row in table.rows],
        "hovertemplate": "%{value:,} %{customdata[0]}, %{customdata[1]:,} of them had offspring there<extra></extra>",
    }
    drawn = go.Figure(go.Sankey(node=nodes, link=links, arrangement="fixed"))
    style(drawn, revision=revision, height=140 + 34 * len(numbers))
    return drawn


def _matrix(table: Table, numbers: Sequence[int], revision: str) -> go.Figure:
    counts: dict[tuple[int, int], int] = {}
    for source, target, _, individuals, _ in table.rows:
        counts[source, target] = counts.get((source, target), 0) + individuals
    shown = go.Heatmap(
        x=list(numbers),
        y=list(numbers),
        z=[[counts.get((source, target)) for target in numbers] for source in numbers],
        colorscale=[list(stop) for stop in SEQUENCE],
        colorbar={"title": {"text": "individuals"}, "thickness": 12},
        hovertemplate="%{z:,} from island %{y} to %{x}<extra></extra>",
        hoverongaps=False,
    )
    drawn = figure([shown], x="to island", y="from island", revision=revision, height=460)
    drawn.update_yaxes(autorange="reversed")
    return drawn
