"""Evaluation as elastic Ray tasks: short evaluations travel several to a task, long ones and those that ask alone."""

from __future__ import annotations

import asyncio
import math
import pickle
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray

from cluster.evaluation import Work
from cluster.keys import forget_keys
from cluster.mailbox import Post, answerer
from cluster.ray_cluster import connect, cpus_to_reserve, width_of_cluster
from cluster.worker import Worker
from evo.errors import EvoError, SandboxError
from evo.genomes import Genome
from evo.models import Model
from evo.protocols import Job
from evo.registry import make_problem
from evo.values import Evaluation, Part

TASK_SECONDS = 0.03
LARGEST_BATCH = 16
TASKS_PER_WORKER = 2
RETRIES = 3
WARMED = 16


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """An evaluation that somebody waits for; with a ticket where it may ask a model."""

    work: Work
    part: Part
    evaluation: asyncio.Future[Evaluation]
    ticket: int | None


class RayExecutor:
    """Tasks on a Ray cluster: a given one, or one started here that ends with `close`.

    Raises:
        UserError: the cluster cannot be reached.
    """

    def __init__(self, job: Job) -> None:
        problem = make_problem(job.problem, job.options)
        self._own = connect(job, problem.cpus)
        self._width = job.workers or width_of_cluster(problem.cpus)
        # Short evaluations are kept ready beside the worker; those that mostly wait for a model need not be.
        self._together = problem.cpus >= 1 and not problem.needs_model
        self._tasks = self._width * (TASKS_PER_WORKER if self._together else 1)
        self._remote = ray.remote(num_cpus=cpus_to_reserve(problem.cpus), max_retries=RETRIES)(_evaluate)
        self._job = pickle.dumps(job)
        self._under_way: set[asyncio.Future[Evaluation]] = set()
        self._queue: deque[_Waiting] = deque()
        self._running: dict[asyncio.Task[None], Any] = {}
        self._seconds = TASK_SECONDS
        self._dispatching = False
        self._post: Post | None = None
        # Processes take a second to start; these do so while the seeds are evaluated.
        self._warming = [
            self._remote.remote(self._job, pickle.dumps([]), "train", None) for _ in range(min(self._width, WARMED))
        ]

    @property
    def capacity(self) -> int:
        if self._width == 1:
            return 1  # one after the other, so that a run at width 1 does not depend on timing
        batch = self._batch
        return self._tasks * batch + (self._width * batch if batch > 1 else 0)

    async def evaluate(
        self, genome: Genome, part: Part = "train", *, cases: Sequence[str] | None = None, model: Model | None = None
    ) -> Evaluation:
        work = genome, None if cases is None else tuple(cases)
        evaluation: asyncio.Future[Evaluation] = asyncio.get_running_loop().create_future()
        post = self._post_office() if model else None
        ticket = post.admit(evaluation, model) if post and model else None
        self._under_way.add(evaluation)
        self._queue.append(_Waiting(work, part, evaluation, ticket))
        self._dispatch_soon()
        try:
            return await evaluation
        finally:
            self._under_way.discard(evaluation)
            if post and ticket is not None:
                post.dismiss(ticket)

    async def close(self) -> None:
        self._queue.clear()
        for evaluation in self._under_way:
            evaluation.cancel()
        running = list(self._running)
        for task, reference in self._running.items():
            ray.cancel(reference, force=True)
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for reference in self._warming:
            ray.cancel(reference, force=True)
        if self._post:
            await self._post.close()
        if self._own:
            await asyncio.to_thread(ray.shutdown)

    @property
    def _batch(self) -> int:
        """How many evaluations make a task long enough to be worth its trip."""
        return min(LARGEST_BATCH, max(1, round(TASK_SECONDS / self._seconds))) if self._together else 1

    def _post_office(self) -> Post:
        if self._post is None or self._post.broken:
            self._post = Post()
        return self._post

    def _dispatch_soon(self) -> None:
        """Once for all that ask in the same turn of the event loop, so that they travel together."""
        if not self._dispatching:
            self._dispatching = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatching = False
        while self._queue and (free := self._tasks - len(self._running)) > 0:
            batch = self._next_batch(min(self._batch, math.ceil(len(self._queue) / free)))
            if batch:
                reference = self._sent(batch)
                task = asyncio.get_running_loop().create_task(self._collect(reference, batch))
                self._running[task] = reference
                task.add_done_callback(self._finished)

    def _next_batch(self, most: int) -> list[_Waiting]:
        """The first of the queue and those behind it that can travel with it; none that nobody waits for any more."""
        batch: list[_Waiting] = []
        while self._queue and len(batch) < most:
            first = self._queue[0]
            if first.evaluation.done():
                self._queue.popleft()
            elif batch and (first.part != batch[0].part or first.ticket != batch[0].ticket):
                break
            else:
                batch.append(self._queue.popleft())
        return batch

    def _sent(self, batch: list[_Waiting]) -> Any:
        ticket = batch[0].ticket
        mail = (self._post.mailbox, ticket) if self._post and ticket is not None else None
        # Ray's own pickling takes ten times as long.
        works = pickle.dumps([one.work for one in batch])
        return self._remote.remote(self._job, works, batch[0].part, mail)

    def _finished(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._dispatch_soon()

    async def _collect(self, reference: Any, batch: list[_Waiting]) -> None:
        answers = await self._answers(reference, len(batch))
        for one, answer in zip(batch, answers, strict=True):
            if one.evaluation.done():
                continue
            if answer is None:
                one.evaluation.cancel()
            elif isinstance(answer, BaseException):
                one.evaluation.set_exception(answer)
            else:
                one.evaluation.set_result(answer)

    async def _answers(self, reference: Any, count: int) -> Sequence[Evaluation | BaseException | None]:
        try:
            evaluations: list[Evaluation] | None = await reference
        except ray.exceptions.RayTaskError as error:
            return [_cause(error)] * count
        except ray.exceptions.RayError as error:
            return [Evaluation("lost", feedback=f"its worker died {1 + RETRIES} times: {error}")] * count
        if evaluations is None:
            return [None] * count
        mean = sum(one.seconds for one in evaluations) / len(evaluations)
        self._seconds += 0.2 * (max(mean, 1e-4) - self._seconds)
        return evaluations


_workers: dict[bytes, Worker] = {}


def _evaluate(job: bytes, works: bytes, part: Part, mail: tuple[Any, int] | None) -> list[Evaluation] | None:
    """Runs in a Ray worker process, which keeps its problem and its sandbox for the next task.

    Args:
        genomes: a pickled list of them.
        mail: a mailbox, and the ticket with which to ask; None where there is no model.

    None where nobody waits for the evaluations any more.
    """
    if job not in _workers:
        made: Job = pickle.loads(job)  # noqa: S301 - by our own driver
        forget_keys(made.key_variables)  # of whoever started a cluster that is not ours
        _workers[job] = Worker(made)
    try:
        taken: list[Work] = pickle.loads(works)  # noqa: S301 - by our own driver
        return _workers[job].evaluate(taken, part, ask=answerer(*mail) if mail else None)
    except asyncio.CancelledError:
        return None


def _cause(error: Any) -> BaseException:
    cause: BaseException = error.cause if isinstance(error.cause, EvoError) else SandboxError(str(error))
    return cause
