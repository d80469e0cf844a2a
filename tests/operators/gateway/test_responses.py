"""Laws of the gateway before OpenAI's Responses interface, against a real HTTP server on loopback."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evo.ledger import Charge
from evo.models import Completion, Message, ModelAccessError
from operators.gateway.prices import worst_case
from tests.support.fake_endpoint import count_tokens
from tests.support.gateway_bench import ASK, PRICE, SCHEMA, Bench, bench


def one_response(*script: str, **options: Any) -> Completion:
    return bench(script, lambda test: test.ask(), api="responses", **options)


def body_of(request: Any = ASK) -> dict[str, Any]:
    async def act(test: Bench) -> dict[str, Any]:
        await test.ask(request)
        return test.fake.bodies[0]

    return bench([], act, api="responses")


def test_a_response_says_what_came_back_and_what_it_cost() -> None:
    completion = one_response("ok")
    tokens = count_tokens([{"content": message.text} for message in ASK.messages])
    assert (completion.outcome, completion.text, completion.requests) == ("ok", "hello there", 1)
    assert (completion.input_tokens, completion.cached_tokens, completion.output_tokens) == (tokens, 3, 2)
    assert completion.cost_usd == pytest.approx(((tokens - 3) * 0.15 + 3 * 0.075 + 2 * 0.6) / 1e6, abs=1e-9)


def test_a_request_is_put_as_the_interface_has_it_and_stored_nowhere() -> None:
    assert body_of(replace(ASK, temperature=0.5, seed=7, schema=SCHEMA)) == {
        "model": "small",
        "store": False,
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "Say hello."}],
        "max_output_tokens": 32,
        "temperature": 0.5,
        "text": {"format": {"type": "json_schema", "name": "reply", "schema": SCHEMA, "strict": False}},
    }


def test_only_a_system_message_before_others_becomes_the_instructions() -> None:
    alone = body_of(replace(ASK, messages=(Message("system", "Be brief."),)))
    assert (alone.get("instructions"), alone["input"]) == (None, [{"role": "system", "content": "Be brief."}])
    turns = (Message("user", "a"), Message("assistant", "b"), Message("system", "c"), Message("user", "d"))
    sent = body_of(replace(ASK, messages=turns))
    assert "instructions" not in sent
    assert [(turn["role"], turn["content"]) for turn in sent["input"]] == [(turn.role, turn.text) for turn in turns]


@pytest.mark.parametrize(
    ("script", "outcome", "text", "said"),
    [
        ("two parts", "ok", "ab", ""),
        ("no output", "empty", "", "no text"),
        ("odd output", "empty", "", "no text"),
        ("refusal", "refused", "", "I would rather not"),
        ("filtered", "refused", "once", "content filter"),
        ("truncated", "truncated", "once upon", "longer than max_tokens"),
        ("failed", "failed", "", "no such image"),
        ("failed and counted", "failed", "", "the response is failed: no such image"),
        ("unfinished", "failed", "", "the response is in_progress"),
        ("invalid JSON", "failed", "", "not JSON"),
        ("400", "failed", "", "HTTP 400"),
    ],
)
def test_what_a_response_means(script: str, outcome: str, text: str, said: str) -> None:
    completion = one_response(script)
    assert (completion.outcome, completion.text, completion.requests) == (outcome, text, 1)
    assert said in completion.error


def test_a_failed_response_costs_what_it_counts_and_an_unfinished_one_the_worst_case() -> None:
    assert one_response("failed").cost_usd == 0
    assert one_response("failed and counted").cost_usd > 0
    unfinished = Charge.of(one_response("unfinished").cost_usd).nanodollars
    assert unfinished == worst_case(ASK, PRICE, api="responses").nanodollars


def test_a_response_that_failed_for_now_is_asked_for_again() -> None:
    completion = one_response("failed for now", "429", "ok")
    assert (completion.outcome, completion.requests) == ("ok", 3)
    assert one_response("failed for now", "failed for now", retries=1).requests == 2


def test_tokens_of_a_response_are_estimated_where_it_does_not_count_them() -> None:
    completion = one_response("no usage")
    assert (completion.input_tokens, completion.output_tokens) == (3 + 3, 3)


@pytest.mark.parametrize(("script", "outcome"), [("hang", "timeout"), ("reset", "unreachable")])
def test_a_response_that_never_comes_is_charged_as_its_worst_case(script: str, outcome: str) -> None:
    completion = one_response(script, retries=0)
    assert completion.outcome == outcome
    assert Charge.of(completion.cost_usd).nanodollars == worst_case(ASK, PRICE, api="responses").nanodollars


def test_what_a_model_does_not_take_is_left_out_from_then_on() -> None:
    async def act(test: Bench) -> None:
        request = replace(ASK, temperature=0.7, schema=SCHEMA)
        first, second = [await test.ask(request) for _ in range(2)]
        assert (first.outcome, first.requests, second.requests) == ("ok", 3, 1)
        kept = {"model", "store", "instructions", "input", "max_output_tokens"}
        assert [set(body) - kept for body in test.fake.bodies] == [{"temperature", "text"}, {"text"}, set(), set()]
        assert '"properties"' in test.fake.bodies[-1]["input"][-1]["content"]

    bench(["400 temperature", "400 text.format"], act, retries=0, api="responses")


@pytest.mark.parametrize("parameter", ["store", "max_output_tokens"])
def test_what_keeps_a_reply_private_or_bounded_is_never_left_out(parameter: str) -> None:
    completion = one_response(f"400 {parameter}", retries=0)
    assert (completion.outcome, completion.requests) == ("failed", 1)


def test_a_reply_shorter_than_the_interface_allows_is_reserved_for_as_what_it_may_become() -> None:
    short = replace(ASK, max_tokens=5)
    assert body_of(short)["max_output_tokens"] == 16
    assert worst_case(short, PRICE, api="responses") == worst_case(replace(ASK, max_tokens=16), PRICE)


def test_a_server_without_responses_ends_the_run_with_one_sentence() -> None:
    async def act(test: Bench) -> None:
        with pytest.raises(ModelAccessError, match="has no model 'small', or no responses at this address"):
            await test.ask()

    bench(["404"], act, api="responses")
