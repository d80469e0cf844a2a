"""The model gateway, the only holder of keys and money: every completion goes through it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from evo.errors import ConfigError
from evo.ledger import Charge, Ledger
from evo.models import Completion, Endpoint, Health, ModelAccessError, Price, Request
from operators.gateway.budget_queue import BudgetQueue
from operators.gateway.call import CANCELLED, Call
from operators.gateway.endpoint_client import EndpointClient
from operators.gateway.endpoint_errors import AccessProblem
from operators.gateway.prices import Output, worst_case
from operators.gateway.retry_policy import RetryPolicy

Record = Callable[[Request, Completion], None]


class EndpointGateway:
    """Answers requests from OpenAI-compatible endpoints, within caps; an `evo.protocols.Gateway`.

    Replies come from an endpoint's chat completions or its Responses interface, vectors from its embeddings; retries,
    limits, pauses, caps and prices are the same for all three.

    For a completion an endpoint is sent at most 1 + retries HTTP requests, and another for each parameter that the
    model answers 400 about (once a run and model). Each takes at most the endpoint's timeout_seconds, and each wait
    between two of them at most `retry_policy.longest_wait_seconds`; waits for a free place, for the rates and for a
    paused endpoint come on top. It belongs to a single event loop.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        default_model: str,
        ledger: Ledger,
        *,
        environment: Mapping[str, str],
        asked: Mapping[str, Output] | None = None,
        record: Record | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        """Check keys, addresses and prices; nothing is sent.

        Args:
            default_model: for requests that name none.
            ledger: its caps, and what an earlier part of the same run spent of them.
            environment: where keys, and OPENAI_BASE_URL, are looked up.
            asked: models that will be asked, and for what, so that an unknown price is found out now.
            record: called with each completion before the caller gets it; what it raises, the caller gets.

        Raises:
            ConfigError: endpoints that share a name, a bad address, a price that is unknown.
            ModelAccessError: a key that is missing.
        """
        _check_names(endpoints)
        self._default_model = default_model
        self._clients = [EndpointClient(endpoint, environment, retry_policy or RetryPolicy()) for endpoint in endpoints]
        self._queue = BudgetQueue(ledger)
        self._record = record
        self._under_way: dict[asyncio.Task[Any], Call] = {}
        self._released = False
        self._price_all(asked or {})

    @property
    def ledger(self) -> Ledger:
        """What was spent and is reserved; to be read."""
        return self._queue.ledger

    @property
    def prices(self) -> Mapping[str, Price]:
        """Of every model that was configured or asked for, for the journal."""
        return {model: price for client in reversed(self._clients) for model, price in client.prices.items()}

    def health(self) -> Mapping[str, Health]:
        """Endpoint name to how it does."""
        return {client.endpoint.name: client.health for client in self._clients}

    async def complete(self, request: Request) -> Completion:
        """The completion, recorded and paid for; a failure of the endpoint is an outcome.

        A cancelled call is charged for what it may have used, and recorded, before CancelledError is raised further,
        with the completion as its argument.

        Raises:
            BudgetSpentError: a cap would be passed; nothing was sent.
            ModelAccessError: the key is refused, there is no such model, or the account has no credit.
            ConfigError: the model's price is unknown.
            ValueError: a vector of several messages.
        """
        _check_vector(request)
        model = request.model or self._default_model
        client = self._client_for(model)
        call = Call(request, model=model, price=client.price(model, request.output), client=client, queue=self._queue)
        with self._known(call, client):
            async with client.place() as visit:
                try:
                    reply = await call.run()
                except asyncio.CancelledError:
                    if not call.opened:
                        raise
                    visit.completion = self._recorded(request, call.completion(CANCELLED))
                    raise asyncio.CancelledError(visit.completion) from None
                visit.completion = self._recorded(request, call.completion(reply))
        if reply.access:
            raise ModelAccessError(_sentence(reply.access, request, client, visit.completion))
        return visit.completion

    def worst(self, request: Request) -> Charge:
        """The most that a completion is charged without retries.

        Raises:
            ModelAccessError, ConfigError: as `complete` would.
        """
        model = request.model or self._default_model
        return worst_case(request, self._client_for(model).price(model, request.output))

    def release(self) -> None:
        """Cancel the calls that have nothing on the wire, and from now on try nothing again."""
        self._released = True
        for task, call in self._under_way.items():
            call.last_try = True
            if not call.on_the_wire:
                task.cancel()

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.transport.close()

    @contextmanager
    def _known(self, call: Call, client: EndpointClient) -> Iterator[None]:
        """Register the call, for `release` to find."""
        task = asyncio.current_task()
        if task is None or (self._released and client.health.paused):
            raise asyncio.CancelledError
        call.last_try = self._released
        self._under_way[task] = call
        try:
            yield
        finally:
            del self._under_way[task]

    def _recorded(self, request: Request, completion: Completion) -> Completion:
        if self._record is not None:
            self._record(request, completion)
        return completion

    def _client_for(self, model: str) -> EndpointClient:
        if not model:
            raise ModelAccessError("the request names no model and the run has no default; name a model with --model")
        takers = [client for client in self._clients if model in client.endpoint.models]
        takers += [client for client in self._clients if not client.endpoint.models]
        if not takers:
            known = ", ".join(sorted({name for client in self._clients for name in client.endpoint.models}))
            raise ModelAccessError(f"no endpoint has a model {model!r}; known: {known}")
        return takers[0]

    def _price_all(self, asked: Mapping[str, Output]) -> None:
        """Now, so that an unknown price ends the run before it begins; models that are only named may give vectors."""
        named: dict[str, Output] = {name: "vector" for client in self._clients for name in client.endpoint.models}
        default: dict[str, Output] = {self._default_model: "text"} if self._default_model else {}
        for model, output in sorted({**named, **default, **asked}.items()):
            self._client_for(model).price(model, output)


def _check_vector(request: Request) -> None:
    if request.output == "vector" and len(request.messages) != 1:
        raise ValueError(f"a request for a vector has a single message, this has {len(request.messages)}")


def _check_names(endpoints: Sequence[Endpoint]) -> None:
    if not endpoints:
        raise ConfigError("a gateway needs an endpoint")
    for name, count in Counter(endpoint.name for endpoint in endpoints).items():
        if count > 1:
            raise ConfigError(f"{count} endpoints are named {name!r}; each needs a name of its own")


def _sentence(access: AccessProblem, request: Request, client: EndpointClient, completion: Completion) -> str:
    endpoint, model = client.endpoint, completion.model
    reasons = {
        "key": f"refuses the key in {endpoint.key_variable or 'no variable'} for model {model!r}",
        "model": f"has no model {model!r}, or no {client.compatibility(request, model).form.name} at this address",
        "credit": f"says that the account behind {endpoint.key_variable} has no credit left",
    }
    return f"endpoint {endpoint.name!r} {reasons[access]} ({completion.error})"
