"""Laws of vectors by the gateway, against a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
import base64
import struct
from dataclasses import replace
from typing import Any

import pytest

from evo.errors import ConfigError
from evo.ledger import Charge, Ledger
from evo.models import BudgetSpentError, Caps, Completion, Endpoint, Message, ModelAccessError, Price, Request
from operators.gateway import EndpointGateway, price_of
from operators.gateway.prices import prompt_bound, worst_case
from tests.support.fake_endpoint import count_tokens
from tests.support.gateway_bench import ASK, ENVIRONMENT, PRICE, Bench, bench

TEXT = "def f(x):\n    return x"
VECTOR = Request("similarity", (Message("user", TEXT),), output="vector")


def one_vector(*script: str, **options: Any) -> Completion:
    return bench(script, lambda test: test.ask(VECTOR), **options)


def numbers(completion: Completion) -> tuple[float, ...]:
    packed = base64.b64decode(completion.text, validate=True)
    return struct.unpack(f"<{len(packed) // 4}f", packed)


def test_a_vector_is_asked_of_the_embeddings_interface_in_base64() -> None:
    async def act(test: Bench) -> None:
        completion = await test.ask(VECTOR)
        assert (completion.outcome, completion.model, completion.requests) == ("ok", "small", 1)
        assert numbers(completion) == (1.0, -0.5, 0.25)
        assert test.fake.bodies == [{"model": "small", "input": TEXT, "encoding_format": "base64"}]

    bench([], act)


def test_a_vector_costs_its_input_and_nothing_else() -> None:
    completion = one_vector("ok")
    tokens = count_tokens([{"content": TEXT}])
    assert (completion.input_tokens, completion.output_tokens) == (tokens, 0)
    assert completion.cost_usd == pytest.approx(tokens * 0.15 / 1e6, abs=1e-9)
    assert worst_case(VECTOR, PRICE).tokens == prompt_bound(VECTOR)


def test_a_server_that_knows_numbers_only_gives_the_same_vector() -> None:
    plain = one_vector("ok")
    assert one_vector("numbers").text == plain.text

    async def refused(test: Bench) -> None:
        first, second = await test.ask(VECTOR), await test.ask(VECTOR)
        assert (first.text, first.requests) == (plain.text, 2)
        assert (second.text, second.requests) == (plain.text, 1)
        assert ["encoding_format" in body for body in test.fake.bodies] == [True, False, False]

    bench(["400 encoding_format"], refused, retries=0)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("NaN", "not finite"),
        ("NaN as number", "not finite"),
        ("too large", "not finite"),
        ("far too large", "not finite"),
        ("words", "a list of other things than numbers"),
        ("truths", "a list of other things than numbers"),
        ("nothing", "the vector is empty"),
        ("empty text", "the vector is empty"),
        ("null", "neither base64 nor a list"),
        ("no base64", "no base64"),
        ("odd bytes", "5 bytes, which 32-bit floats cannot have"),
        ("no row", "expected a single vector for a text, got 0"),
        ("two rows", "expected a single vector for a text, got 2"),
        ("no data", "expected a single vector for a text, got none"),
        ("error without a code", "upstream is down"),
        ("invalid JSON", "not JSON"),
        ("400", "HTTP 400"),
    ],
)
def test_what_is_no_vector_is_a_failed_completion_with_a_reason(script: str, said: str) -> None:
    completion = one_vector(script)
    assert (completion.outcome, completion.text, completion.requests) == ("failed", "", 1)
    assert said in completion.error


def test_input_that_the_endpoint_does_not_count_is_estimated() -> None:
    assert one_vector("no usage").input_tokens == -(-len(TEXT) // 4)


def test_a_failed_try_is_repeated_and_free_for_vectors_too() -> None:
    twice = one_vector("429", "error in 200", "ok")
    assert (twice.outcome, twice.requests, twice.cost_usd) == ("ok", 3, one_vector("ok").cost_usd)


def test_a_vector_that_hangs_is_charged_as_its_worst_case_and_asked_for_again() -> None:
    lost = one_vector("hang", "ok")
    worst = worst_case(VECTOR, PRICE)
    assert (lost.outcome, lost.requests) == ("ok", 2)
    assert Charge.of(lost.cost_usd).nanodollars == worst.nanodollars + Charge.of(one_vector("ok").cost_usd).nanodollars


def test_a_server_without_embeddings_ends_the_run_with_one_sentence() -> None:
    async def act(test: Bench) -> None:
        with pytest.raises(ModelAccessError, match="has no model 'small', or no embeddings at this address"):
            await test.ask(VECTOR)

    bench(["404"], act)


def test_a_vector_over_a_cap_is_not_asked_for() -> None:
    async def act(test: Bench) -> None:
        with pytest.raises(BudgetSpentError, match=f"{prompt_bound(VECTOR)} tokens asked"):
            await test.ask(VECTOR)
        assert test.fake.bodies == []

    bench([], act, caps=Caps(tokens=prompt_bound(VECTOR) - 1))
    assert bench([], lambda test: test.ask(VECTOR), caps=Caps(tokens=prompt_bound(VECTOR))).outcome == "ok"


def test_a_vector_of_several_messages_is_a_mistake_of_the_caller() -> None:
    async def act(test: Bench) -> None:
        with pytest.raises(ValueError, match="a request for a vector has a single message, this has 2"):
            await test.ask(replace(ASK, output="vector"))
        assert test.fake.bodies == []

    bench([], act)


def test_what_a_model_refuses_of_a_reply_it_may_take_for_a_vector() -> None:
    async def act(test: Bench) -> None:
        await test.ask(replace(ASK, temperature=0.5))
        await test.ask(VECTOR)
        assert "encoding_format" in test.fake.bodies[-1]

    bench(["400 temperature"], act, retries=0)


def test_an_embedding_model_is_priced_by_its_input_and_gives_no_replies() -> None:
    openai = Endpoint("openai", models=("text-embedding-3-small", "gpt-4o-mini"))
    small = Price(0.02, 0.0)
    assert price_of("text-embedding-3-small", openai, output="vector") == small
    assert price_of("gpt-4o-mini", openai, output="vector") == PRICE
    with pytest.raises(ConfigError, match="no price is known for model 'text-embedding-3-small'"):
        price_of("text-embedding-3-small", openai)
    gateway = EndpointGateway([openai], "gpt-4o-mini", Ledger(Caps()), environment=ENVIRONMENT)
    assert gateway.prices == {"gpt-4o-mini": PRICE, "text-embedding-3-small": small}
    with pytest.raises(ConfigError, match="no price is known"):
        asyncio.run(gateway.complete(replace(ASK, model="text-embedding-3-small")))
    with pytest.raises(ConfigError, match="no price is known for model 'nonsense'"):
        EndpointGateway([replace(openai, models=("nonsense",))], "", Ledger(Caps()), environment=ENVIRONMENT)
