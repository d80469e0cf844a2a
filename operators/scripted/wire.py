"""What the interfaces of the scripted server have in common: a request as read, a reply as sent, errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evo.errors import EvoError
from evo.models import Message, Request
from operators.scripted.faults import Fault

CHARACTERS_PER_TOKEN = 4
DEFAULT_MAX_TOKENS = 4096
REFUSAL = "I'm sorry, but I can't help with that."
WORDS_ONLY = "I would weigh the terms of the score differently, but I leave the program as it is."
ROLES: Mapping[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


class ApiError(EvoError):
    """What the server answers instead of a reply, in OpenAI's error format."""

    def __init__(self, status: int, code: str, message: str, *, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.headers: dict[str, str] = {}
        self.body = json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


@dataclass(frozen=True, slots=True)
class ScriptedReply:
    """A reply with status 200.

    Attributes:
        body: the JSON object that is sent, before a fault of the format breaks it.
        text: what the rule said, as far as it is in there.
        input_tokens: charged.
        output_tokens: charged.
    """

    body: dict[str, Any]
    text: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A request as an interface reads it.

    Attributes:
        request: its digest is that of the request which a gateway was given, as far as the interface carries it.
        compose: the reply that says a text, as far as a fault lets it.
    """

    request: Request
    compose: Callable[[str, Fault | None], ScriptedReply]


@dataclass(frozen=True, slots=True)
class SaidText:
    """What is said of a rule's text.

    Attributes:
        tokens: of the text.
        end: "stop" for a text that is whole, "length" for a text that is cut, "refusal" for a refusal instead of it.
    """

    text: str
    tokens: int
    end: Literal["stop", "length", "refusal"]


def rate_limited(retry_after_seconds: float | None = None) -> ApiError:
    """A 429; with a Retry-After header where a time is given."""
    error = ApiError(429, "rate_limit_exceeded", "Rate limit reached on purpose.", kind="rate_limit_error")
    if retry_after_seconds is not None:
        error.headers["Retry-After"] = f"{retry_after_seconds:g}"
    return error


def bad(message: str) -> ApiError:
    """A 400."""
    return ApiError(400, "invalid_request", message)


def fields_of(body: bytes) -> dict[str, Any]:
    """The JSON object that an HTTP body holds.

    Raises:
        ApiError: 400, where it holds none, or asks for a stream.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise bad(f"the body is no JSON: {error!r}") from None
    if not isinstance(fields, dict):
        raise bad("the body is no JSON object")
    if fields.get("stream") or fields.get("n") not in (None, 1):
        raise bad("this server gives a single choice, not streamed: leave out 'stream' and 'n'")
    return fields


def message_of(fields: Mapping[str, Any]) -> Message:
    """A message whose content is a text, or a list of parts with texts.

    Raises:
        KeyError, TypeError: it is none.
    """
    content = fields["content"]
    if isinstance(content, list):
        content = "\n".join(part["text"] for part in content)
    if not isinstance(content, str | None):
        raise TypeError(f"expected text as content, got {type(content).__name__}")
    return Message(ROLES[fields["role"]], content or "")


def speech(request: Request, text: str, fault: Fault | None) -> SaidText:
    """What is said of `text`, as far as the fault and the request's max_tokens let it."""
    if fault == "refusal":
        return SaidText(REFUSAL, count_tokens(REFUSAL), "refusal")
    if fault == "no_code":
        text = WORDS_ONLY
    if fault == "malformed_json" and request.schema:
        text = "{" + text[: len(text) // 2]
    limit = request.max_tokens * CHARACTERS_PER_TOKEN
    shown = text[: min(limit, len(text) // 2 if fault == "truncated" else limit)]
    return SaidText(shown, count_tokens(shown), "length" if fault == "truncated" or shown != text else "stop")


def count_tokens(text: str) -> int:
    """Tokens of a text, at 4 characters each, rounded up."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def count_input(request: Request) -> int:
    """Tokens of all messages together."""
    return sum(count_tokens(message.text) for message in request.messages)


def encode(body: Mapping[str, Any], fault: Fault | None) -> bytes:
    """The body as bytes, broken where the fault is a format fault."""
    if fault == "no_usage":
        body = {name: value for name, value in body.items() if name != "usage"}
    encoded = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    if fault == "malformed_json":
        return encoded[: len(encoded) // 2]
    if fault == "not_utf8":
        return encoded.replace(b'": "', b'": "\xff\xfe\x80')
    return encoded


def list_models(names: tuple[str, ...]) -> dict[str, Any]:
    """The body of GET /v1/models."""
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": "scripted"} for name in names],
    }
