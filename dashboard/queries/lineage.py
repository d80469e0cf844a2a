"""Who came from whom: one individual's family, its line of bases, and everybody's graph; cut where it is endless."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dashboard.filters import Stretch
from dashboard.queries import MOST_POINTS
from dashboard.queries.history import objectives
from evo.lineage import LineageReader, Table
from evo.lineage.queries import none_of, quoted

# Of a family: how far the line of bases is drawn, and how many of the others.
LINE, NEAREST, DESCENDANTS = 3000, 240, 160
Edge = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Kin:
    """Individuals, and who of them came from whom.

    Attributes:
        members: columns id, tell, generation, island, operator, model, outcome, survived, value (of the first objective,
            the mean), gain (over its base's, positive is better), entered_front; the oldest first.
        edges: (child, parent, role) of all who are members; the base of a child comes first.
    """

    members: Table
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """An individual with what it came from and what came from it, as far as it can be drawn.

    Attributes:
        line: from base to base, itself first, as far as it is drawn.
        line_length: how many bases it has in all.
        ancestors: how many there are, drawn or not.
        ancestors_drawn: how many of them are members.
        descendants_drawn: likewise.
        more_descendants: whether there are others.
    """

    root: int
    kin: Kin
    line: tuple[int, ...]
    line_length: int
    ancestors: int
    ancestors_drawn: int
    descendants_drawn: int
    more_descendants: bool


@dataclass(frozen=True, slots=True)
class Everybody:
    """The latest of a stretch.

    Attributes:
        count: how many there are in the stretch, drawn or not.
        edges_left_out: from a member to a parent who is none.
    """

    kin: Kin
    count: int
    edges_left_out: int


def family(reader: LineageReader, individual: int, generations: int | None) -> Family:
    """The family of an individual: its line of bases, the NEAREST other ancestors, its first DESCENDANTS.

    Args:
        generations: how far back, and forth; None goes as far as can be drawn.

    Raises:
        LineageError: there is none of that id.
    """
    if not reader.sql("SELECT id FROM individuals WHERE id = ?", [individual]).rows:
        raise none_of(reader, individual)
    far = LINE if generations is None else min(generations, LINE)
    whole = _line(reader, individual)
    line = whole[: far + 1]
    before = _nearest(reader, individual, ("child", "parent"), far, most=NEAREST + len(line))
    after = _nearest(reader, individual, ("parent", "child"), far, most=DESCENDANTS + 1)
    more, after = len(after) > DESCENDANTS, after[:DESCENDANTS]
    others = [one for one in before if one not in set(line)][:NEAREST]
    kin = _kin(reader, [*line, *others, *after])
    count = reader.sql("SELECT count(*) - 1 FROM ancestors(?)", [individual]).scalar()
    more = more or _have_others(reader, [individual, *after], after)
    return Family(individual, kin, tuple(line), len(whole) - 1, count, len(line) - 1 + len(others), len(after), more)


def everybody(reader: LineageReader, stretch: Stretch) -> Everybody:
    """The latest MOST_POINTS individuals of a stretch, and the edges between them."""
    count = reader.sql(f"SELECT count(*) FROM individuals i WHERE {stretch.individuals()}").scalar()
    latest = reader.sql(
        f"SELECT i.id FROM individuals i WHERE {stretch.individuals()} ORDER BY i.tell DESC LIMIT {MOST_POINTS}"
    ).rows
    ids = [row[0] for row in latest]
    kin = _kin(reader, ids)
    all_edges = reader.sql(
        f"SELECT count(*) FROM (SELECT DISTINCT child, parent FROM parents WHERE {_in('child', ids)})"
    )
    drawn = {(child, parent) for child, parent, _ in kin.edges}
    return Everybody(kin, count, all_edges.scalar() - len(drawn))


def steps(reader: LineageReader, individual: int) -> Table:
    """What each step of its line of bases gave, the founder first: columns as those of `Kin.members`.

    The latest LINE steps.
    """
    return _members(reader, _line(reader, individual)[: LINE + 1])


def owed(reader: LineageReader, individual: int) -> Table:
    """To whom a line of bases is owed: columns operator, model, steps, better (than the base), gain (of all steps).

    Of the whole line, whatever its length.
    """
    first, sign = _first(reader)
    line = f"SELECT unnest({_line(reader, individual)}::BIGINT[]) AS id"
    return reader.sql(f"""
        WITH line AS ({line}), {_gains("line", first, sign)}
        SELECT i.operator, i.model, count(*) AS steps, count(*) FILTER (g.gain > 0) AS better, sum(g.gain) AS gain
        FROM line l JOIN individuals i ON i.id = l.id LEFT JOIN gains g ON g.id = i.id
        WHERE i.id IN (SELECT child FROM bases)
        GROUP BY ALL ORDER BY gain DESC NULLS LAST, steps DESC, i.operator, i.model LIMIT 200
    """)


def _line(reader: LineageReader, individual: int) -> list[int]:
    """From base to base, itself first, up to the founder. In Python, since recursion takes a round a step."""
    (edges,) = reader.arrays(
        "SELECT child, min(parent) AS parent FROM parents "
        f"WHERE role = 'base' AND child <= {individual:d} GROUP BY child"
    )
    base = dict(zip(edges["child"].tolist(), edges["parent"].tolist(), strict=True))
    line = [individual]
    while (one := base.get(line[-1])) is not None:
        line.append(one)
    return line


def _nearest(reader: LineageReader, individual: int, way: tuple[str, str], generations: int, *, most: int) -> list[int]:
    """Who is fewest births away, one way or the other, a generation at a time; the latest of a generation first."""
    here, there = way
    found: dict[int, None] = {individual: None}
    edge = [individual]
    for _ in range(generations):
        if not edge or len(found) > most:
            break
        order = "DESC" if there == "parent" else "ASC"
        rows = reader.sql(
            f"SELECT DISTINCT {there} FROM parents WHERE {_in(here, edge)} ORDER BY {there} {order} LIMIT {2 * most}"
        ).rows
        edge = [one for (one,) in rows if one not in found]
        found.update(dict.fromkeys(edge))
    return list(found)[1 : most + 1]


def _have_others(reader: LineageReader, parents: Sequence[int], known: Sequence[int]) -> bool:
    """Whether somebody among them has a child who is not known."""
    others = reader.sql(f"SELECT DISTINCT child FROM parents WHERE {_in('parent', parents)} LIMIT {2 * DESCENDANTS}")
    return any(one not in set(known) for (one,) in others.rows)


def _kin(reader: LineageReader, ids: Sequence[int]) -> Kin:
    edges = reader.sql(f"""
        SELECT DISTINCT child, parent, role FROM parents
        WHERE {_in("child", ids)} AND {_in("parent", ids)} ORDER BY child, role <> 'base', parent
    """)
    return Kin(_members(reader, ids), tuple(edges.rows))


def _members(reader: LineageReader, ids: Iterable[int]) -> Table:
    first, sign = _first(reader)
    return reader.sql(f"""
        WITH chosen AS (SELECT DISTINCT unnest({list(ids)}::BIGINT[]) AS id), {_gains("chosen", first, sign)},
        entered AS (SELECT DISTINCT individual FROM front_moves WHERE entered AND individual IN (SELECT id FROM chosen))
        SELECT i.id, i.tell, i.generation, i.island, i.operator, i.model, i.outcome, i.survived, v.mean AS value, g.gain,
            e.individual IS NOT NULL AS entered_front
        FROM (SELECT id, tell, generation, island, operator, model, outcome, survived FROM individuals
            WHERE id IN (SELECT id FROM chosen)) i
        LEFT JOIN known v ON v.individual = i.id LEFT JOIN gains g ON g.id = i.id
        LEFT JOIN entered e ON e.individual = i.id ORDER BY i.tell
    """)


def _gains(chosen: str, first: str, sign: int) -> str:
    """Parts of a query: `bases` (child, base), `known` (individual, mean) and `gains` (id, gain), of those chosen."""
    return f"""
        bases AS (SELECT child, min(parent) AS base FROM parents
            WHERE role = 'base' AND child IN (SELECT id FROM {chosen}) GROUP BY child),
        known AS (SELECT individual, mean FROM scores WHERE name = {quoted(first)}
            AND individual IN (SELECT id FROM {chosen} UNION SELECT base FROM bases)),
        gains AS (SELECT b.child AS id, {sign} * (n.mean - o.mean) AS gain FROM bases b
            JOIN known n ON n.individual = b.child JOIN known o ON o.individual = b.base)
    """


def _first(reader: LineageReader) -> tuple[str, int]:
    """The first objective, and 1 where more of it is better."""
    named = objectives(reader)
    return (named[0][0], -1 if named[0][1] == "min" else 1) if named else ("", 1)


def _in(column: str, ids: Sequence[int]) -> str:
    return f"{column} IN ({', '.join(f'{one:d}' for one in ids)})" if ids else "false"
