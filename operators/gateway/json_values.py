"""Foreign JSON: what an endpoint answered, of which nothing may be assumed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MOST_TOKENS = 10**12
THOUGHT_PARTS = frozenset({"thinking", "reasoning", "reasoning_text", "redacted_thinking"})


def parsed(body: bytes) -> Any:
    """The JSON value of a body in UTF-8, or in Windows' Latin-1 as some servers write it.

    Raises:
        UnicodeDecodeError: it is neither.
        ValueError, RecursionError: it is no JSON.
    """
    try:
        return json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError:
        text = body.decode("cp1252", "replace")
        try:
            return json.loads(text)
        except ValueError:
            pass
        raise


def printable(text: str) -> str:
    """`text` without lone surrogates, which no file and no request can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def text_of(content: object) -> str:
    """Content is a text, or a list of parts of which some are texts; parts that are thoughts are left out."""
    if isinstance(content, list):
        return "".join(text_of(mapping(part).get("text")) for part in content if not _is_thought(part))
    return content if isinstance(content, str) else ""


def thoughts_in(content: object) -> str:
    """The thoughts among the parts of a content: a text each, or parts again."""
    parts = [mapping(part) for part in content if _is_thought(part)] if isinstance(content, list) else []
    names = ("thinking", "reasoning", "text", "content", "summary")
    return "\n".join(filter(None, (text_of(part.get(name)) for part in parts for name in names)))


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object; empty in place of anything else."""
    return value if isinstance(value, dict) else {}


def first_mapping(value: object) -> Mapping[str, Any]:
    """The JSON object that a list begins with; empty in place of anything else."""
    return mapping(value[0]) if isinstance(value, list) and value else {}


def count(value: object, *, least: int = 1) -> int | None:
    """A plausible count of tokens, else None."""
    return value if type(value) is int and least <= value <= MOST_TOKENS else None


def _is_thought(part: object) -> bool:
    kind = mapping(part).get("type")
    return isinstance(kind, str) and kind in THOUGHT_PARTS
