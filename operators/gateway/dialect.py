"""How a request is put to one model of one endpoint, as its refusals teach it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evo.models import Request
from operators.gateway.replies import printable
from operators.gateway.transport import Answer

LENGTHS = ("max_tokens", "max_completion_tokens")
NO_SUCH = ("unsupported", "not support", "unknown", "unrecognized", "not permitted", "not allowed", "instead")
SCHEMA_WORDS = ("response_format", "json_schema", "grammar", "guided")


class Dialect:
    """Which optional parameters a model takes: all of them, until it answers 400 about one.

    Servers differ: llama.cpp and Ollama know `max_tokens`, OpenAI's reasoning models only `max_completion_tokens` and
    no temperature; some take no JSON schema, which then becomes a sentence of the prompt.
    """

    def __init__(self, *, at_openai: bool = False) -> None:
        self._refused: set[str] = {"max_tokens"} if at_openai else set()

    def fields(self, request: Request, model: str) -> dict[str, Any]:
        """The body of the HTTP request."""
        messages = [{"role": one.role, "content": printable(one.text)} for one in request.messages]
        if request.schema and "response_format" in self._refused:
            messages[-1]["content"] += schema_sentence(request.schema)
        return {"model": model, "messages": messages, self._length: request.max_tokens, **self._optional(request)}

    def learn(self, answer: Answer, sent: Mapping[str, Any]) -> bool:
        """Whether the answer refuses a parameter of `sent` that the next request can do without."""
        if answer.status not in (400, 422):
            return False
        said = answer.body.decode("utf-8", "replace").lower()
        refused = {name for name in sent if _refuses(said, name)}
        if set(LENGTHS) <= self._refused | refused:
            refused -= set(LENGTHS)
        self._refused |= refused
        return bool(refused)

    @property
    def _length(self) -> str:
        return LENGTHS[0] if LENGTHS[0] not in self._refused else LENGTHS[1]

    def _optional(self, request: Request) -> dict[str, Any]:
        schema = {"type": "json_schema", "json_schema": {"name": "reply", "schema": dict(request.schema or {})}}
        optional = {
            "temperature": request.temperature,
            "seed": request.seed,
            "response_format": schema if request.schema else None,
        }
        return {name: value for name, value in optional.items() if value is not None and name not in self._refused}


def schema_sentence(schema: Mapping[str, Any]) -> str:
    """What a prompt says where the endpoint cannot be told the schema."""
    return (
        f"\n\nAnswer with one JSON value that fits this JSON schema, and with nothing else:\n{json.dumps(dict(schema))}"
    )


def _refuses(said: str, name: str) -> bool:
    if name == "response_format":
        return any(word in said for word in SCHEMA_WORDS)
    return name in ("temperature", "seed", *LENGTHS) and name in said and any(word in said for word in NO_SUCH)
