"""A model without latency: how fast the driver makes prompts, reads replies and records, by the local executor.

Small programs, diffs and rewrites in halves, sandboxed and recorded; the scripted model runs in a process of its own.
The programs add up eight numbers: of programs with a single one, to three digits, half of its answers are duplicates.
"""

from __future__ import annotations

from tests.benchmarks.pipeline import PROBLEM, by_model, scripted_server
from tests.benchmarks.rows import Row
from tests.benchmarks.running import Measured, run_search

COUNT = 2000
OPERATORS = "search.operators={model_diff: 1, model_rewrite: 1}"
RATE_AIM, DRIVER_MILLISECONDS_AIM = 250.0, 3.0


def searched() -> Measured:
    """The run that is timed."""
    problem = "problem.options={first: 0.123456789, numbers: 8}"
    with scripted_server(rule="code_or_diff") as url:
        return run_search(PROBLEM, problem, *by_model(url, COUNT), "executor.name=local", OPERATORS)


def measure() -> list[Row]:
    run = searched()
    warm = COUNT // 10
    milliseconds = run.driver_milliseconds(warm, COUNT - 1)
    return [
        Row(
            "candidates by a model without latency, half diffs, local executor",
            run.rate(warm, COUNT - 1),
            "/s",
            RATE_AIM,
        ),
        Row("  driver CPU per candidate", milliseconds, "ms", DRIVER_MILLISECONDS_AIM, at_most=True),
    ]
