"""How a JSON schema reaches an endpoint that takes none: as a sentence of the prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evo.models import Request
from operators.gateway.endpoint_replies import printable

SCHEMA_WORDS = ("response_format", "text.format", "json_schema", "grammar", "guided")


def messages_of(request: Request, *, schema_in_prompt: bool) -> list[dict[str, str]]:
    """The messages as endpoints take them; a schema becomes a sentence of the last message where it has to."""
    messages = [{"role": message.role, "content": printable(message.text)} for message in request.messages]
    if request.schema and schema_in_prompt:
        messages[-1]["content"] += schema_sentence(request.schema)
    return messages


def schema_sentence(schema: Mapping[str, Any]) -> str:
    """What a prompt says where the endpoint takes no schema."""
    return (
        f"\n\nAnswer with one JSON value that fits this JSON schema, and with nothing else:\n{json.dumps(dict(schema))}"
    )
