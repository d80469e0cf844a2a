"""Evaluations that take the same resources go down one queue: those that wait, and the tasks that hold the others."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from cluster.capacity import Allowance, in_flight, places_in_a_process
from cluster.remote import Mail, Sent
from cluster.stragglers import Kind, Stragglers
from evo.resources import Resources
from evo.values import Evaluation, Part

TASK_SECONDS = 0.03
LARGEST_BATCH = 16


@dataclass(slots=True, eq=False)
class Waiting:
    """An evaluation that somebody waits for.

    Attributes:
        digest: of its genome.
        mail: by which it asks a model; None where it may not.
        alone: whether it has to travel alone, since what it travelled with was lost.
    """

    sent: Sent
    part: Part
    digest: str
    evaluation: asyncio.Future[Evaluation]
    mail: Mail = None
    alone: bool = False

    @property
    def kind(self) -> Kind:
        """Who its peers are, within its queue."""
        cases = self.sent[1]
        return self.part, None if cases is None else len(cases)

    def travels_with(self, first: Waiting) -> bool:
        alone = self.alone or first.alone or self.mail or first.mail
        return not alone and self.kind == first.kind


@dataclass(slots=True, eq=False)
class Batch:
    """Evaluations that travel together, in one task or in two that race each other.

    Attributes:
        references: to the tasks of Ray's that were sent, in order.
        tasks: what waits for those of them that are under way, with the reference by which to cancel it; None where
            other evaluations share its process, which cancelling would end.
        reissued: when a second copy was sent, by the clock of `sent_at`; None where none was.
        settled: whether an answer came, so that another one does not count.
    """

    members: list[Waiting]
    sent_at: float = field(default_factory=time.monotonic)
    references: list[Any] = field(default_factory=list)
    tasks: dict[asyncio.Task[None], Any] = field(default_factory=dict)
    reissued: float | None = None
    settled: bool = False

    @property
    def kind(self) -> Kind:
        return self.members[0].kind

    @property
    def waited_seconds(self) -> float:
        return time.monotonic() - self.sent_at


class ResourceQueue:
    """The queue of one kind of need, and how much of it may be in Ray's hands.

    Attributes:
        batched: whether short ones share a task; those that mostly wait for a model need not.
        per_process: how many share a process, side by side.
        places: how many the cluster holds side by side at the moment.
        since: when the cluster had no place left; None while it has.
    """

    def __init__(self, resources: Resources, *, batched: bool, stragglers: Stragglers) -> None:
        self.resources = resources
        self.batched = batched
        self.per_process = places_in_a_process(resources)
        self.stragglers = stragglers
        self.queue: deque[Waiting] = deque()
        self.batches: dict[Batch, None] = {}
        self.places = 0
        self.since: float | None = None
        self.seconds = TASK_SECONDS
        self._allowed = 1

    def fit(self, places: int, allowance: Allowance) -> None:
        """Take in how large the cluster is by now, and this search's part of it."""
        self.places = places
        self._allowed = in_flight(places, allowance, busy=self.batched)

    @property
    def running(self) -> int:
        """Tasks in Ray's hands."""
        return sum(len(one.tasks) for one in self.batches)

    @property
    def free(self) -> int:
        """Tasks that may be sent."""
        return self._allowed - self.running

    @property
    def idle(self) -> int:
        """Tasks that may be sent and would find a place."""
        return min(self.free, self.places - self.running)

    @property
    def capacity(self) -> int:
        """How many evaluations it can make good use of, those that wait included."""
        batch = self.batch
        return self._allowed * batch + (min(self.places, self._allowed) * batch if batch > 1 else 0)

    @property
    def wanted(self) -> float:
        """Places of the cluster that it would fill, as a share."""
        if self.queue or self.free <= 0:
            return 1.0
        return min(1.0, (self.running + 1) / max(1, self.places)) if self.running else 0.0

    @property
    def batch(self) -> int:
        """How many evaluations make a task long enough to be worth its trip."""
        return min(LARGEST_BATCH, max(1, round(TASK_SECONDS / self.seconds))) if self.batched else 1

    def observe(self, kind: Kind, evaluations: list[Evaluation]) -> None:
        """Evaluations of one task have ended."""
        for one in evaluations:
            self.stragglers.observe(kind, one.seconds)
        mean = sum(one.seconds for one in evaluations) / len(evaluations)
        self.seconds += 0.2 * (max(mean, 1e-4) - self.seconds)

    def next_batch(self) -> Batch | None:
        """The first of the queue and those behind it that can travel with it; none that nobody waits for any more."""
        most = min(self.batch, math.ceil(len(self.queue) / max(1, self.free)))
        members: list[Waiting] = []
        while self.queue and len(members) < most:
            first = self.queue[0]
            if first.evaluation.done():
                self.queue.popleft()
            elif members and not first.travels_with(members[0]):
                break
            else:
                members.append(self.queue.popleft())
        return Batch(members) if members else None

    def overdue(self) -> list[Batch]:
        """Tasks that take much longer than their peers, the oldest first; none that asks a model, or went out twice."""
        late = [
            one
            for one in self.batches
            if one.reissued is None
            and one.members[0].mail is None
            and self.stragglers.overdue(one.kind, one.waited_seconds, len(one.members))
        ]
        return sorted(late, key=lambda one: one.sent_at)
