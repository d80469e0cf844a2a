"""OpenAI's Responses interface. Nothing is stored at the endpoint; the interface has no seed, so it is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

from evo.models import CompletionOutcome, Request
from operators.gateway.endpoint_errors import one_line
from operators.gateway.endpoint_replies import EndpointReply, reported
from operators.gateway.json_values import count, mapping, printable, text_of, thoughts_in
from operators.gateway.prices import LEAST_RESPONSE_TOKENS
from operators.gateway.schemas import SCHEMA_WORDS, messages_of

OPTIONAL: Mapping[str, tuple[str, ...]] = {"temperature": ("temperature",), "text": SCHEMA_WORDS}
TRANSIENT = frozenset({"server_error", "rate_limit_exceeded"})


def fields(request: Request, model: str, refused: Set[str]) -> dict[str, Any]:
    """The body of POST /responses; a leading system message becomes the instructions."""
    schema = request.schema if "text" not in refused else None
    messages = messages_of(request, schema_in_prompt=schema is None)
    body: dict[str, Any] = {"model": model, "store": False}
    if len(messages) > 1 and messages[0]["role"] == "system":
        body["instructions"] = messages.pop(0)["content"]
    body["input"] = messages
    body["max_output_tokens"] = max(LEAST_RESPONSE_TOKENS, request.max_tokens)
    if request.temperature is not None and "temperature" not in refused:
        body["temperature"] = request.temperature
    if schema:
        body["text"] = {"format": {"type": "json_schema", "name": "reply", "schema": dict(schema), "strict": False}}
    return body


def read(body: Mapping[str, Any]) -> EndpointReply:
    """The texts of all messages that a response holds, and its usage."""
    usage = mapping(body.get("usage"))
    failure = mapping(body.get("error"))
    if body.get("error") and not usage:
        return reported(body["error"])
    text = "".join(_texts(body, "output_text", "text"))
    outcome, error = _outcome(body, text)
    return EndpointReply(
        outcome,
        printable(text),
        count(usage.get("input_tokens")),
        count(mapping(usage.get("input_tokens_details")).get("cached_tokens")) or 0,
        # Zero tokens for a text that is there is no count.
        count(usage.get("output_tokens"), least=1 if text else 0),
        printable(error),
        printable("\n".join(_thoughts(body))),
        billing="worst" if outcome == "failed" and not usage else "used",
        retry=outcome == "failed" and str(failure.get("code")) in TRANSIENT,
    )


def _outcome(body: Mapping[str, Any], text: str) -> tuple[CompletionOutcome, str]:
    status = body.get("status", "completed")
    reason = mapping(body.get("incomplete_details")).get("reason")
    refusal = "".join(_texts(body, "refusal", "refusal"))
    if status == "incomplete" and reason == "max_output_tokens":
        return "truncated", "the reply is longer than max_tokens"
    if refusal:
        return "refused", f"the model refused: {one_line(refusal)}"
    if status == "incomplete" and reason == "content_filter":
        return "refused", "the endpoint's content filter withheld the reply"
    if status != "completed":
        return "failed", _unfinished(body, one_line(str(status)))
    return ("ok", "") if text.strip() else ("empty", "the reply has no text")


def _unfinished(body: Mapping[str, Any], status: str) -> str:
    said = mapping(body.get("error")).get("message") or mapping(body.get("incomplete_details")).get("reason")
    return one_line(f"the response is {status}: {said or 'no reason given'}")


def _texts(body: Mapping[str, Any], kind: str, name: str) -> Iterator[str]:
    """Of all parts of that kind in all messages; reasoning and calls of tools are passed over."""
    for item in _list(body.get("output")):
        for part in _list(mapping(item).get("content")) if mapping(item).get("type", "message") == "message" else ():
            text = mapping(part).get(name)
            if mapping(part).get("type") == kind and isinstance(text, str):
                yield text


def _thoughts(body: Mapping[str, Any]) -> Iterator[str]:
    """Of all items that are reasoning: their summaries, and their texts where the endpoint gives them."""
    for item in map(mapping, _list(body.get("output"))):
        if item.get("type") == "reasoning":
            yield from filter(None, (text_of(item.get("summary")), thoughts_in(item.get("content"))))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
