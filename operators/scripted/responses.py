"""The Responses interface: reading requests, writing replies. Nothing is stored, so nothing can be continued."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from evo.models import Message, Request
from operators.scripted.faults import Fault
from operators.scripted.wire import (
    DEFAULT_MAX_TOKENS,
    ReadRequest,
    SaidText,
    ScriptedReply,
    bad,
    count_input,
    fields_of,
    message_of,
    speech,
)

LEAST_TOKENS = 16
OF_CHAT = ("messages", "seed", "max_tokens", "max_completion_tokens", "response_format")


def read(body: bytes) -> ReadRequest:
    """The request that an HTTP body holds; instructions become a system message.

    Raises:
        ApiError: 400, where it is no request that this server understands; parameters of chat completions are none.
    """
    fields = fields_of(body)
    for name in OF_CHAT:
        if name in fields:
            raise bad(f"Unknown parameter: '{name}'.")
    try:
        messages = _messages(fields)
        model = str(fields["model"])
    except (KeyError, TypeError, AttributeError) as error:
        raise bad(f"the body is no request for a response: {error!r}") from None
    request = Request(
        "http",
        messages,
        model=model,
        temperature=fields.get("temperature"),
        max_tokens=_max_tokens(fields),
        schema=_schema(fields.get("text")),
    )
    return ReadRequest(request, partial(_compose, request))


def _messages(fields: Mapping[str, Any]) -> tuple[Message, ...]:
    given, instructions = fields["input"], fields.get("instructions")
    said = (Message("user", given),) if isinstance(given, str) else tuple(message_of(message) for message in given)
    if not said:
        raise bad("expected a message as input")
    return (Message("system", str(instructions)), *said) if instructions else said


def _compose(request: Request, text: str, fault: Fault | None) -> ScriptedReply:
    said = speech(request, text, fault)
    output = [] if fault == "empty_choices" else [_message(request, said)]
    prompt = count_input(request)
    # No clock and no counter in it: the same request gets the same bytes.
    body = {
        "id": f"resp_{request.digest}",
        "object": "response",
        "created_at": 0,
        "status": "incomplete" if said.end == "length" else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if said.end == "length" else None,
        "model": request.model,
        "output": output,
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
        "store": False,
        "usage": {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": said.tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + said.tokens,
        },
    }
    return ScriptedReply(body, said.text if output else "", prompt, said.tokens)


def _message(request: Request, said: SaidText) -> dict[str, Any]:
    spoken = {"type": "output_text", "text": said.text, "annotations": []}
    part = {"type": "refusal", "refusal": said.text} if said.end == "refusal" else spoken
    return {
        "id": f"msg_{request.digest}",
        "type": "message",
        "role": "assistant",
        "status": "incomplete" if said.end == "length" else "completed",
        "content": [part],
    }


def _max_tokens(fields: Mapping[str, Any]) -> int:
    given = fields.get("max_output_tokens") or DEFAULT_MAX_TOKENS
    if not isinstance(given, int) or given < LEAST_TOKENS:
        raise bad(f"Invalid 'max_output_tokens': expected a whole number >= {LEAST_TOKENS}, got {given!r}")
    return given


def _schema(text: Any) -> Mapping[str, Any] | None:
    match text:
        case {"format": {"type": "json_schema", "schema": dict() as schema}}:
            return cast(Mapping[str, Any], schema)
        case {"format": {"type": "json_object"}}:
            return {"type": "object"}
    return None
