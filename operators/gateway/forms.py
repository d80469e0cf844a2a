"""The interfaces of an OpenAI-compatible server that the gateway speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from evo.models import Endpoint, Request
from operators.gateway import chat, embeddings, responses
from operators.gateway.endpoint_replies import EndpointReply


@dataclass(frozen=True, slots=True)
class ApiForm:
    """How an interface writes a request and reads the answer.

    Attributes:
        name: as a sentence calls it.
        path: below the endpoint's base_url.
        fields: the body of an HTTP request, from the request, the model's name, and the parameters to do without.
        read: what the JSON object of a good answer means.
        optional: parameter to words that name it in an answer which refuses it.
        alternatives: parameters that mean the same; some always stays.
        lengths: parameters of which one says how long the reply may be.
        streaming: parameters that ask for a stream, for a server that answers nothing else.
    """

    name: str
    path: str
    fields: Callable[[Request, str, Set[str]], dict[str, Any]]
    read: Callable[[Mapping[str, Any]], EndpointReply]
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    alternatives: tuple[str, ...] = ()
    lengths: tuple[str, ...] = ()
    streaming: Mapping[str, Any] = field(default_factory=dict)


CHAT = ApiForm(
    "chat completions",
    "/chat/completions",
    chat.fields,
    chat.read,
    chat.OPTIONAL,
    alternatives=chat.LENGTHS,
    lengths=chat.LENGTHS,
    streaming={"stream": True, "stream_options": {"include_usage": True}},
)
RESPONSES = ApiForm(
    "responses",
    "/responses",
    responses.fields,
    responses.read,
    responses.OPTIONAL,
    lengths=("max_output_tokens",),
    streaming={"stream": True},
)
EMBEDDINGS = ApiForm("embeddings", "/embeddings", embeddings.fields, embeddings.read, embeddings.OPTIONAL)


def form_of(request: Request, endpoint: Endpoint) -> ApiForm:
    """The interface for a request."""
    if request.output == "vector":
        return EMBEDDINGS
    return RESPONSES if endpoint.api == "responses" else CHAT
