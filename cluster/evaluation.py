"""One evaluation of one genome: what it came to, how long it took, what it used, where."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from cluster.sandbox import Sandbox
from evo.genomes import Genome, Program
from evo.protocols import Function, Problem
from evo.scoring import scored
from evo.values import Evaluation, Part


def evaluate(problem: Problem, genome: Genome, part: Part, sandbox: Sandbox) -> Evaluation:
    """Score `genome`; what it or the scorer does wrong is the outcome.

    Raises:
        SandboxError: the machine cannot evaluate.
    """
    meter = _Meter(sandbox)
    started, began = time.time(), time.perf_counter()
    evaluation = scored(problem, genome, meter, part)
    return replace(
        evaluation,
        seconds=time.perf_counter() - began,
        cpu_seconds=meter.cpu_seconds,
        memory_bytes=meter.memory_bytes,
        isolation=meter.isolation,
        worker=f"{socket.gethostname()}:{os.getpid()}",
        node=socket.gethostname(),
        started=started,
    )


class _Meter:
    """The sandbox as `evo.protocols.Run`, adding up what an evaluation uses of it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.cpu_seconds = 0.0
        self.memory_bytes = 0
        self.isolation = "none"

    @contextmanager
    def __call__(self, program: Program, entry: str, *, harness: str | None = None) -> Iterator[Function]:
        self.isolation = self._sandbox.isolation
        try:
            with self._sandbox(program, entry, harness=harness) as function:
                yield function
        finally:
            self.cpu_seconds += self._sandbox.usage.cpu_seconds
            self.memory_bytes = max(self.memory_bytes, self._sandbox.usage.memory_bytes)
