"""Chat completions: the interface that every OpenAI-compatible server has."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any

from evo.models import CompletionOutcome, Request
from operators.gateway.endpoint_errors import one_line
from operators.gateway.endpoint_replies import EndpointReply, reported, with_error
from operators.gateway.json_values import count, first_mapping, mapping, printable, text_of, thoughts_in
from operators.gateway.schemas import SCHEMA_WORDS, messages_of
from operators.gateway.streams import THOUGHT_FIELDS

LENGTHS = ("max_tokens", "max_completion_tokens")
OPTIONAL: Mapping[str, tuple[str, ...]] = {
    "temperature": ("temperature",),
    "seed": ("seed",),
    "response_format": SCHEMA_WORDS,
    "stream_options": ("stream_options", "include_usage"),
    **{name: (name,) for name in LENGTHS},
}


def fields(request: Request, model: str, refused: Set[str]) -> dict[str, Any]:
    """The body of POST /chat/completions."""
    schema = request.schema if "response_format" not in refused else None
    length = LENGTHS[LENGTHS[0] in refused]
    optional = {
        "temperature": request.temperature,
        "seed": request.seed,
        "response_format": {"type": "json_schema", "json_schema": {"name": "reply", "schema": dict(schema)}}
        if schema
        else None,
    }
    return {
        "model": model,
        "messages": messages_of(request, schema_in_prompt=schema is None, system_role="system" not in refused),
        length: request.max_tokens,
        **{name: value for name, value in optional.items() if value is not None and name not in refused},
    }


def read(body: Mapping[str, Any]) -> EndpointReply:
    """A chat completion's first choice and its usage."""
    if body.get("error") and not body.get("choices"):
        return reported(body["error"])
    choice = first_mapping(body.get("choices"))
    outcome, text, error = _first_choice(choice)
    usage = mapping(body.get("usage"))
    details = mapping(usage.get("prompt_tokens_details"))
    reasoning = _thoughts(mapping(choice.get("message")))
    reply = EndpointReply(
        outcome,
        printable(text),
        count(usage.get("prompt_tokens")),
        count(details.get("cached_tokens")) or 0,
        # Zero tokens for a text that is there is no count.
        count(usage.get("completion_tokens"), least=1 if text or reasoning else 0),
        printable(error),
        printable(reasoning),
    )
    if ended_by := choice.get("error") or _unexplained(choice):
        return with_error(reply, ended_by)
    return _answered_by_thoughts(reply) if outcome == "empty" and not _instead(choice) else reply


def _first_choice(choice: Mapping[str, Any]) -> tuple[CompletionOutcome, str, str]:
    """Outcome, text and error of the first choice."""
    if not choice:
        return "empty", "", "the reply has no choice"
    message = mapping(choice.get("message"))
    text = text_of(message.get("content")) or text_of(choice.get("text"))
    refusal, reason = message.get("refusal"), choice.get("finish_reason")
    if isinstance(refusal, str) and refusal:
        return "refused", text, f"the model refused: {one_line(refusal)}"
    if reason == "content_filter":
        return "refused", text, "the endpoint's content filter withheld the reply"
    if reason == "length":
        return "truncated", text, "the reply is longer than max_tokens"
    return ("ok", text, "") if text.strip() else ("empty", text, f"the reply has no text{_instead(choice)}")


def _answered_by_thoughts(reply: EndpointReply) -> EndpointReply:
    """A reply that ended normally and has a text in its field for reasoning alone: that is its answer."""
    if not reply.reasoning.strip():
        return reply
    return replace(reply, outcome="ok", text=reply.reasoning, error="", answer_in_reasoning=True)


def _instead(choice: Mapping[str, Any]) -> str:
    """What a message without a text holds: a call of a tool, though none was offered."""
    message = mapping(choice.get("message"))
    call = mapping(first_mapping(message.get("tool_calls")).get("function")) or mapping(message.get("function_call"))
    return f" but the call of a tool, {one_line(str(call.get('name')))!r}, which it was not offered" if call else ""


def _thoughts(message: Mapping[str, Any]) -> str:
    """The thoughts that a message keeps apart from its text; a server that has both fields says the same in both."""
    named = (text_of(message.get(name)) for name in THOUGHT_FIELDS)
    return next(filter(str.strip, named), "") or thoughts_in(message.get("content"))


def _unexplained(choice: Mapping[str, Any]) -> object:
    """The error of a choice that names none."""
    failed = choice.get("finish_reason") == "error"
    return {"code": 502, "message": "the endpoint ended the reply with an error and named none"} if failed else None
