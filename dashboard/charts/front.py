"""Figures of the front and of the individuals that it dominates; a point's custom data begins with its individual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.charts.style import FAINT, GREY, ORANGE, POINT_EDGE, SEQUENCE, colours, figure, objective_title, style
from dashboard.queries.front import TELLS, column_of
from dashboard.queries.objectives import Objective
from dashboard.words import WIDEST, axis, hover, made_by
from evo.lineage import Table

# WebGL draws lines of a scene without their transparency.
SPACE_GRID = "#8b929c"


def plane(
    parts: tuple[Table, Table], axes: Sequence[Objective], *, colour: str, earlier: Table | None, revision: str
) -> go.Figure:
    """Two objectives against each other: the front, a sample of the other individuals, and earlier fronts.

    Args:
        parts: the front and the others.
        colour: the column that colours the front.
    """
    front, others = parts
    x, y = axes
    shown: list[Any] = [_cloud(go.Scatter, others, axes)]
    if TELLS not in axes:
        shown += _past(earlier, axes) if earlier is not None else []
        shown.append(_stair(front, axes))
    shown += _coloured(go.Scatter, front, axes, colour, size=9)
    drawn = figure(shown, x=objective_title(x), y=objective_title(y), revision=revision, height=520)
    drawn.update_layout(dragmode="select", clickmode="event+select", showlegend=True)
    return drawn


def space(parts: tuple[Table, Table], axes: Sequence[Objective], *, colour: str, revision: str) -> go.Figure:
    """Three objectives against each other."""
    front, others = parts
    shown = [_cloud(go.Scatter3d, others, axes, size=3), *_coloured(go.Scatter3d, front, axes, colour, size=4)]
    drawn = go.Figure(shown)
    style(drawn, revision=revision, height=600)
    names = {
        letter: {
            "title": {"text": axis(name, unit), "font": {"size": 13}},
            "gridcolor": SPACE_GRID,
            "linecolor": GREY,
            "showbackground": False,
            "nticks": 6,
        }
        for letter, (name, _, unit) in zip(("xaxis", "yaxis", "zaxis"), axes, strict=True)
    }
    # Not along the diagonal, where correlated objectives would hide each other's points; far enough for a phone.
    camera = {"eye": {"x": 2.3, "y": 1.25, "z": 1.05}, "center": {"x": 0, "y": 0, "z": -0.12}}
    drawn.update_layout(
        scene={**names, "uirevision": revision, "camera": camera}, clickmode="event+select", showlegend=True
    )
    return drawn


def parallel(front: Table, objectives: Sequence[Objective], *, colour: str, revision: str) -> go.Figure:
    """An axis for each objective, better values up. Drag along an axis to narrow the front down."""
    dimensions = []
    for name, direction, unit in objectives:
        column = [row[front.columns.index(column_of(name))] for row in front.rows]
        ends = [min(column), max(column)] if column else [0, 1]
        dimensions.append(
            {"label": axis(name, unit), "values": column, "range": ends if direction == "max" else ends[::-1]}
        )
    lines = go.Parcoords(
        line=_shaded(front, colour),
        dimensions=dimensions,
        customdata=[row[front.columns.index("id")] for row in front.rows],
        unselected={"line": {"opacity": 0.08}},
    )
    drawn = go.Figure(lines)
    style(drawn, revision=revision, height=460)
    drawn.update_layout(margin={"l": 60, "r": 40, "t": 60, "b": 24})
    return drawn


def _shaded(front: Table, colour: str) -> dict[str, Any]:
    """Lines coloured by a column: shades for many numbers, otherwise the colours of the other drawings."""
    values = [row[front.columns.index(colour)] for row in front.rows]
    names = sorted(set(values), key=str)
    bar: dict[str, Any] = {"title": {"text": hover(colour)}, "thickness": 12}
    if _are_many(names):
        return {"color": values, "colorscale": [list(stop) for stop in SEQUENCE], "showscale": True, "colorbar": bar}
    count, shades = max(1, len(names)), list(colours(names).values()) or [GREY]
    steps = [[(at + end) / count, shade] for at, shade in enumerate(shades) for end in (0, 1)]
    ticks = {"tickvals": list(range(count)), "ticktext": [_called(name, 24) for name in names]}
    numbers = {"color": [names.index(value) for value in values], "cmin": -0.5, "cmax": count - 0.5}
    return {**numbers, "colorscale": steps, "showscale": True, "colorbar": {**bar, **ticks, "ticks": ""}}


def _are_many(names: Sequence[Any]) -> bool:
    return len(names) > 12 and all(isinstance(name, int | float) for name in names)


def _called(name: Any, widest: int = WIDEST) -> str:
    return hover("none" if name is None else name, widest)


def over_time(samples: Table, *, revision: str) -> go.Figure:
    """The front's size over time."""
    rows = [(row[0], row[samples.columns.index("front_size")]) for row in samples.rows]
    shown = go.Scatter(
        x=[tell for tell, _ in rows],
        y=[size for _, size in rows],
        mode="lines",
        line={"color": ORANGE, "width": 2, "shape": "hv"},
        hovertemplate="%{y} in the front<br>after tell %{x}<extra></extra>",
    )
    return figure([shown], x="evaluations", y="individuals in the front", revision=revision, height=200)


def _points(table: Table, axes: Sequence[Objective]) -> list[tuple[Any, ...]]:
    """The rows that have a value for each of the axes."""
    at = [table.columns.index(column_of(name)) for name, _, _ in axes]
    return [row for row in table.rows if all(row[place] is not None for place in at)]


def _placed(table: Table, rows: Sequence[tuple[Any, ...]], axes: Sequence[Objective]) -> dict[str, list[Any]]:
    return {
        letter: [row[table.columns.index(column_of(name))] for row in rows]
        for letter, (name, _, _) in zip("xyz", axes, strict=False)
    }


def _custom(table: Table, rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Custom data of points: the individual, its operator and model, its tell."""
    at = {name: place for place, name in enumerate(table.columns)}
    return [[row[at["id"]], hover(made_by(row[at["operator"]], row[at["model"]])), row[at["tell"]]] for row in rows]


def _hover(axes: Sequence[Objective]) -> str:
    values = "".join(f"{hover(name)} %{{{letter}:.6g}}<br>" for letter, (name, _, _) in zip("xyz", axes, strict=False))
    return f"<b>individual %{{customdata[0]}}</b><br>{values}%{{customdata[1]}}, tell %{{customdata[2]}}<extra></extra>"


def _cloud(kind: Any, table: Table, axes: Sequence[Objective], size: int = 5) -> Any:
    rows = _points(table, axes)
    return kind(
        **_placed(table, rows, axes),
        mode="markers",
        name="others (a sample)",
        marker={"color": GREY, "size": size, "opacity": 0.45},
        customdata=_custom(table, rows),
        hovertemplate=_hover(axes),
    )


def _coloured(kind: Any, table: Table, axes: Sequence[Objective], colour: str, *, size: int) -> list[Any]:
    """The front, a trace for each colour; many different numbers are shaded instead."""
    rows, at = _points(table, axes), table.columns.index(colour)
    names = list({row[at] for row in rows})
    base: dict[str, Any] = {"mode": "markers", "hovertemplate": _hover(axes)}
    edge = {"width": 0 if kind is go.Scatter3d else 1, "color": POINT_EDGE}
    if _are_many(names):
        bar = {"title": {"text": hover(colour)}, "thickness": 12}
        scale = [list(stop) for stop in SEQUENCE]
        marker = {"color": [row[at] for row in rows], "colorscale": scale, "colorbar": bar, "size": size, "line": edge}
        custom = _custom(table, rows)
        return [kind(**base, **_placed(table, rows, axes), name="front", marker=marker, customdata=custom)]
    traces = []
    for name, shade in colours(names).items():
        of = [row for row in rows if row[at] == name]
        traces.append(
            kind(
                **base,
                **_placed(table, of, axes),
                name=f"front: {_called(name)}",
                marker={"color": shade, "size": size, "line": edge},
                customdata=_custom(table, of),
            )
        )
    return traces


def _stair(table: Table, axes: Sequence[Objective]) -> Any:
    """The attainment surface of the front, as a stair."""
    (x, first, _), (y, second, _) = axes
    at = table.columns.index(column_of(x)), table.columns.index(column_of(y))
    best: list[tuple[float, float]] = []
    signs = (1 if first == "min" else -1), (1 if second == "min" else -1)
    for row in sorted(_points(table, axes), key=lambda row: (signs[0] * row[at[0]], signs[1] * row[at[1]])):
        if not best or signs[1] * row[at[1]] < signs[1] * best[-1][1]:
            best.append((row[at[0]], row[at[1]]))
    return go.Scatter(
        x=[value for value, _ in best],
        y=[value for _, value in best],
        mode="lines",
        line={"color": FAINT, "width": 2, "shape": "hv"},
        hoverinfo="skip",
        showlegend=False,
    )


def _past(earlier: Table, axes: Sequence[Objective]) -> list[Any]:
    moments = sorted({row[0] for row in earlier.rows})
    traces = []
    for at, after in enumerate(moments):
        then = Table(earlier.columns, tuple(row for row in earlier.rows if row[0] == after), earlier.types)
        stair = _stair(then, axes)
        stair.update(
            name=f"after tell {after:,}",
            showlegend=True,
            line={"color": SEQUENCE[at % len(SEQUENCE)][1], "width": 1.5, "dash": "dot"},
        )
        traces.append(stair)
    return traces
