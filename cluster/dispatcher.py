"""Ray tasks that carry evaluations: sent, sent again where overdue, cancelled, and their answers brought back."""

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


class Dispatcher:
    """Empties the queues of queues, as far as there are tasks for it."""

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
        """Processes take a second to start: let them do so while the seeds are evaluated.

        Those that hold a GPU end with their task, since what they have there is freed by nothing else.
        """
        if (hosts := self._hosts_of(queue)) is not None:
            hosts.start()
        elif not queue.resources.gpus:
            count = min(queue.places, queue.free, WARMED)
            self._warming = [self._remote(queue).remote(*packed([]), "train", None) for _ in range(count)]

    def dispatch_soon(self) -> None:
        """Once for all that ask in the same turn of the event loop, so that they travel together."""
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
        """Nothing in this queue can be evaluated."""
        waiting = [*queue.queue, *(one for batch in queue.batches for one in batch.members)]
        queue.queue.clear()
        for batch in queue.batches:
            _cancel(batch)
        for one in waiting:
            if not one.evaluation.done():
                one.evaluation.set_exception(error)

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
        """The processes that the queue's evaluations share; None where each has one of its own."""
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
        """The function, with what its tasks set aside and where they go.

        Who finds a place is spread over the nodes. Who has to wait does so here, until word comes of a place anywhere:
        spread as well, he would wait at one node, which may have died and is not missed for a quarter of a minute. Word
        takes some 50 ms, for every half second or every evaluation, whichever is longer.
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
            self.fail(queue, error)  # of ours, not of the task: what it carried would wait for ever
        self.dispatch_soon()

    async def _collect(self, queue: ResourceQueue, batch: Batch, reference: Any, host: Host | None) -> None:
        answer = await _answer(reference)
        lost = isinstance(answer, ray.exceptions.RayError)
        if host is not None:
            self._hosts[queue].put_back(host, batch, lost=lost)
        if batch.settled or (lost and len(batch.tasks) > 1):
            return  # the other copy has answered, or still may
        if batch.reissued is not None:
            self._elastic.on_event(_raced(queue, batch, None if lost else reference, answer))
        _cancel(batch, but=reference)
        if lost and (len(batch.members) > 1 or host is not None):
            self._try_each_alone(queue, batch)
            return
        if isinstance(answer, list):
            queue.observe(batch.kind, answer)
        _deliver(batch, answer)

    def _try_each_alone(self, queue: ResourceQueue, batch: Batch) -> None:
        """One of them may have killed the worker of the others."""
        for one in reversed(batch.members):
            one.alone = True
            queue.queue.appendleft(one)


async def _answer(reference: Any) -> Found | BaseException:
    """What a task came to; a RayError where its workers died, as often as Ray tries."""
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
    for place, one in enumerate(batch.members):
        if one.evaluation.done():
            continue
        if answer is None:
            one.evaluation.cancel()
        elif isinstance(answer, list):
            one.evaluation.set_result(answer[place])
        elif isinstance(answer, ray.exceptions.RayError):
            told = f"its worker died {1 + RETRIES} times: {answer}"
            one.evaluation.set_result(Evaluation("lost", feedback=told))
        else:
            one.evaluation.set_exception(answer)


def _cancel(batch: Batch, but: Any = None) -> None:
    """End its tasks at once, and their processes: what they would say is not wanted any more."""
    batch.settled = True
    for reference in batch.tasks.values():
        if reference is not None and reference is not but:
            ray.cancel(reference, force=True)


def _raced(queue: ResourceQueue, batch: Batch, winner: Any, answer: Found | BaseException) -> ClusterEvent:
    """Two copies of a task were under way, and this is what came of it."""
    answered = answer[0] if isinstance(answer, list) else None
    detail = {
        "digests": [one.digest for one in batch.members],
        "after_seconds": batch.reissued,
        "usual_seconds": queue.stragglers.usual_seconds(batch.kind),
        "answered_seconds": batch.waited_seconds,
        "winner": "none" if winner is None else ("first", "second")[batch.references.index(winner)],
        "node": answered.node if answered else None,
        "worker": answered.worker if answered else None,
    }
    return ClusterEvent("reissued", detail)
