"""Candidates a second through Ray at 1, 2, 4 and 8 workers, against as many that are never idle.

Simulated work: an evaluation sleeps, so that two cores hold eight workers. Ray, driver, journal and lineage are real.
"""

from __future__ import annotations

import statistics

from tests.benchmarks.rows import Row
from tests.benchmarks.running import Measured, run_search

WORKERS = (1, 2, 4, 8)
SECONDS = 0.3
EACH = 30
"""Evaluations for each worker, besides those of the start."""


def measure() -> list[Row]:
    return [row for workers in WORKERS for row in _rows(workers)]


def _rows(workers: int) -> list[Row]:
    begun = 5 * workers  # while these are made, the workers start
    count = begun + EACH * workers
    run = run_search(
        "evo.testing.toys:Valley",
        f"problem.options.pause_seconds={SECONDS}",
        f"budget.evaluations={count}",
        f"executor.workers={workers}",
        "executor.name=ray",
    )
    steady = begun, count - workers
    ideal = workers / _evaluation_seconds(run, begun)
    rate = run.rate(*steady)
    return [
        Row(f"{workers} workers, simulated evaluations of {SECONDS:g} s", rate, "/s"),
        Row("  of workers that are never idle", rate / ideal, "", 0.95),
        Row("  driver CPU per candidate", run.driver_milliseconds(*steady), "ms"),
    ]


def _evaluation_seconds(run: Measured, begun: int) -> float:
    """What one evaluation took in its worker."""
    return statistics.mean(tell["evaluation"]["seconds"] for tell in run.tells[begun:])
