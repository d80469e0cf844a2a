"""Islands: who lives there, how good the best is, and who came from where."""

from __future__ import annotations

from dashboard.filters import Stretch
from dashboard.queries.history import objectives
from evo.lineage import LineageReader, Table
from evo.lineage.queries import quoted

MOST_ISLANDS = 32
PARTS = 60
MOST_MOVES = 1600


def islands(reader: LineageReader, stretch: Stretch) -> Table:
    """An island a row, as it was after the last tell of a stretch.

    Columns island, count_told (there), valid, living, from_elsewhere (of those), in_front (of those), best (by the first
    objective, of all who ever lived there), individual (who is), tell (when it came), best_living.
    """
    first, sign = _first(reader)
    until = stretch.tells()
    only = f"WHERE island = {stretch.island:d}" if stretch.island is not None else ""
    return reader.sql(f"""
        WITH totals AS (SELECT i.island, count(*) AS count_told, count(*) FILTER (i.outcome = 'ok') AS valid
            FROM individuals i WHERE {stretch.individuals()} GROUP BY 1),
        came AS (SELECT individual, island, 1 AS came FROM arrivals WHERE {_until(stretch)} UNION ALL
            SELECT individual, island, -1 FROM removals WHERE {_until(stretch)}),
        living AS (SELECT individual, island FROM came GROUP BY ALL HAVING sum(came) > 0),
        front AS (SELECT individual FROM front_moves WHERE {_until(stretch)}
            GROUP BY 1 HAVING sum(if(entered, 1, -1)) > 0),
        valued AS ({_valued(first, sign)}),
        best AS (SELECT a.island, min_by(struct_pack(individual := a.individual, tell := a.tell, cost := v.cost),
                (v.cost, a.tell)) AS best
            FROM arrivals a JOIN valued v USING (individual) WHERE {until} GROUP BY 1),
        homes AS (
            SELECT l.island, count(*) AS living, count(*) FILTER (i.island <> l.island) AS from_elsewhere,
                count(f.individual) AS in_front, min(v.cost) AS cost
            FROM living l JOIN (SELECT id, island FROM individuals) i ON i.id = l.individual
            LEFT JOIN front f ON f.individual = l.individual LEFT JOIN valued v ON v.individual = l.individual
            GROUP BY 1
        )
        SELECT island, coalesce(t.count_told, 0) AS count_told, coalesce(t.valid, 0) AS valid, coalesce(h.living, 0) AS living,
            coalesce(h.from_elsewhere, 0) AS from_elsewhere, coalesce(h.in_front, 0) AS in_front,
            {sign} * b.best.cost AS best, b.best.individual AS individual, b.best.tell AS tell,
            {sign} * h.cost AS best_living
        FROM totals t FULL JOIN homes h USING (island) FULL JOIN best b USING (island) {only} ORDER BY island LIMIT 500
    """)


def over_time(reader: LineageReader, stretch: Stretch) -> Table:
    """Of the first MOST_ISLANDS islands by stretches of tells: columns tell (the last), island, living, best.

    Up to 2 * PARTS stretches. Best is of all who came to live there since the first tell; a row where it changed.
    """
    first, sign = _first(reader)
    width = _width(reader, stretch)
    only = f"island = {stretch.island:d}" if stretch.island is not None else f"island < {MOST_ISLANDS}"
    until = _until(stretch)
    return reader.sql(f"""
        WITH moves AS (
            SELECT tell // {width} AS part, island, sum(came) AS net FROM (
                SELECT tell, island, 1 AS came FROM arrivals WHERE {until} AND {only}
                UNION ALL SELECT tell, island, -1 FROM removals WHERE {until} AND {only}
            ) GROUP BY ALL
        ), valued AS ({_valued(first, sign)}),
        bests AS (SELECT a.tell // {width} AS part, a.island, min(v.cost) AS cost FROM arrivals a
            JOIN valued v USING (individual) WHERE {stretch.tells("a.tell")} AND a.{only} GROUP BY ALL),
        both_ AS (SELECT part, island, net, cost FROM moves FULL JOIN bests USING (part, island)),
        summed AS (
            SELECT part, island, sum(coalesce(net, 0)) OVER passed AS living, min(cost) OVER passed AS cost FROM both_
            WINDOW passed AS (PARTITION BY island ORDER BY part)
        )
        SELECT least((part + 1) * {width} - 1, (SELECT max(tell) FROM indicators WHERE {until})) AS tell, island,
            living::BIGINT AS living, {sign} * cost AS best
        FROM summed WHERE part >= {stretch.first // width} ORDER BY part, island
    """)


def flows(reader: LineageReader, stretch: Stretch) -> Table:
    """Who came from where, in numbers: columns source, target, reason, individuals, parents.

    Parents are those of them who had a child on the island that they came to; the most first.
    """
    return reader.sql(f"""
        WITH came AS (SELECT * FROM arrivals WHERE source IS NOT NULL AND {_of(stretch)}),
        fruitful AS (
            SELECT DISTINCT c.individual, c.island FROM came c JOIN parents p ON p.parent = c.individual
            JOIN (SELECT id, island, tell FROM individuals) i ON i.id = p.child AND i.island = c.island
                AND i.tell > c.tell
        )
        SELECT c.source, c.island AS target, c.reason, count(*) AS individuals, count(f.individual) AS parents
        FROM came c LEFT JOIN fruitful f ON f.individual = c.individual AND f.island = c.island
        GROUP BY ALL ORDER BY individuals DESC, source, target, reason LIMIT 2000
    """)


def moves(reader: LineageReader, stretch: Stretch) -> Table:
    """Single moves: columns tell, individual, source, target, reason; the latest MOST_MOVES, the earliest first."""
    return reader.sql(f"""
        SELECT * FROM (
            SELECT tell, individual, source, island AS target, reason FROM arrivals
            WHERE source IS NOT NULL AND {_of(stretch)} ORDER BY tell DESC, target LIMIT {MOST_MOVES}
        ) ORDER BY tell, target
    """)


def _valued(first: str, sign: int) -> str:
    """Cost of the feasible by the first objective, as a query."""
    return f"""
        SELECT s.individual, {sign} * s.value AS cost
        FROM objectives s JOIN evaluations e ON e.individual = s.individual
        WHERE s.name = {quoted(first)} AND e.stage = 'train' AND e.attempt = 0 AND e.violation <= 0
    """


def _of(stretch: Stretch) -> str:
    """The arrivals of a stretch: from an island, or to it."""
    island = f" AND (island = {stretch.island:d} OR source = {stretch.island:d})" if stretch.island is not None else ""
    return stretch.tells() + island


def _until(stretch: Stretch) -> str:
    return f"tell <= {stretch.last:d}" if stretch.last is not None else "true"


def _first(reader: LineageReader) -> tuple[str, int]:
    """The first objective, and 1 where less of it is better."""
    named = objectives(reader)
    return (named[0][0], 1 if named[0][1] == "min" else -1) if named else ("", 1)


def _width(reader: LineageReader, stretch: Stretch) -> int:
    """How many tells a stretch of the figures has: a power of two, so that points stay where they are."""
    ends = reader.sql(f"SELECT min(tell), max(tell) FROM indicators WHERE {stretch.tells()}").rows
    first, last = ends[0] if ends and ends[0][1] is not None else (0, 0)
    apart: int = (last - first) // PARTS
    return 1 << apart.bit_length()
