"""The scripted server's responses and vectors, asked by the real client and by the gateway over loopback."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import numpy as np
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.ledger import Ledger
from evo.models import Caps, Completion, Endpoint, Message, Request
from operators.gateway import EndpointGateway, RetryPolicy
from operators.scripted import FAULTS, Fault, Faults, ScriptedServer, find_rule, simulated_vector

ECHO = find_rule("echo")
SPOKEN = Request("test", (Message("system", "Be brief."), Message("user", "hello there")), max_tokens=40)
VECTOR = Request("test", (Message("user", "x = 1\ny = 2"),), output="vector")
QUICK = RetryPolicy(first_wait_seconds=0.01, longest_wait_seconds=0.02)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


def client_of(server: ScriptedServer) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0)


def patience_for(faults: Faults) -> float:
    """Seconds to wait for an answer: few where none is meant to come, many where a busy machine may be slow."""
    return 0.3 if "hang" in faults.shares else 30.0


def by_gateway(request: Request, faults: Faults, *, api: Any = "chat", retries: int = 0) -> Completion:
    """What the gateway makes of the scripted server's answer."""

    async def work() -> Completion:
        async with ScriptedServer(ECHO, faults) as server:
            endpoint = Endpoint(
                "scripted", server.base_url, timeout_seconds=patience_for(faults), retries=retries, api=api
            )
            gateway = EndpointGateway([endpoint], "m", Ledger(Caps()), environment={}, retry_policy=QUICK)
            completion = await gateway.complete(request)
            await gateway.close()
            return completion

    return asyncio.run(work())


def test_the_real_client_reads_a_response_and_its_usage() -> None:
    async def work() -> None:
        async with ScriptedServer(ECHO) as server, client_of(server) as client:
            reply = await client.responses.create(model="m", instructions="Be brief.", input="hello there")
            assert (reply.status, reply.output_text) == ("completed", "hello there")
            assert reply.usage is not None
            assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.total_tokens) == (3 + 3, 3, 9)
            cut = await client.responses.create(model="m", input="word " * 50, max_output_tokens=16)
            assert cut.incomplete_details is not None
            assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
            assert len(cut.output_text) == 64
            assert (server.stats().requests, server.stats().output_tokens) == (2, 3 + 16)
            assert server.stats().last[0].messages == (Message("system", "Be brief."), Message("user", "hello there"))

    run(work())


def test_the_real_client_reads_vectors_of_one_text_and_of_several() -> None:
    async def work() -> None:
        async with ScriptedServer(ECHO) as server, client_of(server) as client:
            several = await client.embeddings.create(model="m", input=["hello", "there"])
            assert [row.index for row in several.data] == [0, 1]
            plain = await client.embeddings.create(model="m", input="hello", encoding_format="float")
            assert plain.data[0].embedding == pytest.approx(several.data[0].embedding, abs=1e-7)
            assert plain.data[0].embedding == pytest.approx(simulated_vector("hello").tolist())
            assert (several.usage.prompt_tokens, plain.usage.prompt_tokens) == (2 + 2, 2)
            assert (server.stats().input_tokens, server.stats().output_tokens) == (6, 0)

    run(work())


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/responses", {"model": "m", "input": "x", "seed": 1}, "Unknown parameter: 'seed'"),
        ("/responses", {"model": "m", "input": "x", "max_output_tokens": 15}, "expected a whole number >= 16"),
        ("/responses", {"model": "m", "input": []}, "expected a message"),
        ("/responses", {"model": "m"}, "no request for a response"),
        ("/responses", {"model": "m", "input": [{"role": "robot", "content": "x"}]}, "no request for a response"),
        ("/embeddings", {"model": "m", "input": ""}, "none of them empty"),
        ("/embeddings", {"model": "m", "input": [1, 2]}, "none of them empty"),
        ("/embeddings", {"model": "m"}, "none of them empty"),
        ("/embeddings", {"input": "x"}, "expected a model"),
        ("/embeddings", {"model": "m", "input": "x", "encoding_format": "binary"}, "float or base64"),
        ("/embeddings", {"model": "m", "input": "x", "dimensions": 3}, "256 dimensions or none named"),
        ("/chat/completions", {"model": "m", "messages": "hello"}, "no chat completion request"),
    ],
)
def test_what_an_interface_does_not_take_is_refused_as_openai_does(path: str, body: Any, said: str) -> None:
    async def work() -> None:
        async with ScriptedServer(ECHO) as server, client_of(server) as client:
            with pytest.raises(openai.BadRequestError, match=said):
                await client.post(path, cast_to=object, body=body)

    run(work())


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_both_interfaces_say_the_same_to_the_gateway(api: str) -> None:
    completion = by_gateway(SPOKEN, Faults(), api=api)
    assert (completion.outcome, completion.text) == ("ok", "hello there")
    assert (completion.input_tokens, completion.output_tokens) == (3 + 3, 3)


OUTCOMES: dict[Fault, tuple[str, str]] = {
    "rate_limited": ("failed", "failed"),
    "rate_limited_retry_after": ("failed", "failed"),
    "server_error": ("failed", "failed"),
    "hang": ("timeout", "timeout"),
    "reset": ("unreachable", "unreachable"),
    "malformed_json": ("failed", "failed"),
    "empty_choices": ("empty", "failed"),
    "truncated": ("truncated", "failed"),
    "refusal": ("refused", "ok"),
    "no_usage": ("ok", "ok"),
    "no_code": ("ok", "ok"),
    "not_utf8": ("ok", "failed"),  # a chat completion in Latin-1 is read as Windows writes it
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_interface_has_each_fault(fault: Fault) -> None:
    spoken, vector = OUTCOMES[fault]
    by_responses = "failed" if fault == "not_utf8" else spoken
    faults = Faults({fault: 1.0}, retry_after_seconds=0.01)
    outcomes = [by_gateway(SPOKEN, faults, api=api).outcome for api in ("chat", "responses")]
    assert (*outcomes, by_gateway(VECTOR, faults).outcome) == (spoken, by_responses, vector)


def test_the_gateway_gets_the_vector_that_the_server_made_and_the_digest_it_asked_by() -> None:
    completion = by_gateway(VECTOR, Faults())
    packed = base64.b64decode(completion.text)
    assert struct.unpack(f"<{len(packed) // 4}f", packed) == tuple(simulated_vector(VECTOR.messages[0].text).tolist())

    async def work() -> None:
        async with ScriptedServer(ECHO) as server:
            gateway = EndpointGateway([Endpoint("one", server.base_url)], "m", Ledger(Caps()), environment={})
            for request in (replace(SPOKEN, model="m"), replace(VECTOR, model="m")):
                await gateway.complete(request)
                assert server.stats().last[-1].digest == request.digest
            await gateway.close()

    run(work())


@given(st.text())
def test_a_simulated_vector_has_length_one_and_depends_on_the_text_only(text: str) -> None:
    vector = simulated_vector(text)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vector.tobytes() == simulated_vector(f"  {text}\n").tobytes()


def test_similar_texts_are_nearer_than_others() -> None:
    program = "def priority(item, bins):\n    waste = bins - item\n    return -0.25 * waste + 7\n"
    near = simulated_vector(program) @ simulated_vector(program.replace("0.25", "0.31"))
    other = "class Parser:\n    async def fetch(self, url):\n        yield json.loads(await self.get(url))\n"
    assert near > 0.85 > 0.4 > simulated_vector(program) @ simulated_vector(other)
