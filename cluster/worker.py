"""What one worker keeps between evaluations: the problem, made once, and a warm sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from cluster.evaluation import evaluate
from cluster.sandbox import Sandbox
from evo.genomes import Genome
from evo.protocols import Job
from evo.registry import make_problem
from evo.values import Evaluation, Part


class Worker:
    """Evaluates genomes one after the other, in this thread."""

    def __init__(self, job: Job) -> None:
        self._problem = make_problem(job.problem, job.options)
        limits = job.limits or self._problem.limits
        self._sandbox = Sandbox(
            limits, self._problem.imports, isolation="bubblewrap" if job.require_namespace else "auto"
        )

    def evaluate(self, genomes: Sequence[Genome], part: Part) -> list[Evaluation]:
        return [evaluate(self._problem, genome, part, self._sandbox) for genome in genomes]

    def close(self) -> None:
        self._sandbox.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
