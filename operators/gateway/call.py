"""A completion, from its reservation to what it cost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evo.ledger import Charge, Reservation
from evo.models import BudgetSpentError, Completion, Price, Request
from evo.values import clip_text
from operators.gateway.budget_queue import BudgetQueue
from operators.gateway.endpoint_client import EndpointClient
from operators.gateway.endpoint_errors import sentence_in
from operators.gateway.endpoint_replies import EndpointReply, read_answer
from operators.gateway.prices import cost, estimated_tokens, prompt_bound, reply_bound, worst_case
from operators.gateway.thoughts import answered, cut_off
from operators.gateway.transport import HttpAnswer

REASONING_BYTES = 16_384
MOST_FITS = 2  # the room that the server's numbers leave, and half of that where it counts in another way
LEARNT = {
    "system": "takes no system messages; their text goes in front of the first user message",
    "no stream": "only streams; it is asked to",
}
CANCELLED = EndpointReply("cancelled", error="cancelled by its caller", billing="free")

_JITTER = random.Random()  # spreads retries out; decides nothing that a search sees


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens and money that were charged."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    nanodollars: int = 0

    def __add__(self, other: Used) -> Used:
        return Used(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
            self.nanodollars + other.nanodollars,
        )


class Call:
    """A completion under way.

    It sends at most 1 + retries requests, another for each parameter that the model turns out not to take, and at most
    two for a reply that the server has no room for. At any time at most a single request is reserved for: a request
    that was answered by an error is free and leaves its reservation to the next; a request that may have been billed
    without an answer is paid for at its worst case, and the next reserves again.

    Attributes:
        on_the_wire: a request was sent, and its answer is still to come.
        last_try: a failure is not retried.
        opened: something was reserved, so there is a completion to record, whatever its outcome.
    """

    def __init__(
        self, request: Request, *, model: str, price: Price, client: EndpointClient, queue: BudgetQueue
    ) -> None:
        self._request = request
        self._model = model
        self._price = price
        self._client = client
        self._queue = queue
        self._compatibility = client.compatibility(request, model)
        self._prompt_tokens = sum(estimated_tokens(message.text) for message in request.messages)
        self._worst = worst_case(request, price, api=client.endpoint.api)
        self._reservation: Reservation | None = None
        self._used = Used()
        self._requests = 0
        self._fits = 0
        self._most_tokens = request.max_tokens
        self._started: float | None = None
        self.on_the_wire = False
        self.opened = False
        self.last_try = False

    async def run(self) -> EndpointReply:
        """Send until there is an answer or no use in another try; all that was reserved is settled.

        Raises:
            BudgetSpentError: a cap would be passed; nothing was sent.
        """
        self._reservation = await self._queue.reserve(self._worst)
        self.opened = True
        try:
            return await self._answered()
        finally:
            if self.on_the_wire:  # cancelled: the endpoint may answer all the same, and bill it
                self._pay(self._most())
            self._pay(Used())

    def completion(self, reply: EndpointReply) -> Completion:
        """The completion that the reply makes; its tokens and dollars are those of all requests that were charged."""
        transport, used = self._client.transport, self._used
        return Completion(
            outcome=reply.outcome,
            text=transport.hide_in_reply(reply.text),
            model=self._model,
            endpoint=self._client.endpoint.name,
            input_tokens=used.input_tokens,
            cached_tokens=used.cached_tokens,
            output_tokens=used.output_tokens,
            cost_usd=Charge(used.nanodollars).usd,
            seconds=0.0 if self._started is None else time.monotonic() - self._started,
            requests=self._requests,
            error=transport.hide(reply.error),
            reasoning=clip_text(transport.hide_in_reply(reply.reasoning), REASONING_BYTES),
        )

    async def _answered(self) -> EndpointReply:
        retries = 0
        while True:
            reply, retry_after, learnt = await self._send()
            if not learnt:
                if self.last_try or not reply.retry or retries == self._client.endpoint.retries:
                    return reply
                jitter = _JITTER.random()
                await asyncio.sleep(self._client.retry_policy.wait_seconds(retries, retry_after, jitter))
                retries += 1
            if not await self._reserved_again():
                return reply

    async def _send(self) -> tuple[EndpointReply, float | None, bool]:
        """An HTTP request, paid for; the wait that the endpoint asks for; whether the next request will differ."""
        prompt_tokens = self._prompt_tokens
        await self._client.requests.wait(1)
        await self._client.tokens.wait(prompt_tokens)
        fields = self._compatibility.fields(self._request, self._model, self._most_tokens)
        self._started = self._started or time.monotonic()
        self.on_the_wire = True
        self._requests += 1
        answer = await self._client.transport.send(self._compatibility.form.path, fields)
        self.on_the_wire = False
        self._requests -= not answer.sent
        reply = self._read(answer, fields)
        used = self._charged(reply)
        self._client.tokens.take(used.input_tokens + used.output_tokens - prompt_tokens)
        if reply.billing != "free":
            self._pay(used)
        return reply, answer.retry_after, self._learnt(answer, fields)

    def _read(self, answer: HttpAnswer, fields: Mapping[str, Any]) -> EndpointReply:
        """What the answer means, the model's thoughts apart from its text."""
        reply = read_answer(answer, self._compatibility.form.read)
        if self._request.output == "vector":
            return reply
        most_tokens = self._compatibility.length(fields)
        reply = answered(reply, most_tokens)
        if reply.answer_in_reasoning:
            self._client.warn(
                self._model, "gives its answers as reasoning_content, with an empty content; they are used"
            )
        if reply.outcome == "truncated" and not reply.text.strip():
            self._client.warn(self._model, cut_off(most_tokens))
        return reply

    def _learnt(self, answer: HttpAnswer, fields: Mapping[str, Any]) -> bool:
        """Whether the answer shows how the next request has to differ."""
        refused = self._compatibility.learn(answer, fields)
        for name in refused:
            sentence = LEARNT.get(name, f"takes no {name}; it is asked without")
            self._client.warn(self._model, sentence, sentence_in(answer.body))
        most_tokens = self._compatibility.limit(answer, fields)
        if most_tokens is None or self._fits == MOST_FITS:
            return bool(refused)
        self._fits += 1
        self._most_tokens = most_tokens
        sentence = f"has no room for {self._request.max_tokens} tokens of reply; they are cut to what fits"
        self._client.warn(self._model, sentence, sentence_in(answer.body))
        return True

    async def _reserved_again(self) -> bool:
        """Whether there is a reservation for another request; the caps may not allow it."""
        if self._reservation is None:
            try:
                self._reservation = await self._queue.reserve(Charge(self._worst.nanodollars, self._worst.tokens))
            except BudgetSpentError:
                return False
        return True

    def _charged(self, reply: EndpointReply) -> Used:
        if reply.billing == "free":
            return Used()
        if reply.billing == "worst":
            return self._most()
        given = self._prompt_tokens if reply.input_tokens is None else reply.input_tokens
        cached = min(reply.cached_tokens, given)
        output = estimated_tokens(reply.whole) if reply.output_tokens is None else reply.output_tokens
        charge = cost(self._price, given, output, cached_tokens=cached)
        return Used(given, cached, output, charge.nanodollars)

    def _most(self) -> Used:
        reply = reply_bound(self._request, self._client.endpoint.api)
        return Used(prompt_bound(self._request), 0, reply, self._worst.nanodollars)

    def _pay(self, used: Used) -> None:
        """Settle what is reserved; nothing to do where it is settled already."""
        if self._reservation is None:
            return
        calls = self._reservation.worst.calls
        self._queue.settle(self._reservation, Charge(used.nanodollars, used.input_tokens + used.output_tokens, calls))
        self._reservation = None
        self._used += used
