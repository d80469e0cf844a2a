"""The lanes of one search, fitted to a cluster that grows and shrinks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Iterator

from cluster.capacity import Allowance, Node, places, reserved, room
from cluster.lanes import Batch, Lane
from cluster.stragglers import Stragglers
from cluster.watch import Lookout, View, changes
from evo.errors import UserError
from evo.protocols import Incident, Job, Notice, unnoticed
from evo.resources import Resources


class Elastic:
    """Knows how large the cluster is, and how much of it each lane may fill.

    Attributes:
        notice: told of nodes that come and go, and of lanes for which there is no room.

    Args:
        fixed: whether the cluster was started for this search, and so never grows.
        busy: whether evaluations keep their cores busy, instead of waiting for a model.
    """

    def __init__(self, job: Job, lookout: Lookout, *, fixed: bool, busy: bool) -> None:
        self.notice: Notice = unnoticed
        self.lanes: dict[Hashable, Lane] = {}
        self._job = job
        self._fixed = fixed
        self._busy = busy
        self._lookout = lookout
        self._view = self._lookout.look(1.0)
        self._told: tuple[Node, ...] = self._view.nodes if fixed else ()

    def lane(self, resources: Resources) -> Lane:
        """The lane for evaluations that take this.

        Raises:
            UserError: this machine does not have it, and no other will come.
        """
        if resources.key not in self.lanes:
            wanted = self._within_this_machine(resources) if self._fixed else resources
            together = self._busy and wanted.cpus >= 1
            lane = Lane(wanted, together=together, stragglers=Stragglers(self._job.stragglers))
            self._fit(lane)
            if self._fixed and not lane.places:
                raise UserError(f"{self._no_room(lane)}; ask for less by executor.resources, or name a cluster")
            self.lanes[resources.key] = lane
        return self.lanes[resources.key]

    @property
    def capacity(self) -> int:
        """How many evaluations all lanes together can make good use of."""
        # One after the other, so that a run at width 1 does not depend on timing.
        alone = self._fixed and all(lane.places == 1 for lane in self.lanes.values())
        return 1 if alone or self._job.workers == 1 else sum(lane.capacity for lane in self.lanes.values())

    @property
    def free(self) -> int:
        """Tasks that may be sent, whatever their lane."""
        bounded = self._job.workers is not None and len(self.lanes) > 1
        return (self._job.workers or 0) - sum(one.running for one in self.lanes.values()) if bounded else 1 << 30

    async def look(self) -> None:
        """Look again, tell what has changed, and fit the lanes to it."""
        want = max((lane.wanted for lane in self.lanes.values()), default=0.0)
        self.take(await asyncio.to_thread(self._lookout.look, min(want, self._most_of_it())))

    def take(self, view: View) -> None:
        """Go by this view from now on."""
        self._view = view
        for lane in self.lanes.values():
            self._fit(lane)
        told, self._told = self._told, view.nodes
        for incident in changes(told, view.nodes):
            self.notice(incident)
        for lane in self.lanes.values():
            self._mind_the_room(lane)
        if all(lane.free > 0 and not lane.queue for lane in self.lanes.values()):
            self.notice(Incident(""))

    def late(self) -> Iterator[tuple[Lane, Batch]]:
        """Overdue tasks for which a worker is idle."""
        for lane in self.lanes.values():
            if not lane.queue:
                idle = min(places(self._view.free, lane.resources), lane.idle, self.free)
                yield from ((lane, batch) for batch in lane.overdue()[: max(0, idle)])

    def hopeless(self) -> Iterator[tuple[Lane, UserError]]:
        """Lanes for whose evaluations nobody had room for too long."""
        for lane in self.lanes.values():
            if lane.since is not None and time.monotonic() - lane.since > self._job.patience_seconds:
                waited = f"and none came in {self._job.patience_seconds:g} s"
                step = "ask for less by executor.resources, or start such a node; `evo resume` goes on from here"
                yield lane, UserError(f"{self._no_room(lane)}, {waited}; {step}")

    def leave(self) -> None:
        """Want nothing of the cluster any more."""
        self._lookout.leave()

    def _fit(self, lane: Lane) -> None:
        lane.fit(room(self._view.nodes, lane.resources), Allowance(self._job.workers, self._view.share, self._fixed))

    def _most_of_it(self) -> float:
        """The share of the cluster that all workers would fill."""
        most = max((lane.places for lane in self.lanes.values()), default=0)
        return min(1.0, self._job.workers / most) if self._job.workers and most else 1.0

    def _mind_the_room(self, lane: Lane) -> None:
        wanted = bool(lane.queue or lane.batches)
        if lane.places and lane.since is not None:
            lane.since = None
            self.notice(Incident("room", {"takes": str(lane.resources), "places": lane.places}))
        elif not lane.places and wanted and lane.since is None:
            lane.since = time.monotonic()
            reason = f"{self._no_room(lane)}; waiting up to {self._job.patience_seconds:g} s for one"
            self.notice(Incident("no_room", {"takes": str(lane.resources), "reason": reason}))

    def _no_room(self, lane: Lane) -> str:
        wanted = reserved(lane.resources)
        roomiest = [max((one.total.get(name, 0.0) for one in self._view.nodes), default=0.0) for name in wanted]
        have = ", ".join(f"{amount:g} {name}" for name, amount in zip(wanted, roomiest, strict=True))
        return f"no node has what an evaluation takes ({lane.resources}); the most that one has: {have}"

    def _within_this_machine(self, resources: Resources) -> Resources:
        """No more cores than there are: an evaluation that would like more has to do with these."""
        cores = max((one.total.get("CPU", 0.0) for one in self._view.nodes), default=1.0)
        return resources.but({"cpus": min(resources.cpus, max(1.0, cores))})
