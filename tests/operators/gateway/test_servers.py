"""Laws of servers as they are: each kind is asked as it wants, learns the gateway once, and its books balance."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from evo.ledger import Charge, Ledger, charge_of
from evo.models import Caps, Completion, Endpoint, Request
from operators.gateway import EndpointGateway
from operators.gateway.prices import worst_case
from tests.support import fake_servers as fakes
from tests.support.fake_servers import CONTEXT, PROMPT, TEXT, FakeServer, error, refusing, replied
from tests.support.gateway_bench import ASK, ENVIRONMENT, KEY, PRICE, QUICK, SCHEMA
from tests.support.paths import ROOT

ALL = replace(ASK, temperature=0.7, seed=5, schema=SCHEMA, max_tokens=4096)
CAPS = Caps(usd=1.0, tokens=worst_case(ALL, PRICE).tokens + 200, calls=5)
SENT = {"max_tokens", "temperature", "seed", "response_format"}


@dataclass(frozen=True)
class Kind:
    """A kind of server, and what a gateway has learnt of it after the first completion.

    Attributes:
        make: a server of the kind.
        requests: that the first completion takes.
        without: parameters that are not sent any more.
        others: parameters that are sent in their place, or with another value.
        reasoning: the model's thoughts.
        system: whether it takes system messages.
    """

    make: Callable[[], FakeServer]
    requests: int = 1
    without: frozenset[str] = frozenset()
    others: Mapping[str, Any] | None = None
    reasoning: str = ""
    system: bool = True


def openai() -> FakeServer:
    length = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    )
    only = "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) is supported."
    return FakeServer(
        (
            refusing("max_tokens", error(length, param="max_tokens", code="unsupported_parameter")),
            refusing("temperature", error(only, param="temperature", code="unsupported_value")),
            replied(),
        )
    )


def azure() -> FakeServer:
    flagged = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
    rules = (fakes.flagging("arson", error(flagged, code="content_filter", status=400), 400), replied())
    return FakeServer(rules, "/openai/deployments/small", "?api-version=2024-10-21")


def vllm() -> FakeServer:
    def too_long(length: int) -> object:
        said = (
            f"This model's maximum context length is {CONTEXT} tokens. However, you requested {length + PROMPT} tokens "
            f"({PROMPT} in the messages, {length} in the completion). Please reduce the length of the messages."
        )
        return {"object": "error", "message": said, "type": "BadRequestError", "param": None, "code": 400}

    return FakeServer((fakes.refusing_length(CONTEXT - PROMPT, too_long), replied(reasoning_content="Is it 4?")))


def llama_cpp() -> FakeServer:
    said = {"error": {"code": 400, "message": "failed to parse grammar", "type": "invalid_request_error"}}
    return FakeServer((refusing("response_format", said), replied(reasoning_content="Is it 4?")))


def ollama() -> FakeServer:
    return FakeServer((replied(reasoning="Is it 4?"),))


def lm_studio() -> FakeServer:
    said = 'Error rendering prompt with jinja template: "Only user and assistant roles are supported!"'
    return FakeServer((fakes.refusing_system({"error": said}), replied(f"<think>\nIs it 4?\n</think>\n\n{TEXT}")))


def openrouter() -> FakeServer:
    none = error("No endpoints found that support the requested parameters.", code=404)
    limited = {"message": "Provider returned error", "code": 429, "metadata": {"raw": "rate-limited upstream"}}
    return FakeServer(
        (
            refusing("response_format", none, 404),
            fakes.failing_first({"error": limited}),
            fakes.flagging("arson", error("your input was flagged", code=403, metadata={"reasons": ["arson"]}), 403),
            replied(reasoning="Is it 4?"),
        )
    )


def gemini() -> FakeServer:
    said = 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'
    seed = [{"error": {"code": 400, "message": said, "status": "INVALID_ARGUMENT"}}]
    developer = "Developer instruction is not enabled for models/gemma-3-27b-it"
    system = [{"error": {"code": 400, "message": developer, "status": "INVALID_ARGUMENT"}}]
    return FakeServer((refusing("seed", seed), fakes.refusing_system(system), replied()), "/v1beta/openai")


def anthropic() -> FakeServer:
    def above(length: int) -> object:
        most = "which is the maximum allowed number of output tokens for claude"
        return {"type": "error"} | error(f"max_tokens: {length} > 2048, {most}")

    deprecated = {"type": "error"} | error("`temperature` is deprecated for this model.")
    return FakeServer((fakes.refusing_length(2048, above), refusing("temperature", deprecated), replied()))


def tgi() -> FakeServer:
    def too_long(length: int) -> object:
        given = f"Given: {PROMPT} `inputs` tokens and {length} `max_new_tokens`"
        said = f"Input validation error: `inputs` tokens + `max_new_tokens` must be <= {CONTEXT}. {given}"
        return {"error": said, "error_type": "validation"}

    roles = "Template error: syntax error: Conversation roles must alternate user/assistant/... (in <string>:1)"
    template = {"error": roles, "error_type": "template_error"}
    return FakeServer(
        (
            fakes.refusing_system(template, 422),
            fakes.refusing_length(CONTEXT - PROMPT, too_long, 422),
            replied(f"Is it 4?\n</think>\n\n{TEXT}"),
        )
    )


def sglang() -> FakeServer:
    def too_long(length: int) -> object:
        said = (
            f"Requested token count exceeds the model's maximum context length of {CONTEXT} tokens. You requested a "
            f"total of {PROMPT + length} tokens: {PROMPT} tokens from the input messages and {length} tokens for the "
            "completion. Please reduce the number of tokens in the input messages or the completion to fit."
        )
        return {"object": "error", "message": said, "type": "BadRequest", "code": 400}

    def extra(server: FakeServer, body: fakes.Fields) -> Any:
        detail = [
            {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": 5}
        ]
        return refusing("seed", {"detail": detail}, 422)(server, body)

    return FakeServer((extra, fakes.refusing_length(CONTEXT - PROMPT, too_long), replied(f"Is it 4?</think>{TEXT}")))


def streaming_only() -> FakeServer:
    said = error("This model only supports streaming; set stream=true")
    rules = (
        lambda server, body: None if body.get("stream") else refusing("model", said)(server, body),
        fakes.streamed(),
    )
    return FakeServer(rules)


ROOM = CONTEXT - PROMPT
KINDS = {
    "OpenAI": Kind(openai, 3, frozenset({"max_tokens", "temperature"}), {"max_completion_tokens": ALL.max_tokens}),
    "Azure OpenAI": Kind(azure),
    "vLLM": Kind(vllm, 2, others={"max_tokens": ROOM}, reasoning="Is it 4?"),
    "llama.cpp": Kind(llama_cpp, 2, frozenset({"response_format"}), reasoning="Is it 4?"),
    "Ollama": Kind(ollama, reasoning="Is it 4?"),
    "LM Studio": Kind(lm_studio, 2, reasoning="Is it 4?", system=False),
    "OpenRouter": Kind(openrouter, 3, frozenset({"response_format"}), reasoning="Is it 4?"),
    "Gemini": Kind(gemini, 3, frozenset({"seed"}), system=False),
    "Anthropic": Kind(anthropic, 3, frozenset({"temperature"}), {"max_tokens": 2048}),
    "TGI": Kind(tgi, 3, others={"max_tokens": ROOM}, reasoning="Is it 4?", system=False),
    "SGLang": Kind(sglang, 3, frozenset({"seed"}), {"max_tokens": ROOM}, "Is it 4?"),
    "streaming only": Kind(
        streaming_only, 2, others={"stream": True, "stream_options": {"include_usage": True}}, reasoning="Is it 4?"
    ),
}
# What no server can say for all prompts is found out anew by each completion.
PER_PROMPT = {"vLLM", "TGI", "SGLang"}


def completions_of(server: FakeServer, *requests: Request, caps: Caps = CAPS, **options: Any) -> list[Completion]:
    """The completions of a gateway before a server, one after the other; its books balance, and no cap is passed."""

    async def go() -> list[Completion]:
        async with fakes.serve(server):
            ledger, recorded = Ledger(caps), list[Completion]()
            endpoint = replace(Endpoint("fake", server.url, price=PRICE, timeout_seconds=30.0), **options)
            gateway = EndpointGateway(
                [endpoint],
                "small",
                ledger,
                environment=ENVIRONMENT,
                record=lambda _, completion: recorded.append(completion),
                retry_policy=QUICK,
            )
            try:
                given = [await gateway.complete(request) for request in requests]
            finally:
                await gateway.close()
            assert ledger.reserved == Charge()
            assert ledger.spent == sum(map(charge_of, recorded), Charge())
            assert len(server.bodies) == sum(completion.requests for completion in recorded)
            return given

    return asyncio.run(go())


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_of_server_is_asked_as_it_wants_and_learnt_once(name: str) -> None:
    kind, server = KINDS[name], KINDS[name].make()
    first, second = completions_of(server, ALL, ALL)
    for completion in (first, second):
        assert (completion.outcome, completion.text, completion.error) == ("ok", TEXT, "")
        assert completion.reasoning == kind.reasoning
        assert (completion.input_tokens, completion.output_tokens) == (20, 5)
    assert (first.requests, second.requests) == (kind.requests, 1 + (name in PER_PROMPT))
    sent = {field: value for field, value in server.bodies[-1].items() if field not in ("model", "messages")}
    assert set(sent) == SENT - kind.without | set(kind.others or ())
    assert {field: sent[field] for field in kind.others or ()} == (kind.others or {})
    roles = [message["role"] for message in server.bodies[-1]["messages"]]
    assert roles == (["system", "user"] if kind.system else ["user"])
    assert server.bodies[-1]["messages"][-1]["content"].startswith("Say" if kind.system else "Be brief.\n\nSay hello.")


def test_a_query_of_the_address_comes_behind_the_path_and_azure_gets_its_header() -> None:
    server = azure()
    completions_of(server, ALL)
    assert server.addresses == ["/openai/deployments/small/chat/completions?api-version=2024-10-21"]
    assert server.headers["api-key"] == KEY


def test_a_flagged_prompt_is_the_end_of_its_completion_and_not_of_the_run() -> None:
    burning = replace(ALL, messages=(replace(ALL.messages[1], text="arson"),))
    for name in ("Azure OpenAI", "OpenRouter"):
        refused, good = completions_of(KINDS[name].make(), burning, ALL)
        assert (refused.outcome, refused.cost_usd, good.outcome) == ("refused", 0.0, "ok")
        assert "the endpoint refuses the prompt: HTTP 40" in refused.error


def test_the_page_has_a_row_for_each_kind() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs/servers.md").read_text("utf-8"), re.MULTILINE)
    assert rows[2:] == list(KINDS)
