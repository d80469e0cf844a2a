"""Analyses of how a run came to its best: what each step cost, which operator made it, when a target was reached."""

from __future__ import annotations

from collections.abc import Sequence

from evo.lineage.reading import LineageReader
from evo.lineage.table import Table

LEVELS = (0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
PARTS = 10

# Each tell at which the best was better than ever before, and what had been spent by then. Seconds leave out the
# pauses between sessions; a re-evaluation has the time of the last result of a candidate before it.
RECORDS = """
    goal AS (SELECT name, if(direction = 'min', 1, -1) AS sign FROM objective_names WHERE position = 0),
    steps AS (
        SELECT tell, best, sign * best AS cost,
            min(sign * best) OVER (ORDER BY tell ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
        FROM indicators, goal
    ),
    moments AS (
        SELECT told_at AS at FROM individuals UNION ALL SELECT happened FROM events UNION ALL SELECT started FROM runs
    ),
    pauses AS (
        SELECT e.happened AS back, epoch(e.happened - max(m.at)) AS away
        FROM events e JOIN moments m ON m.at < e.happened WHERE e.kind = 'resume' GROUP BY e.happened
    ),
    clock AS (SELECT tell, max(told_at) OVER (ORDER BY tell) AS at FROM individuals),
    spent AS (SELECT completed, sum(cost_usd) OVER (ORDER BY completed) AS usd FROM completions WHERE stage <> 'final'),
    timed AS (
        SELECT s.*, c.at FROM steps s ASOF LEFT JOIN clock c ON s.tell >= c.tell
        WHERE s.cost IS NOT NULL AND (s.before IS NULL OR s.cost < s.before)
    ),
    records AS (
        SELECT t.tell, t.best, t.cost, t.before, coalesce(l.individual, i.id) AS individual,
            t.tell + 1 AS evaluations, coalesce(s.usd, 0) AS usd,
            epoch(t.at - (SELECT started FROM runs))
                - coalesce((SELECT sum(away) FROM pauses WHERE back <= t.at), 0) AS seconds
        FROM timed t ASOF LEFT JOIN spent s ON t.at >= s.completed
        LEFT JOIN individuals i ON i.tell = t.tell
        LEFT JOIN leaders l ON l.tell = t.tell AND l.name = (SELECT name FROM goal)
    )
"""


def improvements(reader: LineageReader) -> Table:
    """Each individual that became the best, and the evaluations, seconds and dollars since the improvement before.

    Gain is by how much it was better, whatever the direction; NULL for the first. Under noise, the new best
    may have been re-evaluated just then.
    """
    return reader.sql(f"""
        WITH {RECORDS}
        SELECT r.tell, r.individual, i.operator, i.model, r.best, r.before - r.cost AS gain,
            r.evaluations - coalesce(lag(r.evaluations) OVER steps, 0) AS evaluations,
            greatest(0, r.seconds - coalesce(lag(r.seconds) OVER steps, 0)) AS seconds,
            r.usd - coalesce(lag(r.usd) OVER steps, 0) AS usd
        FROM records r LEFT JOIN individuals i ON i.id = r.individual
        WINDOW steps AS (ORDER BY r.tell) ORDER BY r.tell
    """)


def cost_per_improvement(reader: LineageReader) -> Table:
    """Costs of each operator and model: evaluations, seconds of evaluating and dollars for each improvement.

    The first individual to be the best is no improvement. Dollars of proposals without a candidate count.
    """
    return reader.sql(f"""
        WITH {RECORDS},
        won AS (
            SELECT i.operator, i.model, count(*) AS improvements, sum(r.before - r.cost) AS gain
            FROM records r JOIN individuals i ON i.id = r.individual WHERE r.before IS NOT NULL GROUP BY ALL
        ),
        tried AS (
            SELECT i.operator, i.model, count(*) AS evaluations, sum(e.seconds) AS seconds
            FROM individuals i JOIN evaluations e ON e.individual = i.id AND e.stage = 'train' GROUP BY ALL
        ),
        paid AS (
            SELECT p.operator, p.model, sum(c.cost_usd) AS usd FROM completions c JOIN proposals p USING (ask)
            WHERE c.stage <> 'final' GROUP BY ALL
        ),
        arms AS (SELECT operator, model FROM tried UNION SELECT operator, model FROM paid)
        SELECT a.operator, a.model, coalesce(w.improvements, 0) AS improvements, w.gain,
            coalesce(t.evaluations, 0) AS evaluations, coalesce(t.seconds, 0) AS seconds, coalesce(p.usd, 0) AS usd,
            t.evaluations / w.improvements AS evaluations_each, t.seconds / w.improvements AS seconds_each,
            coalesce(p.usd, 0) / w.improvements AS usd_each
        FROM arms a
        LEFT JOIN won w ON w.operator = a.operator AND w.model IS NOT DISTINCT FROM a.model
        LEFT JOIN tried t ON t.operator = a.operator AND t.model IS NOT DISTINCT FROM a.model
        LEFT JOIN paid p ON p.operator = a.operator AND p.model IS NOT DISTINCT FROM a.model
        ORDER BY improvements DESC, evaluations, a.operator, a.model
    """)


def yield_over_time(reader: LineageReader) -> Table:
    """How the proposals of each operator and model did, by tenths of the run in the order of asking."""
    return reader.sql(f"""
        WITH entered AS (SELECT DISTINCT individual FROM front_moves WHERE entered),
        paid AS (SELECT ask, sum(cost_usd) AS usd FROM completions WHERE stage <> 'final' GROUP BY ask)
        SELECT 1 + p.ask * {PARTS} // (SELECT max(ask) + 1 FROM proposals) AS tenth, p.operator, p.model,
            count(*) AS proposals, count(*) FILTER (i.outcome = 'ok') AS valid,
            count(*) FILTER (i.survived) AS survived, count(e.individual) AS entered_front,
            coalesce(sum(c.usd), 0) AS usd
        FROM proposals p LEFT JOIN individuals i ON i.id = p.individual
        LEFT JOIN entered e ON e.individual = p.individual LEFT JOIN paid c ON c.ask = p.ask
        GROUP BY ALL ORDER BY p.operator, p.model, tenth
    """)


def time_to_target(reader: LineageReader, targets: Sequence[float] = ()) -> Table:
    """When the best first was as good as each target; NULLs where it never was.

    Evaluations, seconds and dollars are since the start of the run, `tell` as in individuals.

    Args:
        targets: in the direction of the problem; without any, LEVELS of the way from the first best to the last,
            which `share` then says.
    """
    if targets:
        levels = f"SELECT NULL::DOUBLE AS share, unnest({[float(target) for target in targets]}::DOUBLE[]) AS target"
    else:
        levels = (
            f"SELECT share, arg_min(best, tell) * (1 - share) + arg_max(best, tell) * share AS target "
            f"FROM records, (SELECT unnest({list(LEVELS)}::DOUBLE[]) AS share) GROUP BY share HAVING count(*) > 1"
        )
    return reader.sql(f"""
        WITH {RECORDS}, levels AS ({levels})
        SELECT l.share, l.target, min(r.tell) AS tell, arg_min(r.individual, r.tell) AS individual,
            min(r.evaluations) AS evaluations, arg_min(r.seconds, r.tell) AS seconds, arg_min(r.usd, r.tell) AS usd
        FROM levels l CROSS JOIN goal g LEFT JOIN records r ON r.cost <= g.sign * l.target
        GROUP BY l.share, l.target, g.sign ORDER BY l.share, g.sign * l.target DESC
    """)
