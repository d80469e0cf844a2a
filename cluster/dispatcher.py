"""Sends evaluations to Ray as tasks, sends overdue ones a second time, cancels them, and delivers their results."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from functools import partial
from typing import Any

import ray

from cluster.capacity import reserved
from cluster.elastic import Elastic
from cluster.hosts import Host, Hosts
from cluster.queues import Batch, ResourceQueue
from cluster.ray_cluster import namespace
from cluster.remote import Found, evaluator, packed
from evo.errors import EvoError, SandboxError
from evo.protocols import ClusterEvent, Job
from evo.values import Evaluation

RETRIES = 3
"""How often Ray tries again where a worker or a node dies."""
WARMED = 16
"""Worker processes that are started ahead, at most."""


class Dispatcher:
    """Empties the queues, as far as more tasks may be in flight."""

    def __init__(self, job: Job, elastic: Elastic) -> None:
        self._elastic = elastic
        self._name = namespace(job)
        self._job = job
        self._evaluate = evaluator(job)
        self._hosts: dict[ResourceQueue, Hosts] = {}
        self._remotes: dict[Hashable, Any] = {}
        self._warming: list[Any] = []
        self._dispatching = False
        self._closed = False

    def warm(self, queue: ResourceQueue) -> None:
        """Start worker processes ahead, since each takes a second to start.

        Not those with a GPU, which end with their task, as nothing else frees the memory that they hold there.
        """
        if (hosts := self._hosts_of(queue)) is not None:
            hosts.start()
        elif not queue.resources.gpus:
            count = min(queue.places, queue.free, WARMED)
            self._warming = [self._remote(queue).remote(*packed([]), "train", None) for _ in range(count)]

    def dispatch_soon(self) -> None:
        """Dispatch once for all calls in the same turn of the event loop, so that short evaluations share a task."""
        if not self._dispatching and not self._closed:
            self._dispatching = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def reissue(self, queue: ResourceQueue, batch: Batch) -> None:
        """Give an overdue task to another worker as well."""
        hosts = self._hosts_of(queue)
        host = hosts.free(batch) if hosts else None
        if hosts and host is None:
            return
        batch.reissued = batch.waited_seconds
        self._send(queue, batch, host)

    def fail(self, queue: ResourceQueue, error: BaseException) -> None:
        """Let all evaluations of a queue raise this error."""
        failing = [*queue.queue, *(member for batch in queue.batches for member in batch.members)]
        queue.queue.clear()
        for batch in queue.batches:
            _cancel(batch)
        for waiting in failing:
            if not waiting.evaluation.done():
                waiting.evaluation.set_exception(error)

    async def close(self) -> None:
        """Cancel all tasks."""
        self._closed = True
        batches = [batch for queue in self._elastic.queues.values() for batch in queue.batches]
        running = [task for batch in batches for task in batch.tasks]
        for batch in batches:
            _cancel(batch)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for hosts in self._hosts.values():
            hosts.close()
        for reference in self._warming:
            ray.cancel(reference, force=True)

    def _hosts_of(self, queue: ResourceQueue) -> Hosts | None:
        """The processes that the queue's evaluations share; None where each has its own."""
        if queue.per_process == 1:
            return None
        if queue not in self._hosts:
            self._hosts[queue] = Hosts(
                self._job,
                queue,
                name=self._name,
                fixed=self._elastic.fixed,
                changed=self.dispatch_soon,
                failed=partial(self.fail, queue),
            )
        return self._hosts[queue]

    def _remote(self, queue: ResourceQueue) -> Any:
        """The remote function, with its resources and its scheduling strategy.

        Tasks that find a place are spread over the nodes. Tasks that have to wait do so on this node, until a place is
        free anywhere: spread as well, they would wait at a node that may have died, which Ray notices after 15 s. That
        costs some 50 ms for every half second or every evaluation, whichever is longer.
        """
        strategy = "SPREAD" if queue.running < queue.places else "DEFAULT"
        key = queue.resources.key, strategy
        if key not in self._remotes:
            amounts = reserved(queue.resources)
            made = ray.remote(
                num_cpus=amounts.pop("CPU", 0),
                num_gpus=amounts.pop("GPU", 0),
                memory=int(amounts.pop("memory", 0)) or None,
                resources=amounts,
                max_retries=RETRIES,
                scheduling_strategy=strategy,
            )
            self._remotes[key] = made(self._evaluate).options(name=self._name)
        return self._remotes[key]

    def _dispatch(self) -> None:
        self._dispatching = False
        if self._closed:
            return
        for queue in self._elastic.queues.values():
            hosts = self._hosts_of(queue)
            if hosts is not None:
                hosts.fit()
            while queue.queue and queue.free > 0 and self._elastic.free > 0:
                shared = hosts is not None and not queue.queue[0].alone
                host = hosts.free() if hosts and shared else None
                if shared and host is None:
                    break
                if (batch := queue.next_batch()) is not None:
                    queue.batches[batch] = None
                    self._send(queue, batch, host)

    def _send(self, queue: ResourceQueue, batch: Batch, host: Host | None = None) -> None:
        """Send it to a process that evaluations share, or as a task of its own."""
        first = batch.members[0]
        works = packed([waiting.sent for waiting in batch.members])
        evaluate = host.actor.evaluate if host else self._remote(queue)
        reference = evaluate.remote(*works, first.part, first.mail)
        if host:
            host.held.add(batch)
        batch.references.append(reference)
        task = asyncio.get_running_loop().create_task(self._collect(queue, batch, reference, host))
        batch.tasks[task] = None if host else reference
        task.add_done_callback(partial(self._finished, queue, batch))

    def _finished(self, queue: ResourceQueue, batch: Batch, task: asyncio.Task[None]) -> None:
        del batch.tasks[task]
        if not batch.tasks:
            queue.batches.pop(batch, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(queue, error)  # an error of this module: its evaluations would wait for ever
        self.dispatch_soon()

    async def _collect(self, queue: ResourceQueue, batch: Batch, reference: Any, host: Host | None) -> None:
        answer = await _answer(reference)
        lost = isinstance(answer, ray.exceptions.RayError)
        if host is not None:
            self._hosts[queue].put_back(host, batch, lost=lost)
        if batch.settled or (lost and len(batch.tasks) > 1):
            return  # the other copy has answered, or still may
        if batch.reissued is not None:
            self._elastic.on_event(_reissue_event(queue, batch, None if lost else reference, answer))
        _cancel(batch, but=reference)
        if lost and (len(batch.members) > 1 or host is not None):
            self._try_each_alone(queue, batch)
            return
        if isinstance(answer, list):
            queue.observe(batch.kind, answer)
        _deliver(batch, answer)

    def _try_each_alone(self, queue: ResourceQueue, batch: Batch) -> None:
        """Queue its evaluations again, each for a process of its own: any of them may have killed the worker."""
        for waiting in reversed(batch.members):
            waiting.alone = True
            queue.queue.appendleft(waiting)


async def _answer(reference: Any) -> Found | BaseException:
    """The result of a task; a RayError where its workers died as often as Ray tries."""
    try:
        found: Found = await reference
    except ray.exceptions.RayTaskError as error:
        cause: BaseException = error.cause if isinstance(error.cause, EvoError) else SandboxError(str(error))
        return cause
    except ray.exceptions.RayError as error:
        lost: BaseException = error
        return lost
    return found


def _deliver(batch: Batch, answer: Found | BaseException) -> None:
    for place, waiting in enumerate(batch.members):
        if waiting.evaluation.done():
            continue
        if answer is None:
            waiting.evaluation.cancel()
        elif isinstance(answer, list):
            waiting.evaluation.set_result(answer[place])
        elif isinstance(answer, ray.exceptions.RayError):
            reason = f"its worker died {1 + RETRIES} times: {answer}"
            waiting.evaluation.set_result(Evaluation("lost", feedback=reason))
        else:
            waiting.evaluation.set_exception(answer)


def _cancel(batch: Batch, but: Any = None) -> None:
    """End its other tasks and their processes at once: their results are not needed any more."""
    batch.settled = True
    for reference in batch.tasks.values():
        if reference is not None and reference is not but:
            ray.cancel(reference, force=True)


def _reissue_event(queue: ResourceQueue, batch: Batch, winner: Any, answer: Found | BaseException) -> ClusterEvent:
    """The event that says which of two copies of a task answered first."""
    answered = answer[0] if isinstance(answer, list) else None
    detail = {
        "digests": [waiting.digest for waiting in batch.members],
        "after_seconds": batch.reissued,
        "usual_seconds": queue.stragglers.usual_seconds(batch.kind),
        "answered_seconds": batch.waited_seconds,
        "winner": "none" if winner is None else ("first", "second")[batch.references.index(winner)],
        "node": answered.node if answered else None,
        "worker": answered.worker if answered else None,
    }
    return ClusterEvent("reissued", detail)
