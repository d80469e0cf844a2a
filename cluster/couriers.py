"""Ray tasks that carry evaluations: sent, sent again where overdue, cancelled, and their answers brought back."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from functools import partial
from typing import Any

import ray

from cluster.capacity import reserved
from cluster.elastic import Elastic
from cluster.lanes import Batch, Lane
from cluster.ray_cluster import namespace
from cluster.remote import Found, evaluator, packed
from evo.errors import EvoError, SandboxError
from evo.protocols import Incident, Job
from evo.values import Evaluation

RETRIES = 3
"""How often Ray tries again where a worker or a node dies."""
WARMED = 16


class Couriers:
    """Empties the queues of lanes, as far as there are tasks for it."""

    def __init__(self, job: Job, elastic: Elastic) -> None:
        self._elastic = elastic
        self._name = namespace(job)
        self._evaluate = evaluator(job)
        self._remotes: dict[Hashable, Any] = {}
        self._warming: list[Any] = []
        self._dispatching = False
        self._closed = False

    def warm(self, lane: Lane) -> None:
        """Processes take a second to start: let them do so while the seeds are evaluated.

        Those that hold a GPU end with their task, since what they have there is freed by nothing else.
        """
        if not lane.resources.gpus:
            count = min(lane.places, lane.free, WARMED)
            self._warming = [self._remote(lane).remote(*packed([]), "train", None) for _ in range(count)]

    def dispatch_soon(self) -> None:
        """Once for all that ask in the same turn of the event loop, so that they travel together."""
        if not self._dispatching and not self._closed:
            self._dispatching = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def reissue(self, lane: Lane, batch: Batch) -> None:
        """Give an overdue task to another worker as well."""
        batch.reissued = batch.waited_seconds
        self._send(lane, batch)

    def fail(self, lane: Lane, error: BaseException) -> None:
        """Nothing in this lane can be evaluated."""
        waiting = [*lane.queue, *(one for batch in lane.batches for one in batch.members)]
        lane.queue.clear()
        for batch in lane.batches:
            _cancel(batch)
        for one in waiting:
            if not one.evaluation.done():
                one.evaluation.set_exception(error)

    async def close(self) -> None:
        """Cancel all tasks."""
        self._closed = True
        batches = [batch for lane in self._elastic.lanes.values() for batch in lane.batches]
        running = [task for batch in batches for task in batch.tasks]
        for batch in batches:
            _cancel(batch)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for reference in self._warming:
            ray.cancel(reference, force=True)

    def _remote(self, lane: Lane) -> Any:
        """The function, with what its tasks set aside and where they go.

        Who finds a place is spread over the nodes. Who has to wait does so here, until word comes of a place anywhere:
        spread as well, he would wait at one node, which may have died and is not missed for a quarter of a minute. Word
        takes some 50 ms, for every half second or every evaluation, whichever is longer.
        """
        strategy = "SPREAD" if lane.running < lane.places else "DEFAULT"
        key = lane.resources.key, strategy
        if key not in self._remotes:
            amounts = reserved(lane.resources)
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
        for lane in self._elastic.lanes.values():
            while lane.queue and lane.free > 0 and self._elastic.free > 0:
                if (batch := lane.next_batch()) is not None:
                    lane.batches[batch] = None
                    self._send(lane, batch)

    def _send(self, lane: Lane, batch: Batch) -> None:
        first = batch.members[0]
        works = packed([one.sent for one in batch.members])
        reference = self._remote(lane).remote(*works, first.part, first.mail)
        batch.references.append(reference)
        task = asyncio.get_running_loop().create_task(self._collect(lane, batch, reference))
        batch.tasks[task] = reference
        task.add_done_callback(partial(self._finished, lane, batch))

    def _finished(self, lane: Lane, batch: Batch, task: asyncio.Task[None]) -> None:
        del batch.tasks[task]
        if not batch.tasks:
            lane.batches.pop(batch, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(lane, error)  # of ours, not of the task: what it carried would wait for ever
        self.dispatch_soon()

    async def _collect(self, lane: Lane, batch: Batch, reference: Any) -> None:
        answer = await _answer(reference)
        lost = isinstance(answer, ray.exceptions.RayError)
        if batch.settled or (lost and len(batch.tasks) > 1):
            return  # the other copy has answered, or still may
        if batch.reissued is not None:
            self._elastic.notice(_raced(lane, batch, None if lost else reference, answer))
        _cancel(batch, but=reference)
        if lost and len(batch.members) > 1:
            self._try_each_alone(lane, batch)
            return
        if isinstance(answer, list):
            lane.told(batch.kind, answer)
        _deliver(batch, answer)

    def _try_each_alone(self, lane: Lane, batch: Batch) -> None:
        """One of them may have killed the worker of the others."""
        for one in reversed(batch.members):
            one.alone = True
            lane.queue.appendleft(one)


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
        if reference is not but:
            ray.cancel(reference, force=True)


def _raced(lane: Lane, batch: Batch, winner: Any, answer: Found | BaseException) -> Incident:
    """Two copies of a task were under way, and this is what came of it."""
    answered = answer[0] if isinstance(answer, list) else None
    detail = {
        "digests": [one.digest for one in batch.members],
        "after_seconds": batch.reissued,
        "usual_seconds": lane.stragglers.usual_seconds(batch.kind),
        "answered_seconds": batch.waited_seconds,
        "winner": "none" if winner is None else ("first", "second")[batch.references.index(winner)],
        "node": answered.node if answered else None,
        "worker": answered.worker if answered else None,
    }
    return Incident("reissued", detail)
