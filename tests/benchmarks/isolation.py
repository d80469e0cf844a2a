"""What holding a candidate costs, against a plain call and against a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

from cluster.sandbox.sandbox import Sandbox
from evo.genomes import Program
from evo.testing.in_process import run_in_process
from evo.values import Limits
from tests.benchmarks.rows import Row

SOURCE = "def answer(x):\n    return x + 1\n"


def milliseconds(once: Callable[[], object], count: int) -> float:
    """Median time of a call."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        once()
        times.append(1e3 * (time.perf_counter() - began))
    return median(times)


def measure() -> list[Row]:
    program = Program.single(SOURCE)
    sandbox = Sandbox(Limits(), ("numpy",))

    def held() -> None:
        with sandbox(program, "answer") as answer:
            assert answer(1) == 2

    def plain() -> None:
        with run_in_process(program, "answer") as answer:
            assert answer(1) == 2

    def fresh() -> None:
        command = [sys.executable, "-c", f"import numpy\n{SOURCE}\nprint(answer(1))"]
        assert subprocess.run(command, capture_output=True, check=True).stdout == b"2\n"

    held()
    in_sandbox, in_process, fresh_interpreter = (
        milliseconds(held, 300),
        milliseconds(plain, 300),
        milliseconds(fresh, 15),
    )
    name = sandbox.isolation
    sandbox.close()
    return [
        Row("loading and calling a program in this process", in_process, "ms"),
        Row(f"the same in the sandbox ({name})", in_sandbox, "ms"),
        Row("  times the plain call", in_sandbox / in_process, "x"),
        Row("the same in a fresh interpreter with numpy, without isolation", fresh_interpreter, "ms"),
        Row("  fresh interpreter over sandbox", fresh_interpreter / in_sandbox, "x", 10.0),
    ]
