"""Worker processes of a Ray cluster that evaluations share: each holds several that mostly wait, as threads."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray

from cluster.capacity import reserved
from cluster.queues import Batch, ResourceQueue
from cluster.remote import SharedProcess
from evo.errors import SandboxError
from evo.protocols import Job

IDLE_SECONDS = 5.0
"""A process without an evaluation gives its cores back after this time, where others may want them."""
STARTS = 4
"""How often in a row a process may die as it starts."""


@dataclass(slots=True, eq=False)
class Host:
    """A process that holds evaluations.

    Attributes:
        actor: Ray's handle of it.
        starting: what waits until it runs; None where no event loop has seen it yet.
        is_ready: whether it has found a node and runs.
        held: evaluations that it has, each in a batch of its own.
        idle_since: when the last of them ended, by the monotonic clock.
    """

    actor: Any
    starting: asyncio.Task[None] | None = None
    is_ready: bool = False
    held: set[Batch] = field(default_factory=set)
    idle_since: float = field(default_factory=time.monotonic)


class Hosts:
    """The processes of a queue: as many as its evaluations fill, and no more than the cluster has room for.

    Where a process dies, each of its evaluations is sent again as a task of its own, since any of them may have killed
    it. Such tasks need cores too, so there is a process less while there are any.

    Args:
        name: under which Ray lists the processes.
        fixed: whether no other search wants the cluster's cores.
        changed: called when a process is ready, or has died.
        failed: called when none can be started.
    """

    def __init__(
        self,
        job: Job,
        queue: ResourceQueue,
        *,
        name: str,
        fixed: bool,
        changed: Callable[[], None],
        failed: Callable[[SandboxError], None],
    ) -> None:
        self._job = job
        self._queue = queue
        self._fixed = fixed
        self._changed = changed
        self._failed = failed
        self._hosts: list[Host] = []
        self._deaths = 0
        cpus = reserved(queue.resources)["CPU"] * queue.per_process
        self._actor = ray.remote(num_cpus=cpus, scheduling_strategy="SPREAD")(type(name, (SharedProcess,), {}))

    def start(self) -> None:
        """Start a process; it is of use once Ray has found a place for it."""
        self._hosts.append(Host(self._actor.remote(self._job, self._queue.per_process)))

    def fit(self) -> None:
        """Start processes for what waits, and end those that are not needed."""
        most, held = self._most(), sum(len(host.held) for host in self._hosts)
        waiting = sum(not evaluation.alone for evaluation in self._queue.queue)
        needed = min(most, math.ceil((waiting + held) / self._queue.per_process))
        while len(self._hosts) < needed:
            self.start()
        for host in list(self._hosts):
            if host.starting is None:
                host.starting = asyncio.get_running_loop().create_task(self._follow(host))
            idle = not self._fixed and time.monotonic() - host.idle_since > IDLE_SECONDS
            if not host.held and (len(self._hosts) > most or (idle and len(self._hosts) > needed)):
                self._end(host)

    def free(self, batch: Batch | None = None) -> Host | None:
        """The emptiest process that runs and has room for another evaluation, without those that hold this batch."""
        fullest_first = sorted((host for host in self._hosts if host.is_ready), key=lambda host: -len(host.held))
        # Where there are too many, the emptiest get nothing more, and end when they are empty.
        fed = [host for host in fullest_first[: self._most()] if len(host.held) < self._queue.per_process]
        return min((host for host in fed if batch not in host.held), key=lambda host: len(host.held), default=None)

    def put_back(self, host: Host, batch: Batch, *, lost: bool) -> None:
        """An evaluation has ended there, or the process has."""
        host.held.discard(batch)
        host.idle_since = time.monotonic()
        if lost:
            self._forget(host)
        elif host.held and all(other.settled for other in host.held):
            self._end(host)  # all that it still does was answered elsewhere, and may hang

    def close(self) -> None:
        """End all processes."""
        for host in list(self._hosts):
            self._end(host)

    def _most(self) -> int:
        """How many processes there may be, those included that Ray has no place for yet."""
        alone = sum(evaluation.alone for evaluation in self._queue.queue)
        alone += self._queue.running - sum(len(host.held) for host in self._hosts)
        if alone:
            return max(0, self._queue.places - alone) // self._queue.per_process
        return math.ceil((self._queue.free + self._queue.running) / self._queue.per_process)

    async def _follow(self, host: Host) -> None:
        """Wait until a process is ready."""
        try:
            await host.actor.ready.remote()
        except ray.exceptions.RayError as error:
            if host in self._hosts:
                self._forget(host)
                self._deaths += 1
                if self._deaths >= STARTS:
                    self._failed(SandboxError(f"no worker process starts on the cluster: {error}"))
        else:
            self._deaths = 0
            host.is_ready = True
            host.idle_since = time.monotonic()
        self._changed()

    def _forget(self, host: Host) -> None:
        if host in self._hosts:
            self._hosts.remove(host)

    def _end(self, host: Host) -> None:
        self._forget(host)
        if host.starting is not None:
            host.starting.cancel()
        ray.kill(host.actor)
