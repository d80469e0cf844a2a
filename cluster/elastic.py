"""The queues of a search, adapted to a cluster that grows and shrinks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Iterator

from cluster.capacity import Allowance, Node, places, reserved, room
from cluster.monitor import ClusterMonitor, View, changes
from cluster.queues import Batch, ResourceQueue
from cluster.stragglers import Stragglers
from evo.errors import UserError
from evo.protocols import ClusterEvent, Job, OnEvent, ignore_event
from evo.resources import Resources


class Elastic:
    """Follows the size of the cluster, and divides it among the queues.

    Attributes:
        fixed: whether the cluster was started for this search, and so never grows.
        on_event: called for nodes that join and leave, and for queues that have no room.

    Args:
        busy: whether evaluations keep their cores busy, rather than wait for a model.
    """

    def __init__(self, job: Job, monitor: ClusterMonitor, *, fixed: bool, busy: bool) -> None:
        self.on_event: OnEvent = ignore_event
        self.queues: dict[Hashable, ResourceQueue] = {}
        self._job = job
        self.fixed = fixed
        self._busy = busy
        self._monitor = monitor
        self._view = self._monitor.look(1.0)
        self._reported: tuple[Node, ...] = self._view.nodes if fixed else ()

    def queue(self, resources: Resources) -> ResourceQueue:
        """The queue for evaluations that take these resources.

        Raises:
            UserError: this machine lacks them, and no other will join.
        """
        if resources.key not in self.queues:
            wanted = self._within_this_machine(resources) if self.fixed else resources
            batched = self._busy and wanted.cpus >= 1
            queue = ResourceQueue(wanted, batched=batched, stragglers=Stragglers(self._job.stragglers))
            self._fit(queue)
            if self.fixed and not queue.places:
                raise UserError(f"{self._no_room(queue)}; ask for less by executor.resources, or name a cluster")
            self.queues[resources.key] = queue
        return self.queues[resources.key]

    @property
    def capacity(self) -> int:
        """How many evaluations all queues together can make good use of."""
        # In sequence, so that a run at width 1 does not depend on timing.
        alone = self.fixed and all(queue.places == 1 for queue in self.queues.values())
        return 1 if alone or self._job.workers == 1 else sum(queue.capacity for queue in self.queues.values())

    @property
    def free(self) -> int:
        """Tasks that may be sent, of whatever queue."""
        bounded = self._job.workers is not None and len(self.queues) > 1
        return (self._job.workers or 0) - sum(queue.running for queue in self.queues.values()) if bounded else 1 << 30

    async def look(self) -> None:
        """Read the cluster's state, report what has changed, and adapt the queues."""
        want = max((queue.wanted for queue in self.queues.values()), default=0.0)
        self.take(await asyncio.to_thread(self._monitor.look, min(want, self._largest_share())))

    def take(self, view: View) -> None:
        """Adapt to this view of the cluster."""
        self._view = view
        for queue in self.queues.values():
            self._fit(queue)
        reported, self._reported = self._reported, view.nodes
        for event in changes(reported, view.nodes):
            self.on_event(event)
        for queue in self.queues.values():
            self._report_room(queue)
        if all(queue.free > 0 and not queue.queue for queue in self.queues.values()):
            self.on_event(ClusterEvent(""))

    def late(self) -> Iterator[tuple[ResourceQueue, Batch]]:
        """Overdue tasks for which there is an idle worker."""
        for queue in self.queues.values():
            if not queue.queue:
                # Evaluations that share processes find room in those that are there.
                free = queue.idle if queue.per_process > 1 else places(self._view.free, queue.resources)
                idle = min(free, queue.idle, self.free)
                yield from ((queue, batch) for batch in queue.overdue()[: max(0, idle)])

    def hopeless(self) -> Iterator[tuple[ResourceQueue, UserError]]:
        """Queues that have had no room for too long."""
        for queue in self.queues.values():
            if queue.since is not None and time.monotonic() - queue.since > self._job.placement_timeout_seconds:
                waited = f"and none joined in {self._job.placement_timeout_seconds:g} s"
                step = "ask for less by executor.resources, or start such a node; `evo resume` goes on from here"
                yield queue, UserError(f"{self._no_room(queue)}, {waited}; {step}")

    def leave(self) -> None:
        """Give up this search's share of the cluster."""
        self._monitor.leave()

    def _fit(self, queue: ResourceQueue) -> None:
        queue.fit(room(self._view.nodes, queue.resources), Allowance(self._job.workers, self._view.share, self.fixed))

    def _largest_share(self) -> float:
        """The share of the cluster that all workers together would fill."""
        most = max((queue.places for queue in self.queues.values()), default=0)
        return min(1.0, self._job.workers / most) if self._job.workers and most else 1.0

    def _report_room(self, queue: ResourceQueue) -> None:
        wanted = bool(queue.queue or queue.batches)
        if queue.places and queue.since is not None:
            queue.since = None
            self.on_event(ClusterEvent("room", {"takes": str(queue.resources), "places": queue.places}))
        elif not queue.places and wanted and queue.since is None:
            queue.since = time.monotonic()
            reason = f"{self._no_room(queue)}; waiting up to {self._job.placement_timeout_seconds:g} s for one"
            self.on_event(ClusterEvent("no_room", {"takes": str(queue.resources), "reason": reason}))

    def _no_room(self, queue: ResourceQueue) -> str:
        wanted = reserved(queue.resources)
        roomiest = [max((node.total.get(name, 0.0) for node in self._view.nodes), default=0.0) for name in wanted]
        have = ", ".join(f"{amount:g} {name}" for name, amount in zip(wanted, roomiest, strict=True))
        return f"no node has what an evaluation takes ({queue.resources}); the most that a node has: {have}"

    def _within_this_machine(self, resources: Resources) -> Resources:
        """The same with no more cores than this machine has: an evaluation that asks for more gets all of them."""
        cores = max((node.total.get("CPU", 0.0) for node in self._view.nodes), default=1.0)
        return resources.but({"cpus": min(resources.cpus, max(1.0, cores))})
