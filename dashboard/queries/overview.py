"""The status of a run: its totals, what it will still take, and the health of endpoints and workers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashboard.queries.moments import pauses
from evo.lineage import LineageReader, Table
from evo.lineage.status import RunStatus, projected_status

RECENT = 2000
RECENT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of a run so far.

    Attributes:
        count_told: how many individuals are evaluated.
        failed: evaluations without a result; pruned evaluations are none of them.
        proposals: operator to its asks under way that have no proposal yet.
        evaluations: candidates that wait for a worker or are being evaluated.
        stopped: why the last session ended; None where it is running, or was killed.
        started: when the run started, in UTC.
        latest: the time of the latest tell, in UTC.
        running_seconds: of all sessions up to the latest tell, without pauses.
        budget: as in the configuration.
    """

    problem: str
    count_told: int
    failed: int
    usd: float
    calls: int
    tokens: int
    per_second: float
    proposals: Mapping[str, int]
    evaluations: int
    stopped: str | None
    started: datetime | None
    latest: datetime | None
    running_seconds: float
    budget: Mapping[str, Any]
    model: str | None

    @property
    def forecast_usd(self) -> float | None:
        """The cost of the whole run if the rest costs as much as so far per evaluation; no more than the cap."""
        if not self.count_told or not self.usd:
            return None
        likely = self.usd / self.count_told * max(self.count_told, self.budget.get("evaluations") or self.count_told)
        cap = self.budget.get("usd")
        return likely if cap is None else min(likely, cap)

    @property
    def left_seconds(self) -> float | None:
        """Seconds until the first of its budgets is used up at the present rate; None where that is unknown."""
        left = []
        if self.per_second and self.budget.get("evaluations"):
            left.append((self.budget["evaluations"] - self.count_told) / self.per_second)
            if self.budget.get("usd") and self.usd:
                left.append((self.budget["usd"] - self.usd) / (self.usd / self.count_told * self.per_second))
        if self.budget.get("wall_seconds"):
            left.append(self.budget["wall_seconds"] - self.running_seconds)
        return max(0.0, min(left)) if left else None


def totals(reader: LineageReader) -> Totals:
    """The totals of a run, with what its journal has beyond its lineage."""
    status = projected_status(reader)
    asked: dict[str, int] = {}
    for operator in status.asks.values():
        asked[operator] = asked.get(operator, 0) + 1
    started, latest, seconds, tokens = _times(reader)
    config = status.config
    return Totals(
        problem=status.problem,
        count_told=status.count_told,
        failed=status.failed,
        usd=status.usd,
        calls=status.calls,
        tokens=tokens,
        per_second=_rate(status),
        proposals=asked,
        evaluations=len(status.candidates),
        stopped=status.stopped,
        started=started,
        latest=latest,
        running_seconds=seconds,
        budget=config.get("budget", {}),
        model=(config.get("model") or {}).get("name"),
    )


def _rate(status: RunStatus) -> float:
    """Results per second; 0 while there are too few results for a rate."""
    return status.per_second if len(status.latest) > 2 else 0.0


def _times(reader: LineageReader) -> tuple[datetime | None, datetime | None, float, int]:
    """The run's start, its latest tell, the seconds between them without pauses, and the tokens of all completions."""
    found = reader.sql("""
        SELECT started, (SELECT max(told_at) FROM individuals),
            (SELECT coalesce(sum(input_tokens + output_tokens), 0)::BIGINT FROM completions) FROM runs
    """).rows
    if not found:
        return None, None, 0.0, 0
    started, latest, tokens = found[0]
    if latest is None:
        return started, None, 0.0, tokens
    paused = sum(length for _, length in pauses(reader))
    return started, latest, max(0.0, (latest - started).total_seconds() - paused), tokens


def endpoints(reader: LineageReader) -> Table:
    """The last RECENT completions of each endpoint and model.

    Columns endpoint, model, completions, failed (without a reply), seconds (median), usd, last, error (the latest).
    """
    return reader.sql(f"""
        WITH recent AS (
            SELECT endpoint, model, outcome, seconds, cost_usd, completed, error FROM completions
            WHERE rowid > (SELECT max(rowid) FROM completions) - {RECENT}
        )
        SELECT endpoint, model, count(*) AS completions,
            count(*) FILTER (outcome NOT IN ('ok', 'truncated', 'empty')) AS failed,
            median(seconds) AS seconds, sum(cost_usd) AS usd, max(completed) AS last,
            left(arg_max(error, completed) FILTER (error <> ''), 300) AS error
        FROM recent GROUP BY endpoint, model ORDER BY completions DESC, endpoint, model LIMIT 50
    """)


def workers(reader: LineageReader) -> Table:
    """Each worker in the RECENT_SECONDS before the latest result, the busiest first.

    Columns worker, node, evaluations, failed, busy (share of the time since its first evaluation), seconds (median),
    last, isolation.
    """
    return reader.sql(f"""
        WITH recent AS (
            SELECT worker, node, outcome, seconds, isolation, started,
                started + to_microseconds((seconds * 1e6)::BIGINT) AS ended
            FROM evaluations WHERE rowid > (SELECT max(rowid) FROM evaluations) - 20000 AND worker <> ''
        ), bounded AS (
            SELECT *, max(ended) OVER () AS now FROM recent
            QUALIFY ended > max(ended) OVER () - to_seconds({RECENT_SECONDS})
        )
        SELECT worker, node, count(*) AS evaluations, count(*) FILTER (outcome NOT IN ('ok', 'pruned')) AS failed,
            least(1.0, sum(seconds) / greatest(1e-3, epoch(any_value(now) - min(started)))) AS busy,
            median(seconds) AS seconds, max(ended) AS last, mode(isolation) AS isolation
        FROM bounded GROUP BY worker, node ORDER BY busy DESC, worker LIMIT 200
    """)


def islands(reader: LineageReader) -> Table:
    """The islands with results: columns island, individuals."""
    return reader.sql(
        "SELECT island, count(*) AS individuals FROM individuals GROUP BY island ORDER BY island LIMIT 500"
    )


def facts(reader: LineageReader) -> Mapping[str, Any]:
    """A run's name, problem, description, seed, configuration and start; empty where the run has only just begun."""
    found = reader.sql("SELECT run, problem, description, seed, config, started FROM runs").rows
    if not found:
        return {}
    run, problem, description, seed, config, started = found[0]
    return {
        "run": run,
        "problem": problem,
        "description": description,
        "seed": seed,
        "config": json.loads(config),
        "started": started,
    }
