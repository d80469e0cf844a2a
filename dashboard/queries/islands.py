"""Islands: their populations, their best, and the migrations between them."""

from __future__ import annotations

from dashboard.filters import Stretch
from dashboard.queries.objectives import first_cost
from dashboard.queries.sampling import tell_stride
from evo.lineage import LineageReader, Table
from evo.lineage.queries import quoted

MOST_ISLANDS = 32
PARTS = 60
MOST_MOVES = 1600


def islands(reader: LineageReader, stretch: Stretch) -> Table:
    """Each island as it was after the last tell of a stretch.

    Columns island, evaluations, valid, population, immigrants (members born elsewhere), in_front (members), best (so
    far, by the first objective), individual (the best), tell (when it arrived), best_now (of the population).
    """
    first, sign = first_cost(reader)
    until = stretch.tells()
    only = f"WHERE island = {stretch.island:d}" if stretch.island is not None else ""
    return reader.sql(f"""
        WITH totals AS (SELECT i.island, count(*) AS evaluations, count(*) FILTER (i.outcome = 'ok') AS valid
            FROM individuals i WHERE {stretch.individuals()} GROUP BY 1),
        came AS (SELECT individual, island, 1 AS came FROM arrivals WHERE {_until(stretch)} UNION ALL
            SELECT individual, island, -1 FROM removals WHERE {_until(stretch)}),
        members AS (SELECT individual, island FROM came GROUP BY ALL HAVING sum(came) > 0),
        front AS (SELECT individual FROM front_moves WHERE {_until(stretch)}
            GROUP BY 1 HAVING sum(if(entered, 1, -1)) > 0),
        valued AS ({_valued(first, sign)}),
        best AS (SELECT a.island, min_by(struct_pack(individual := a.individual, tell := a.tell, cost := v.cost),
                (v.cost, a.tell)) AS best
            FROM arrivals a JOIN valued v USING (individual) WHERE {until} GROUP BY 1),
        populations AS (
            SELECT m.island, count(*) AS population, count(*) FILTER (i.island <> m.island) AS immigrants,
                count(f.individual) AS in_front, min(v.cost) AS cost
            FROM members m JOIN (SELECT id, island FROM individuals) i ON i.id = m.individual
            LEFT JOIN front f ON f.individual = m.individual LEFT JOIN valued v ON v.individual = m.individual
            GROUP BY 1
        )
        SELECT island, coalesce(t.evaluations, 0) AS evaluations, coalesce(t.valid, 0) AS valid,
            coalesce(p.population, 0) AS population, coalesce(p.immigrants, 0) AS immigrants,
            coalesce(p.in_front, 0) AS in_front, {sign} * b.best.cost AS best, b.best.individual AS individual,
            b.best.tell AS tell, {sign} * p.cost AS best_now
        FROM totals t FULL JOIN populations p USING (island) FULL JOIN best b USING (island) {only}
        ORDER BY island LIMIT 500
    """)


def over_time(reader: LineageReader, stretch: Stretch) -> Table:
    """The first MOST_ISLANDS islands over up to PARTS + 1 stretches of tells, a row where something changed.

    Columns tell (the last of the stretch), island, population, best (of all arrivals since the first tell).
    """
    first, sign = first_cost(reader)
    width = tell_stride(reader, stretch, PARTS)
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
            SELECT part, island, sum(coalesce(net, 0)) OVER passed AS members, min(cost) OVER passed AS cost FROM both_
            WINDOW passed AS (PARTITION BY island ORDER BY part)
        )
        SELECT least((part + 1) * {width} - 1, (SELECT max(tell) FROM indicators WHERE {until})) AS tell, island,
            members::BIGINT AS population, {sign} * cost AS best
        FROM summed WHERE part >= {stretch.first // width} ORDER BY part, island
    """)


def flows(reader: LineageReader, stretch: Stretch) -> Table:
    """Counts of migrations, the largest first: columns source, target, reason, individuals, parents.

    Parents counts the migrants with offspring on the target island.
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
    """The latest MOST_MOVES migrations, the earliest first: columns tell, individual, source, target, reason."""
    return reader.sql(f"""
        SELECT * FROM (
            SELECT tell, individual, source, island AS target, reason FROM arrivals
            WHERE source IS NOT NULL AND {_of(stretch)} ORDER BY tell DESC, target LIMIT {MOST_MOVES}
        ) ORDER BY tell, target
    """)


def _valued(first: str, sign: int) -> str:
    """A query for the cost of feasible individuals by the first objective."""
    return f"""
        SELECT s.individual, {sign} * s.value AS cost
        FROM objectives s JOIN evaluations e ON e.individual = s.individual
        WHERE s.name = {quoted(first)} AND e.stage = 'train' AND e.attempt = 0 AND e.violation <= 0
    """


def _of(stretch: Stretch) -> str:
    """The condition on the arrivals of a stretch, in SQL: from its island, or to it."""
    island = f" AND (island = {stretch.island:d} OR source = {stretch.island:d})" if stretch.island is not None else ""
    return stretch.tells() + island


def _until(stretch: Stretch) -> str:
    return f"tell <= {stretch.last:d}" if stretch.last is not None else "true"
