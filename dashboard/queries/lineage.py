"""Parents and offspring: an individual's family, its line of bases, and the graph of all individuals, each bounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.filters import Stretch
from dashboard.queries import MOST_POINTS
from dashboard.queries.objectives import first_cost
from evo.lineage import LineageReader, Table
from evo.lineage.queries import none_of, quoted

# Of a family: how much of the line of bases is drawn, and how many of the other members.
LINE, NEAREST, DESCENDANTS = 3000, 240, 160
Edge = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class LineageGraph:
    """Individuals, and the parent edges among them.

    Attributes:
        members: columns id, tell, generation, island, operator, model, outcome, survived, value (mean of the first
            objective), gain (over its base, positive is better), entered_front; the oldest first.
        edges: (child, parent, role) with both ends among the members; the base of a child comes first.
    """

    members: Table
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """An individual with its ancestors and descendants, as far as they can be drawn.

    Attributes:
        line: the drawn part of its line of bases, itself first.
        line_length: how many bases it has in all.
        ancestors: how many ancestors it has, drawn or not.
        ancestors_drawn: how many of them are in the graph.
        descendants_drawn: how many descendants are in the graph.
        more_descendants: whether there are other descendants.
    """

    root: int
    graph: LineageGraph
    line: tuple[int, ...]
    line_length: int
    ancestors: int
    ancestors_drawn: int
    descendants_drawn: int
    more_descendants: bool


@dataclass(frozen=True, slots=True)
class AllIndividuals:
    """The latest individuals of a stretch.

    Attributes:
        count: how many individuals the stretch has, drawn or not.
        edges_left_out: how many edges lead to a parent that is not drawn.
    """

    graph: LineageGraph
    count: int
    edges_left_out: int


def family(reader: LineageReader, individual: int, generations: int | None) -> Family:
    """The family of an individual: its line of bases, the NEAREST other ancestors, its first DESCENDANTS.

    Args:
        generations: how many, back and forth; None for as many as can be drawn.

    Raises:
        LineageError: no individual has that id.
    """
    if not reader.sql("SELECT id FROM individuals WHERE id = ?", [individual]).rows:
        raise none_of(reader, individual)
    far = LINE if generations is None else min(generations, LINE)
    whole = _line(reader, individual)
    line = whole[: far + 1]
    before = _nearest(reader, individual, ("child", "parent"), far, most=NEAREST + len(line))
    after = _nearest(reader, individual, ("parent", "child"), far, most=DESCENDANTS + 1)
    more, after = len(after) > DESCENDANTS, after[:DESCENDANTS]
    on_line = set(line)
    others = [member for member in before if member not in on_line][:NEAREST]
    graph = _graph(reader, [*line, *others, *after])
    count = reader.sql("SELECT count(*) - 1 FROM ancestors(?)", [individual]).scalar()
    more = more or _have_others(reader, [individual, *after], after)
    return Family(
        root=individual,
        graph=graph,
        line=tuple(line),
        line_length=len(whole) - 1,
        ancestors=count,
        ancestors_drawn=len(line) - 1 + len(others),
        descendants_drawn=len(after),
        more_descendants=more,
    )


def all_individuals(reader: LineageReader, stretch: Stretch) -> AllIndividuals:
    """The latest MOST_POINTS individuals of a stretch, and the edges between them."""
    count = reader.sql(f"SELECT count(*) FROM individuals i WHERE {stretch.individuals()}").scalar()
    latest = reader.sql(
        f"SELECT i.id FROM individuals i WHERE {stretch.individuals()} ORDER BY i.tell DESC LIMIT {MOST_POINTS}"
    ).rows
    ids = [row[0] for row in latest]
    graph = _graph(reader, ids)
    all_edges = reader.sql(
        f"SELECT count(*) FROM (SELECT DISTINCT child, parent FROM parents WHERE {_in('child', ids)})"
    )
    drawn = {(child, parent) for child, parent, _ in graph.edges}
    return AllIndividuals(graph, count, all_edges.scalar() - len(drawn))


def steps(reader: LineageReader, individual: int) -> Table:
    """The latest LINE steps of its line of bases, the founder first: columns as in `LineageGraph.members`."""
    return _members(reader, _line(reader, individual)[: LINE + 1])


def contributions(reader: LineageReader, individual: int) -> Table:
    """What operators and models contributed to the whole line of bases, however long it is.

    Columns operator, model, steps, better (than the base), gain (of all steps).
    """
    first, sign = first_cost(reader)
    line = f"SELECT unnest({_line(reader, individual)}::BIGINT[]) AS id"
    return reader.sql(f"""
        WITH line AS ({line}), {_gains("line", first, sign)}
        SELECT i.operator, i.model, count(*) AS steps, count(*) FILTER (g.gain > 0) AS better, sum(g.gain) AS gain
        FROM line l JOIN individuals i ON i.id = l.id LEFT JOIN gains g ON g.id = i.id
        WHERE i.id IN (SELECT child FROM bases)
        GROUP BY ALL ORDER BY gain DESC NULLS LAST, steps DESC, i.operator, i.model LIMIT 200
    """)


def _line(reader: LineageReader, individual: int) -> list[int]:
    """From base to base, itself first, up to the founder. In Python: a recursive query takes a round for each step."""
    (edges,) = reader.arrays(
        "SELECT child, min(parent) AS parent FROM parents "
        f"WHERE role = 'base' AND child <= {individual:d} GROUP BY child"
    )
    base = dict(zip(edges["child"].tolist(), edges["parent"].tolist(), strict=True))
    line = [individual]
    while (parent := base.get(line[-1])) is not None:
        line.append(parent)
    return line


def _nearest(reader: LineageReader, individual: int, way: tuple[str, str], generations: int, *, most: int) -> list[int]:
    """The nearest ancestors or descendants, a generation at a time; those nearest in age first.

    In Python: a query for each generation would take a minute where there are thousands of them.

    Args:
        way: the columns of `parents` to go from and to.
    """
    here, there = way
    compare = "<=" if there == "parent" else ">="
    (edges,) = reader.arrays(
        f"SELECT {here}, {there} FROM parents WHERE {here} {compare} {individual:d} ORDER BY {here}"
    )
    sources, targets = edges[here], edges[there]
    found: dict[int, None] = {individual: None}
    generation = [individual]
    for _ in range(generations):
        if not generation or len(found) > most:
            break
        starts, ends = np.searchsorted(sources, generation, "left"), np.searchsorted(sources, generation, "right")
        relatives = {int(id_) for start, end in zip(starts, ends, strict=True) for id_ in targets[start:end]}
        nearest = sorted(relatives, reverse=there == "parent")[: 2 * most]
        generation = [relative for relative in nearest if relative not in found]
        found.update(dict.fromkeys(generation))
    return list(found)[1 : most + 1]


def _have_others(reader: LineageReader, parents: Sequence[int], known: Sequence[int]) -> bool:
    """Whether any of the parents has a child that is not among the known."""
    others = reader.sql(f"SELECT DISTINCT child FROM parents WHERE {_in('parent', parents)} LIMIT {2 * DESCENDANTS}")
    return bool({child for (child,) in others.rows} - set(known))


def _graph(reader: LineageReader, ids: Sequence[int]) -> LineageGraph:
    edges = reader.sql(f"""
        SELECT DISTINCT child, parent, role FROM parents
        WHERE {_in("child", ids)} AND {_in("parent", ids)} ORDER BY child, role <> 'base', parent
    """)
    return LineageGraph(_members(reader, ids), tuple(edges.rows))


def _members(reader: LineageReader, ids: Iterable[int]) -> Table:
    first, sign = first_cost(reader)
    return reader.sql(f"""
        WITH chosen AS (SELECT DISTINCT unnest({list(ids)}::BIGINT[]) AS id), {_gains("chosen", first, sign)},
        entered AS (SELECT DISTINCT individual FROM front_moves WHERE entered AND individual IN (SELECT id FROM chosen))
        SELECT i.id, i.tell, i.generation, i.island, i.operator, i.model, i.outcome, i.survived, v.mean AS value,
            g.gain, e.individual IS NOT NULL AS entered_front
        FROM (SELECT id, tell, generation, island, operator, model, outcome, survived FROM individuals
            WHERE id IN (SELECT id FROM chosen)) i
        LEFT JOIN known v ON v.individual = i.id LEFT JOIN gains g ON g.id = i.id
        LEFT JOIN entered e ON e.individual = i.id ORDER BY i.tell
    """)


def _gains(chosen: str, first: str, sign: int) -> str:
    """Common table expressions of the chosen: bases (child, base), known (individual, mean), gains (id, gain)."""
    return f"""
        bases AS (SELECT child, min(parent) AS base FROM parents
            WHERE role = 'base' AND child IN (SELECT id FROM {chosen}) GROUP BY child),
        known AS (SELECT individual, mean FROM scores WHERE name = {quoted(first)}
            AND individual IN (SELECT id FROM {chosen} UNION SELECT base FROM bases)),
        gains AS (SELECT b.child AS id, {sign} * (o.mean - n.mean) AS gain FROM bases b
            JOIN known n ON n.individual = b.child JOIN known o ON o.individual = b.base)
    """


def _in(column: str, ids: Sequence[int]) -> str:
    return f"{column} IN ({', '.join(f'{number:d}' for number in ids)})" if ids else "false"
