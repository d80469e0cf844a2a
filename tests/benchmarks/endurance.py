"""Whether a search slows down as its history grows."""

from __future__ import annotations

from tests.benchmarks.rows import Row
from tests.benchmarks.running import run_search

COUNT = 20_000
WINDOW = 1000
WARM = 300


def measure() -> list[Row]:
    run = run_search("evo.testing.toys:Nothing", f"budget.evaluations={COUNT}", "executor.name=ray")
    first, last = run.rate(WARM, WARM + WINDOW), run.rate(COUNT - 1 - WINDOW, COUNT - 1)
    return [
        Row(f"the first {WINDOW} of {COUNT} candidates (after {WARM})", first, "/s"),
        Row(f"the last {WINDOW}", last, "/s"),
        Row("  last over first", last / first, "", 0.95),
        Row("  driver CPU per candidate over all", run.driver_milliseconds(WARM, COUNT - 1), "ms", 1.0, at_most=True),
    ]
