"""The executor `local`: evaluation on this machine without Ray, in threads with a sandbox each."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from collections.abc import Sequence

from cluster.capacity import places
from cluster.evaluation import Work
from cluster.worker import Scoring, WorkerThreads
from evo.genomes import Genome
from evo.models import Completion, Model, Request, complete_all
from evo.protocols import Job, OnEvent, Problem, ignore_event
from evo.registry import make_problem
from evo.resources import Resources
from evo.values import Evaluation, Part


class LocalExecutor:
    """Threads of this process; candidates run in the sandboxes' processes, so only scoring shares this interpreter.

    `workers` of the job run at once; by default as many as keep the cores busy. Of an evaluation's resources only
    the job's cores count: this is a single machine, and what else it has is not divided.

    It is made at once: threads, sandboxes and their warm parents are made side by side, at the first evaluations.

    Attributes:
        width: evaluations at once.

    Args:
        problem: of the job, where it has been made already.
    """

    def __init__(self, job: Job, problem: Problem | None = None) -> None:
        problem = problem or make_problem(job.problem, job.options)
        cpus = (job.resources or problem.resources).cpus
        self.width = job.workers or max(1, places({"CPU": cores()}, Resources(cpus)))
        self.on_event: OnEvent = ignore_event
        # Where evaluations mostly wait for a model, another thread has work meanwhile; a queue would be of no use.
        self._queued = 0 if self.width == 1 or cpus < 1 else self.width
        self._threads = WorkerThreads(job, self.width, problem)
        self._under_way: set[asyncio.Future[Evaluation]] = set()

    @property
    def scoring(self) -> Scoring:
        """What scoring has cost this process."""
        return self._threads.scoring

    @property
    def capacity(self) -> int:
        return self.width + self._queued

    async def evaluate(
        self,
        genome: Genome,
        part: Part = "train",
        *,
        cases: Sequence[str] | None = None,
        model: Model | None = None,
        resources: Resources | None = None,
    ) -> Evaluation:
        work = genome, None if cases is None else tuple(cases)
        loop = asyncio.get_running_loop()
        access = _ModelAccess(model, loop) if model else None
        evaluation = loop.run_in_executor(self._threads.pool, self._evaluate, work, part, access)
        self._under_way.add(evaluation)
        try:
            return await evaluation
        finally:
            self._under_way.discard(evaluation)
            if access:
                access.cancel()

    async def close(self) -> None:
        for evaluation in self._under_way:
            evaluation.cancel()
        await asyncio.to_thread(self._threads.close)

    def _evaluate(self, work: Work, part: Part, access: _ModelAccess | None) -> Evaluation:
        evaluation = self._threads.evaluate(work, part, ask=access.ask if access else None)
        if access and access.failure:
            raise access.failure
        return evaluation


class _ModelAccess:
    """Lets an evaluation's thread ask its model in the driver's event loop.

    Attributes:
        failure: what the model raised; no failure of the candidate, even where the problem caught it.
    """

    def __init__(self, model: Model, loop: asyncio.AbstractEventLoop) -> None:
        self._model = model
        self._loop = loop
        self._asked: list[concurrent.futures.Future[list[Completion]]] = []
        self._is_cancelled = False
        self.failure: Exception | None = None

    def ask(self, requests: Sequence[Request]) -> list[Completion]:
        """Called in the evaluation's thread; raises CancelledError once it was cancelled."""
        answer = asyncio.run_coroutine_threadsafe(complete_all(self._model, requests), self._loop)
        self._asked.append(answer)
        if self._is_cancelled:
            answer.cancel()
        try:
            return answer.result()
        except concurrent.futures.CancelledError:
            raise asyncio.CancelledError from None
        except Exception as error:
            self.failure = error
            raise

    def cancel(self) -> None:
        """Cancel what the evaluation waits for, and whatever else it asks."""
        self._is_cancelled = True
        for answer in list(self._asked):
            answer.cancel()


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
