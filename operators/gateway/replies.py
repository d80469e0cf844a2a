"""Reading what an endpoint answered: foreign JSON of which nothing may be taken for granted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evo.models import CompletionOutcome
from operators.gateway.transport import Answer

Billing = Literal["used", "free", "worst"]
Access = Literal["", "key", "model", "credit"]

RETRIED = frozenset({408, 409, 429})
EXCERPT = 300


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answer means.

    Attributes:
        input_tokens: as counted by the endpoint; None where it says nothing (likewise output_tokens).
        billing: what to charge: the tokens used (counted or estimated), nothing, or the worst case, where the endpoint
            may have billed a reply that cannot be read.
        retry: another request may fare better.
        access: why no request ever can: the key, the model's name, or an account without credit.
    """

    outcome: CompletionOutcome
    text: str = ""
    input_tokens: int | None = None
    cached_tokens: int = 0
    output_tokens: int | None = None
    error: str = ""
    billing: Billing = "used"
    retry: bool = False
    access: Access = ""


def read_answer(answer: Answer) -> Reply:
    """What one HTTP answer, or the lack of one, means."""
    if answer.fault:
        return _FAULTS[answer.fault]
    return read_body(answer.body) if 200 <= answer.status < 300 else _refused(answer)


def read_body(body: bytes) -> Reply:
    """A chat completion from the body of an HTTP answer that says it went well."""
    try:
        fields = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        return Reply("failed", error="the reply is not UTF-8", billing="worst")
    except (ValueError, RecursionError):
        return Reply("failed", error=f"the reply is not JSON: {_excerpt(body)}", billing="worst")
    if not isinstance(fields, dict):
        return Reply("failed", error=f"the reply is no JSON object: {_excerpt(body)}", billing="worst")
    if fields.get("error") and not fields.get("choices"):
        return Reply("failed", error=f"the endpoint reports an error: {_excerpt(body)}", billing="free")
    outcome, text, error = _first_choice(fields)
    usage = _mapping(fields.get("usage"))
    details = _mapping(usage.get("prompt_tokens_details"))
    return Reply(
        outcome,
        printable(text),
        _count(usage.get("prompt_tokens")),
        _count(details.get("cached_tokens")) or 0,
        # Zero tokens for a text that is there is no count.
        _count(usage.get("completion_tokens"), least=1 if text else 0),
        printable(error),
    )


def printable(text: str) -> str:
    """`text` without lone surrogates, which no file and no request can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _first_choice(fields: Mapping[str, Any]) -> tuple[CompletionOutcome, str, str]:
    """Outcome, text and error of the first choice."""
    choices = fields.get("choices")
    choice = _mapping(choices[0]) if isinstance(choices, list) and choices else None
    if choice is None:
        return "empty", "", "the reply has no choice"
    message = _mapping(choice.get("message"))
    text, refusal, reason = _text(message.get("content")), message.get("refusal"), choice.get("finish_reason")
    if isinstance(refusal, str) and refusal:
        return "refused", text, f"the model refused: {refusal[:EXCERPT]}"
    if reason == "content_filter":
        return "refused", text, "the endpoint's content filter withheld the reply"
    if reason == "length":
        return "truncated", text, "the reply is longer than max_tokens"
    return ("ok", text, "") if text.strip() else ("empty", text, "the reply has no text")


def _text(content: object) -> str:
    """Content is a text, or a list of parts of which some are texts."""
    if isinstance(content, list):
        return "".join(_text(_mapping(part).get("text")) for part in content)
    return content if isinstance(content, str) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object, *, least: int = 1) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= least else None


def _refused(answer: Answer) -> Reply:
    """An HTTP status that is an error; such answers are not billed."""
    access = _access(answer)
    retry = not access and (answer.status in RETRIED or answer.status >= 500)
    error = f"HTTP {answer.status}: {_excerpt(answer.body)}"
    return Reply("failed", error=error, billing="free", retry=retry, access=access)


def _access(answer: Answer) -> Access:
    if answer.status in (401, 403):
        return "key"
    if answer.status == 402 or (answer.status == 429 and b"insufficient_quota" in answer.body):
        return "credit"
    return "model" if answer.status == 404 else ""


def _excerpt(body: bytes) -> str:
    """The endpoint's own words on one line."""
    return " ".join(body[: 4 * EXCERPT].decode("utf-8", "replace").split())[:EXCERPT]


# An endpoint that got the request and never answered may bill it; one that was not reached cannot.
_FAULTS: Mapping[str, Reply] = {
    "timeout": Reply("timeout", error="no answer within the endpoint's timeout", billing="worst", retry=True),
    "unreachable": Reply("unreachable", error="no connection could be made", billing="free", retry=True),
    "broken": Reply(
        "unreachable", error="the connection broke before the reply was complete", billing="worst", retry=True
    ),
    "too long": Reply("failed", error="the reply is longer than the gateway reads", billing="worst"),
}
