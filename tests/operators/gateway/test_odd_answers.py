"""Laws of odd answers and refusals: what is meant is read, what a model refuses is learnt, and the rest is said."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from evo.errors import ConfigError
from evo.ledger import Ledger
from evo.models import Caps, Completion, Endpoint, Message
from operators.gateway import EndpointGateway
from operators.gateway.compatibility import ParameterCompatibility
from operators.gateway.reply_lengths import limit_in
from operators.gateway.transport import HttpAnswer
from tests.operators.gateway.test_servers import completions_of
from tests.support.fake_servers import FakeServer, completed, error, failing_first, refusing, replied, streamed
from tests.support.gateway_bench import ASK, ENVIRONMENT, KEY, PRICE, QUICK, SCHEMA
from tests.support.paths import ROOT

QUIRKS = ROOT.parent / "shared/cases/server/quirks.py"
ALL = replace(ASK, temperature=0.7, seed=5, schema=SCHEMA)
TEMPERATURE = {
    "deprecated": error("`temperature` is deprecated for this model."),
    "only 1": error("invalid temperature: only 1 is allowed for this model"),
    "only the default": error("Unsupported value: 'temperature' does not support 0.7 with this model."),
    "extra": {"detail": [{"type": "extra_forbidden", "loc": ["body", "temperature"], "msg": "Extra inputs"}]},
    "a list": [{"error": {"code": 400, "message": 'Unknown name "temperature": Cannot find field.'}}],
    "a string": {"error": "temperature must be omitted"},
    "a message alone": {"object": "error", "message": "temperature is not accepted", "code": 400},
    "plain": "temperature?",
}
OTHERS = {
    "seed": error("Unrecognized request argument supplied: seed"),
    "response_format": error("This model does not support structured output"),
    "max_tokens": {"detail": [{"loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}]},
    "system": error("System role not supported"),
    "no stream": error("This model only support stream mode, please enable the stream parameter to access the model."),
}
NOTHING = {
    "the prompt repeated": {"detail": [{"loc": ["body"], "msg": "bad", "input": {"temperature": 0.7, "seed": 5}}]},
    "a flagged prompt": error("the content_filter found a temperature", code="content_filter"),
    "a word that holds its name": error("the seeds are low"),
    "a length that is too large": error("'max_tokens' is too large, unsupported: at most 16 completion tokens"),
}
LIMITS = {
    "maximum context length is 4096 tokens. However, you requested 5296 tokens (1200 in the messages, 4096 in": 2896,
    "maximum context length is 4,096 tokens. However, you requested about 5,296 tokens (1,200 of text input, 4": 2896,
    "max_tokens is too large: 4096. This model's maximum context length is 4096 tokens and you have 1200 input": 2896,
    "You passed 1200 input tokens and requested 4096. However, the model's context length is only 4096": 2896,
    "input length and `max_tokens` exceed context limit: 198000 + 8192 > 200000, decrease input length": 2000,
    "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 1200 `inputs` tokens and 4096 `max_new_tokens`": 2896,
    "Prompt contains 1200 tokens, too large for model with 4096 maximum context length": 2896,
    "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it": 0,
    "max_tokens is too large: 50000. This model supports at most 16384 completion tokens, whereas you provided": 16384,
    "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for claude": 8192,
    "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens`": 8192,
    "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]": 8192,
    "it has a maxOutputTokens value of 100000 but the supported range is from 1 (inclusive) to 8193 (exclusive)": 8192,
    "temperature must be less than or equal to 2": None,
    "the supported range of temperature is from 0 (inclusive) to 2 (exclusive)": None,
    "the context is 4096 tokens long": None,
    "9" * 4000 + " input tokens, context length 4096": None,
}


def learnt(said: object, status: int = 400, **sent: Any) -> tuple[str, ...]:
    body = {"temperature": 0.7, "seed": 5, "max_tokens": 32, "response_format": {}, "messages": [{"role": "system"}]}
    return ParameterCompatibility().learn(HttpAnswer(status, json.dumps(said).encode()), body | sent)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("name", TEMPERATURE)
def test_a_parameter_that_is_named_is_refused_in_any_wording(name: str, status: int) -> None:
    assert learnt(TEMPERATURE[name], status) == ("temperature",)


@pytest.mark.parametrize("name", OTHERS)
def test_each_thing_that_a_model_may_refuse_is_learnt(name: str) -> None:
    assert learnt(OTHERS[name]) == (name,)


@pytest.mark.parametrize("name", NOTHING)
def test_an_answer_that_refuses_something_else_teaches_nothing(name: str) -> None:
    assert learnt(NOTHING[name]) == ()


@pytest.mark.parametrize("said", LIMITS)
def test_the_room_for_a_reply_is_read_from_the_numbers(said: str) -> None:
    found = limit_in(HttpAnswer(400, json.dumps(error(said)).encode()))
    assert (found.tokens if found else None) == LIMITS[said]


def test_system_texts_go_in_front_of_the_first_user_message() -> None:
    turns = [("system", "a"), ("user", "b"), ("assistant", "c"), ("system", "d"), ("user", "e")]
    request = replace(ASK, messages=tuple(Message(role, text) for role, text in turns))  # type: ignore[arg-type]
    compatibility = ParameterCompatibility()
    compatibility.learn(HttpAnswer(400, b"system role not supported"), compatibility.fields(request, "m"))
    sent = [(turn["role"], turn["content"]) for turn in compatibility.fields(request, "m")["messages"]]
    assert sent == [("user", "a\n\nd\n\nb"), ("assistant", "c"), ("user", "e")]
    alone = replace(ASK, messages=(Message("system", "a"),))
    assert compatibility.fields(alone, "m")["messages"] == [{"role": "user", "content": "a"}]


# Answers


def bare(body: bytes, kind: str = "application/json", status: int = 200) -> FakeServer:
    return FakeServer((lambda server, fields: web.Response(body=body, content_type=kind, status=status),))


def first_choice(**choice: Any) -> FakeServer:
    return FakeServer((lambda server, fields: web.json_response(completed(fields) | {"choices": [choice]}),))


CALL = [{"id": "1", "type": "function", "function": {"name": "python", "arguments": "{}"}}]
PARTS = [{"type": "thinking", "thinking": "hm"}, {"type": "reasoning", "text": "so"}, {"type": "text", "text": "4"}]
ODD = {
    "a legacy text": (first_choice(text="4", finish_reason="stop"), "ok", "4", "", ""),
    "parts": (FakeServer((replied(None, content=PARTS),)), "ok", "4", "hm\nso", ""),
    "an answer in the reasoning": (FakeServer((replied(None, reasoning_content="4"),)), "ok", "4", "4", ""),
    "both fields": (FakeServer((replied("4", reasoning_content="hm", reasoning="hm"),)), "ok", "4", "hm", ""),
    "cut off while thinking": (
        FakeServer((replied("", "length", reasoning_content="hm"),)),
        *("truncated", "", "hm", "cut off at 32 tokens while thinking: raise reply_tokens"),
    ),
    "a call of a tool": (
        FakeServer((replied(None, tool_calls=CALL),)),
        "empty",
        "",
        "",
        "the call of a tool, 'python'",
    ),
    "nothing but thoughts": (
        FakeServer((replied("<think>hm</think>\n"),)),
        "empty",
        "",
        "hm",
        "no text but the model's",
    ),
    "a stream": (FakeServer((streamed("4", "hm"),)), "ok", "4", "hm", ""),
    "Latin-1": (
        bare(json.dumps(completed({"model": "m"}, "caf\xe9"), ensure_ascii=False).encode("cp1252")),
        "ok",
        "caf\xe9",
        "",
        "",
    ),
    "a page": (
        bare(b"<!doctype html><html><title>Sign in</title>", "text/html"),
        "failed",
        "",
        "",
        "a web page; .*: Sign in$",
    ),
    "a string": (bare(b'{"error": "model not loaded"}', status=400), "failed", "", "", "^HTTP 400: model not loaded$"),
    "a list": (
        bare(b'[{"error": {"code": 400, "message": "no"}}]'),
        "failed",
        "",
        "",
        "reports an error: no .code 400",
    ),
    "a long prompt": (
        bare(
            json.dumps({"error": {"message": "too long", "n_prompt_tokens": 4390, "n_ctx": 4096}}).encode(), status=400
        ),
        *("failed", "", "", "too long: the prompt has 4390 tokens, the context 4096"),
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_is_read_or_said(name: str) -> None:
    server, outcome, text, reasoning, said = ODD[name]
    (found,) = completions_of(server, ASK, retries=0)
    assert (found.outcome, found.text, found.reasoning, found.requests) == (outcome, text, reasoning, 1)
    assert re.search(said, found.error) if said else found.error == ""


HALF = {"message": "Provider returned error", "code": 502, "metadata": {"raw": "upstream died"}}
FAILING = {
    "in the answer": {"error": HALF},
    "in a string": {"error": HALF | {"code": "429"}},
    "in words": {"error": {"message": "slow down", "type": "overloaded_error"}},
    "in a choice": {"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": HALF}]},
    "in a choice, unnamed": {"choices": [{"message": {"content": "once"}, "finish_reason": "error"}]},
    "in a list": [{"error": HALF}],
}


@pytest.mark.parametrize("name", FAILING)
def test_an_error_within_an_answer_is_retried_by_its_code(name: str) -> None:
    (found,) = completions_of(FakeServer((failing_first(FAILING[name]), replied("4"))), ASK)
    assert (found.outcome, found.text, found.requests) == ("ok", "4", 2)


def test_an_error_that_lasts_shows_its_reason_and_one_that_does_not_change_is_final() -> None:
    lasting = FakeServer((lambda server, body: web.json_response({"error": HALF}),))
    (found,) = completions_of(lasting, ASK, retries=1)
    assert (found.outcome, found.requests, found.cost_usd) == ("failed", 2, 0.0)
    assert found.error == "the endpoint reports an error: Provider returned error: upstream died (code 502)"
    final = FakeServer((failing_first({"error": HALF | {"code": 400}}), replied("4")))
    assert completions_of(final, ASK)[0].requests == 1


def test_a_stream_that_breaks_off_is_asked_for_again_and_paid_for() -> None:
    torn = web.Response(text='data: {"choices": [{"delta": {"content": "4"}}]}\n\n', content_type="text/event-stream")
    used: list[object] = []

    def first(server: FakeServer, body: object) -> web.Response | None:
        used.append(body)
        return torn if len(used) == 1 else None

    (found,) = completions_of(FakeServer((first, streamed("4"))), ASK, caps=Caps())
    assert (found.outcome, found.text, found.requests) == ("ok", "4", 2)
    assert found.output_tokens > ASK.max_tokens


def test_a_model_that_thinks_too_long_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    server = FakeServer((replied("<think>\nhm", "length"),))
    with caplog.at_level(logging.WARNING, "operators.gateway"):
        completions_of(server, ASK, ASK, ASK, caps=Caps())
    said = [record.getMessage() for record in caplog.records]
    assert said == ["model small at endpoint fake: cut off at 32 tokens while thinking: raise reply_tokens"]


def test_no_warning_holds_the_key(caplog: pytest.LogCaptureFixture) -> None:
    server = FakeServer((refusing("temperature", error(f"temperature? {KEY}")), replied("4", reasoning_content=KEY)))
    with caplog.at_level(logging.DEBUG):
        (found,) = completions_of(server, ALL)
    assert "takes no temperature" in caplog.text
    assert KEY not in caplog.text + repr(found)


def test_learning_passes_no_cap() -> None:
    server = FakeServer(
        (refusing("temperature", error("temperature?")), refusing("seed", error("seed?")), replied("4"))
    )
    (found,) = completions_of(server, ALL, caps=Caps(calls=1))
    assert (found.outcome, found.requests) == ("ok", 3)


SECRETS = {
    "key": "https://models.example/v1?key=hunter2secret",
    "api_key": "https://models.example/v1?api-version=1&api_key=hunter2secret",
    "token": "https://models.example/v1?access_token=hunter2secret",
    "sig": "https://models.example/v1?sv=1&sig=hunter2secret",
    "no name": "https://models.example/v1?sk-hunter2secret",
    "password": "https://user:hunter2secret@models.example/v1",
    "a password with a slash": "https://user:hunter2/secret@models.example/v1",
    "no scheme": "user:hunter2secret@models.example/v1",
}


@pytest.mark.parametrize("name", SECRETS)
def test_an_address_that_holds_a_secret_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(ValueError, match="base_url must not hold .*; put the key into an environment variable") as made:
        Endpoint("x", SECRETS[name])
    environment = ENVIRONMENT | {"OPENAI_BASE_URL": SECRETS[name]}
    with pytest.raises(ConfigError, match="base_url must not hold .*; put the key into an environment") as found:
        EndpointGateway([Endpoint("x", price=PRICE)], "m", Ledger(Caps()), environment=environment)
    assert "hunter2" not in f"{made.value} {found.value}"
    Endpoint("x", "https://models.example/v1?api-version=2024-10-21&deployment=small")


# The samples that lie beside the project

SAMPLES = {
    **dict.fromkeys(("ok", "usagenull", "nousage", "usagezero", "usagestr", "parts", "text", "latin", "sse"), "ok"),
    **dict.fromkeys(("think", "thinkclose", "thinking2", "thoughtch", "reasoning", "reasonok"), "ok"),
    **dict.fromkeys(("err200half", "rate", "temp_openai", "temp_deprecated", "temp_kimi", "nosystem"), "ok"),
    **dict.fromkeys(("seedrefused", "seedgemini", "maxcompletion", "maxbig", "ctxvllm"), "ok"),
    **dict.fromkeys(("reasoninglen", "thinklen", "thinklenclose"), "truncated"),
    **dict.fromkeys(("emptychoices", "nullchoices", "toolcall"), "empty"),
    **dict.fromkeys(("err200", "choiceerr", "errstr", "ctx", "html", "html200"), "failed"),
}


@pytest.fixture(scope="module")
def samples() -> Iterator[str]:
    if not QUIRKS.exists():
        pytest.skip(f"no {QUIRKS}")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    server = subprocess.Popen([sys.executable, str(QUIRKS), str(port)])
    try:
        for _ in range(200):
            with socket.socket() as caller:
                if caller.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_are_answered_or_said(name: str, samples: str) -> None:
    async def go() -> Completion:
        endpoint = Endpoint("sample", f"{samples}/{name}/v1?api-version=1", price=PRICE)
        gateway = EndpointGateway([endpoint], "m", Ledger(Caps()), environment=ENVIRONMENT, retry_policy=QUICK)
        try:
            return await gateway.complete(replace(ALL, max_tokens=4096))
        finally:
            await gateway.close()

    found = asyncio.run(go())
    assert found.outcome == SAMPLES[name], found.error
    assert "return -" not in found.text
    assert found.outcome == "ok" or found.error
