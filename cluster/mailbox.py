"""How what an evaluation asks in a Ray worker reaches a model in the driver, and the answers the evaluation.

    worker -> mailbox   ask(ticket, requests), which waits for the reply
    driver -> mailbox   take(), which waits for pending; answer(number, reply)

The mailbox is a small actor on the driver's node. It knows no model and no key, only which reply belongs to whom.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.evaluation import Answerer
from evo.errors import SandboxError
from evo.models import Completion, Model, Request, complete_all
from evo.values import Evaluation

Reply: TypeAlias = list[Completion] | None
"""None where the evaluation is not wanted any more."""

_DIED = "the mailbox between the workers and the driver's language model has died; `evo resume` goes on from here"
_CALLS_AT_ONCE = 10_000
"""Each worker's `ask` is a call that waits; `take` and `answer` need room beside them all."""


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """What one call of `Run.ask` sends.

    Attributes:
        number: to be given with the reply.
        ticket: of the evaluation that asks.
    """

    number: int
    ticket: int
    requests: tuple[Request, ...]


class Mailbox:
    """The actor."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._pending: list[PendingRequest] = []
        self._arrived = asyncio.Event()
        self._replies: dict[int, asyncio.Future[Reply]] = {}

    async def ask(self, ticket: int, requests: tuple[Request, ...]) -> Reply:
        """Leave a pending and wait for its reply."""
        number = next(self._numbers)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._replies[number] = reply
        self._pending.append(PendingRequest(number, ticket, requests))
        self._arrived.set()
        try:
            return await reply
        finally:
            del self._replies[number]

    async def take(self) -> list[PendingRequest]:
        """All pending that lie here, at least one."""
        await self._arrived.wait()
        self._arrived.clear()
        pending, self._pending = self._pending, []
        return pending

    async def answer(self, number: int, reply: Reply) -> None:
        """Hand a reply to whoever waits for it; a worker that died in the meantime does not."""
        if number in self._replies:
            self._replies[number].set_result(reply)


def answerer(mailbox: Any, ticket: int) -> Answerer:
    """The worker's end: what `Run.ask` calls.

    Raises, when called:
        CancelledError: the evaluation is not wanted any more.
        SandboxError: the mailbox has died.
    """

    def ask(requests: Sequence[Request]) -> list[Completion]:
        try:
            reply: Reply = ray.get(mailbox.ask.remote(ticket, tuple(requests)))
        except ray.exceptions.RayError as error:
            raise SandboxError(_DIED) from error
        if reply is None:
            raise asyncio.CancelledError
        return reply

    return ask


@dataclass(eq=False, slots=True)
class _Asker:
    """An evaluation that may ask."""

    model: Model
    evaluation: asyncio.Future[Evaluation]
    answers: set[asyncio.Task[Reply]] = field(default_factory=set)

    async def reply(self, requests: Sequence[Request]) -> Reply:
        try:
            return await complete_all(self.model, requests)
        except (
            Exception
        ) as error:  # whatever the model raises is no failure of the candidate, so it passes the worker by
            self.fail(error)
            return None

    def fail(self, error: Exception) -> None:
        if not self.evaluation.done():
            self.evaluation.set_exception(error)


class MailboxClient:
    """The driver's end: takes pending out of a mailbox of its own and has each answered by its evaluation's model.

    For the event loop in which it is made, and that of the models.

    Attributes:
        mailbox: handle of the actor, for `answerer`.
    """

    def __init__(self) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor = ray.remote(num_cpus=0, max_concurrency=_CALLS_AT_ONCE, scheduling_strategy=here)(Mailbox)
        self.mailbox: Any = actor.remote()
        self._tickets = itertools.count()
        self._askers: dict[int, _Asker] = {}
        self._forwarder = asyncio.get_running_loop().create_task(self._forward())

    @property
    def broken(self) -> bool:
        """Whether the mailbox has died; its evaluations have failed then."""
        return self._forwarder.done()

    def admit(self, evaluation: asyncio.Future[Evaluation], model: Model) -> int:
        """A ticket with which an evaluation asks this model; what the model raises becomes the evaluation's."""
        ticket = next(self._tickets)
        self._askers[ticket] = _Asker(model, evaluation)
        return ticket

    def dismiss(self, ticket: int) -> None:
        """The evaluation has ended, or is not wanted any more: cancel what it still waits for."""
        for answer in self._askers.pop(ticket).answers:
            answer.cancel()

    async def close(self) -> None:
        """Leave no task and no actor."""
        left = [self._forwarder, *(answer for asker in self._askers.values() for answer in asker.answers)]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        ray.kill(self.mailbox)

    async def _forward(self) -> None:
        try:
            while True:
                for pending in await self.mailbox.take.remote():
                    self._open(pending)
        except ray.exceptions.RayError:
            for asker in self._askers.values():
                asker.fail(SandboxError(_DIED))

    def _open(self, pending: PendingRequest) -> None:
        asker = self._askers.get(pending.ticket)
        if asker is None:
            self.mailbox.answer.remote(pending.number, None)
            return
        answer = asyncio.get_running_loop().create_task(asker.reply(pending.requests))
        asker.answers.add(answer)
        answer.add_done_callback(asker.answers.discard)
        answer.add_done_callback(partial(self._send, pending.number))

    def _send(self, number: int, answer: asyncio.Task[Reply]) -> None:
        self.mailbox.answer.remote(number, None if answer.cancelled() else answer.result())
