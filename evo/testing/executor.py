"""The reference executor: evaluates in this process, for tests and for problems that run no program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from evo.genomes import Genome
from evo.models import Completion, Model, Request
from evo.protocols import Job, OnEvent, ignore_event
from evo.registry import make_problem
from evo.resources import Resources
from evo.scoring import scored
from evo.testing.in_process import InProcessRun, run_in_process
from evo.values import Evaluation, Part

THREADS = 16


class InProcessExecutor:
    """No isolation: the candidate runs right here. Trusted programs only.

    Attributes:
        capacity: `workers` of the job, 1 unless it says so.
    """

    def __init__(self, job: Job) -> None:
        self._problem = make_problem(job.problem, job.options)
        self._under_way: set[asyncio.Future[Evaluation]] = set()
        # Of its own: those of the loop are what clients of models need while evaluations wait for them.
        self._threads = ThreadPoolExecutor(THREADS)
        self.capacity = job.workers or 1
        self.on_event: OnEvent = ignore_event

    async def evaluate(
        self,
        genome: Genome,
        part: Part = "train",
        *,
        cases: Sequence[str] | None = None,
        model: Model | None = None,
        resources: Resources | None = None,
    ) -> Evaluation:
        # Later genomes overtake earlier ones, so that code that relies on the order of completion is found.
        for _ in range(int(genome.digest, 16) % 7):
            await asyncio.sleep(0)
        score = partial(scored, self._problem, genome, part=part, cases=cases)
        return score(run=run_in_process) if model is None else await self._beside_the_loop(score, _Line(model))

    async def close(self) -> None:
        for evaluation in self._under_way:
            evaluation.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _beside_the_loop(self, score: Callable[..., Evaluation], line: _Line) -> Evaluation:
        """In a thread, because asking waits for what happens in the loop."""
        loop = asyncio.get_running_loop()
        run = InProcessRun(line, loop)
        evaluation = loop.run_in_executor(self._threads, partial(score, run=run))
        self._under_way.add(evaluation)
        try:
            return await evaluation
        finally:
            self._under_way.discard(evaluation)
            line.cut()


class _Line:
    """A model, until the line to it is cut: what was asked is cancelled then, and whatever else is asked."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._answers: set[asyncio.Future[Completion]] = set()
        self._is_cut = False

    async def complete(self, request: Request) -> Completion:
        answer = asyncio.ensure_future(self._model.complete(request))
        self._answers.add(answer)
        if self._is_cut:
            answer.cancel()
        try:
            return await answer
        finally:
            self._answers.discard(answer)

    def cut(self) -> None:
        self._is_cut = True
        for answer in self._answers:
            answer.cancel()
