"""The timelines of workers, how busy they are, what is queued, and what offspring wait for."""

from __future__ import annotations

from dashboard.filters import Stretch
from dashboard.queries import MOST_POINTS
from dashboard.queries.moments import BEGUN, Span, numbers, span
from evo.lineage import LineageReader, Table
from evo.lineage.queries import quoted

BARS = 4800
WORKERS, NODES, PARTS = 80, 20, 100
MARKS = 150
# Waiting times are of the latest offspring: where time goes now can still be acted on.
RECENT = 50_000
STATES = ("model", "place", "evaluation", "tell")
KINDS = ("node_joined", "node_left", "reissued", "no_room", "room")
Parts = tuple[Span | None, Table]


def timeline(reader: LineageReader, stretch: Stretch) -> Table:
    """The latest BARS evaluations by worker: columns worker, node, individual, stage, outcome, began, ended."""
    join = "" if stretch.is_whole else "JOIN individuals i ON i.id = e.individual"
    return reader.sql(f"""
        WITH latest AS (
            SELECT e.worker, e.node, e.individual, e.stage, e.outcome, e.started, e.seconds FROM evaluations e {join}
            WHERE e.worker <> '' AND {BEGUN.format("e.started")} AND {stretch.individuals() if join else "true"}
            ORDER BY e.rowid DESC LIMIT {BARS}
        )
        SELECT worker, node, individual, stage, outcome, started AS began,
            started + to_microseconds((seconds * 1e6)::BIGINT) AS ended
        FROM latest ORDER BY node, worker, started
    """)


def evaluations(reader: LineageReader, stretch: Stretch) -> tuple[int, int, int]:
    """The number of evaluations by workers, of these workers, and of their nodes."""
    join = "" if stretch.is_whole else "JOIN individuals i ON i.id = e.individual"
    found = reader.sql(f"""
        SELECT count(*), count(DISTINCT e.worker), count(DISTINCT e.node) FROM evaluations e {join}
        WHERE e.worker <> '' AND {stretch.individuals() if join else "true"}
    """).rows[0]
    return found[0], found[1], found[2]


def utilisation(reader: LineageReader, stretch: Stretch) -> Parts:
    """The share of each part of the time that workers evaluated: columns worker, node, began, number (0 to 1).

    The WORKERS that evaluated longest; there are fewer parts where there are many workers.
    """
    busiest = _busiest(reader, stretch)
    over = span(reader, stretch, parts=max(20, min(PARTS, MOST_POINTS // max(1, busiest))))
    if over is None or not busiest:
        return over, Table(("worker", "node", "began", "number"), ())
    spans = f"""
        WITH spans AS ({_spans(stretch)}),
        busiest AS (SELECT worker FROM spans GROUP BY worker ORDER BY sum(ended - began) DESC, worker LIMIT {WORKERS})
        SELECT worker, node, began, ended FROM spans WHERE worker IN (FROM busiest)
    """
    return over, reader.sql(numbers(spans, "worker, node", over))


def busy(reader: LineageReader, stretch: Stretch) -> Parts:
    """The average number of busy workers of each node: columns node, began, number; nodes beyond NODES are grouped."""
    over = span(reader, stretch, parts=PARTS)
    if over is None:
        return over, Table(("node", "began", "number"), ())
    spans = f"""
        WITH spans AS ({_spans(stretch)}),
        largest AS (SELECT node FROM spans GROUP BY node ORDER BY sum(ended - began) DESC, node LIMIT {NODES})
        SELECT if(node IN (FROM largest), node, 'others') AS node, began, ended FROM spans
    """
    return over, reader.sql(numbers(spans, "node", over))


def queue(reader: LineageReader, stretch: Stretch) -> Parts:
    """The average number of offspring in each of STATES: columns state, began, number.

    With a model; proposed and waiting for a worker; in evaluation; waiting for the tell. The first state counts all
    completions for proposals, the others evaluated individuals.
    """
    over = span(reader, stretch, parts=PARTS)
    if over is None:
        return over, Table(("state", "began", "number"), ())
    return over, reader.sql(numbers(_states(stretch), "state", over))


def waits(reader: LineageReader, stretch: Stretch) -> Table:
    """Where the latest RECENT offspring spent their time: columns operator, model, offspring, mean seconds in each of
    STATES.

    A model's seconds are those of all completions for the proposal; the operator's own work between them is left out.
    """
    gap = "greatest(0, epoch({} - {}))"
    return reader.sql(f"""
        WITH recent AS (
            SELECT i.id, i.operator, i.model, i.told_at FROM individuals i WHERE {stretch.individuals()}
            ORDER BY i.tell DESC LIMIT {RECENT}
        ), measured AS (
            SELECT individual, started, seconds, started + to_microseconds((seconds * 1e6)::BIGINT) AS ended
            FROM evaluations WHERE stage = 'train' AND attempt = 0 AND {BEGUN.format("started")}
        ), asked AS (SELECT ask, individual, proposed FROM proposals WHERE individual IN (SELECT id FROM recent)),
        called AS (
            SELECT ask, sum(seconds) AS seconds FROM completions
            WHERE stage = 'proposal' AND ask IN (SELECT ask FROM asked) GROUP BY ask
        )
        SELECT r.operator, coalesce(r.model, '') AS model, count(*) AS offspring,
            avg(coalesce(c.seconds, 0)) AS model_seconds,
            avg({gap.format("m.started", "a.proposed")}) AS place_seconds, avg(m.seconds) AS evaluation_seconds,
            avg({gap.format("r.told_at", "m.ended")}) AS tell_seconds
        FROM recent r JOIN asked a ON a.individual = r.id JOIN measured m ON m.individual = r.id
        LEFT JOIN called c ON c.ask = a.ask
        GROUP BY ALL ORDER BY offspring DESC, r.operator, model LIMIT {NODES}
    """)


def marks(reader: LineageReader) -> Table:
    """The latest MARKS cluster events: columns happened, kind, node, nodes (how many then), reason."""
    kinds = ", ".join(map(quoted, KINDS))
    return reader.sql(f"""
        WITH latest AS (SELECT * FROM events WHERE kind IN ({kinds}) ORDER BY happened DESC LIMIT {MARKS})
        SELECT happened, kind, coalesce(detail->>'$.node', detail->>'$.host') AS node, detail->>'$.nodes' AS nodes,
            left(coalesce(detail->>'$.reason', ''), 300) AS reason
        FROM latest ORDER BY happened
    """)


def _busiest(reader: LineageReader, stretch: Stretch) -> int:
    return min(WORKERS, evaluations(reader, stretch)[1])


def _spans(stretch: Stretch) -> str:
    """When workers evaluated: columns worker, node, began, ended (in seconds since 1970)."""
    join = "" if stretch.is_whole else "JOIN individuals i ON i.id = e.individual"
    return f"""
        SELECT e.worker, e.node, epoch(e.started) AS began, epoch(e.started) + e.seconds AS ended
        FROM evaluations e {join} WHERE e.worker <> '' AND {BEGUN.format("e.started")}
            AND {stretch.individuals() if join else "true"}
    """


def _states(stretch: Stretch) -> str:
    """When offspring were in each state: columns state, began, ended (in seconds since 1970)."""
    completions = "completions c" if stretch.island is None else "completions c JOIN proposals p USING (ask)"
    on_island = "true" if stretch.island is None else f"p.island = {stretch.island:d}"
    return f"""
        WITH offspring AS (
            SELECT epoch(p.proposed) AS proposed, epoch(e.started) AS started, epoch(e.started) + e.seconds AS ended,
                epoch(i.told_at) AS told_at
            FROM individuals i JOIN proposals p ON p.individual = i.id JOIN evaluations e ON e.individual = i.id
            WHERE e.stage = 'train' AND e.attempt = 0 AND {BEGUN.format("e.started")} AND {stretch.individuals()}
        )
        SELECT 'model' AS state, epoch(c.completed) - c.seconds AS began, epoch(c.completed) AS ended FROM {completions}
        WHERE c.stage = 'proposal' AND {on_island}
        UNION ALL SELECT 'place', proposed, started FROM offspring WHERE started > proposed
        UNION ALL SELECT 'evaluation', started, ended FROM offspring
        UNION ALL SELECT 'tell', ended, told_at FROM offspring WHERE told_at > ended
    """
