"""How many workers one driver keeps busy: simulated ones, under the real driver, journal and projection on one core."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from evo.testing.simulation import Fleet, simulate
from tests.benchmarks.rows import Row

WORKERS = 10_000
COUNT = 60_000
CALLS = 6000  # at 2 s each, for 3,000 offspring a second
EVALUATION_SECONDS = (1.0, 5.0, 10.0, 30.0)


def measure() -> list[Row]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # threads that are started from now on, the projection's too, stay there
    try:
        return [row for seconds in EVALUATION_SECONDS for row in _rows(Fleet(WORKERS, seconds, CALLS))]
    finally:
        os.sched_setaffinity(0, cores)


def _rows(fleet: Fleet) -> list[Row]:
    """Figures of the time between the first round of all that are under way and the last."""
    with tempfile.TemporaryDirectory() as parent:
        began = time.process_time()
        simulated = simulate(fleet, Path(parent), f"budget.evaluations={COUNT}")
        milliseconds = 1e3 * (time.process_time() - began) / COUNT
    under_way = fleet.workers + fleet.calls
    steady = under_way, COUNT - under_way
    wanted = fleet.workers / fleet.evaluation_seconds
    aim = 2000.0 if wanted > 4000 else None
    return [
        Row(f"{fleet.workers} simulated workers, {fleet.evaluation_seconds:g} s an evaluation", wanted, "/s"),
        Row("  tells, with journal and projection on one core", simulated.rate(*steady), "/s", aim),
        Row("  the workers are busy", 100 * simulated.utilisation(fleet, *steady), "%"),
        Row("  CPU of a tell, what is simulated included", milliseconds, "ms"),
    ]
