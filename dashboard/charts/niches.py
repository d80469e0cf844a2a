"""The archive of niches as a figure: a grid's cells, a CVT's Voronoi diagram, or its elites in more dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import FAINT, SEQUENCE, figure
from dashboard.queries import MOST_POINTS
from dashboard.queries.niches import Elite, NicheMap, cell_centroids, grid_place
from dashboard.queries.objectives import Objective
from dashboard.words import axis, hover, number

# Pixels along each side of the drawing of a CVT.
RASTER = int(math.sqrt(MOST_POINTS))
Best = dict[tuple[int, int], Elite]


class Side(NamedTuple):
    """A dimension of the archive that is drawn: the range of a descriptor."""

    descriptor: str
    low: float
    high: float
    cells: int


def niche_map(of: NicheMap, axes: tuple[int, int | None], objective: Objective, *, revision: str) -> go.Figure:
    """The elite of each cell by the first objective; over dimensions that are not drawn, the best elite.

    Args:
        axes: the positions of the dimensions that are drawn; an archive with a single dimension is a strip.
    """
    assert of.settings is not None
    if of.settings.kind == "grid":
        return _grid(of, axes, objective, revision)
    if len(of.settings.dimensions) <= 2:
        return _voronoi(of, axes, objective, revision)
    return _scattered(of, axes, objective, revision)


def merged(of: NicheMap, axes: tuple[int, int | None]) -> int:
    """How many cells of a grid along each side share a square of the drawing, so that a browser can draw them all."""
    if of.settings is None or of.settings.kind != "grid":
        return 1
    all_cells = [side.cells for side in of.settings.dimensions.values()]
    sides = [all_cells[position] for position in axes if position is not None]
    many = 1
    while math.prod(-(-cells // many) for cells in sides) > MOST_POINTS:
        many += 1
    return many


def _grid(of: NicheMap, axes: tuple[int, int | None], objective: Objective, revision: str) -> go.Figure:
    how = of.settings
    assert how is not None
    many = merged(of, axes)
    best: Best = {}
    for elite in of.elites:
        place = grid_place(how, elite.cell)
        _keep(best, (place[axes[0]] // many, 0 if axes[1] is None else place[axes[1]] // many), elite, objective)
    x, y = _sides(of, axes)
    across = _steps(x, -(-x.cells // many), x.cells / many)
    upwards = _steps(y, -(-y.cells // many), y.cells / many) if y is not None else [0.0, 1.0]
    return _cells(best, across, upwards, (x, y), objective, revision)


def _voronoi(of: NicheMap, axes: tuple[int, int | None], objective: Objective, revision: str) -> go.Figure:
    """Each pixel shows the cell whose centroid is nearest."""
    how = of.settings
    assert how is not None
    held = {elite.cell: elite for elite in of.elites}
    flat = axes[1] is None
    width, height = (MOST_POINTS // 4, 1) if flat else (RASTER, RASTER)
    points = np.stack(np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height), axis=-1)
    points = points.reshape(-1, 2)[:, :1] if flat else points.reshape(-1, 2)
    if not flat and axes == (1, 0):
        points = points[:, ::-1]
    nearest = _nearest(points, cell_centroids(how)).reshape(height, width)
    best = {(column, row): held[cell] for (row, column), cell in np.ndenumerate(nearest) if cell in held}
    x, y = _sides(of, axes)
    upwards = _steps(y, height, height) if y is not None else [0.0, 1.0]
    return _cells(best, _steps(x, width, width), upwards, (x, y), objective, revision)


def _nearest(points: Any, centroids: Any) -> Any:
    """The index of the nearest of the centroids to each point, computed in blocks."""
    blocks = [points[start : start + 500] for start in range(0, len(points), 500)]
    return np.concatenate([((block[:, None, :] - centroids[None]) ** 2).sum(axis=2).argmin(axis=1) for block in blocks])


def _scattered(of: NicheMap, axes: tuple[int, int | None], objective: Objective, revision: str) -> go.Figure:
    across, upwards = axes
    assert upwards is not None
    ordered = sorted(of.elites, key=lambda elite: _cost(elite, objective), reverse=True)  # the best on top
    shown = go.Scattergl(
        x=[elite.at[across] for elite in ordered],
        y=[elite.at[upwards] for elite in ordered],
        mode="markers",
        marker={"color": [elite.value for elite in ordered], "size": 8, **_colour(objective)},
        customdata=[[elite.individual, _hover_text(elite, objective)] for elite in ordered],
        hovertemplate="<b>individual %{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
    )
    x, y = _sides(of, axes)
    assert y is not None
    drawn = figure([shown], x=hover(x.descriptor), y=hover(y.descriptor), revision=revision, height=520)
    drawn.update_layout(clickmode="event", hovermode="closest")
    return drawn


def _cells(
    best: Best,
    across: Sequence[float],
    upwards: Sequence[float],
    sides: tuple[Side, Side | None],
    objective: Objective,
    revision: str,
) -> go.Figure:
    """A heat map between these borders of columns and rows."""

    def table(read: Callable[[Elite], Any], otherwise: Any) -> list[list[Any]]:
        return [
            [read(best[column, row]) if (column, row) in best else otherwise for column in range(len(across) - 1)]
            for row in range(len(upwards) - 1)
        ]

    shown = go.Heatmap(
        x=list(across),
        y=list(upwards),
        z=table(lambda elite: elite.value, None),
        customdata=table(lambda elite: [elite.individual, _hover_text(elite, objective)], ["", ""]),
        hovertemplate="<b>individual %{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
        hoverongaps=False,
        **_colour(objective),
    )
    x, y = sides
    tall = 520 if y is not None else 170
    title = hover(y.descriptor) if y is not None else ""
    drawn = figure([shown], x=hover(x.descriptor), y=title, revision=revision, height=tall)
    drawn.update_layout(clickmode="event", hovermode="closest", plot_bgcolor=FAINT.replace("0.35", "0.10"))
    drawn.update_xaxes(showgrid=False, zeroline=False)
    drawn.update_yaxes(showgrid=False, zeroline=False, visible=y is not None)
    return drawn


def _colour(objective: Objective) -> dict[str, Any]:
    """Bright is good, whatever the direction."""
    name, direction, unit = objective
    return {
        "colorscale": [list(stop) for stop in SEQUENCE],
        "reversescale": direction == "min",
        "colorbar": {"title": {"text": axis(name, unit)}, "thickness": 12},
    }


def _keep(best: Best, place: tuple[int, int], elite: Elite, objective: Objective) -> None:
    if place not in best or _cost(elite, objective) < _cost(best[place], objective):
        best[place] = elite


def _cost(elite: Elite, objective: Objective) -> tuple[bool, float, int]:
    return not elite.feasible, elite.value if objective[1] == "min" else -elite.value, elite.individual


def _sides(of: NicheMap, axes: tuple[int, int | None]) -> tuple[Side, Side | None]:
    assert of.settings is not None
    across, upwards = axes
    sides = [Side(name, side.low, side.high, side.cells) for name, side in of.settings.dimensions.items()]
    return sides[across], None if upwards is None else sides[upwards]


def _steps(side: Side, count: int, whole: float) -> list[float]:
    """The borders of so many equal parts of a side; the last part may reach over its end."""
    return [side.low + (side.high - side.low) * at / whole for at in range(count + 1)]


def _hover_text(elite: Elite, objective: Objective) -> str:
    lines = [f"{hover(objective[0])} {number(elite.value)}" + ("" if elite.feasible else ", infeasible")]
    lines.append(", ".join(number(round(value, 6)) for value in elite.at))
    more = f", with {elite.others} more in its cell" if elite.others else ""
    return "<br>".join([*lines, f"{hover(elite.maker)}, from island {elite.island}{more}"])
