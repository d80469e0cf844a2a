"""How a JSON schema reaches an endpoint that takes none: as a sentence of the prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evo.models import Request
from operators.gateway.json_values import printable

SCHEMA_WORDS = (
    "response_format",
    "text.format",
    "json_schema",
    "json schema",
    "structured output",
    "grammar",
    "guided",
)


def messages_of(request: Request, *, schema_in_prompt: bool, system_role: bool = True) -> list[dict[str, str]]:
    """The messages as endpoints take them; a schema becomes a sentence of the last message where it has to.

    Args:
        system_role: whether the model takes system messages; else their texts go in front of the first user message.
    """
    messages = [{"role": message.role, "content": printable(message.text)} for message in request.messages]
    if request.schema and schema_in_prompt:
        messages[-1]["content"] += schema_sentence(request.schema)
    return messages if system_role else _without_system(messages)


def _without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    system = [message["content"] for message in messages if message["role"] == "system"]
    rest = [message for message in messages if message["role"] != "system"]
    first = next((message for message in rest if message["role"] == "user"), None)
    if system and first is None:
        return [{"role": "user", "content": "\n\n".join(system)}, *rest]
    if first is not None:
        first["content"] = "\n\n".join([*system, first["content"]])
    return rest


def schema_sentence(schema: Mapping[str, Any]) -> str:
    """What a prompt says where the endpoint takes no schema."""
    return (
        f"\n\nAnswer with one JSON value that fits this JSON schema, and with nothing else:\n{json.dumps(dict(schema))}"
    )
