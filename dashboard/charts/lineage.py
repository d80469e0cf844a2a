"""Figures of parents and offspring; a point's custom data is its individual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import plotly.graph_objects as go

from dashboard.charts.style import (
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    POINT_EDGE,
    RED,
    colours,
    figure,
    objective_title,
)
from dashboard.charts.tracks import tracks
from dashboard.queries.lineage import AllIndividuals, Edge, Family, LineageGraph
from dashboard.queries.objectives import Objective
from dashboard.words import WIDEST, axis, hover, made_by, number
from evo.lineage import Table

Across = Literal["generation", "tell"]
TITLES = {"generation": "generation: births since the founders, along the longest path", "tell": "evaluations"}
MOST_COLOURS = 9
# Above this number points are small and lines thin.
MANY = 1200
# Worse than the base, the same, better.
GAINS = ((0.0, RED), (0.5, GREY), (1.0, GREEN))
BASE_EDGE, OTHER_EDGE = "rgba(139, 146, 156, 0.6)", "rgba(139, 146, 156, 0.28)"
Place = tuple[float, float]
DotsAndLines = tuple[list[Any], Sequence[go.layout.Shape]]


def family(
    of: Family, objective: Objective, *, colour: str, across: Across, revision: str, marked: int | None
) -> go.Figure:
    """An individual with its ancestors to the left, its descendants to the right, its line of bases straight through.

    Args:
        colour: operator, model, island or gain.
        marked: the individual that the reader looks at.
    """
    track = _family_tracks(of)
    dots, lines = _dots_and_lines(of.graph, track, objective, colour=colour, across=across)
    rows = {row[0]: row for row in of.graph.members.rows}
    at = _column(of.graph.members, across)
    rings = [(of.root, ORANGE, f"individual {of.root}")]
    if marked is not None and marked != of.root:
        rings.append((marked, GREEN, f"compared with its base: {marked}"))
    dots += [_ring((rows[ringed][at], track[ringed]), shade, name) for ringed, shade, name in rings if ringed in rows]
    return _finished((dots, lines), TITLES[across], "", revision=revision, tracks_of=track)


def all_individuals(
    of: AllIndividuals, objective: Objective, *, colour: str, across: Across, by_value: bool, revision: str
) -> go.Figure:
    """All individuals of a stretch: in the tracks of their lines, or those with a value at their value."""
    graph = of.graph
    if not by_value:
        track = tracks(_bases(graph))
        drawn = _dots_and_lines(graph, track, objective, colour=colour, across=across)
        return _finished(drawn, TITLES[across], "", revision=revision, tracks_of=track)
    at = _column(graph.members, "value")
    valued = {row[0]: row[at] for row in graph.members.rows if row[at] is not None}
    drawn = _dots_and_lines(graph, valued, objective, colour=colour, across=across, elbows=False)
    return _finished(drawn, TITLES[across], objective_title(objective), revision=revision)


def line_of_bases(steps: Table, objective: Objective, *, colour: str, revision: str) -> go.Figure:
    """The first objective from base to base, the founder to the left."""
    at = {name: place for place, name in enumerate(steps.columns)}
    rows = [row for row in steps.rows if row[at["value"]] is not None]
    places = {row[0]: (row[at["tell"]], row[at["value"]]) for row in rows}
    path = go.Scattergl(
        x=[place[0] for place in places.values()],
        y=[place[1] for place in places.values()],
        mode="lines",
        line={"color": FAINT, "width": 1.5},
        hoverinfo="skip",
        showlegend=False,
    )
    dots = _dots(Table(steps.columns, tuple(rows), steps.types), places, objective, colour, size=8)
    return _finished(([path, *dots], ()), TITLES["tell"], objective_title(objective), revision=revision, height=300)


def _family_tracks(of: Family) -> dict[int, float]:
    """Each ancestor hangs on its nearest child in the drawing, each descendant on its nearest parent there."""
    line = {member: position for position, member in enumerate(of.line)}
    before: list[tuple[int, int]] = []
    after: list[tuple[int, int]] = []
    for child, parent, _ in of.graph.edges:
        (after if child > of.root else before).append((child, parent))
    # Ids are in the order of birth, so that either way a node comes after the node that it hangs on.
    back: dict[int, int | None] = {of.root: None}
    for child, parent in sorted(before, key=lambda edge: (-edge[1], -edge[0])):
        on_line = parent in line and line[parent] > 0
        if child in back and parent not in back and not (on_line and of.line[line[parent] - 1] != child):
            back[parent] = child
    forth: dict[int, int | None] = {of.root: None}
    for child, parent in sorted(after):
        if parent in forth and child not in forth:
            forth[child] = parent
    ancestors, descendants = tracks(back, of.line), tracks(forth)
    level = ancestors[of.root] - descendants[of.root]
    return {**{member: track + level for member, track in descendants.items()}, **ancestors}


def _bases(graph: LineageGraph) -> dict[int, int | None]:
    """The base of each member, the oldest member first."""
    members = sorted(row[0] for row in graph.members.rows)
    base = {child: parent for child, parent, role in graph.edges if role == "base"}
    return {member: base.get(member) for member in members}


def _dots_and_lines(
    graph: LineageGraph,
    upwards: Mapping[int, float],
    objective: Objective,
    *,
    colour: str,
    across: Across,
    elbows: bool = True,
) -> DotsAndLines:
    """The dots, and the lines between them."""
    at = _column(graph.members, across)
    places = {row[0]: (float(row[at]), upwards[row[0]]) for row in graph.members.rows if row[0] in upwards}
    bases = _edges(graph.edges, places, ("base",), elbows=elbows)
    others = _edges(graph.edges, places, ("mate", "inspiration"), elbows=False)
    many = len(places) > MANY
    faint, plain = (0.4, 0.6) if many else (0.8, 1.2)
    lines = [
        _lines(others, name="from a mate or an inspiration", shown=not many, colour=OTHER_EDGE, width=faint),
        _lines(bases, name="from its base", shown=True, colour=FAINT if many else BASE_EDGE, width=plain),
    ]
    dots = _dots(graph.members, places, objective, colour, size=4 if many else 8)
    return dots, [shape for shape in lines if shape.path]


def _edges(edges: Iterable[Edge], places: Mapping[int, Place], roles: Sequence[str], *, elbows: bool) -> str:
    """All lines as a single path: of a trace the browser would make an element for each line."""
    drawn: list[str] = []
    for child, parent, role in edges:
        if role in roles and child in places and parent in places:
            (x, y), (ends, track) = places[parent], places[child]
            drawn.append(f"M{x:.9g},{y:.9g}" + (f"V{track:.9g}H{ends:.9g}" if elbows else f"L{ends:.9g},{track:.9g}"))
    return "".join(drawn)


def _lines(path: str, *, name: str, shown: bool, colour: str, width: float) -> go.layout.Shape:
    return go.layout.Shape(
        type="path",
        path=path,
        name=name,
        line={"color": colour, "width": width},
        layer="below",
        showlegend=True,
        # Thousands of lines to mates would hide all other lines: a click in the legend shows them.
        visible=True if shown else "legendonly",
    )


def _dots(members: Table, places: Mapping[int, Place], objective: Objective, colour: str, *, size: int) -> list[Any]:
    """A trace for each colour; gains are shaded instead."""
    at = {name: place for place, name in enumerate(members.columns)}
    rows = [row for row in members.rows if row[0] in places]
    ok = [row for row in rows if row[at["outcome"]] == "ok"]
    texts = {row[0]: _hover_text(dict(zip(members.columns, row, strict=True)), objective) for row in rows}
    shown: list[Any] = []
    if failed := [row for row in rows if row[at["outcome"]] != "ok"]:
        marker = {"symbol": "x-thin", "size": size, "color": GREY, "line": {"width": 1.2, "color": GREY}}
        shown.append(_scatter(failed, places, texts, name="without a result", marker=marker))
    edge = {"width": 0.5 if size > 4 else 0, "color": POINT_EDGE}
    if colour == "gain":
        bare = [row for row in ok if row[at["gain"]] is None]
        if bare:
            marker = {"color": FAINT, "size": size, "line": {"width": 1, "color": GREY}}
            shown.append(_scatter(bare, places, texts, name="no base to gain on", marker=marker))
        gained = [row for row in ok if row[at["gain"]] is not None]
        marker = {"size": size, "line": edge, **_shaded([row[at["gain"]] for row in gained], objective)}
        return [*shown, _scatter(gained, places, texts, name="individuals", marker=marker, showlegend=False)]
    column = at[colour]
    for name, shade, of in grouped(ok, column):
        marker = {"color": shade, "size": size, "line": edge}
        shown.append(_scatter(of, places, texts, name=name, marker=marker))
    return shown


def grouped(rows: Sequence[Any], column: int) -> list[tuple[str, str, list[Any]]]:
    """Name, colour and rows of each value of a column; the rarest values together where they outnumber the colours."""
    counts: dict[Any, int] = {}
    for row in rows:
        counts[row[column]] = counts.get(row[column], 0) + 1
    kept = sorted(counts, key=lambda name: (-counts[name], str(name)))[:MOST_COLOURS]
    if all(isinstance(value, int) for value in counts) and len(counts) > MOST_COLOURS:
        kept = list(counts)
    shades = _spread(kept) if len(kept) > MOST_COLOURS else colours(kept)
    found = [
        (hover("none" if name is None else name), shade, [row for row in rows if row[column] == name])
        for name, shade in shades.items()
    ]
    rest = [row for row in rows if row[column] not in shades]
    return [*found, *([("others", GREY, rest)] if rest else [])]


def _spread(names: Sequence[Any]) -> dict[Any, str]:
    return {name: PALETTE[at % len(PALETTE)] for at, name in enumerate(sorted(names))}


def _shaded(gains: Sequence[float], objective: Objective) -> dict[str, Any]:
    """Shades up to where nine of ten gains lie, so that a single outlier does not grey out all other gains."""
    sizes = sorted(map(abs, gains))
    most = (sizes[int(0.9 * (len(sizes) - 1))] or sizes[-1]) if sizes else 1.0
    bar = {"title": {"text": f"gain, {axis(objective[0], objective[2])}"}, "thickness": 10, "len": 0.8}
    scale = [list(stop) for stop in GAINS]
    return {"color": list(gains), "colorscale": scale, "cmin": -(most or 1.0), "cmax": most or 1.0, "colorbar": bar}


def _scatter(rows: Sequence[Any], places: Mapping[int, Place], texts: Mapping[int, str], **more: Any) -> go.Scattergl:
    return go.Scattergl(
        x=[places[row[0]][0] for row in rows],
        y=[places[row[0]][1] for row in rows],
        mode="markers",
        customdata=[row[0] for row in rows],
        text=[texts[row[0]] for row in rows],
        hovertemplate="<b>individual %{customdata}</b><br>%{text}<extra></extra>",
        **more,
    )


def _hover_text(member: Mapping[str, Any], objective: Objective) -> str:
    """The hover text of an individual, in plotly's own kind of HTML; foreign text is escaped."""
    value, gain = member["value"], member["gain"]
    result = f"{hover(objective[0])} {number(value)}" if value is not None else hover(member["outcome"])
    gained = f", gain {'+' if gain > 0 else ''}{number(gain)}" if gain is not None else ""
    state = "entered the front" if member["entered_front"] else "survived" if member["survived"] else "did not survive"
    where = f"{state}, tell {number(member['tell'])}, island {member['island']}"
    return "<br>".join([hover(made_by(member["operator"], member["model"]), 2 * WIDEST), result + gained, where])


def _ring(place: Place, shade: str, name: str) -> go.Scattergl:
    marker = {"symbol": "circle-open", "size": 18, "color": shade, "line": {"width": 2.5, "color": shade}}
    return go.Scattergl(x=[place[0]], y=[place[1]], mode="markers", marker=marker, name=name, hoverinfo="skip")


def _finished(
    graph: DotsAndLines,
    x: str,
    y: str,
    *,
    revision: str,
    tracks_of: Mapping[int, float] | None = None,
    height: int | None = None,
) -> go.Figure:
    tall = height or (540 if tracks_of is None else int(min(720, max(260, 120 + 14 * len(set(tracks_of.values()))))))
    dots, lines = graph
    drawn = figure(dots, x=x, y=y, revision=revision, height=tall)
    drawn.update_layout(shapes=list(lines))
    if tracks_of is not None:
        drawn.update_yaxes(visible=False)
    drawn.update_layout(showlegend=True, clickmode="event", hovermode="closest")
    return drawn


def _column(table: Table, name: str) -> int:
    return table.columns.index(name)
