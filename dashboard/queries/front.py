"""The front, a sample of the individuals that it dominates, and earlier fronts."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.filters import Stretch
from dashboard.queries import MOST_POINTS
from dashboard.queries.objectives import Objective
from dashboard.queries.sampling import stride, tell_range
from evo.lineage import LineageReader, Table
from evo.lineage.queries import objectives, quoted

DOMINATED = 2000
PICKED = 200
EARLIER = 4
# The other axis of a run with a single objective.
TELLS: Objective = ("evaluations", "", "")
FACTS = ("id", "tell", "operator", "model", "island", "survived")


def front(reader: LineageReader, stretch: Stretch) -> Table:
    """The front after the last tell of a stretch: FACTS and a column for each objective, the best by the first on top.

    At most MOST_POINTS - DOMINATED, the newest. For an island, the members of the whole front that were born there.
    """
    until = f"AND tell <= {stretch.last:d}" if stretch.last is not None else ""
    members = f"""
        SELECT individual FROM front_moves WHERE true {until} GROUP BY individual HAVING sum(if(entered, 1, -1)) > 0
    """
    condition = f"i.id IN ({members}) AND {stretch.individuals()}"
    return _described(reader, condition, f"ORDER BY i.tell DESC LIMIT {MOST_POINTS - DOMINATED}")


def dominated(reader: LineageReader, stretch: Stretch) -> Table:
    """A sample of about DOMINATED individuals with a result that never were in the front; columns as in `front`.

    The sample is by a hash of the id, so that it stays the same while a run grows; each time the run doubles, every
    other individual leaves it.
    """
    count = reader.sql("SELECT count(*) FROM individuals").scalar()
    every = stride(count, DOMINATED)
    members = "SELECT individual FROM front_moves WHERE entered"
    condition = f"hash(i.id) % {every} = 0 AND i.outcome = 'ok' AND i.id NOT IN ({members}) AND {stretch.individuals()}"
    return _described(reader, condition, f"LIMIT {DOMINATED}")


def picked(reader: LineageReader, individuals: Sequence[int]) -> Table:
    """The individuals with these ids, at most PICKED; columns as in `front`."""
    ids = ", ".join(f"{individual:d}" for individual in individuals[:PICKED])
    return _described(reader, f"i.id IN ({ids})" if ids else "false", f"LIMIT {PICKED}")


def earlier(reader: LineageReader, stretch: Stretch) -> Table:
    """Fronts at equal distances in the past: columns after (a tell), id, and a column for each objective."""
    first, last = tell_range(reader, stretch)
    moments = [first + (last - first) * part // EARLIER for part in range(1, EARLIER)]
    named = objectives(reader)
    return reader.sql(f"""
        WITH moments AS (SELECT unnest({moments}::BIGINT[]) AS after),
        members AS (
            SELECT m.after, f.individual FROM moments m JOIN front_moves f ON f.tell <= m.after
            GROUP BY ALL HAVING sum(if(f.entered, 1, -1)) > 0
        ), bounded AS (
            SELECT * FROM members QUALIFY row_number() OVER (PARTITION BY after ORDER BY individual DESC) <= 500
        )
        SELECT b.after, b.individual AS id, {_values(named)}
        FROM bounded b JOIN scores o ON o.individual = b.individual GROUP BY b.after, b.individual
        ORDER BY b.after, b.individual
    """)


def column_of(objective: str) -> str:
    """The column that holds an objective: its name, with a prefix where a fact has that name."""
    if objective == TELLS[0]:
        return "tell"
    return f"objective {objective}" if objective.lower() in (*FACTS, "after") else objective


def _described(reader: LineageReader, condition: str, limit: str) -> Table:
    named = objectives(reader)
    order = f'"{_safe(column_of(named[0][0]))}" {"ASC" if named[0][1] == "min" else "DESC"}, ' if named else ""
    return reader.sql(f"""
        WITH chosen AS (SELECT {", ".join(f"i.{fact}" for fact in FACTS)} FROM individuals i WHERE {condition} {limit})
        SELECT i.*{_comma(_values(named))}
        FROM chosen i LEFT JOIN (FROM scores WHERE individual IN (SELECT id FROM chosen)) o ON o.individual = i.id
        GROUP BY ALL ORDER BY {order}i.id
    """)


def _values(named: Sequence[Objective]) -> str:
    """A column for each objective, from the scores `o`."""
    return ", ".join(
        f'max(o.mean) FILTER (o.name = {quoted(name)}) AS "{_safe(column_of(name))}"' for name, _, _ in named
    )


def _comma(text: str) -> str:
    return f", {text}" if text else ""


def _safe(name: str) -> str:
    return name.replace('"', '""')
