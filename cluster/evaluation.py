"""Evaluate a genome, and record what came of it: outcome, time, CPU and memory used, and where it ran."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeAlias

from cluster.sandbox.sandbox import Opened, Sandbox
from evo.errors import CandidateError
from evo.genomes import Genome, Program
from evo.models import NO_MODEL, Completion, Request
from evo.protocols import Function, Problem
from evo.scoring import scored
from evo.values import Evaluation, Part

Answerer: TypeAlias = Callable[[Sequence[Request]], list[Completion]]
"""Sends requests to the driver's model, and waits. Where the evaluation was cancelled it raises CancelledError, which
passes every `except Exception`."""

Work: TypeAlias = tuple[Genome, tuple[str, ...] | None]
"""A genome, and the cases to score it on; None scores it as a whole."""


def evaluate(problem: Problem, work: Work, part: Part, sandbox: Sandbox, *, ask: Answerer | None = None) -> Evaluation:
    """Score a genome; a failure of the candidate or of the scorer is an outcome.

    Args:
        ask: what `Run.ask` calls; None where there is no model.

    Raises:
        SandboxError: this machine cannot evaluate.
        BudgetSpentError, ModelAccessError, CancelledError: by `ask`.
    """
    meter = _Meter(sandbox, ask)
    started, began = time.time(), time.perf_counter()
    genome, cases = work
    evaluation = scored(problem, genome, meter, part, cases=cases)
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
    """The sandbox as `evo.protocols.Run`, adding up what an evaluation uses."""

    def __init__(self, sandbox: Sandbox, ask: Answerer | None) -> None:
        self._sandbox = sandbox
        self._ask = ask
        self._open: list[Opened] = []
        self.cpu_seconds = 0.0
        self.memory_bytes = 0
        self.isolation = "none"

    @contextmanager
    def __call__(self, program: Program, entry: str, *, harness: str | None = None) -> Iterator[Function]:
        try:
            with self._sandbox(program, entry, harness=harness) as function:
                self.isolation = self._sandbox.isolation
                self._open.append(function)
                try:
                    yield function
                finally:
                    self._open.remove(function)
        finally:
            self.cpu_seconds += self._sandbox.usage.cpu_seconds
            self.memory_bytes = max(self.memory_bytes, self._sandbox.usage.memory_bytes)

    def ask(self, requests: Sequence[Request]) -> list[Completion]:
        if self._ask is None:
            raise CandidateError("invalid", NO_MODEL)
        began = time.monotonic()
        try:
            return self._ask(requests)
        finally:
            for function in self._open:
                function.allow(time.monotonic() - began)
