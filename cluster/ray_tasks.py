"""Evaluation as elastic Ray tasks: short evaluations travel several to a task, long ones and those that ask alone."""

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
from cluster.queues import Waiting
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
"""From here on a genome in the object store is cheaper than one in its task, at its first evaluation already."""


class RayExecutor:
    """Tasks on a Ray cluster: a given one, or one started here that ends with `close`.

    Nodes that join are used, and those that die are done without. Nothing that is made here outlives the driver.

    Raises:
        UserError: the cluster cannot be reached, or is this machine's and has no room for an evaluation.
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
        self._post: MailboxClient | None = None
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
        post = self._post_office() if model else None
        mail = (post.mailbox, post.admit(evaluation, model)) if post and model else None
        self._under_way.add(evaluation)
        queue.queue.append(Waiting(sent, part, genome.digest, evaluation, mail))
        self._watch_from_now_on()
        self._dispatcher.dispatch_soon()
        try:
            return await evaluation
        finally:
            self._under_way.discard(evaluation)
            if post and mail:
                post.dismiss(mail[1])

    async def close(self) -> None:
        self._closing.set()
        for evaluation in self._under_way:
            evaluation.cancel()
        if self._watching:
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._dispatcher.close()
        if self._post:
            await self._post.close()
        await asyncio.to_thread(self._elastic.leave)
        if self._own:
            await asyncio.to_thread(ray.shutdown)

    def _stored_if_large(self, genome: Genome) -> Genome | StoredGenome:
        """A large genome goes into the object store, and stays there while anybody waits for an evaluation of it."""
        if len(genome.canonical) < LARGE_BYTES:
            return genome
        stored = self._stored.get(genome.digest)
        if stored is None:
            stored = self._stored[genome.digest] = StoredGenome(ray.put(genome))
        return stored

    def _post_office(self) -> MailboxClient:
        if self._post is None or self._post.broken:
            self._post = MailboxClient()
        return self._post

    def _watch_from_now_on(self) -> None:
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())
            self._watching.add_done_callback(self._watched)

    async def _watch(self) -> None:
        """Follow the cluster, twice a second."""
        while not self._closing.is_set():
            with suppress(ray.exceptions.RayError):  # the head is away for a moment; Ray ends us if it stays away
                await self._elastic.look()
            for queue, batch in list(self._elastic.late()):
                self._dispatcher.reissue(queue, batch)
            for queue, error in list(self._elastic.hopeless()):
                self._dispatcher.fail(queue, error)
            self._dispatcher.dispatch_soon()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), LOOK_EVERY_SECONDS)

    def _watched(self, watching: asyncio.Task[None]) -> None:
        """Nobody follows the cluster any more: where that is an error, it is everybody's."""
        if not watching.cancelled() and (error := watching.exception()) is not None:
            for queue in self._elastic.queues.values():
                self._dispatcher.fail(queue, error)
