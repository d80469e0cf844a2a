"""Laws of the gateway, against a real HTTP server on loopback: replies, failures, keys, routes."""

from __future__ import annotations

import asyncio
import logging
import socket
import traceback
from dataclasses import replace

import pytest

from evo.errors import ConfigError
from evo.ledger import Charge, Ledger
from evo.models import FREE, Caps, Completion, Endpoint, ModelAccessError
from operators.gateway import EndpointGateway
from operators.gateway.prices import worst_case
from tests.support.fake_endpoint import FakeEndpoint, count_tokens, serve
from tests.support.gateway_bench import ASK, ENVIRONMENT, KEY, PRICE, QUICK, SCHEMA, Bench, bench, one_ask


def test_a_completion_says_what_came_back_and_what_it_cost() -> None:
    completion = one_ask("ok")
    tokens = count_tokens([{"content": message.text} for message in ASK.messages])
    assert (completion.outcome, completion.text, completion.model) == ("ok", "hello there", "small")
    assert (completion.input_tokens, completion.cached_tokens, completion.output_tokens) == (tokens, 3, 2)
    assert completion.cost_usd == pytest.approx(((tokens - 3) * 0.15 + 3 * 0.075 + 2 * 0.6) / 1e6, abs=1e-9)
    assert (completion.requests, completion.endpoint, completion.error) == (1, "fake", "")
    assert 0 < completion.seconds < 1


@pytest.mark.parametrize(
    ("script", "outcome", "said"),
    [
        ("no choice", "empty", "no choice"),
        ("no message", "empty", "no text"),
        ("null", "empty", "no text"),
        ("blank", "empty", "no text"),
        ("refusal", "refused", "I would rather not"),
        ("filtered", "refused", "content filter"),
        ("truncated", "truncated", "longer than max_tokens"),
        ("error without a code", "failed", "upstream is down"),
        ("invalid JSON", "failed", "not JSON"),
        ("deep", "failed", "not JSON"),
        ("list", "failed", "no JSON object"),
        ("not UTF-8", "failed", "not UTF-8"),
        ("huge", "failed", "longer than the gateway reads"),
        ("400", "failed", "HTTP 400"),
        ("307", "failed", "HTTP 307"),
    ],
)
def test_a_bad_reply_is_an_outcome_that_no_second_request_is_spent_on(script: str, outcome: str, said: str) -> None:
    completion = one_ask(script, timeout_seconds=5.0)
    assert (completion.outcome, completion.requests) == (outcome, 1)
    assert said in completion.error


@pytest.mark.parametrize("script", ["invalid JSON", "not UTF-8", "huge", "list"])
def test_a_reply_that_cannot_be_read_is_charged_as_the_worst_case(script: str) -> None:
    completion = one_ask(script, timeout_seconds=5.0)
    assert Charge.of(completion.cost_usd).nanodollars == worst_case(ASK, PRICE).nanodollars


@pytest.mark.parametrize(("script", "text"), [("parts", "ab"), ("surrogate", "lone ? half")])
def test_odd_texts_are_read(script: str, text: str) -> None:
    assert one_ask(script).text == text


def test_a_megabyte_of_reply_is_read() -> None:
    completion = one_ask("a megabyte", timeout_seconds=5.0)
    assert (completion.outcome, len(completion.text)) == ("ok", 1_000_000)


@pytest.mark.parametrize("script", ["no usage", "zero usage", "absurd usage"])
def test_tokens_are_estimated_where_the_endpoint_does_not_count_them(script: str) -> None:
    completion = one_ask(script)
    assert completion.input_tokens == 3 + 3  # nine and ten characters
    assert completion.output_tokens == -(-len(completion.text) // 4)
    assert completion.cost_usd > 0


@pytest.mark.parametrize("failure", ["429", "500", "503", "408", "error in 200"])
def test_a_failed_try_is_repeated_and_free(failure: str) -> None:
    twice = one_ask(failure, failure, "ok")
    assert (twice.outcome, twice.requests) == ("ok", 3)
    assert twice.cost_usd == one_ask("ok").cost_usd


@pytest.mark.parametrize(("script", "outcome"), [("429", "failed"), ("reset", "unreachable"), ("hang", "timeout")])
def test_no_completion_takes_more_requests_than_one_and_the_retries(script: str, outcome: str) -> None:
    completion = one_ask(*[script] * 9, retries=2)
    assert (completion.outcome, completion.requests) == (outcome, 3)


def test_a_try_that_was_sent_and_never_answered_is_charged_as_its_worst_case() -> None:
    lost = one_ask("hang", "ok")
    worst = worst_case(ASK, PRICE)
    assert Charge.of(lost.cost_usd).nanodollars == worst.nanodollars + Charge.of(one_ask("ok").cost_usd).nanodollars


def test_retry_after_is_honoured_and_never_beyond_the_longest_wait() -> None:
    patient = replace(QUICK, first_wait_seconds=0.0, longest_wait_seconds=0.3)
    honoured = one_ask("429 after 0.2", "ok", retry_policy=patient)
    capped = one_ask("429 after 90", "ok", retry_policy=patient)
    assert (honoured.outcome, capped.outcome) == ("ok", "ok")
    assert 0.2 <= honoured.seconds < capped.seconds < 1.0


def test_an_endpoint_that_is_not_there_is_unreachable_and_free() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        completion = one_ask(base_url=url)
    assert (completion.outcome, completion.requests, completion.cost_usd) == ("unreachable", 0, 0.0)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("401", "refuses the key in OPENAI_API_KEY for model 'small'"),
        ("403", "refuses the key in OPENAI_API_KEY"),
        ("404", "has no model 'small'"),
        ("402", "account behind OPENAI_API_KEY has no credit"),
    ],
)
def test_an_endpoint_that_will_never_answer_ends_the_run_with_one_sentence(script: str, said: str) -> None:
    async def act(test: Bench) -> None:
        with pytest.raises(ModelAccessError, match=said) as caught:
            await test.ask()
        assert "\n" not in str(caught.value)
        assert [completion.outcome for completion in test.completions] == ["failed"]

    bench([script], act)


@pytest.mark.parametrize("script", ["401", "400", "echo", "hang", "reset", "invalid JSON"])
def test_the_key_never_leaves_but_in_the_header(script: str, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    async def act(test: Bench) -> None:
        try:
            seen.append(repr(await test.ask()))
        except ModelAccessError as error:
            seen.extend(["".join(traceback.format_exception(error)), repr(error), repr(error.__context__)])
        client = test.gateway._clients[0]
        holders = (test.gateway, client, client.transport, client.transport._client, test.recorded)
        seen.extend(map(repr, holders))
        assert set(test.fake.keys) == {f"Bearer {KEY}"}

    with caplog.at_level(logging.DEBUG):
        bench([script], act, retries=0)
    seen += [record.getMessage() + str(record.exc_text) for record in caplog.records]
    assert caplog.records
    assert KEY not in "\n".join(seen)


def test_a_key_that_is_missing_or_no_key_is_said_before_anything_is_sent() -> None:
    remote = [Endpoint("far", "https://models.example/v1", key_variable="FAR_KEY", price=FREE)]
    with pytest.raises(ModelAccessError, match="set the environment variable FAR_KEY"):
        EndpointGateway(remote, "m", Ledger(Caps()), environment={})
    with pytest.raises(ModelAccessError, match="FAR_KEY holds characters") as caught:
        EndpointGateway(remote, "m", Ledger(Caps()), environment={"FAR_KEY": "sk-one\r\nsk-two"})
    assert "sk-" not in str(caught.value)
    EndpointGateway([replace(remote[0], key_variable="")], "m", Ledger(Caps()), environment={})


def test_requests_go_where_their_model_is_named_or_else_where_any_is_taken() -> None:
    async def go() -> None:
        async with serve(FakeEndpoint()) as named, serve(FakeEndpoint()) as other:
            ends = [Endpoint("any", other.url), Endpoint("named", named.url, models=("a", "b"))]
            gateway = EndpointGateway(ends, "a", Ledger(Caps()), environment={})
            answers = [await gateway.complete(replace(ASK, model=model)) for model in ("", "b", "c")]
            await gateway.close()
        assert [(answer.endpoint, answer.model) for answer in answers] == [("named", "a"), ("named", "b"), ("any", "c")]
        assert [body["model"] for body in named.bodies + other.bodies] == ["a", "b", "c"]

    asyncio.run(go())


def test_a_model_that_no_endpoint_names_is_refused_with_the_known_ones() -> None:
    gateway = EndpointGateway(
        [Endpoint("near", "http://localhost:1/v1", models=("a", "b"))], "a", Ledger(Caps()), environment={}
    )
    with pytest.raises(ModelAccessError, match="no endpoint has a model 'c'; known: a, b"):
        asyncio.run(gateway.complete(replace(ASK, model="c")))


@pytest.mark.parametrize(
    ("endpoints", "said"),
    [
        ([], "needs an endpoint"),
        ([Endpoint("x", "http://localhost/v1")] * 2, "2 endpoints are named 'x'"),
        ([Endpoint("x", "localhost:8000")], "must begin with http"),
        ([Endpoint("x", "http:///v1")], "names no host, or a port that is none"),
        ([Endpoint("x", "http://localhost:99999/v1")], "names no host, or a port that is none"),
        ([Endpoint("x", "http://a..b/v1")], "names no host, or a port that is none"),
        ([Endpoint("x", "https://models.example/v1")], "no price is known for model 'm' at endpoint 'x'"),
    ],
)
def test_endpoints_that_make_no_sense_are_refused(endpoints: list[Endpoint], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        EndpointGateway(endpoints, "m", Ledger(Caps()), environment=ENVIRONMENT)


def test_the_environment_alone_is_a_complete_configuration() -> None:
    async def go() -> Completion:
        async with serve(FakeEndpoint()) as fake:
            environment = ENVIRONMENT | {"OPENAI_BASE_URL": fake.url}
            gateway = EndpointGateway([Endpoint("openai")], "m", Ledger(Caps()), environment=environment)
            completion = await gateway.complete(ASK)
            await gateway.close()
            return completion

    completion = asyncio.run(go())
    assert (completion.outcome, completion.cost_usd) == ("ok", 0.0)


def test_a_schema_is_sent_and_where_it_is_refused_it_becomes_part_of_the_prompt() -> None:
    async def act(test: Bench) -> None:
        first, second = [await test.ask(replace(ASK, schema=SCHEMA)) for _ in range(2)]
        assert (first.requests, second.requests) == (2, 1)
        sent, again, later = test.fake.bodies
        assert sent["response_format"]["json_schema"]["schema"] == SCHEMA
        assert "response_format" not in again
        assert again["messages"][-1]["content"].startswith("Say hello.")
        assert '"properties"' in again["messages"][-1]["content"]
        assert later == again

    bench(["400 schema"], act, retries=0)


def test_parameters_that_a_model_does_not_take_are_left_out_from_then_on() -> None:
    async def act(test: Bench) -> None:
        request = replace(ASK, temperature=0.7, seed=5)
        first, second = [await test.ask(request) for _ in range(2)]
        assert (first.outcome, first.requests, second.requests) == ("ok", 3, 1)
        assert [set(body) - {"model", "messages"} for body in test.fake.bodies] == [
            {"max_tokens", "temperature", "seed"},
            {"max_tokens", "seed"},
            {"max_completion_tokens", "seed"},
            {"max_completion_tokens", "seed"},
        ]

    bench(["400 temperature", "400 max_tokens"], act, retries=0)


def test_a_completion_is_recorded_before_its_caller_has_it() -> None:
    order: list[str] = []

    async def go() -> None:
        async with serve(FakeEndpoint()) as fake:
            gateway = EndpointGateway(
                [Endpoint("fake", fake.url)],
                "m",
                Ledger(Caps()),
                environment={},
                record=lambda *_: order.append("recorded"),
            )
            await gateway.complete(ASK)
            order.append("returned")
            await gateway.close()

    asyncio.run(go())
    assert order == ["recorded", "returned"]
