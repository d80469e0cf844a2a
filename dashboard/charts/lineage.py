"""Figures of who came from whom. The individual behind a point is the first of its custom data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import plotly.graph_objects as go

from dashboard.charts.style import FAINT, GREEN, GREY, ORANGE, PALETTE, RED, colours, figure
from dashboard.charts.tracks import tracks
from dashboard.queries.lineage import Edge, Everybody, Family, Kin
from dashboard.words import axis, hover, number
from evo.lineage import Table

Across = Literal["generation", "tell"]
TITLES = {"generation": "births since the founders, by the longest way", "tell": "evaluations told"}
MOST_COLOURS = 9
# From so many on they are drawn small and fine.
MANY = 1200
# Worse than the base, alike, better.
GAINS = ((0.0, RED), (0.5, GREY), (1.0, GREEN))
BASE_EDGE, OTHER_EDGE = "rgba(139, 146, 156, 0.6)", "rgba(139, 146, 156, 0.28)"
Place = tuple[float, float]
Graph = tuple[list[Any], Sequence[go.layout.Shape]]


def family(
    of: Family, objective: tuple[str, str, str], *, colour: str, across: Across, revision: str, marked: int | None
) -> go.Figure:
    """An individual in its family: ancestors to the left, its line of bases straight through, descendants to the right.

    Args:
        colour: operator, model, island or gain.
        marked: whom the reader looks at.
    """
    track = _family_tracks(of)
    dots, lines = _graph(of.kin, track, objective, colour=colour, across=across)
    rows = {row[0]: row for row in of.kin.members.rows}
    at = _column(of.kin.members, across)
    rings = [(of.root, ORANGE, f"individual {of.root}")]
    if marked is not None and marked != of.root:
        rings.append((marked, GREEN, f"beside its base: {marked}"))
    dots += [_ring((rows[one][at], track[one]), shade, name) for one, shade, name in rings if one in rows]
    return _finished((dots, lines), TITLES[across], "", revision=revision, tracks_of=track)


def everybody(
    of: Everybody, objective: tuple[str, str, str], *, colour: str, across: Across, by_value: bool, revision: str
) -> go.Figure:
    """All individuals of a stretch: in the tracks of their lines, or each at its value, if it has any."""
    kin = of.kin
    if not by_value:
        track = tracks(_hung_on_bases(kin))
        return _finished(
            _graph(kin, track, objective, colour=colour, across=across),
            *(TITLES[across], ""),
            revision=revision,
            tracks_of=track,
        )
    at = _column(kin.members, "value")
    valued = {row[0]: row[at] for row in kin.members.rows if row[at] is not None}
    drawn = _graph(kin, valued, objective, colour=colour, across=across, elbows=False)
    return _finished(drawn, TITLES[across], _title(objective), revision=revision)


def line_of_bases(steps: Table, objective: tuple[str, str, str], *, colour: str, revision: str) -> go.Figure:
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
    return _finished(([path, *dots], ()), TITLES["tell"], _title(objective), revision=revision, height=300)


def _family_tracks(of: Family) -> dict[int, float]:
    """Ancestors hang on the nearest that came from them, descendants on the nearest that they came from."""
    line = {one: position for position, one in enumerate(of.line)}
    before: list[tuple[int, int]] = []
    after: list[tuple[int, int]] = []
    for child, parent, _ in of.kin.edges:
        (after if child > of.root else before).append((child, parent))
    # Ids are the order of birth: who is hung on comes first either way.
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
    return {**{one: track + level for one, track in descendants.items()}, **ancestors}


def _hung_on_bases(kin: Kin) -> dict[int, int | None]:
    members = sorted(row[0] for row in kin.members.rows)
    base = {child: parent for child, parent, role in kin.edges if role == "base"}
    return {one: base.get(one) for one in members}


def _graph(
    kin: Kin,
    upwards: Mapping[int, float],
    objective: tuple[str, str, str],
    *,
    colour: str,
    across: Across,
    elbows: bool = True,
) -> Graph:
    """The dots, and the lines between them."""
    at = _column(kin.members, across)
    places = {row[0]: (float(row[at]), upwards[row[0]]) for row in kin.members.rows if row[0] in upwards}
    bases = _edges(kin.edges, places, ("base",), elbows=elbows)
    others = _edges(kin.edges, places, ("mate", "inspiration"), elbows=False)
    many = len(places) > MANY
    faint, plain = (0.4, 0.6) if many else (0.8, 1.2)
    lines = [
        _lines(others, name="from a mate or an inspiration", shown=not many, colour=OTHER_EDGE, width=faint),
        _lines(bases, name="from its base", shown=True, colour=FAINT if many else BASE_EDGE, width=plain),
    ]
    dots = _dots(kin.members, places, objective, colour, size=4 if many else 8)
    return dots, [one for one in lines if one.path]


def _edges(edges: Iterable[Edge], places: Mapping[int, Place], roles: Sequence[str], *, elbows: bool) -> str:
    """Lines as one path: of a trace the browser would make an element each line."""
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
        # Thousands of lines to mates would hide all others: a click in the legend shows them.
        visible=True if shown else "legendonly",
    )


def _dots(
    members: Table, places: Mapping[int, Place], objective: tuple[str, str, str], colour: str, *, size: int
) -> list[Any]:
    """A trace each colour; gains are shaded instead."""
    at = {name: place for place, name in enumerate(members.columns)}
    rows = [row for row in members.rows if row[0] in places]
    ok = [row for row in rows if row[at["outcome"]] == "ok"]
    told = {row[0]: _said(dict(zip(members.columns, row, strict=True)), objective) for row in rows}
    shown: list[Any] = []
    if failed := [row for row in rows if row[at["outcome"]] != "ok"]:
        marker = {"symbol": "x-thin", "size": size, "color": GREY, "line": {"width": 1.2, "color": GREY}}
        shown.append(_scatter(failed, places, told, name="without a result", marker=marker))
    edge = {"width": 0.5 if size > 4 else 0, "color": "rgba(255,255,255,0.6)"}
    if colour == "gain":
        bare = [row for row in ok if row[at["gain"]] is None]
        if bare:
            marker = {"color": FAINT, "size": size, "line": {"width": 1, "color": GREY}}
            shown.append(_scatter(bare, places, told, name="no base to gain on", marker=marker))
        gained = [row for row in ok if row[at["gain"]] is not None]
        marker = {"size": size, "line": edge, **_shaded([row[at["gain"]] for row in gained], objective)}
        return [*shown, _scatter(gained, places, told, name="individuals", marker=marker, showlegend=False)]
    column = at[colour]
    for name, shade, of in grouped(ok, column):
        marker = {"color": shade, "size": size, "line": edge}
        shown.append(_scatter(of, places, told, name=name, marker=marker))
    return shown


def grouped(rows: Sequence[Any], column: int) -> list[tuple[str, str, list[Any]]]:
    """Name, colour and rows of each value of a column; the rarest together, where there are more than colours."""
    counts: dict[Any, int] = {}
    for row in rows:
        counts[row[column]] = counts.get(row[column], 0) + 1
    kept = sorted(counts, key=lambda name: (-counts[name], str(name)))[:MOST_COLOURS]
    if all(isinstance(one, int) for one in counts) and len(counts) > MOST_COLOURS:
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


def _shaded(gains: Sequence[float], objective: tuple[str, str, str]) -> dict[str, Any]:
    """Shades up to where nine of ten gains lie: one wild gain does not grey out all the others."""
    sizes = sorted(abs(one) for one in gains)
    most = (sizes[int(0.9 * (len(sizes) - 1))] or sizes[-1]) if sizes else 1.0
    bar = {"title": {"text": f"gain, {axis(objective[0], objective[2])}"}, "thickness": 10, "len": 0.8}
    scale = [list(one) for one in GAINS]
    return {"color": list(gains), "colorscale": scale, "cmin": -(most or 1.0), "cmax": most or 1.0, "colorbar": bar}


def _scatter(rows: Sequence[Any], places: Mapping[int, Place], told: Mapping[int, str], **more: Any) -> go.Scattergl:
    return go.Scattergl(
        x=[places[row[0]][0] for row in rows],
        y=[places[row[0]][1] for row in rows],
        mode="markers",
        customdata=[row[0] for row in rows],
        text=[told[row[0]] for row in rows],
        hovertemplate="<b>individual %{customdata}</b><br>%{text}<extra></extra>",
        **more,
    )


def _said(one: Mapping[str, Any], objective: tuple[str, str, str]) -> str:
    """What a reader is told of an individual, in plotly's own kind of HTML; foreign text is escaped."""
    maker = hover(one["operator"]) + (f" with {hover(one['model'])}" if one["model"] else "")
    value = f"{hover(objective[0])} {number(one['value'])}" if one["value"] is not None else hover(one["outcome"])
    gain = one["gain"]
    lines = [maker, value + (f", gain {'+' if gain > 0 else ''}{number(gain)}" if gain is not None else "")]
    state = "entered the front" if one["entered_front"] else "survived" if one["survived"] else "did not survive"
    return "<br>".join([*lines, f"{state}, tell {number(one['tell'])}, island {one['island']}"])


def _ring(place: Place, shade: str, name: str) -> go.Scattergl:
    marker = {"symbol": "circle-open", "size": 18, "color": shade, "line": {"width": 2.5, "color": shade}}
    return go.Scattergl(x=[place[0]], y=[place[1]], mode="markers", marker=marker, name=name, hoverinfo="skip")


def _finished(
    graph: Graph,
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


def _title(objective: tuple[str, str, str]) -> str:
    name, direction, unit = objective
    return axis(name, unit) + (", lower is better" if direction == "min" else ", higher is better")
