"""The Chat Completions format: reading requests, writing replies and errors, sound or faulty."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, cast

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


def rate_limited(retry_after_seconds: float | None = None) -> ApiError:
    """A 429; with a Retry-After header where a time is given."""
    error = ApiError(429, "rate_limit_exceeded", "Rate limit reached on purpose.", kind="rate_limit_error")
    if retry_after_seconds is not None:
        error.headers["Retry-After"] = f"{retry_after_seconds:g}"
    return error


def read_request(body: bytes) -> Request:
    """The request that an HTTP body holds; its digest is that of the request which a gateway was given.

    Raises:
        ApiError: 400, where it is no request that this server understands.
    """
    try:
        fields = json.loads(body)
        messages = tuple(_message(one) for one in fields["messages"])
        model = str(fields["model"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _bad(f"the body is no chat completion request: {error!r}") from None
    if not messages:
        raise _bad("expected at least one message")
    if fields.get("stream") or fields.get("n") not in (None, 1):
        raise _bad("this server gives one choice, not streamed: leave out 'stream' and 'n'")
    return Request(
        "http",
        messages,
        model=model,
        temperature=fields.get("temperature"),
        max_tokens=_max_tokens(fields),
        seed=fields.get("seed"),
        schema=_schema(fields.get("response_format")),
    )


def count_tokens(text: str) -> int:
    """Tokens of a text, at 4 characters each, rounded up."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def count_input(request: Request) -> int:
    """Tokens of all messages together."""
    return sum(count_tokens(message.text) for message in request.messages)


def compose(request: Request, text: str, fault: Fault | None) -> dict[str, Any]:
    """The body of a reply that says `text`, as far as the fault and the request's max_tokens let it."""
    if fault == "refusal":
        return _completion(request, {"content": None, "refusal": REFUSAL}, finish="stop", tokens=count_tokens(REFUSAL))
    if fault == "no_code":
        text = WORDS_ONLY
    limit = request.max_tokens * CHARACTERS_PER_TOKEN
    shown = text[: min(limit, len(text) // 2 if fault == "truncated" else limit)]
    finish = "length" if fault == "truncated" or shown != text else "stop"
    message = {"content": shown, "refusal": None}
    body = _completion(request, message, finish=finish, tokens=count_tokens(shown))
    if fault == "empty_choices":
        body["choices"] = []
    return body


def encode(body: Mapping[str, Any], fault: Fault | None) -> bytes:
    """The body as bytes, broken where the fault is one of the format."""
    if fault == "no_usage":
        body = {name: value for name, value in body.items() if name != "usage"}
    encoded = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    if fault == "malformed_json":
        return encoded[: len(encoded) // 2]
    if fault == "not_utf8":
        return encoded.replace(b'"content": "', b'"content": "\xff\xfe\x80', 1)
    return encoded


def list_models(names: tuple[str, ...]) -> dict[str, Any]:
    """The body of GET /v1/models."""
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": "scripted"} for name in names],
    }


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


def _message(fields: Mapping[str, Any]) -> Message:
    content = fields["content"]
    if isinstance(content, list):
        content = "\n".join(part["text"] for part in content)
    if not isinstance(content, str | None):
        raise TypeError(f"expected text as content, got {type(content).__name__}")
    return Message(ROLES[fields["role"]], content or "")


def _max_tokens(fields: Mapping[str, Any]) -> int:
    given = fields.get("max_completion_tokens") or fields.get("max_tokens") or DEFAULT_MAX_TOKENS
    if not isinstance(given, int) or given < 1:
        raise _bad(f"expected a positive whole number as max_tokens, got {given!r}")
    return given


def _schema(response_format: Any) -> Mapping[str, Any] | None:
    match response_format:
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema}}:
            return cast(Mapping[str, Any], schema)
        case {"type": "json_object"}:
            return {"type": "object"}
    return None


def _bad(message: str) -> ApiError:
    return ApiError(400, "invalid_request", message)
