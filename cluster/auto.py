"""The executor `auto`: local workers at once, and Ray where it pays."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cluster.capacity import takes_cores_only
from cluster.local import LocalExecutor, cores
from evo.errors import EvoError
from evo.genomes import Genome
from evo.models import Model
from evo.protocols import ClusterEvent, Executor, Job, OnEvent, ignore_event
from evo.registry import make_problem
from evo.resources import Resources
from evo.values import Evaluation, Part

if TYPE_CHECKING:
    from cluster.ray_tasks import RayExecutor

LOG = logging.getLogger(__name__)

PAYS_SECONDS = 10.0
"""CPU that scoring has taken in this process before Ray, which takes about as much to start, may pay."""
LONG_SECONDS = 0.005
"""Mean CPU of a score below which the trip through Ray costs as much."""
ONE_INTERPRETER = (0.7, 1.2)
"""Cores that scoring keeps busy where the interpreter's lock is the limit; above, scorers release it."""


class AutoExecutor:
    """Local workers or Ray, whichever suits the job.

    - With an address, or where an evaluation takes GPUs, memory or custom resources (which local workers do not
      divide), it is `RayExecutor` from the first evaluation on.
    - Otherwise it is `LocalExecutor`, which is there at once. On a single machine Ray does better only where scoring,
      in Python, keeps the interpreter busy that local workers share. Where that is so, and has cost as much as Ray's
      start does, Ray is started beside them, in a thread; once it is up, new evaluations go there. It is also started
      when an evaluation takes something that local workers do not divide, as a later stage of a cascade may; that
      waits.

    At width 1 nothing runs side by side, and Ray is not started for its scoring. Which executor evaluates changes no
    evaluation.

    Raises:
        UserError: as `RayExecutor` does.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._on_event: OnEvent = ignore_event
        self._ray: RayExecutor | None = None
        self._local: LocalExecutor | None = None
        self._starting: asyncio.Task[RayExecutor] | None = None
        self._began: float | None = None
        problem = make_problem(job.problem, job.options)
        if job.address or not takes_cores_only(job.resources or problem.resources):
            self._ray = _ray_executor(job)
        else:
            self._local = LocalExecutor(job, problem)

    @property
    def capacity(self) -> int:
        return self._current.capacity

    @property
    def on_event(self) -> OnEvent:
        return self._on_event

    @on_event.setter
    def on_event(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        for executor in (self._local, self._ray):
            if executor is not None:
                executor.on_event = on_event

    async def evaluate(
        self,
        genome: Genome,
        part: Part = "train",
        *,
        cases: Sequence[str] | None = None,
        model: Model | None = None,
        resources: Resources | None = None,
    ) -> Evaluation:
        executor: Executor = self._current
        if self._ray is None and resources is not None and not takes_cores_only(resources):
            executor = await asyncio.shield(self._start_ray())
        evaluation = await executor.evaluate(genome, part, cases=cases, model=model, resources=resources)
        if self._ray is None and self._starting is None and self._ray_pays():
            self._start_ray()
        return evaluation

    async def close(self) -> None:
        if self._starting is not None:
            await asyncio.wait([self._starting])
        await asyncio.gather(*(executor.close() for executor in (self._local, self._ray) if executor is not None))

    @property
    def _current(self) -> LocalExecutor | RayExecutor:
        executor = self._ray or self._local
        assert executor is not None, "made with either"
        return executor

    def _ray_pays(self) -> bool:
        """Whether local workers have been waiting for each other's scoring, and for long enough."""
        now = time.monotonic()
        self._began = self._began or now
        if self._local is None or self._local.width == 1 or cores() == 1:
            return False
        scoring = self._local.scoring
        if scoring.cpu_seconds < max(PAYS_SECONDS, LONG_SECONDS * scoring.count):
            return False
        least, most = ONE_INTERPRETER
        return least <= scoring.cpu_seconds / max(1e-9, now - self._began) <= most

    def _start_ray(self) -> asyncio.Task[RayExecutor]:
        if self._starting is None:
            self._starting = asyncio.create_task(asyncio.to_thread(_ray_executor, self._job))
            self._starting.add_done_callback(self._started)
        return self._starting

    def _started(self, starting: asyncio.Task[RayExecutor]) -> None:
        """Ray is up: from now on it evaluates."""
        if starting.cancelled():
            return
        if (error := starting.exception()) is not None:
            level = logging.WARNING if isinstance(error, EvoError) else logging.ERROR
            LOG.log(level, "Ray could not be started, so local workers go on: %s", error)
            return
        self._ray = starting.result()
        self._ray.on_event = self._on_event
        self._on_event(ClusterEvent(""))


def _ray_executor(job: Job) -> RayExecutor:
    from cluster.ray_tasks import RayExecutor  # here, since it takes a second to import

    return RayExecutor(job)
