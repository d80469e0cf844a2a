"""Reading what an endpoint answered: untrusted JSON of which nothing may be assumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from evo.models import CompletionOutcome
from operators.gateway import endpoint_errors as errors
from operators.gateway.endpoint_errors import AccessProblem
from operators.gateway.json_values import mapping, parsed
from operators.gateway.streams import StreamError, assembled, is_stream
from operators.gateway.transport import HttpAnswer

Billing = Literal["used", "free", "worst"]


@dataclass(frozen=True, slots=True)
class EndpointReply:
    """What an answer means.

    Attributes:
        reasoning: the model's thoughts, where the answer keeps them apart from the text.
        input_tokens: as counted by the endpoint; None where it says nothing (likewise output_tokens).
        billing: what to charge: the tokens used (counted or estimated), nothing, or the worst case, where the endpoint
            may have billed a reply that cannot be read.
        retry: another request may succeed.
        access: why no request ever can: the key, the model's name, or an account without credit.
        answer_in_reasoning: the text was found in the field for reasoning.
    """

    outcome: CompletionOutcome
    text: str = ""
    input_tokens: int | None = None
    cached_tokens: int = 0
    output_tokens: int | None = None
    error: str = ""
    reasoning: str = ""
    billing: Billing = "used"
    retry: bool = False
    access: AccessProblem = ""
    answer_in_reasoning: bool = False

    @property
    def whole(self) -> str:
        """Text and thoughts: what the model has generated."""
        return self.text if self.answer_in_reasoning else self.text + self.reasoning


def read_answer(answer: HttpAnswer, read: Callable[[Mapping[str, Any]], EndpointReply]) -> EndpointReply:
    """What an HTTP answer, or its absence, means.

    Args:
        read: the interface's own reading of the JSON object that an answer which went well holds.
    """
    if answer.fault:
        return _FAULTS[answer.fault]
    if 200 <= answer.status < 300:
        return _read_body(answer.body, read)
    sentence = f"HTTP {answer.status}: {errors.sentence_in(answer.body)}"
    return _failed(answer.status, errors.said_in(answer.body), sentence)


def reported(error: object) -> EndpointReply:
    """What an error in an answer of status 200 means: what it would mean with its code as the status."""
    body = json.dumps({"error": error}).encode()
    sentence = f"the endpoint reports an error: {errors.sentence_in(body)}"
    status = errors.status_of(error)
    return _failed(status, errors.said_in(body), f"{sentence} (code {status})" if status else sentence)


def _failed(status: int, said: str, sentence: str) -> EndpointReply:
    """By an HTTP status that is an error; such answers are not billed."""
    if errors.is_flagged(status, said):
        return EndpointReply("refused", error=f"the endpoint refuses the prompt: {sentence}", billing="free")
    access = errors.access_of(status, said)
    retry = not access and errors.is_retried(status)
    return EndpointReply("failed", error=sentence, billing="free", retry=retry, access=access)


def _read_body(body: bytes, read: Callable[[Mapping[str, Any]], EndpointReply]) -> EndpointReply:
    try:
        fields = assembled(body) if is_stream(body) else parsed(body)
    except StreamError as error:
        return EndpointReply("failed", error=str(error), billing="worst", retry=True)
    except UnicodeDecodeError:
        return EndpointReply("failed", error="the reply is not UTF-8", billing="worst")
    except (ValueError, RecursionError):
        page = " but a web page; is base_url the address of the API?" if errors.is_page(body) else ""
        said = f"the reply is not JSON{page}: {errors.sentence_in(body)}"
        return EndpointReply("failed", error=said, billing="worst")
    if isinstance(fields, list) and len(fields) == 1 and mapping(fields[0]).get("error"):
        return reported(fields[0]["error"])
    if not isinstance(fields, dict):
        said = f"the reply is no JSON object: {errors.one_line(json.dumps(fields))}"
        return EndpointReply("failed", error=said, billing="worst")
    return read(fields)


def with_error(reply: EndpointReply, error: object) -> EndpointReply:
    """A reply that ended with an error: what the error means, and what was used up to it."""
    return replace(
        reported(error),
        text=reply.text,
        input_tokens=reply.input_tokens,
        cached_tokens=reply.cached_tokens,
        output_tokens=reply.output_tokens,
        reasoning=reply.reasoning,
        billing=reply.billing if reply.text or reply.reasoning or reply.input_tokens else "free",
    )


# An endpoint that got the request and never answered may bill it; an endpoint that was not reached cannot.
_FAULTS: Mapping[str, EndpointReply] = {
    "timeout": EndpointReply("timeout", error="no answer within the endpoint's timeout", billing="worst", retry=True),
    "unreachable": EndpointReply("unreachable", error="no connection could be made", billing="free", retry=True),
    "broken": EndpointReply(
        "unreachable", error="the connection broke before the reply was complete", billing="worst", retry=True
    ),
    "too long": EndpointReply("failed", error="the reply is longer than the gateway reads", billing="worst"),
}
