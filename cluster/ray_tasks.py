"""Evaluation as elastic Ray tasks: short evaluations travel several to a task, long ones and those that ask alone."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from contextlib import suppress

import ray

from cluster.couriers import Couriers
from cluster.elastic import Elastic
from cluster.lanes import Waiting
from cluster.mailbox import Post
from cluster.ray_cluster import connect
from cluster.remote import Parcel
from cluster.watch import Lookout
from evo.genomes import Genome
from evo.models import Model
from evo.protocols import Job, Notice
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
        self._elastic = Elastic(job, Lookout(), fixed=self._own and job.address is None, busy=not problem.needs_model)
        self._couriers = Couriers(job, self._elastic)
        self._parcels: weakref.WeakValueDictionary[str, Parcel] = weakref.WeakValueDictionary()
        self._under_way: set[asyncio.Future[Evaluation]] = set()
        self._post: Post | None = None
        self._closing = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._couriers.warm(self._elastic.lane(self._resources))

    @property
    def capacity(self) -> int:
        return self._elastic.capacity

    @property
    def notice(self) -> Notice:
        return self._elastic.notice

    @notice.setter
    def notice(self, notice: Notice) -> None:
        self._elastic.notice = notice

    async def evaluate(
        self,
        genome: Genome,
        part: Part = "train",
        *,
        cases: Sequence[str] | None = None,
        model: Model | None = None,
        resources: Resources | None = None,
    ) -> Evaluation:
        lane = self._elastic.lane(resources or self._resources)
        evaluation: asyncio.Future[Evaluation] = asyncio.get_running_loop().create_future()
        sent = self._parcelled(genome), None if cases is None else tuple(cases)
        post = self._post_office() if model else None
        mail = (post.mailbox, post.admit(evaluation, model)) if post and model else None
        self._under_way.add(evaluation)
        lane.queue.append(Waiting(sent, part, genome.digest, evaluation, mail))
        self._watch_from_now_on()
        self._couriers.dispatch_soon()
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
        await self._couriers.close()
        if self._post:
            await self._post.close()
        await asyncio.to_thread(self._elastic.leave)
        if self._own:
            await asyncio.to_thread(ray.shutdown)

    def _parcelled(self, genome: Genome) -> Genome | Parcel:
        """A large genome goes into the object store, and stays there while anybody waits for an evaluation of it."""
        if len(genome.canonical) < LARGE_BYTES:
            return genome
        parcel = self._parcels.get(genome.digest)
        if parcel is None:
            parcel = self._parcels[genome.digest] = Parcel(ray.put(genome))
        return parcel

    def _post_office(self) -> Post:
        if self._post is None or self._post.broken:
            self._post = Post()
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
            for lane, batch in list(self._elastic.late()):
                self._couriers.reissue(lane, batch)
            for lane, error in list(self._elastic.hopeless()):
                self._couriers.fail(lane, error)
            self._couriers.dispatch_soon()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), LOOK_EVERY_SECONDS)

    def _watched(self, watching: asyncio.Task[None]) -> None:
        """Nobody follows the cluster any more: where that is an error, it is everybody's."""
        if not watching.cancelled() and (error := watching.exception()) is not None:
            for lane in self._elastic.lanes.values():
                self._couriers.fail(lane, error)
