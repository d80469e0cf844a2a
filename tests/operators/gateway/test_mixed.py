"""Laws of replies, responses and vectors together, under one ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from evo.ledger import Charge, Ledger, Reservation, charge_of
from evo.models import BudgetSpentError, Caps, Completion, Endpoint, Message, Request
from operators.gateway import EndpointGateway
from operators.gateway.prices import worst_case
from tests.support.fake_endpoint import FakeEndpoint, serve
from tests.support.gateway_bench import ASK, ENVIRONMENT, PRICE, QUICK

KINDS = {
    "chat": replace(ASK, model="chat"),
    "responses": replace(ASK, model="responses", max_tokens=5),
    "vector": Request("similarity", (Message("user", "x = 1"),), model="chat", output="vector"),
}
WORST = max(worst_case(request, PRICE, api="responses").tokens for request in KINDS.values())
TROUBLE = ("429", "500", "hang", "reset", "no usage", "invalid JSON", "400", "429 after 0.01", "400 temperature")


class WatchedLedger(Ledger):
    """Keeps the most that was ever spent and reserved together."""

    most = Charge()

    def reserve(self, worst: Charge) -> Reservation:
        reservation = super().reserve(worst)
        self._watch()
        return reservation

    def settle(self, reservation: Reservation, actual: Charge) -> None:
        super().settle(reservation, actual)
        self._watch()

    def _watch(self) -> None:
        held = self.spent + self.reserved
        self.most = Charge(
            max(self.most.nanodollars, held.nanodollars),
            max(self.most.tokens, held.tokens),
            max(self.most.calls, held.calls),
        )


async def answers_of(
    requests: Sequence[Request], script: Sequence[str], ledger: Ledger
) -> tuple[list[Completion | BaseException], int]:
    """What became of the requests, sent all at once, and how many HTTP requests arrived for them."""
    async with serve(FakeEndpoint(script)) as fake:
        chat = Endpoint("chat", fake.url, models=("chat",), price=PRICE, timeout_seconds=0.3, retries=2)
        other = replace(chat, name="responses", models=("responses",), api="responses")
        gateway = EndpointGateway([chat, other], "chat", ledger, environment=ENVIRONMENT, retry_policy=QUICK)
        answers = await asyncio.gather(*map(gateway.complete, requests), return_exceptions=True)
        await gateway.close()
    return answers, sum(fake.served.values())


@settings(max_examples=20)
@given(
    st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=24),
    st.lists(st.sampled_from(TROUBLE) | st.just("ok"), max_size=24),
    st.integers(1, 24),
)
def test_what_is_spent_and_reserved_never_passes_a_cap_whatever_is_asked(
    kinds: list[str], script: list[str], room: int
) -> None:
    caps = Caps(tokens=WORST * room, usd=1e-4 * room, calls=20)
    ledger = WatchedLedger(caps)
    requests = [replace(KINDS[kind], temperature=0.5) for kind in kinds]
    answers, sent = asyncio.run(answers_of(requests, script, ledger))
    ended = [answer for answer in answers if isinstance(answer, Completion)]
    assert len(ended) + sum(isinstance(answer, BudgetSpentError) for answer in answers) == len(kinds)
    assert ledger.most.tokens <= WORST * room
    assert ledger.most.usd <= 1e-4 * room
    assert ledger.most.calls <= 20
    assert ledger.spent == sum(map(charge_of, ended), Charge())
    assert ledger.reserved == Charge()
    assert sent <= sum(completion.requests for completion in ended)  # under load a try may time out before it is read


def test_a_budget_is_used_up_by_both_replies_and_vectors() -> None:
    requests = [KINDS[kind] for kind in ("chat", "vector", "responses")] * 20
    ledger = WatchedLedger(Caps(tokens=4 * WORST))
    answers, _ = asyncio.run(answers_of(requests, (), ledger))
    ended = [answer for answer in answers if isinstance(answer, Completion)]
    assert any(isinstance(answer, BudgetSpentError) for answer in answers)
    assert {completion.endpoint for completion in ended} == {"chat", "responses"}
    assert any(completion.output_tokens == 0 for completion in ended)
    assert 3 * WORST < ledger.most.tokens <= 4 * WORST
