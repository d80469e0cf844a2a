"""Candidates a second with nothing to evaluate, everything on, against a bare loop of forks."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor

from tests.benchmarks.rows import Row
from tests.benchmarks.running import run_search

COUNT = 3000


def bare_forks(count: int) -> float:
    """Forks of a process with numpy loaded that run a small program and answer over a pipe; seconds."""
    import numpy  # noqa: F401 - what a candidate's process has loaded

    began = time.perf_counter()
    for number in range(count):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            names: dict[str, object] = {}
            exec(f"def answer():\n    return {number}\n", names)
            os.write(write, str(names["answer"]()).encode())  # type: ignore[operator]
            os._exit(0)
        os.close(write)
        assert os.read(read, 20) == str(number).encode()
        os.close(read)
        os.waitpid(child, 0)
    return time.perf_counter() - began


def bound(workers: int) -> float:
    """Forks a second by as many bare loops as there are workers, side by side."""
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(bare_forks, [50] * workers))
        return workers * COUNT / max(pool.map(bare_forks, [COUNT] * workers))


def measure() -> list[Row]:
    workers = os.cpu_count() or 1
    ideal = bound(workers)
    run = run_search("evo.testing.toys:Nothing", f"budget.evaluations={COUNT}", "executor.name=ray")
    warm = COUNT // 10
    rate = run.rate(warm, COUNT - 1)
    return [
        Row("bare fork loops, one a core", ideal, "/s"),
        Row("no-op candidates through Ray, sandbox, journal and lineage", rate, "/s"),
        Row("  of the bare fork loops", rate / ideal, "", 0.5),
        Row("  driver CPU per candidate", run.driver_milliseconds(warm, COUNT - 1), "ms", 1.0, at_most=True),
    ]
