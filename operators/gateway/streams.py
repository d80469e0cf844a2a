"""Streamed replies: server-sent events, put together into the object that the interface answers without streaming."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from operators.gateway.json_values import first_mapping, mapping, text_of

FINISHED = frozenset({"completed", "incomplete", "failed"})
THOUGHT_FIELDS = ("reasoning_content", "reasoning")


class StreamError(Exception):
    """A stream that has no end, so that what is missing of it is unknown."""


def is_stream(body: bytes) -> bool:
    """Whether a body is a sequence of events."""
    return body[:1024].lstrip(b"\xef\xbb\xbf \r\n").startswith((b"data:", b"event:", b"id:", b"retry:", b":"))


def assembled(body: bytes) -> Mapping[str, Any]:
    """A chat completion from its deltas, with the usage of the last event that has any; a response as its end has it.

    Raises:
        StreamError: it breaks off.
    """
    events = list(_events(body.decode("utf-8", "replace")))
    for event in events:
        if mapping(event.get("response")).get("status") in FINISHED:
            return mapping(event["response"])
    choices = [choice for event in events if (choice := first_mapping(event.get("choices")))]
    reason, error = _last(choices, "finish_reason"), _last(choices, "error") or _last(events, "error")
    if not (reason or error or b"[DONE]" in body[-200:]):
        raise StreamError("the stream of the reply breaks off before its end")
    message = _message([mapping(choice.get("delta") or choice.get("message")) for choice in choices])
    if not message["content"]:
        message["content"] = "".join(text_of(choice.get("text")) for choice in choices)
    usage = _last(events, "usage")
    if not choices:
        return {"error": error, "usage": usage}
    return {"choices": [{"message": message, "finish_reason": reason, "error": error}], "usage": usage}


def _message(deltas: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The texts of all deltas joined, of each field by itself."""
    message: dict[str, Any] = {"content": "".join(text_of(delta.get("content")) for delta in deltas)}
    for name in THOUGHT_FIELDS:
        message[name] = "".join(text_of(delta.get(name)) for delta in deltas)
    message["refusal"] = "".join(text_of(delta.get("refusal")) for delta in deltas)
    message["tool_calls"] = _last(deltas, "tool_calls")
    return message


def _last(events: list[Mapping[str, Any]], name: str) -> Any:
    return next((event[name] for event in reversed(events) if event.get(name)), None)


def _events(text: str) -> Iterator[Mapping[str, Any]]:
    """The JSON objects of all data lines; other lines say nothing of the reply."""
    for line in text.splitlines():
        field, _, value = line.partition(":")
        if field.strip() != "data":
            continue
        try:
            event = json.loads(value)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            yield event
