"""The executor `ray`: evaluations as tasks on a Ray cluster that may grow and shrink."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from contextlib import suppress

import ray

from cluster.dispatcher import Dispatcher
from cluster.elastic import Elastic
from cluster.mailbox import MailboxClient
from cluster.monitor import ClusterMonitor
from cluster.queues import WaitingEvaluation
from cluster.ray_cluster import connect
from cluster.remote import StoredGenome
from evo.genomes import Genome
from evo.models import Model
from evo.protocols import Job, OnEvent
from evo.registry import make_problem
from evo.resources import Resources
from evo.values import Evaluation, Part

LOOK_EVERY_SECONDS = 0.5
LARGE_BYTES = 128 << 10
"""A genome of this size or more is cheaper in the object store than in its task, even for a single evaluation."""


class RayExecutor:
    """Tasks on a Ray cluster: on a given cluster, or on a cluster that is started here and ends with `close`.

    Short evaluations share a task; evaluations that mostly wait share processes; others have a task each. Nodes that
    join are used, and the evaluations of nodes that die are sent again. Nothing that is made here outlives the driver.

    Raises:
        UserError: the cluster cannot be reached, or is this machine and has no room for an evaluation.
    """

    def __init__(self, job: Job) -> None:
        problem = make_problem(job.problem, job.options)
        self._resources = job.resources or problem.resources
        self._own = connect(job, self._resources.cpus)
        self._elastic = Elastic(
            job, ClusterMonitor(), fixed=self._own and job.address is None, busy=not problem.needs_model
        )
        self._dispatcher = Dispatcher(job, self._elastic)
        self._stored: weakref.WeakValueDictionary[str, StoredGenome] = weakref.WeakValueDictionary()
        self._under_way: set[asyncio.Future[Evaluation]] = set()
        self._mailbox: MailboxClient | None = None
        self._closing = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._dispatcher.warm(self._elastic.queue(self._resources))

    @property
    def capacity(self) -> int:
        return self._elastic.capacity

    @property
    def on_event(self) -> OnEvent:
        return self._elastic.on_event

    @on_event.setter
    def on_event(self, on_event: OnEvent) -> None:
        self._elastic.on_event = on_event

    async def evaluate(
        self,
        genome: Genome,
        part: Part = "train",
        *,
        cases: Sequence[str] | None = None,
        model: Model | None = None,
        resources: Resources | None = None,
    ) -> Evaluation:
        queue = self._elastic.queue(resources or self._resources)
        evaluation: asyncio.Future[Evaluation] = asyncio.get_running_loop().create_future()
        sent = self._stored_if_large(genome), None if cases is None else tuple(cases)
        mailbox = self._connected_mailbox() if model else None
        mail = (mailbox.mailbox, mailbox.admit(evaluation, model)) if mailbox and model else None
        self._under_way.add(evaluation)
        queue.queue.append(WaitingEvaluation(sent, part, genome.digest, evaluation, mail))
        self._start_watching()
        self._dispatcher.dispatch_soon()
        try:
            return await evaluation
        finally:
            self._under_way.discard(evaluation)
            if mailbox and mail:
                mailbox.dismiss(mail[1])

    async def close(self) -> None:
        self._closing.set()
        for evaluation in self._under_way:
            evaluation.cancel()
        if self._watching:
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._dispatcher.close()
        if self._mailbox:
            await self._mailbox.close()
        await asyncio.to_thread(self._elastic.leave)
        if self._own:
            await asyncio.to_thread(ray.shutdown)

    def _stored_if_large(self, genome: Genome) -> Genome | StoredGenome:
        """A large genome goes into the object store, and stays there while an evaluation of it is awaited."""
        if len(genome.canonical) < LARGE_BYTES:
            return genome
        stored = self._stored.get(genome.digest)
        if stored is None:
            stored = self._stored[genome.digest] = StoredGenome(ray.put(genome))
        return stored

    def _connected_mailbox(self) -> MailboxClient:
        if self._mailbox is None or self._mailbox.broken:
            self._mailbox = MailboxClient()
        return self._mailbox

    def _start_watching(self) -> None:
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())
            self._watching.add_done_callback(self._watched)

    async def _watch(self) -> None:
        """Follow the cluster, twice a second."""
        while not self._closing.is_set():
            with suppress(
                ray.exceptions.RayError
            ):  # the head is away for a moment; Ray ends this process if it stays away
                await self._elastic.look()
            for queue, batch in list(self._elastic.late()):
                self._dispatcher.reissue(queue, batch)
            for queue, error in list(self._elastic.hopeless()):
                self._dispatcher.fail(queue, error)
            self._dispatcher.dispatch_soon()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), LOOK_EVERY_SECONDS)

    def _watched(self, watching: asyncio.Task[None]) -> None:
        """The watch has ended: where it raised, all evaluations raise the same."""
        if not watching.cancelled() and (error := watching.exception()) is not None:
            for queue in self._elastic.queues.values():
                self._dispatcher.fail(queue, error)
