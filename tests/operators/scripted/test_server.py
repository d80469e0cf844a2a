"""The scripted server, asked by the real client over loopback."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import numpy as np
import openai
import pytest
from openai.types.chat import ChatCompletion

from evo.errors import ConfigError
from evo.models import Message, Request
from operators.scripted import FAULTS, Fault, Faults, ScriptedServer, find_rule, serve

ECHO = find_rule("echo")
PROGRAM = """import numpy as np

SCALE = 2.5


# EVOLVE-BLOCK-START
def priority(item, bins):
    \"\"\"Of version 1.\"\"\"
    waste = 3 * (bins - item)  # 3 times
    return -0.25 * waste + 7
# EVOLVE-BLOCK-END
"""
PROMPT = f"""Lines between EVOLVE-BLOCK-START and EVOLVE-BLOCK-END may change.

```python
{PROGRAM}```

```
ValueError: 12 is not 13
```

Reply in this form:

```python
...
```
"""


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


def said(text: str) -> list[Message]:
    return [Message("user", text)]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


async def ask(client: openai.AsyncOpenAI, text: str, **options: Any) -> ChatCompletion:
    reply: ChatCompletion = await client.chat.completions.create(
        **{"model": "any", "messages": [{"role": "user", "content": text}], **options}
    )
    return reply


def client_of(server: ScriptedServer, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(**{"base_url": server.base_url, "api_key": "none", "max_retries": 0, **options})


Session = Callable[[ScriptedServer, openai.AsyncOpenAI], Awaitable[None]]


def with_client(server: ScriptedServer, session: Session, **options: Any) -> None:
    async def work() -> None:
        async with server, client_of(server, **options) as client:
            await session(server, client)

    run(work())


@pytest.mark.parametrize(
    ("fault", "error", "match", "status"),
    [
        ("rate_limited", openai.RateLimitError, "429 - Rate limit", "429"),
        ("rate_limited_retry_after", openai.RateLimitError, "429 - Rate limit", "429"),
        ("server_error", openai.InternalServerError, "500 - The scripted server failed on purpose", "500"),
        ("hang", openai.APITimeoutError, "timed out", "abandoned"),
        ("reset", openai.APIConnectionError, "Connection error", "reset"),
        ("malformed_json", json.JSONDecodeError, "line 1", "200"),
        ("not_utf8", UnicodeDecodeError, "invalid start byte", "200"),
    ],
)
def test_each_failure_reaches_the_client_as_it_documents(
    fault: Fault, error: type[Exception], match: str, status: str
) -> None:
    async def session(server: ScriptedServer, client: openai.AsyncOpenAI) -> None:
        with pytest.raises(error, match=match) as caught:
            await ask(client, "hello", timeout=0.2 if fault == "hang" else 30.0)
        if isinstance(caught.value, openai.RateLimitError):
            header = caught.value.response.headers.get("retry-after")
            assert header == ("2.5" if fault == "rate_limited_retry_after" else None)
        while server.stats().in_flight:
            await asyncio.sleep(0.001)
        assert server.stats().statuses == {status: 1}
        assert server.stats().faults == {fault: 1}

    with_client(ScriptedServer(ECHO, Faults({fault: 1.0}, retry_after_seconds=2.5)), session)


def test_each_odd_reply_reaches_the_client_as_ordered() -> None:
    replies: dict[str, ChatCompletion] = {}

    async def collect() -> None:
        for fault in ("empty_choices", "truncated", "refusal", "no_usage", "no_code"):
            async with ScriptedServer(ECHO, Faults({fault: 1.0})) as server, client_of(server) as client:
                replies[fault] = await ask(client, "```python\nx = 1\n```")

    run(collect())
    assert replies["empty_choices"].choices == []
    truncated = replies["truncated"].choices[0]
    assert (truncated.finish_reason, truncated.message.content) == ("length", "```python")
    refusal = replies["refusal"].choices[0].message
    assert refusal.content is None
    assert "can't help" in (refusal.refusal or "")
    assert replies["no_usage"].usage is None
    assert replies["no_usage"].choices[0].message.content == "```python\nx = 1\n```"
    assert "```" not in (replies["no_code"].choices[0].message.content or "```")


def test_a_hanging_reply_is_a_sound_one_that_comes_late() -> None:
    async def session(server: ScriptedServer, client: openai.AsyncOpenAI) -> None:
        started = asyncio.get_running_loop().time()
        reply = await ask(client, "hello")
        assert asyncio.get_running_loop().time() - started >= 0.1
        assert reply.choices[0].message.content == "hello"

    with_client(ScriptedServer(ECHO, Faults({"hang": 1.0}, hang_seconds=0.1)), session)


def test_the_clients_own_retries_are_seen_and_counted() -> None:
    async def session(server: ScriptedServer, client: openai.AsyncOpenAI) -> None:
        with pytest.raises(openai.RateLimitError, match="429"):
            await ask(client, "hello")
        assert server.stats().requests == 3

    faults = Faults({"rate_limited_retry_after": 1.0}, retry_after_seconds=0.01)
    with_client(ScriptedServer(ECHO, faults), session, max_retries=2)


def test_the_same_request_gets_the_same_reply_whenever_it_comes() -> None:
    texts = [f"{number} {PROMPT}" for number in range(20)]

    async def replies(seed: int, order: list[str]) -> dict[str, ChatCompletion]:
        rule = find_rule("constant_jitter")
        latency = Faults(latency_seconds=0.002, latency_sigma=1.0)
        async with ScriptedServer(rule, latency, seed=seed) as server, client_of(server) as client:
            answers = await asyncio.gather(*(ask(client, text) for text in order))
        return dict(zip(order, answers, strict=True))

    async def work() -> None:
        these, reversed_, changed = await replies(1, texts), await replies(1, texts[::-1]), await replies(2, texts)
        assert these == reversed_
        assert sum(these[text] != changed[text] for text in texts) > 10
        assert len({these[text].choices[0].message.content for text in texts}) > 5

    run(work())


def test_what_goes_wrong_with_the_nth_request_depends_on_the_seed_only() -> None:
    shares = dict.fromkeys(("rate_limited", "server_error", "reset"), 0.25)

    async def statuses(seed: int, word: str) -> list[str]:
        async with ScriptedServer(ECHO, Faults(shares), seed=seed) as server, client_of(server) as client:
            for number in range(30):
                await asyncio.gather(ask(client, f"{word} {number}"), return_exceptions=True)
            return [exchange.status for exchange in server.stats().last]

    async def work() -> None:
        first = await statuses(1, "one")
        assert await statuses(1, "other") == first
        assert await statuses(2, "one") != first
        assert set(first) == {"200", "429", "500", "reset"}

    run(work())


def test_faults_come_in_their_shares_and_latency_has_its_mean() -> None:
    faults = Faults({"hang": 0.05, "server_error": 0.2}, latency_seconds=0.5, latency_sigma=0.6)
    generator = rng(3)
    samples = [faults.sample(generator) for _ in range(20_000)]
    assert np.mean([draw.fault == "hang" for draw in samples]) == pytest.approx(0.05, abs=0.006)
    assert np.mean([draw.fault == "server_error" for draw in samples]) == pytest.approx(0.2, abs=0.01)
    assert np.mean([draw.latency_seconds for draw in samples]) == pytest.approx(0.5, rel=0.03)
    assert Faults(latency_seconds=0.5).sample(generator).latency_seconds == 0.5


def test_latency_does_not_depend_on_the_shares_of_faults() -> None:
    slow, faulty = Faults({}, 1.0, 0.5), Faults({"reset": 0.9}, 1.0, 0.5)
    assert slow.sample(rng(5)).latency_seconds == faulty.sample(rng(5)).latency_seconds


@pytest.mark.parametrize(
    ("shares", "settings", "match"),
    [
        ({"hangs": 0.1}, {}, "unknown fault 'hangs'; did you mean 'hang'"),
        ({"hang": -0.1}, {}, "share of fault 'hang' is -0.1; it must lie between 0 and 1"),
        ({"hang": float("nan")}, {}, "share of fault 'hang' is nan"),
        ({"hang": 0.6, "reset": 0.6}, {}, "add up to 1.2; together they must be at most 1"),
        ({}, {"latency_seconds": -1.0}, "latency_seconds is -1.0; it must be finite and not negative"),
        ({}, {"hang_seconds": float("inf")}, "hang_seconds is inf"),
    ],
)
def test_faults_that_mean_nothing_are_refused_in_one_sentence(
    shares: dict[str, float], settings: dict[str, float], match: str
) -> None:
    with pytest.raises(ConfigError, match=match):
        Faults(shares, **settings)


def test_faults_can_be_written_as_texts() -> None:
    parsed = Faults.parsed(["hang=0.05", "reset=0.1", "latency_seconds=0.5"])
    assert parsed == Faults({"hang": 0.05, "reset": 0.1}, latency_seconds=0.5)
    assert Faults.parsed([f"{fault}=0.01" for fault in FAULTS]).shares.keys() == set(FAULTS)
    with pytest.raises(ConfigError, match="expected hang=NUMBER, got 'hang=often'"):
        Faults.parsed(["hang=often"])
    with pytest.raises(ConfigError, match="did you mean 'latency_seconds'"):
        Faults.parsed(["latency_second=0.5"])


def test_stats_tell_what_was_sent_and_charged() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "number"}}}
    asked = {"temperature": 0.7, "max_completion_tokens": 3, "seed": 5}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

    async def session(server: ScriptedServer, client: openai.AsyncOpenAI) -> None:
        used = []
        for number in range(5):
            reply = await ask(client, f"number {number} of a longer text", response_format=wanted, **asked)
            assert reply.usage is not None
            used.append(reply.usage)
            assert (reply.choices[0].finish_reason, len(reply.choices[0].message.content or "")) == ("length", 12)
        stats = server.stats()
        assert (stats.requests, stats.statuses, stats.faults, stats.in_flight) == (5, {"200": 5}, {}, 0)
        assert stats.input_tokens == sum(usage.prompt_tokens for usage in used) == 5 * 7
        assert stats.output_tokens == sum(usage.completion_tokens for usage in used) == 5 * 3
        text = "number 4 of a longer text"
        request = Request("p", (Message("user", text),), "any", 0.7, 3, 5, schema)
        assert stats.last[-1].digest == request.digest
        assert stats.last[-1].messages == request.messages
        assert stats.last[-1].reply == text[:12]

    with_client(ScriptedServer(ECHO), session)


def test_the_peak_is_the_most_requests_at_once() -> None:
    async def session(server: ScriptedServer, client: openai.AsyncOpenAI) -> None:
        for width in (7, 3):
            await asyncio.gather(*(ask(client, f"{number}") for number in range(width)))
        assert server.stats().peak == 7

    with_client(ScriptedServer(ECHO, Faults(latency_seconds=0.2)), session)


def test_stats_come_over_http_too() -> None:
    with ScriptedServer(ECHO).in_thread() as server:
        with openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
            for text in ("one", "two"):
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
        with urllib.request.urlopen(f"{server.base_url.removesuffix('/v1')}/stats?last=1", timeout=5) as answer:
            stats = json.load(answer)
        assert stats["requests"] == 2
        assert [exchange["messages"] for exchange in stats["last"]] == [[{"role": "user", "text": "two"}]]


def test_a_wrong_key_a_wrong_model_and_a_wrong_request_are_refused_as_openai_does() -> None:
    async def session(server: ScriptedServer, client: openai.AsyncOpenAI) -> None:
        mistakes: tuple[dict[str, Any], ...] = (
            {"max_tokens": 0.5},
            {"messages": []},
            {"messages": [{"role": "robot", "content": "x"}]},
            {"n": 2},
        )
        for options in mistakes:
            with pytest.raises(openai.BadRequestError, match="400"):
                await ask(client, "hello", **{"model": "known", **options})
        with pytest.raises(openai.NotFoundError, match="The model `other` does not exist") as missing:
            await ask(client, "hello", model="other")
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.AuthenticationError, match="Incorrect API key") as refused:
            await ask(client.with_options(api_key="wrong"), "hello", model="known")
        assert refused.value.code == "invalid_api_key"
        assert "wrong" not in str(refused.value)
        assert (await ask(client, "hello", model="known")).model == "known"
        assert [model.id async for model in client.models.list()] == ["known"]
        assert server.stats().statuses == {"400": 4, "404": 1, "401": 1, "200": 1}

    with_client(ScriptedServer(ECHO, models=("known",), require_key="right"), session, api_key="right")


def test_a_rule_that_raises_is_an_error_of_the_server() -> None:
    def broken(messages: Sequence[Message], rng: np.random.Generator) -> str:
        raise LookupError("no such line")

    async def session(server: ScriptedServer, client: openai.AsyncOpenAI) -> None:
        with pytest.raises(openai.InternalServerError, match="the rule raised LookupError"):
            await ask(client, "hello")
        assert server.stats().statuses == {"500": 1}

    with_client(ScriptedServer(broken), session)


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_nothing_is_left_listening_even_where_requests_hang() -> None:
    async def work() -> None:
        before = asyncio.all_tasks()
        server = ScriptedServer(ECHO, Faults({"hang": 1.0}))
        port = int((await server.start()).rpartition(":")[2].removesuffix("/v1"))
        async with client_of(server) as client:
            hanging = asyncio.create_task(ask(client, "hello"))
            while not server.stats().in_flight:
                await asyncio.sleep(0.001)
            await server.close()
            with pytest.raises(openai.APIConnectionError, match="Connection error"):
                await hanging
        assert refuses(port)
        assert (server.base_url, server.stats().statuses) == ("", {"abandoned": 1})
        await server.close()
        assert asyncio.all_tasks() == before

    run(work())


def test_a_server_in_a_thread_ends_with_its_context() -> None:
    with ScriptedServer(ECHO).in_thread() as server:
        port = int(server.base_url.rpartition(":")[2].removesuffix("/v1"))
        assert not refuses(port)
    assert refuses(port)


def test_a_taken_port_and_a_negative_seed_are_refused_in_a_sentence() -> None:
    with ScriptedServer(ECHO).in_thread() as server:
        port = int(server.base_url.rpartition(":")[2].removesuffix("/v1"))
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {port}"):
            serve(ScriptedServer(ECHO), port=port)
        with (
            pytest.raises(ConfigError, match="cannot listen"),
            ScriptedServer(ECHO).in_thread(port) as other,
        ):
            assert other is None, "never reached"
    with pytest.raises(ConfigError, match="the seed is -1; it must not be negative"):
        ScriptedServer(ECHO, seed=-1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_and_ends_cleanly_on_a_signal(number: signal.Signals) -> None:
    text = "from operators.scripted import *; serve(ScriptedServer(find_rule('echo')), port=0)"
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    found = re.fullmatch(
        r"scripted model \(a simulation, not a language model\) at (http://127\.0\.0\.1:\d+/v1); "
        r"export OPENAI_BASE_URL=(\S+)\n",
        line,
    )
    assert found is not None
    assert found[1] == found[2]
    assert (process.returncode, errors) == (0, "")
