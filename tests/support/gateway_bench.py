"""A gateway before a fake endpoint, with its books checked at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from evo.ledger import Charge, Ledger, charge_of
from evo.models import Caps, Completion, Endpoint, Health, Message, Price, Request
from operators.gateway import EndpointGateway, RetryPolicy
from tests.support.fake_endpoint import FakeEndpoint, serve

T = TypeVar("T")

KEY = "sk-secret-0123456789abcdef"
ENVIRONMENT = {"OPENAI_API_KEY": KEY}
QUICK = RetryPolicy(
    first_wait_seconds=0.01, longest_wait_seconds=0.05, first_pause_seconds=0.1, longest_pause_seconds=0.4
)
PRICE = Price(0.15, 0.6, 0.075)
SCHEMA = {"type": "object", "properties": {"x": {"type": "number"}}}
ASK = Request("test", (Message("system", "Be brief."), Message("user", "Say hello.")), max_tokens=32)
Recorded = list[tuple[Request, Completion]]


class Bench:
    """A gateway before one fake endpoint, and what it recorded."""

    def __init__(self, fake: FakeEndpoint, caps: Caps, retry_policy: RetryPolicy, options: dict[str, Any]) -> None:
        self.fake = fake
        self.recorded: Recorded = []
        endpoint = Endpoint("fake", fake.url, price=PRICE, timeout_seconds=patience_for(fake.script))
        self.gateway = EndpointGateway(
            [replace(endpoint, **options)],
            "small",
            Ledger(caps),
            environment=ENVIRONMENT,
            record=lambda request, completion: self.recorded.append((request, completion)),
            retry_policy=retry_policy,
        )

    @property
    def completions(self) -> list[Completion]:
        return [completion for _, completion in self.recorded]

    @property
    def health(self) -> Health:
        return self.gateway.health()["fake"]

    async def ask(self, request: Request = ASK) -> Completion:
        return await self.gateway.complete(request)


def patience_for(script: Iterable[str]) -> float:
    """Seconds to wait for an answer: few where some are meant never to come, many where a busy machine may be slow."""
    return 1.0 if "hang" in script else 30.0


def bench(
    script: Sequence[str],
    act: Callable[[Bench], Awaitable[T]],
    *,
    caps: Caps = Caps(),  # noqa: B008 - frozen
    retry_policy: RetryPolicy = QUICK,
    delay_seconds: float = 0.0,
    **options: Any,
) -> T:
    """Run `act` with a gateway before a server that follows `script`; the books must balance afterwards."""

    async def go() -> T:
        async with serve(FakeEndpoint(script, delay_seconds)) as fake:
            test = Bench(fake, caps, retry_policy, options)
            try:
                return await act(test)
            finally:
                await test.gateway.close()
                await check_the_books(test)

    return asyncio.run(go())


async def check_the_books(test: Bench) -> None:
    """Spent is the sum over the completions to the last digit, and nothing stays reserved."""
    ledger, ended = test.gateway.ledger, test.completions
    assert ledger.spent == sum(map(charge_of, ended), Charge())
    assert ledger.reserved == Charge()
    sent = sum(completion.requests for completion in ended)
    for _ in range(500):  # of a request that timed out, a busy server may hear late
        if sum(test.fake.served.values()) == sent:
            break
        await asyncio.sleep(0.01)
    assert sum(test.fake.served.values()) == sent
    assert test.health.in_flight == 0


def one_ask(*script: str, **options: Any) -> Completion:
    return bench(script, lambda test: test.ask(), **options)
