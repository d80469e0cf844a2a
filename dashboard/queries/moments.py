"""Time in equal parts: the time of a stretch, how many spans were open in each part of it, and the pauses of a run."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.filters import Stretch
from evo.lineage import LineageReader

# The widths of parts, in seconds: round numbers on a clock. Above half a day, whole days.
WIDTHS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 43200)
DAY = 86400.0
# An evaluation that never began has started at 0 seconds since 1970.
BEGUN = "epoch({}) > 86400"


@dataclass(frozen=True, slots=True)
class Span:
    """A time span in equal parts, the first of which begins at a multiple of their width.

    Attributes:
        origin: where the first part begins, in seconds since 1970.
        width: of a part, in seconds.
        parts: the number of parts.
    """

    origin: float
    width: float
    parts: int

    @property
    def end(self) -> float:
        """Where the last part ends, in seconds since 1970."""
        return self.origin + self.parts * self.width

    def part(self, seconds: str) -> str:
        """The number of the part that an expression of seconds since 1970 lies in, in SQL."""
        return f"floor(({seconds} - {self.origin!r}) / {self.width!r})::BIGINT"

    def began(self, part: str) -> str:
        """When a part begins, in SQL."""
        return f"make_timestamp((({self.origin!r} + {part} * {self.width!r}) * 1e6)::BIGINT)"


def span(reader: LineageReader, stretch: Stretch, *, parts: int) -> Span | None:
    """The time of a stretch, in at most `parts` parts; None where it has no result.

    A whole run counts from its start, since its first asks come before its first result.
    """
    found = reader.sql(f"""
        SELECT epoch(min(i.told_at)), epoch(max(i.told_at)),
            (SELECT epoch(min(started)) FROM runs), (SELECT epoch(max(proposed)) FROM proposals)
        FROM individuals i WHERE {stretch.individuals()}
    """).rows
    since, until, started, proposed = found[0] if found else (None,) * 4
    began = since if stretch.first or started is None else started
    ended = until if stretch.last is not None or proposed is None else max(proposed, until or proposed)
    if began is None or ended is None:
        return None
    width = _width(max(0.0, ended - began) / max(1, parts - 2))
    origin = began // width * width
    return Span(origin, width, int((ended - origin) // width) + 1)


def _width(least: float) -> float:
    return next((float(width) for width in WIDTHS if width >= least), max(1, -(-least // DAY)) * DAY)


def during(stretch: Stretch, column: str) -> str:
    """The condition that a time lies within a stretch of tells, in SQL: for rows without a tell of their own."""
    conditions = []
    if stretch.first:
        conditions.append(f"{column} >= (SELECT min(told_at) FROM individuals WHERE tell >= {stretch.first:d})")
    if stretch.last is not None:
        conditions.append(f"{column} <= (SELECT max(told_at) FROM individuals WHERE tell <= {stretch.last:d})")
    return " AND ".join(conditions) or "true"


def numbers(spans: str, of: str, over: Span) -> str:
    """The average number of spans that were open in each whole part, in SQL: columns `of`, began (a time), number.

    It counts beginnings and ends by part, so that a long span costs no more than a short span.

    Args:
        spans: a query with the columns `of`, began and ended, the last two in seconds since 1970.
        of: the columns to group by, with commas between.
    """
    kept = f"greatest(began, {over.origin!r}) AS began, least(ended, {over.end!r}) AS ended"
    return f"""
        WITH whole AS ({spans}),
        inside AS (SELECT {of}, {kept} FROM whole WHERE ended > {over.origin!r} AND began < {over.end!r}),
        edges AS (
            {_edge("began", 1, of, over)} UNION ALL {_edge("ended", -1, of, over)}
        ), summed AS (SELECT {of}, part, sum(number) AS number, sum(area) AS area FROM edges GROUP BY ALL),
        grid AS (SELECT * FROM (SELECT DISTINCT {of} FROM inside), range({max(1, over.parts - 1)}) parts(part)),
        levels AS (
            SELECT g.*, coalesce(s.area, 0) AS area, coalesce(sum(s.number) OVER (
                PARTITION BY {", ".join("g." + column.strip() for column in of.split(","))} ORDER BY g.part
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
            FROM grid g LEFT JOIN summed s USING ({of}, part)
        )
        SELECT {of}, {over.began("part")} AS began, greatest(0, before + area / {over.width!r}) AS number
        FROM levels ORDER BY {of}, part
    """


def _edge(column: str, sign: int, of: str, over: Span) -> str:
    """The beginnings (or ends) in each part, and the time from them to the part's end."""
    part = over.part(column)
    left = f"({over.origin!r} + ({part} + 1) * {over.width!r} - {column})"
    counted = f"{sign} * count(*) AS number, {sign} * sum({left}) AS area"
    return f"SELECT {of}, {part} AS part, {counted} FROM inside GROUP BY ALL"


def pauses(reader: LineageReader) -> list[tuple[float, float]]:
    """When each further session began, in seconds since the run's start, and how many seconds nothing ran before it."""
    started = reader.sql("SELECT epoch(min(started)) FROM runs").scalar()
    found = []
    for (resumed,) in reader.sql("SELECT happened FROM events WHERE kind = 'resume' ORDER BY happened").rows:
        ended, length = reader.sql(
            "SELECT epoch($1), epoch($1 - greatest((SELECT max(told_at) FROM individuals WHERE told_at < $1), "
            "(SELECT max(happened) FROM events WHERE happened < $1), (SELECT min(started) FROM runs)))",
            [resumed],
        ).rows[0]
        found.append((ended - started, max(0.0, length or 0.0)))
    return found
