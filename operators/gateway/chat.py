"""Chat completions: the interface that every OpenAI-compatible server has."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from evo.models import CompletionOutcome, Request
from operators.gateway.endpoint_replies import EXCERPT, EndpointReply, count, mapping, printable, reported, text_of
from operators.gateway.schemas import SCHEMA_WORDS, messages_of

LENGTHS = ("max_tokens", "max_completion_tokens")
OPTIONAL: Mapping[str, tuple[str, ...]] = {
    "temperature": ("temperature",),
    "seed": ("seed",),
    "response_format": SCHEMA_WORDS,
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
        "messages": messages_of(request, schema_in_prompt=schema is None),
        length: request.max_tokens,
        **{name: value for name, value in optional.items() if value is not None and name not in refused},
    }


def read(body: Mapping[str, Any]) -> EndpointReply:
    """A chat completion's first choice and its usage."""
    if body.get("error") and not body.get("choices"):
        return reported(body["error"])
    outcome, text, error = _first_choice(body)
    usage = mapping(body.get("usage"))
    details = mapping(usage.get("prompt_tokens_details"))
    return EndpointReply(
        outcome,
        printable(text),
        count(usage.get("prompt_tokens")),
        count(details.get("cached_tokens")) or 0,
        # Zero tokens for a text that is there is no count.
        count(usage.get("completion_tokens"), least=1 if text else 0),
        printable(error),
    )


def _first_choice(body: Mapping[str, Any]) -> tuple[CompletionOutcome, str, str]:
    """Outcome, text and error of the first choice."""
    choices = body.get("choices")
    choice = mapping(choices[0]) if isinstance(choices, list) and choices else None
    if choice is None:
        return "empty", "", "the reply has no choice"
    message = mapping(choice.get("message"))
    text, refusal, reason = text_of(message.get("content")), message.get("refusal"), choice.get("finish_reason")
    if isinstance(refusal, str) and refusal:
        return "refused", text, f"the model refused: {refusal[:EXCERPT]}"
    if reason == "content_filter":
        return "refused", text, "the endpoint's content filter withheld the reply"
    if reason == "length":
        return "truncated", text, "the reply is longer than max_tokens"
    return ("ok", text, "") if text.strip() else ("empty", text, "the reply has no text")
