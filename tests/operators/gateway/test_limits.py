"""Laws of what the gateway spends and how fast: caps, cancelled calls, rates, pauses, prices."""

from __future__ import annotations

import asyncio
import math
import random
import time
from dataclasses import replace
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.errors import ConfigError
from evo.ledger import Charge, Ledger
from evo.models import FREE, BudgetSpentError, Caps, Completion, Endpoint, Message, Request
from operators.gateway import EndpointGateway, RetryPolicy, price_of
from operators.gateway.breaker import Breaker
from operators.gateway.limits import Bucket
from operators.gateway.prices import cost, prompt_bound, worst_case
from tests.support.fake_endpoint import count_tokens
from tests.support.gateway_bench import ASK, ENVIRONMENT, PRICE, QUICK, SCHEMA, Bench, bench


@given(st.integers(0, 10**6), st.none() | st.floats(0, 1e12), st.floats(0, 1))
def test_no_wait_before_a_retry_is_longer_than_the_longest(retry: int, asked: float | None, jitter: float) -> None:
    assert 0 <= RetryPolicy().wait_seconds(retry, asked, jitter) <= RetryPolicy().longest_wait_seconds


def test_no_more_calls_are_open_than_the_endpoint_has_places() -> None:
    async def act(test: Bench) -> None:
        await asyncio.gather(*(test.ask() for _ in range(20)))
        assert test.fake.busiest == 3
        assert test.health.calls == 20

    bench([], act, concurrency=3, delay_seconds=0.01, timeout_seconds=5.0)


def test_a_cancelled_call_is_charged_for_what_it_may_have_used_and_recorded() -> None:
    async def act(test: Bench) -> None:
        task = asyncio.ensure_future(test.ask())
        while not test.fake.bodies:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [completion.outcome for completion in test.completions] == ["cancelled"]
        assert test.gateway.ledger.spent == worst_case(ASK, PRICE)

    bench(["hang"], act, timeout_seconds=5.0)


def test_a_call_that_is_cancelled_before_it_has_a_place_costs_nothing() -> None:
    async def act(test: Bench) -> None:
        tasks = [asyncio.ensure_future(test.ask()) for _ in range(2)]
        while not test.fake.bodies:
            await asyncio.sleep(0.01)
        tasks[1].cancel()
        await asyncio.wait(tasks)
        assert [completion.outcome for completion in test.completions] == ["ok"]

    bench([], act, concurrency=1, delay_seconds=0.1)


def test_a_call_over_a_cap_is_not_sent() -> None:
    async def act(test: Bench) -> None:
        with pytest.raises(BudgetSpentError, match="the cap of 50 tokens is reached"):
            await test.ask()
        assert test.fake.bodies == []

    bench([], act, caps=Caps(tokens=50))


def test_a_budget_is_used_to_its_end_whatever_waits_for_it() -> None:
    room = 4 * worst_case(ASK, PRICE).tokens

    async def act(test: Bench) -> None:
        answers = await asyncio.gather(*(test.ask() for _ in range(60)), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, BudgetSpentError)]
        assert len(refused) + len(test.completions) == 60
        assert refused
        assert room - worst_case(ASK, PRICE).tokens < test.gateway.ledger.spent.tokens <= room

    bench([], act, caps=Caps(tokens=room), concurrency=60, timeout_seconds=5.0)


def test_what_an_earlier_part_of_the_run_spent_counts() -> None:
    endpoint = Endpoint("near", "http://127.0.0.1:1/v1")
    gateway = EndpointGateway([endpoint], "m", Ledger(Caps(calls=9), Charge(calls=9)), environment={})
    with pytest.raises(BudgetSpentError, match="9 calls spent"):
        asyncio.run(gateway.complete(ASK))


def test_the_books_balance_at_width_64_with_random_failures() -> None:
    rng = random.Random(5)
    bad = ["429", "500", "hang", "invalid JSON", "reset", "no usage", "truncated", "429 after 0.01"]
    script = [rng.choice(bad) if rng.random() < 0.25 else "ok" for _ in range(3000)]
    caps = Caps(usd=0.014, tokens=120_000, calls=10_000)

    async def act(test: Bench) -> None:
        over: list[Charge] = []

        async def watched() -> Completion:
            completion = await test.ask()
            ledger = test.gateway.ledger
            held = ledger.spent + ledger.reserved
            if held.usd > 0.014 or held.tokens > 120_000:
                over.append(held)
            return completion

        answers = await asyncio.gather(*(watched() for _ in range(600)), return_exceptions=True)
        refused = sum(isinstance(answer, BudgetSpentError) for answer in answers)
        ended = [answer for answer in answers if isinstance(answer, Completion)]
        assert refused + len(ended) == 600
        assert sorted(map(repr, ended)) == sorted(map(repr, test.completions))
        assert len({completion.outcome for completion in ended}) >= 3
        assert len(ended) > 100
        assert over == []

    bench(script, act, caps=caps, concurrency=64, timeout_seconds=0.8, retries=2)


def test_an_endpoint_that_keeps_failing_is_paused_probed_once_and_resumed() -> None:
    retry_policy = replace(QUICK, failures=5, first_pause_seconds=0.2)

    async def act(test: Bench) -> None:
        first = await asyncio.gather(*(test.ask() for _ in range(5)))
        assert {completion.outcome for completion in first} == {"failed"}
        assert test.health.paused
        assert 0 < test.health.pause_left_seconds <= 0.2
        began = time.monotonic()
        waiting = [asyncio.ensure_future(test.ask()) for _ in range(12)]
        await asyncio.sleep(0.1)
        assert len(test.fake.bodies) == 5
        later = await asyncio.gather(*waiting)
        assert time.monotonic() - began > 0.15 + 0.35
        assert sorted(completion.outcome for completion in later) == ["failed"] + ["ok"] * 11
        assert (test.health.failures, test.health.paused) == (0, False)

    bench(["500"] * 6, act, retry_policy=retry_policy, retries=0, timeout_seconds=5.0)


def test_a_probe_that_is_cancelled_leaves_its_turn_to_another() -> None:
    async def go() -> None:
        breaker = Breaker(replace(QUICK, failures=1, first_pause_seconds=0.02))
        breaker.leave(await breaker.enter(), failed=True)
        assert await breaker.enter() is True
        other = asyncio.ensure_future(breaker.enter())
        await asyncio.sleep(0.01)
        assert not other.done()
        breaker.leave(True, failed=None)
        assert await asyncio.wait_for(other, 1.0) is True
        breaker.leave(True, failed=False)
        assert await breaker.enter() is False

    asyncio.run(go())


def test_pauses_double_up_to_the_longest() -> None:
    assert [RetryPolicy().pause_seconds(n) for n in (0, 1, 2, 5, 6, 999)] == [5.0, 10.0, 20.0, 160.0, 300.0, 300.0]


@given(
    st.floats(1.0, 10_000.0),
    st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(0.5, 500.0)), min_size=1, max_size=40),
)
def test_no_stretch_of_time_sees_more_than_its_rate_and_a_seconds_worth(
    per_minute: float, steps: list[tuple[float, float]]
) -> None:
    now = 0.0
    bucket = Bucket(per_minute, clock=lambda: now)
    passed: list[tuple[float, float]] = []
    for pause, amount in steps:
        now += pause
        passed.append((now + bucket.take(amount), amount))
    rate, burst = per_minute / 60, max(1.0, per_minute / 60)
    for first, (begin, _) in enumerate(passed):
        for last in range(first, len(passed)):
            # The last of a stretch may be larger than what has come in: its debt is paid after it.
            before = sum(amount for _, amount in passed[first:last]) + min(passed[last][1], burst)
            assert before <= burst + rate * (passed[last][0] - begin) + 1e-6 * (1 + before)
    assert [at for at, _ in passed] == sorted(at for at, _ in passed)


def test_a_rate_holds_before_the_endpoint() -> None:
    async def act(test: Bench) -> None:
        began = time.monotonic()
        await asyncio.gather(*(test.ask() for _ in range(14)))
        assert time.monotonic() - began >= (14 - 10) * 0.1 - 0.02

    bench([], act, requests_per_minute=600, timeout_seconds=5.0)


def test_a_wait_for_the_rate_that_is_cancelled_takes_nothing() -> None:
    async def go() -> None:
        bucket = Bucket(60, clock=lambda: 0.0)
        await bucket.wait(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bucket.wait(1), 0.01)
        assert bucket.take(1) == pytest.approx(1.0)

    asyncio.run(go())


TEXT = st.builds(lambda text, times: text * times, st.text(max_size=50), st.integers(1, 100))
MESSAGES = st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), TEXT), min_size=1, max_size=5)


@settings(max_examples=40)
@given(MESSAGES, st.none() | st.just(SCHEMA))
def test_the_bound_of_a_prompt_is_above_what_any_byte_level_tokeniser_counts(
    messages: list[Message], schema: dict[str, Any] | None
) -> None:
    request = Request("test", tuple(messages), schema=schema)
    counted = count_tokens([{"content": message.text} for message in messages]) + len(repr(schema or ""))
    assert prompt_bound(request) >= counted


@given(MESSAGES, st.integers(0, 5000), st.integers(0, 5000), st.integers(1, 5000))
def test_no_call_within_its_bounds_costs_more_than_the_worst_case(
    messages: list[Message], given_tokens: int, cached: int, output: int
) -> None:
    request = Request("test", tuple(messages), max_tokens=5000)
    input_tokens = min(given_tokens, prompt_bound(request))
    worst, actual = worst_case(request, PRICE), cost(PRICE, input_tokens, output, cached_tokens=cached)
    assert actual.nanodollars <= worst.nanodollars
    assert actual.tokens <= worst.tokens
    assert actual.nanodollars >= 600 * output


def test_prices_are_the_endpoints_own_or_free_here_or_on_the_list_of_the_package() -> None:
    openai = Endpoint("openai")
    assert price_of("gpt-4o-mini", openai) == PRICE
    assert price_of("gpt-4o-mini", replace(openai, price=FREE)) == FREE
    for here in ("http://[::1]:1/v1", "http://localhost/v1"):
        assert price_of("any", Endpoint("here", here)) == FREE
    with pytest.raises(ConfigError, match="no price is known for model 'gpt-nonsense' at endpoint 'openai'"):
        price_of("gpt-nonsense", openai)
    assert not get_snapshot().from_auto_update


def test_the_price_of_every_named_model_is_there_to_be_written_down() -> None:
    gateway = EndpointGateway(
        [Endpoint("openai", models=("gpt-4o-mini",))], "gpt-4o-mini", Ledger(Caps()), environment=ENVIRONMENT
    )
    assert gateway.prices == {"gpt-4o-mini": PRICE}


def test_the_dollars_of_completions_add_up_in_doubles_too() -> None:
    async def act(test: Bench) -> None:
        await asyncio.gather(*(test.ask() for _ in range(30)))
        assert math.fsum(completion.cost_usd for completion in test.completions) == pytest.approx(
            test.gateway.ledger.spent.usd, rel=1e-15
        )

    bench([], act)


def test_failures_that_were_under_way_when_a_pause_began_do_not_lengthen_it() -> None:
    now = 0.0
    breaker = Breaker(replace(QUICK, failures=2), clock=lambda: now)
    for _ in range(9):
        breaker.leave(False, failed=True)
    assert (breaker.failures, breaker.pause_left_seconds) == (9, QUICK.first_pause_seconds)
    breaker.leave(False, failed=False)
    assert not breaker.paused
