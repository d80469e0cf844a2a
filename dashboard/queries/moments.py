"""Time in equal parts: when a stretch of a run began and ended, and how many of something there were in each part."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dashboard.filters import Stretch
from evo.lineage import LineageReader

# What people divide time into, in seconds; parts are as many of these as it takes.
WIDTHS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 43200)
DAY = 86400.0
# An evaluation that was never begun has the beginning of time as its start.
BEGUN = "epoch({}) > 86400"


@dataclass(frozen=True, slots=True)
class Span:
    """A time from a whole number of parts on.

    Attributes:
        origin: where the first part begins, in seconds since 1970.
        width: of a part, in seconds.
        parts: how many there are.
    """

    origin: float
    width: float
    parts: int

    @property
    def end(self) -> float:
        """Where the last part ends, in seconds since 1970."""
        return self.origin + self.parts * self.width

    def part(self, seconds: str) -> str:
        """In which part an expression of seconds since 1970 lies, in SQL."""
        return f"floor(({seconds} - {self.origin!r}) / {self.width!r})::BIGINT"

    def began(self, part: str) -> str:
        """When a part begins, in SQL."""
        return f"make_timestamp((({self.origin!r} + {part} * {self.width!r}) * 1e6)::BIGINT)"


def span(reader: LineageReader, stretch: Stretch, *, parts: int) -> Span | None:
    """The time of a stretch in at most so many parts that begin at whole numbers of them; None where nothing was told.

    All of a run is taken from its start on, as asking comes before telling.
    """
    found = reader.sql(f"""
        SELECT epoch(min(i.told_at)), epoch(max(i.told_at)),
            (SELECT epoch(min(started)) FROM runs), (SELECT epoch(max(proposed)) FROM proposals)
        FROM individuals i WHERE {stretch.individuals()}
    """).rows
    told, until, started, proposed = found[0] if found else (None,) * 4
    began = told if stretch.first or started is None else started
    ended = until if stretch.last is not None or proposed is None else max(proposed, until or proposed)
    if began is None or ended is None:
        return None
    width = _width(max(0.0, ended - began) / max(1, parts - 2))
    origin = began // width * width
    return Span(origin, width, int((ended - origin) // width) + 1)


def _width(least: float) -> float:
    return next((float(one) for one in WIDTHS if one >= least), max(1, -(-least // DAY)) * DAY)


def during(stretch: Stretch, column: str) -> str:
    """The condition that a time lies within a stretch of tells, in SQL: for what has no tell of its own."""
    conditions = []
    if stretch.first:
        conditions.append(f"{column} >= (SELECT min(told_at) FROM individuals WHERE tell >= {stretch.first:d})")
    if stretch.last is not None:
        conditions.append(f"{column} <= (SELECT max(told_at) FROM individuals WHERE tell <= {stretch.last:d})")
    return " AND ".join(conditions) or "true"


def numbers(spans: str, of: str, over: Span) -> str:
    """How many there were on average in each whole part, in SQL: columns of..., began (a time), number.

    Counts beginnings and ends by part, so that what lasts for many parts costs no more than what is over at once.

    Args:
        spans: a query with the columns `of`, began and ended, the last two in seconds since 1970.
        of: columns by which to tell them apart, with commas between.
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
                PARTITION BY {", ".join("g." + one.strip() for one in of.split(","))} ORDER BY g.part
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
            FROM grid g LEFT JOIN summed s USING ({of}, part)
        )
        SELECT {of}, {over.began("part")} AS began, greatest(0, before + area / {over.width!r}) AS number
        FROM levels ORDER BY {of}, part
    """


def _edge(column: str, sign: int, of: str, over: Span) -> str:
    """What begins (or ends) in each part, and for how much of that part it is there (or is not any more)."""
    part = over.part(column)
    left = f"({over.origin!r} + ({part} + 1) * {over.width!r} - {column})"
    counted = f"{sign} * count(*) AS number, {sign} * sum({left}) AS area"
    return f"SELECT {of}, {part} AS part, {counted} FROM inside GROUP BY ALL"


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as the lineage writes times: in UTC, without its zone."""
    return datetime(1970, 1, 1) + timedelta(seconds=seconds)


def columns(table: Any, *names: str) -> list[list[Any]]:
    """Some columns of a table as lists."""
    return [[row[table.columns.index(name)] for row in table.rows] for name in names]
