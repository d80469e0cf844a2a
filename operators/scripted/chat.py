"""The Chat Completions interface: reading requests, writing replies."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from evo.models import Request
from operators.scripted.faults import Fault
from operators.scripted.wire import (
    DEFAULT_MAX_TOKENS,
    ReadRequest,
    ScriptedReply,
    bad,
    count_input,
    fields_of,
    message_of,
    speech,
)


def read(body: bytes) -> ReadRequest:
    """The request that an HTTP body holds.

    Raises:
        ApiError: 400, where it is no request that this server understands.
    """
    fields = fields_of(body)
    try:
        messages = tuple(message_of(message) for message in fields["messages"])
        model = str(fields["model"])
    except (KeyError, TypeError, AttributeError) as error:
        raise bad(f"the body is no chat completion request: {error!r}") from None
    if not messages:
        raise bad("expected a message")
    request = Request(
        "http",
        messages,
        model=model,
        temperature=fields.get("temperature"),
        max_tokens=_max_tokens(fields),
        seed=fields.get("seed"),
        schema=_schema(fields.get("response_format")),
    )
    return ReadRequest(request, partial(_compose, request))


def _compose(request: Request, text: str, fault: Fault | None) -> ScriptedReply:
    said = speech(request, text, fault)
    refused = said.end == "refusal"
    message = {"content": None if refused else said.text, "refusal": said.text if refused else None}
    body = _completion(request, message, finish="length" if said.end == "length" else "stop", tokens=said.tokens)
    if fault == "empty_choices":
        body["choices"] = []
    return ScriptedReply(body, said.text if body["choices"] else "", body["usage"]["prompt_tokens"], said.tokens)


def _completion(request: Request, message: Mapping[str, Any], *, finish: str, tokens: int) -> dict[str, Any]:
    # No clock and no counter in it: the same request gets the same bytes.
    prompt = count_input(request)
    return {
        "id": f"chatcmpl-{request.digest}",
        "object": "chat.completion",
        "created": 0,
        "model": request.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", **message},
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": tokens,
            "total_tokens": prompt + tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


def _max_tokens(fields: Mapping[str, Any]) -> int:
    given = fields.get("max_completion_tokens") or fields.get("max_tokens") or DEFAULT_MAX_TOKENS
    if not isinstance(given, int) or given < 1:
        raise bad(f"expected a positive whole number as max_tokens, got {given!r}")
    return given


def _schema(response_format: Any) -> Mapping[str, Any] | None:
    match response_format:
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema}}:
            return cast(Mapping[str, Any], schema)
        case {"type": "json_object"}:
            return {"type": "object"}
    return None
