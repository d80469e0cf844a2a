"""A run's progress: each improvement, and a sample of its indicators over time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dashboard.filters import Stretch
from dashboard.queries.sampling import stride, tell_stride
from evo.lineage import LineageReader, Table
from evo.lineage.queries import objectives

SAMPLES = 1000
MOST_STEPS = 4000


@dataclass(frozen=True, slots=True)
class Step:
    """An individual became the best by an objective."""

    name: str
    tell: int
    told_at: datetime
    individual: int
    value: float


@dataclass(frozen=True, slots=True)
class Bests:
    """The best feasible value so far by each objective, as steps in the order of tells.

    Attributes:
        started: when the run started, to tell it from another run of its name.
        looked: the last tell that was read.
        steps: the earlier half thinned out where there are many; the last step of each objective is always there.
    """

    started: datetime | None = None
    looked: int = -1
    steps: tuple[Step, ...] = ()

    def latest(self, name: str) -> Step | None:
        """The best by an objective."""
        return next((step for step in reversed(self.steps) if step.name == name), None)


def bests(reader: LineageReader, before: Bests | None, stretch: Stretch) -> Bests:
    """The best so far after each tell of a stretch: what was known before, and what came since."""
    found = reader.sql("SELECT started, (SELECT max(tell) FROM indicators) FROM runs").rows
    if not found or found[0][1] is None:
        return Bests(found[0][0] if found else None)
    started, last = found[0]
    known = before if before and before.started == started and before.looked <= last else Bests(started)
    if known.looked == last:
        return known
    signs = {name: 1 if direction == "min" else -1 for name, direction, _ in objectives(reader)}
    # Where individuals are re-evaluated, the leader is not the individual with the best single measurement.
    again = reader.sql("SELECT count(*) FROM (SELECT 1 FROM measurements LIMIT 1)").scalar()
    fresh = reader.sql((LEADERS if again else RECORDS).format(after=known.looked, individuals=stretch.individuals()))
    steps = (*known.steps, *(Step(*row) for row in fresh.rows))
    return Bests(started, last, tuple(_thinned(steps if again else _improving(steps, signs))))


# In two stages, so that millions of rows need no sorting: the best of each block of 512 tells, then the single tells of
# the blocks that improve on all earlier ones.
RECORDS = """
    WITH fresh AS (SELECT i.id, i.tell, i.told_at FROM individuals i
            WHERE i.tell > {after} AND i.outcome = 'ok' AND {individuals}),
        feasible AS (SELECT f.* FROM fresh f JOIN evaluations e ON e.individual = f.id
            WHERE e.stage = 'train' AND e.attempt = 0 AND e.violation <= 0),
        valued AS (SELECT o.name, f.tell, f.told_at, f.id, o.value, if(n.direction = 'min', o.value, -o.value) AS cost
            FROM feasible f JOIN objectives o ON o.individual = f.id JOIN objective_names n ON n.name = o.name),
        blocks AS (SELECT name, tell // 512 AS block, min(cost) AS least FROM valued GROUP BY ALL),
        ahead AS (SELECT name, block, coalesce(min(least) OVER (PARTITION BY name ORDER BY block
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 'inf'::DOUBLE) AS before, least FROM blocks),
        single AS (SELECT v.*, least(l.before, coalesce(min(v.cost) OVER (PARTITION BY v.name, l.block ORDER BY v.tell
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 'inf'::DOUBLE)) AS beaten
            FROM valued v JOIN ahead l ON l.name = v.name AND l.block = v.tell // 512 WHERE l.least < l.before)
    SELECT name, tell, told_at, id, value FROM single WHERE cost < beaten ORDER BY tell, name
"""
LEADERS = """
    SELECT l.name, l.tell, i.told_at, l.individual, l.compared FROM leaders l JOIN individuals i ON i.id = l.individual
    WHERE l.tell > {after} AND {individuals} ORDER BY l.tell, l.name
"""


def _improving(steps: Iterable[Step], signs: dict[str, int]) -> list[Step]:
    best: dict[str, float] = {}
    kept = []
    for step in steps:
        cost = signs[step.name] * step.value
        if cost < best.get(step.name, float("inf")):
            best[step.name] = cost
            kept.append(step)
    return kept


def _thinned(steps: Iterable[Step]) -> list[Step]:
    """Drops every other step of the older half until there are few enough; the last step of each objective stays."""
    kept = list(steps)
    while len(kept) > MOST_STEPS:
        last = {step.name: position for position, step in enumerate(kept)}
        half = len(kept) // 2
        kept = [step for at, step in enumerate(kept) if at >= half or at % 2 == 0 or last[step.name] == at]
    return kept


def indicators(reader: LineageReader, stretch: Stretch) -> Table:
    """A sample of the indicators: columns tell, told_at, hypervolume, front_size, population, diversity, coverage.

    Every n-th tell and the last, so that points stay where they are while a run grows.
    """
    width = tell_stride(reader, stretch, SAMPLES)
    return reader.sql(f"""
        WITH sample AS (
            SELECT tell, hypervolume, front_size, population, diversity, coverage FROM indicators
            WHERE {stretch.tells()} AND (tell % {width} = 0
                OR tell = (SELECT max(tell) FROM indicators WHERE {stretch.tells()}))
        )
        SELECT s.tell, i.told_at, s.* EXCLUDE (tell)
        FROM sample s LEFT JOIN individuals i ON i.tell = s.tell ORDER BY s.tell
    """)


def outcomes(reader: LineageReader, stretch: Stretch) -> Table:
    """Outcomes of evaluations in about 100 equal stretches: columns tell (the first), ended, outcome, individuals."""
    width = 10 * tell_stride(reader, stretch, SAMPLES)
    return reader.sql(f"""
        SELECT {width} * (i.tell // {width}) AS tell, max(i.told_at) AS ended, i.outcome, count(*) AS individuals
        FROM individuals i WHERE {stretch.individuals()} GROUP BY 1, 3 ORDER BY 1, 3
    """)


def rates(reader: LineageReader, stretch: Stretch) -> Table:
    """Results per second in about 125 stretches of equally many tells: columns tell, told_at (its end), per_second."""
    width = 8 * tell_stride(reader, stretch, SAMPLES)
    return reader.sql(f"""
        WITH parts AS (
            SELECT i.tell // {width} AS part, max(i.tell) AS tell, max(i.told_at) AS told_at, count(*) AS results
            FROM individuals i WHERE {stretch.individuals()} GROUP BY 1
        ), gaps AS (SELECT *, epoch(told_at - lag(told_at) OVER (ORDER BY part)) AS seconds FROM parts)
        SELECT tell, told_at, results / seconds AS per_second FROM gaps WHERE seconds > 0 ORDER BY tell
    """)


def spending(reader: LineageReader) -> Table:
    """Cumulative dollars after stretches of equally many completions: columns completed, model, usd.

    The five models that cost most by name, all others together.
    """
    width = stride(reader.sql("SELECT count(*) FROM completions").scalar(), 300)
    return reader.sql(f"""
        WITH dear AS (SELECT model FROM completions GROUP BY model ORDER BY sum(cost_usd) DESC, model LIMIT 5),
        parts AS (
            SELECT rowid // {width} AS part, if(model IN (FROM dear), model, 'others') AS model,
                max(completed) AS completed, sum(cost_usd) AS usd FROM completions GROUP BY ALL
        )
        SELECT completed, model, sum(usd) OVER (PARTITION BY model ORDER BY part) AS usd FROM parts
        WHERE usd > 0 ORDER BY part, model
    """)
