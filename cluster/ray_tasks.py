"""Evaluation as elastic Ray tasks: short evaluations travel several to a task, long ones alone."""

from __future__ import annotations

import asyncio
import math
import os
import pickle
import signal
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cluster.worker import Worker
from evo.errors import EvoError, SandboxError, UserError
from evo.genomes import Genome
from evo.protocols import Job
from evo.values import Evaluation, Part

TASK_SECONDS = 0.03
LARGEST_BATCH = 16
TASKS_PER_WORKER = 2
RETRIES = 3
KNOCK_SECONDS = 5.0

Waiting = tuple[Genome, Part, asyncio.Future[Evaluation]]


class RayExecutor:
    """Tasks on a Ray cluster: a given one, or one started here that ends with `close`.

    Raises:
        UserError: the cluster cannot be reached.
    """

    def __init__(self, job: Job) -> None:
        self._own = _connect(job)
        self._width = job.workers or int(_ray().cluster_resources().get("CPU", 1))
        self._remote = _ray().remote(num_cpus=1, max_retries=RETRIES)(_evaluate)
        self._job = pickle.dumps(job)
        self._queue: deque[Waiting] = deque()
        self._running: dict[asyncio.Task[None], Any] = {}
        self._seconds = TASK_SECONDS

    @property
    def capacity(self) -> int:
        if self._width == 1:
            return 1  # one after the other, so that a run at width 1 does not depend on timing
        batch = self._batch
        return self._width * TASKS_PER_WORKER * batch + (self._width * batch if batch > 1 else 0)

    async def evaluate(self, genome: Genome, part: Part = "train") -> Evaluation:
        future: asyncio.Future[Evaluation] = asyncio.get_running_loop().create_future()
        self._queue.append((genome, part, future))
        self._dispatch()
        return await future

    async def close(self) -> None:
        for task, reference in self._running.items():
            _ray().cancel(reference, force=True)
            task.cancel()
        if self._own:
            await asyncio.to_thread(_ray().shutdown)

    @property
    def _batch(self) -> int:
        """How many evaluations make a task long enough to be worth its trip."""
        return min(LARGEST_BATCH, max(1, round(TASK_SECONDS / self._seconds)))

    def _dispatch(self) -> None:
        while self._queue and (free := self._width * TASKS_PER_WORKER - len(self._running)) > 0:
            count = min(self._batch, math.ceil(len(self._queue) / free))
            batch = [self._queue.popleft() for _ in range(count)]
            part = batch[0][1]
            alike = [one for one in batch if one[1] == part]
            self._queue.extendleft(one for one in reversed(batch) if one[1] != part)
            reference = self._remote.remote(self._job, [genome for genome, _, _ in alike], part)
            task = asyncio.get_running_loop().create_task(self._collect(reference, alike))
            self._running[task] = reference
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._dispatch()

    async def _collect(self, reference: Any, batch: list[Waiting]) -> None:
        try:
            evaluations: list[Evaluation] = await reference
            mean = sum(one.seconds for one in evaluations) / len(evaluations)
            self._seconds += 0.2 * (max(mean, 1e-4) - self._seconds)
            answers: list[Evaluation | BaseException] = list(evaluations)
        except _ray().exceptions.RayTaskError as error:
            answers = [_cause(error)] * len(batch)
        except _ray().exceptions.RayError as error:
            answers = [Evaluation("lost", feedback=f"its worker died {1 + RETRIES} times: {error}")] * len(batch)
        for (_, _, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)


_workers: dict[bytes, Worker] = {}


def _evaluate(job: bytes, genomes: list[Genome], part: Part) -> list[Evaluation]:
    """Runs in a Ray worker process, which keeps its problem and its sandbox for the next task."""
    if job not in _workers:
        _workers[job] = Worker(pickle.loads(job))  # noqa: S301 - made by our own driver
    return _workers[job].evaluate(genomes, part)


def _ray() -> Any:
    # Importing Ray takes a second, which the commands that need no cluster should not pay.
    import ray

    return ray


def _connect(job: Job) -> bool:
    """Whether a cluster was started here, and so is ours to end."""
    ray = _ray()
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if job.address:
            _knock(job.address)
            ray.init(job.address, **quiet)
        else:
            with _deaf_to_interrupts():
                ray.init("local", num_cpus=job.workers, include_dashboard=False, object_store_memory=128 << 20, **quiet)
    except Exception as error:  # Ray raises many kinds; each means that there is no cluster
        raise UserError(f"cannot reach a Ray cluster at {job.address or 'this machine'}: {error}") from error
    return True


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """What is started here ignores Ctrl-C, which a terminal sends to all: the driver decides when its workers end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _knock(address: str) -> None:
    """Ray itself goes on for ten minutes where nobody answers; addresses other than HOST:PORT are left to it."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()


def _cause(error: Any) -> BaseException:
    cause: BaseException = error.cause if isinstance(error.cause, EvoError) else SandboxError(str(error))
    return cause
