"""What one worker keeps between evaluations: the problem, made once, and a warm sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from cluster.evaluation import Answerer, Work, evaluate
from cluster.sandbox.sandbox import Sandbox
from evo.protocols import Job
from evo.registry import make_problem
from evo.values import Evaluation, Part

MOST_THAT_WAIT = 64
"""Evaluations side by side on one machine where they outnumber its cores: each has a thread or a process of its own."""


class Worker:
    """Evaluates genomes one after the other, in this thread."""

    def __init__(self, job: Job) -> None:
        self._problem = make_problem(job.problem, job.options)
        limits = job.limits or self._problem.limits
        self._sandbox = Sandbox(
            limits, self._problem.imports, isolation="bubblewrap" if job.require_namespace else "auto"
        )

    def evaluate(self, works: Sequence[Work], part: Part, *, ask: Answerer | None = None) -> list[Evaluation]:
        return [evaluate(self._problem, work, part, self._sandbox, ask=ask) for work in works]

    def close(self) -> None:
        self._sandbox.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def width_on(cores: int, cpus: float) -> int:
    """How many evaluations go side by side on one machine, where each keeps `cpus` of its cores busy."""
    if cpus >= 1:
        return max(1, int(cores / cpus))
    return max(cores, int(min(MOST_THAT_WAIT, cores / max(cpus, 1e-3))))
