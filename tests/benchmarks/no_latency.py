"""A model without latency: how fast the driver makes prompts, reads replies and records, by the local executor.

Small programs, diffs and rewrites in halves, sandboxed and recorded; the scripted model runs in a process of its own.
"""

from __future__ import annotations

from tests.benchmarks.pipeline import scripted_server, searched
from tests.benchmarks.rows import Row

COUNT = 2000
OPERATORS = "search.operators={model_diff: 1, model_rewrite: 1}"
RATE_AIM, DRIVER_MILLISECONDS_AIM = 250.0, 3.0


def measure() -> list[Row]:
    with scripted_server(rule="code_or_diff") as url:
        run = searched(url, COUNT, 0.0, "executor.name=local", OPERATORS, "search.max_stale_proposals=100000")
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
