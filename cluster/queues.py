"""A queue for evaluations that take the same resources, and the tasks that carry those that were sent."""

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
class WaitingEvaluation:
    """An evaluation whose result is awaited.

    Attributes:
        digest: of its genome.
        mail: how it asks a model; None where it may not.
        alone: whether it needs a process of its own, since an earlier process was lost.
    """

    sent: Sent
    part: Part
    digest: str
    evaluation: asyncio.Future[Evaluation]
    mail: Mail = None
    alone: bool = False

    @property
    def kind(self) -> Kind:
        """Evaluations of the same kind are comparable in time, within a queue."""
        cases = self.sent[1]
        return self.part, None if cases is None else len(cases)

    def fits_with(self, first: WaitingEvaluation) -> bool:
        """Whether both may go into the same task."""
        alone = self.alone or first.alone or self.mail or first.mail
        return not alone and self.kind == first.kind


@dataclass(slots=True, eq=False)
class Batch:
    """Evaluations that share a task; the task may have a second copy on another worker.

    Attributes:
        references: Ray's, to the tasks that were sent, in order.
        tasks: what waits for those of them that are under way, with the reference by which to cancel it; None where
            other evaluations share its process, which cancelling would end.
        reissued: when a second copy was sent, by the clock of `sent_at`; None where none was.
        settled: whether a result came, so that another does not count.
    """

    members: list[WaitingEvaluation]
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
    """The queue for evaluations with the same resources, and how many of its tasks may be in flight.

    Attributes:
        batched: whether short evaluations share a task; those that mostly wait for a model need not.
        per_process: evaluations that share a process at once.
        places: evaluations that fit on the cluster at once, at the moment.
        since: when the cluster lost its last place; None while it has places.
    """

    def __init__(self, resources: Resources, *, batched: bool, stragglers: Stragglers) -> None:
        self.resources = resources
        self.batched = batched
        self.per_process = places_in_a_process(resources)
        self.stragglers = stragglers
        self.queue: deque[WaitingEvaluation] = deque()
        self.batches: dict[Batch, None] = {}
        self.places = 0
        self.since: float | None = None
        self.seconds = TASK_SECONDS
        self._allowed = 1

    def fit(self, places: int, allowance: Allowance) -> None:
        """Adapt to the size of the cluster, and to this search's part of it."""
        self.places = places
        self._allowed = in_flight(places, allowance, busy=self.batched)

    @property
    def running(self) -> int:
        """Tasks in flight."""
        return sum(len(batch.tasks) for batch in self.batches)

    @property
    def free(self) -> int:
        """Tasks that may be sent."""
        return self._allowed - self.running

    @property
    def idle(self) -> int:
        """Tasks that may be sent and would find a place at once."""
        return min(self.free, self.places - self.running)

    @property
    def capacity(self) -> int:
        """How many evaluations it can make good use of, those that wait included."""
        batch = self.batch
        return self._allowed * batch + (min(self.places, self._allowed) * batch if batch > 1 else 0)

    @property
    def wanted(self) -> float:
        """The share of the cluster's places that it could fill."""
        if self.queue or self.free <= 0:
            return 1.0
        return min(1.0, (self.running + 1) / max(1, self.places)) if self.running else 0.0

    @property
    def batch(self) -> int:
        """How many evaluations make a task long enough to be worth the overhead of a task."""
        return min(LARGEST_BATCH, max(1, round(TASK_SECONDS / self.seconds))) if self.batched else 1

    def observe(self, kind: Kind, evaluations: list[Evaluation]) -> None:
        """The evaluations of a task have ended."""
        for evaluation in evaluations:
            self.stragglers.observe(kind, evaluation.seconds)
        mean = sum(evaluation.seconds for evaluation in evaluations) / len(evaluations)
        self.seconds += 0.2 * (max(mean, 1e-4) - self.seconds)

    def next_batch(self) -> Batch | None:
        """The first of the queue and those behind it that fit into the same task; cancelled evaluations are dropped."""
        most = min(self.batch, math.ceil(len(self.queue) / max(1, self.free)))
        members: list[WaitingEvaluation] = []
        while self.queue and len(members) < most:
            first = self.queue[0]
            if first.evaluation.done():
                self.queue.popleft()
            elif members and not first.fits_with(members[0]):
                break
            else:
                members.append(self.queue.popleft())
        return Batch(members) if members else None

    def overdue(self) -> list[Batch]:
        """Tasks that take much longer than their peers, the oldest first; none that asks a model, or was sent twice."""
        late = [
            batch
            for batch in self.batches
            if batch.reissued is None
            and batch.members[0].mail is None
            and self.stragglers.overdue(batch.kind, batch.waited_seconds, len(batch.members))
        ]
        return sorted(late, key=lambda batch: batch.sent_at)
