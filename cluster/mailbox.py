"""Carries the requests of evaluations in Ray workers to a language model in the driver, and the replies back.

    worker -> mailbox   ask(ticket, requests), which waits for the reply
    driver -> mailbox   take(), which waits for pending requests; answer(number, reply)

The mailbox is a small actor on the driver's node. It holds no model and no key, only requests and their replies.
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
"""None where the evaluation was cancelled."""

_DIED = "the mailbox between the workers and the driver's language model has died; `evo resume` goes on from here"
_CALLS_AT_ONCE = 10_000
"""Each `ask` of a worker is a call that waits; `take` and `answer` need room beside them."""


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """The requests of a call of `Run.ask`.

    Attributes:
        number: identifies the call in the reply.
        ticket: identifies the evaluation.
    """

    number: int
    ticket: int
    requests: tuple[Request, ...]


class Mailbox:
    """The actor: keeps requests until the driver takes them, and replies until the workers have them."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._pending: list[PendingRequest] = []
        self._arrived = asyncio.Event()
        self._replies: dict[int, asyncio.Future[Reply]] = {}

    async def ask(self, ticket: int, requests: tuple[Request, ...]) -> Reply:
        """Leave requests and wait for their reply."""
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
        """All pending requests; waits until there are any."""
        await self._arrived.wait()
        self._arrived.clear()
        pending, self._pending = self._pending, []
        return pending

    async def answer(self, number: int, reply: Reply) -> None:
        """Deliver a reply, unless the worker that asked has died."""
        if number in self._replies:
            self._replies[number].set_result(reply)


def answerer(mailbox: Any, ticket: int) -> Answerer:
    """The worker's side: what `Run.ask` calls.

    Raises, when called:
        CancelledError: the evaluation was cancelled.
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
    """An evaluation that may ask a model."""

    model: Model
    evaluation: asyncio.Future[Evaluation]
    answers: set[asyncio.Task[Reply]] = field(default_factory=set)

    async def reply(self, requests: Sequence[Request]) -> Reply:
        try:
            return await complete_all(self.model, requests)
        except Exception as error:  # of the model, not of the candidate: it goes to the evaluation, past the worker
            self.fail(error)
            return None

    def fail(self, error: Exception) -> None:
        if not self.evaluation.done():
            self.evaluation.set_exception(error)


class MailboxClient:
    """The driver's side: takes requests out of a mailbox of its own and has the evaluation's model answer each.

    To be made in the event loop of the models.

    Attributes:
        mailbox: Ray's handle of the actor, for `answerer`.
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
        """A ticket with which an evaluation asks this model; what the model raises, the evaluation raises."""
        ticket = next(self._tickets)
        self._askers[ticket] = _Asker(model, evaluation)
        return ticket

    def dismiss(self, ticket: int) -> None:
        """The evaluation has ended or was cancelled: cancel the replies that it still waits for."""
        for answer in self._askers.pop(ticket).answers:
            answer.cancel()

    async def close(self) -> None:
        """End all tasks, and the actor."""
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
