"""Reading what an endpoint answered: untrusted JSON of which nothing may be assumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evo.models import CompletionOutcome
from operators.gateway.transport import HttpAnswer

Billing = Literal["used", "free", "worst"]
AccessProblem = Literal["", "key", "model", "credit"]

RETRIED = frozenset({408, 409, 429})
EXCERPT = 300
MOST_TOKENS = 10**12


@dataclass(frozen=True, slots=True)
class EndpointReply:
    """What an answer means.

    Attributes:
        input_tokens: as counted by the endpoint; None where it says nothing (likewise output_tokens).
        billing: what to charge: the tokens used (counted or estimated), nothing, or the worst case, where the endpoint
            may have billed a reply that cannot be read.
        retry: another request may succeed.
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
    access: AccessProblem = ""


def read_answer(answer: HttpAnswer, read: Callable[[Mapping[str, Any]], EndpointReply]) -> EndpointReply:
    """What an HTTP answer, or its absence, means.

    Args:
        read: the interface's own reading of the JSON object that an answer which went well holds.
    """
    if answer.fault:
        return _FAULTS[answer.fault]
    return _read_body(answer.body, read) if 200 <= answer.status < 300 else _refused(answer)


def reported(error: object, *, retry: bool = False) -> EndpointReply:
    """What an error in an answer of status 200 means."""
    said = error if isinstance(error, str) else json.dumps(error)
    return EndpointReply(
        "failed", error=f"the endpoint reports an error: {printable(said[:EXCERPT])}", billing="free", retry=retry
    )


def printable(text: str) -> str:
    """`text` without lone surrogates, which no file and no request can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def text_of(content: object) -> str:
    """Content is a text, or a list of parts of which some are texts."""
    if isinstance(content, list):
        return "".join(text_of(mapping(part).get("text")) for part in content)
    return content if isinstance(content, str) else ""


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object; empty in place of anything else."""
    return value if isinstance(value, dict) else {}


def count(value: object, *, least: int = 1) -> int | None:
    """A plausible count of tokens, else None."""
    return value if type(value) is int and least <= value <= MOST_TOKENS else None


def _read_body(body: bytes, read: Callable[[Mapping[str, Any]], EndpointReply]) -> EndpointReply:
    try:
        fields = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        return EndpointReply("failed", error="the reply is not UTF-8", billing="worst")
    except (ValueError, RecursionError):
        return EndpointReply("failed", error=f"the reply is not JSON: {_excerpt(body)}", billing="worst")
    if not isinstance(fields, dict):
        return EndpointReply("failed", error=f"the reply is no JSON object: {_excerpt(body)}", billing="worst")
    return read(fields)


def _refused(answer: HttpAnswer) -> EndpointReply:
    """An HTTP status that is an error; such answers are not billed."""
    access = _access(answer)
    retry = not access and (answer.status in RETRIED or answer.status >= 500)
    error = f"HTTP {answer.status}: {_excerpt(answer.body)}"
    return EndpointReply("failed", error=error, billing="free", retry=retry, access=access)


def _access(answer: HttpAnswer) -> AccessProblem:
    if answer.status in (401, 403):
        return "key"
    if answer.status == 402 or (answer.status == 429 and b"insufficient_quota" in answer.body):
        return "credit"
    return "model" if answer.status == 404 else ""


def _excerpt(body: bytes) -> str:
    """The endpoint's own words on a single line."""
    return " ".join(body[: 4 * EXCERPT].decode("utf-8", "replace").split())[:EXCERPT]


# An endpoint that got the request and never answered may bill it; an endpoint that was not reached cannot.
_FAULTS: Mapping[str, EndpointReply] = {
    "timeout": EndpointReply("timeout", error="no answer within the endpoint's timeout", billing="worst", retry=True),
    "unreachable": EndpointReply("unreachable", error="no connection could be made", billing="free", retry=True),
    "broken": EndpointReply(
        "unreachable", error="the connection broke before the reply was complete", billing="worst", retry=True
    ),
    "too long": EndpointReply("failed", error="the reply is longer than the gateway reads", billing="worst"),
}
