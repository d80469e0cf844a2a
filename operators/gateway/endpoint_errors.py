"""What an endpoint says where it does not answer: the words of its error, in whichever form, and what they mean."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from operators.gateway.json_values import mapping, parsed, printable

AccessProblem = Literal["", "key", "model", "credit"]

EXCERPT = 600
RETRIED = frozenset({408, 409, 425, 429})
# Where an error within an answer of status 200 has a word for a code, and what it means as a status.
CODES: Mapping[str, int] = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "too_many_requests": 429,
    "resource_exhausted": 429,
    "server_error": 500,
    "internal_server_error": 500,
    "api_error": 500,
    "internal": 500,
    "overloaded_error": 503,
    "unavailable": 503,
    "service_unavailable": 503,
    "timeout": 504,
}
_NAMES = ("message", "msg", "detail", "error", "error_message", "reason", "param", "loc", "code", "type", "metadata")
_WITHIN_METADATA = ("raw", "reasons")
_FLAGGED = re.compile(
    r"content[_ ](filter|policy|management policy)|flagged|moderation|responsible ?ai|safety (system|filter|polic)"
    r"|data_inspection_failed|inappropriate content|sensitive (content|words)"
)
_MARKUP = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_PAGE = re.compile(rb"\s*<(!doctype|html|head|body)\b", re.IGNORECASE)


def error_in(body: bytes) -> object:
    """The error that a body holds: that of a JSON object, or of the first in a list; None where there is none."""
    try:
        value = parsed(body)
    except (ValueError, RecursionError):
        return None
    value = value[0] if isinstance(value, list) and value else value
    return mapping(value).get("error") or value


def said_in(body: bytes) -> str:
    """The words of an error in small letters, without what it may repeat of the request; its first 4,800 characters."""
    error = error_in(body)
    words = " ".join(_words(error)) if error is not None else body[:EXCERPT].decode("utf-8", "replace")
    return words[: 8 * EXCERPT].lower()


def sentence_in(body: bytes) -> str:
    """The endpoint's own words on a single line: of JSON its messages, of a web page its text."""
    error = error_in(body)
    messages = list(dict.fromkeys(_messages(error)))
    if messages:
        said = ": ".join(messages)
    elif isinstance(error, dict | list):
        said = json.dumps(error)
    else:
        said = body[: 8 * EXCERPT].decode("utf-8", "replace")
        said = _MARKUP.sub(" ", said) if is_page(body) else said
    return one_line(said)


def one_line(said: str) -> str:
    """On a single line, at most EXCERPT characters."""
    return printable(" ".join(said[: 8 * EXCERPT].split())[:EXCERPT])


def is_page(body: bytes) -> bool:
    """Whether a body is a web page."""
    return bool(_PAGE.match(body[:1024]))


def status_of(error: object) -> int:
    """The HTTP status that an error within an answer of status 200 stands for; 0 where it names none."""
    fields = mapping(error)
    for name in ("code", "status", "status_code", "type"):
        value = fields.get(name)
        if isinstance(value, str):
            value = int(value) if value.isascii() and value.isdigit() and len(value) < 4 else CODES.get(value.lower())
        if type(value) is int and 400 <= value < 600:
            return value
    return 0


def is_flagged(status: int, said: str) -> bool:
    """Whether an endpoint refuses this prompt, and may take another."""
    return status in (400, 403, 422, 451) and bool(_FLAGGED.search(said))


def access_of(status: int, said: str) -> AccessProblem:
    """Why no request ever can succeed."""
    if status in (401, 403):
        return "key"
    if status == 402 or (status == 429 and "insufficient_quota" in said):
        return "credit"
    return "model" if status == 404 else ""


def is_retried(status: int) -> bool:
    """Whether another request may succeed."""
    return status in RETRIED or status >= 500


def _words(error: object, names: tuple[str, ...] = _NAMES, depth: int = 0) -> Iterator[str]:
    """Of the fields that say what is wrong; what else there is may repeat the prompt."""
    if isinstance(error, str | int | float):
        yield str(error)
    elif isinstance(error, list) and depth < 6:
        for part in error[:20]:
            yield from _words(part, names, depth + 1)
    elif isinstance(error, dict) and depth < 6:
        for name in names:
            within = _WITHIN_METADATA if name == "metadata" else _NAMES
            yield from _words(error.get(name), within, depth + 1) if name in error else ()


def _messages(error: object) -> Iterator[str]:
    """What an error says to a reader, with its code, and the words of a provider behind the endpoint."""
    if isinstance(error, str):
        yield error
        return
    fields: Mapping[str, Any] = mapping(error)
    metadata = mapping(fields.get("metadata"))
    inner = fields.get("error")
    for message in (fields.get("message"), inner, fields.get("detail"), fields.get("msg"), metadata.get("raw")):
        if isinstance(message, str) and message.strip():
            yield message.strip()
    prompt, context = fields.get("n_prompt_tokens"), fields.get("n_ctx")
    if type(prompt) is int and type(context) is int:
        yield f"the prompt has {prompt} tokens, the context {context}"
    for part in fields["detail"][:20] if isinstance(fields.get("detail"), list) else ():
        place = mapping(part).get("loc")
        where = ".".join(map(str, place)) + ": " if isinstance(place, list) else ""
        yield f"{where}{mapping(part).get('msg') or part}"
