"""The client of an endpoint: concurrency, rates, circuit breaker, prices and compatibility of its models."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

from evo.models import Completion, Endpoint, Health, Price, Request
from operators.gateway.breaker import Breaker
from operators.gateway.compatibility import ParameterCompatibility
from operators.gateway.forms import form_of
from operators.gateway.limits import Bucket
from operators.gateway.prices import OPENAI_URL, Output, price_of
from operators.gateway.retry_policy import RetryPolicy
from operators.gateway.transport import Transport

LOG = logging.getLogger(__name__)
FAILURES = frozenset({"failed", "timeout", "unreachable"})


class Visit:
    """A call in flight at an endpoint; says at the end how it went."""

    completion: Completion | None = None

    @property
    def failed(self) -> bool | None:
        """None where it says nothing of the endpoint: nothing was sent, or the caller gave up."""
        if self.completion is None or self.completion.outcome == "cancelled":
            return None
        return self.completion.outcome in FAILURES


class EndpointClient:
    """The state that all calls to an endpoint share."""

    def __init__(self, endpoint: Endpoint, environment: Mapping[str, str], retry_policy: RetryPolicy) -> None:
        self.transport = Transport(endpoint, environment, retry_policy)
        # With OPENAI_BASE_URL filled in, so that prices see the true address.
        self.endpoint = replace(endpoint, base_url=self.transport.url)
        self.retry_policy = retry_policy
        self.requests = Bucket(endpoint.requests_per_minute)
        self.tokens = Bucket(endpoint.tokens_per_minute)
        self._places = asyncio.Semaphore(endpoint.concurrency)
        self._breaker = Breaker(retry_policy)
        self._at_openai = urlsplit(self.transport.url).hostname == urlsplit(OPENAI_URL).hostname
        self._compatibilities: dict[tuple[str, Output], ParameterCompatibility] = {}
        self._prices: dict[tuple[str, Output], Price] = {}
        self._in_flight = 0
        self._calls = 0
        self._warned: set[tuple[str, str]] = set()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Visit]:
        """Wait for a free place, and while the endpoint is paused."""
        async with self._places:
            probe = await self._breaker.enter()
            visit = Visit()
            self._in_flight += 1
            try:
                yield visit
            finally:
                self._in_flight -= 1
                self._calls += visit.completion is not None
                self._breaker.leave(probe, visit.failed)

    def compatibility(self, request: Request, model: str) -> ParameterCompatibility:
        """How a request of its kind is put to the model."""
        key = model, request.output
        if key not in self._compatibilities:
            self._compatibilities[key] = ParameterCompatibility(
                form_of(request, self.endpoint), at_openai=self._at_openai
            )
        return self._compatibilities[key]

    def warn(self, model: str, sentence: str, said: str = "") -> None:
        """Log a sentence about a model, once, with what the endpoint said then."""
        if (model, sentence) not in self._warned:
            self._warned.add((model, sentence))
            words = f" ({said})" if said else ""
            hidden = self.transport.hide(f"model {model} at endpoint {self.endpoint.name}: {sentence}{words}")
            LOG.warning("%s", hidden)

    def price(self, model: str, output: Output) -> Price:
        """Looked up once, so that it stays the same for the whole run."""
        key = model, output
        if key not in self._prices:
            self._prices[key] = price_of(model, self.endpoint, output=output)
        return self._prices[key]

    @property
    def prices(self) -> Mapping[str, Price]:
        """Of the models that were asked for; a model that gives texts and vectors has the same price for both."""
        return {model: price for (model, _), price in self._prices.items()}

    @property
    def health(self) -> Health:
        breaker = self._breaker
        return Health(self._in_flight, self._calls, breaker.failures, breaker.paused, breaker.pause_left_seconds)
