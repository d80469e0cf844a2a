"""A rule that answers in JSON: a small value that fits the JSON schema which it is asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evo.models import Message
from operators.sampling import pick

NO_SCHEMA = "I find no JSON schema here."
SCHEMA_HEADING = "Reply with one JSON value that fits this schema:\n"
DEEPEST = 20
SPREAD = 9


def with_schema(messages: Sequence[Message], schema: Mapping[str, Any] | None) -> Sequence[Message]:
    """What a rule gets: the messages, with the schema before them as a server puts it into its model's prompt."""
    if not schema:
        return messages
    return (Message("system", SCHEMA_HEADING + json.dumps(dict(schema))), *messages)


def json_value(messages: Sequence[Message], rng: np.random.Generator) -> str:
    """The smallest value that fits the schema, its free choices sampled: options, truth, numbers within bounds.

    Objects have the properties that are required, or all where the schema does not say; arrays their least number of
    items. Knows type, properties, required, items, prefixItems, minItems, enum, const, default bounds of numbers,
    multipleOf, minLength, maxLength, anyOf, oneOf, allOf and references within the schema; not pattern and format.
    """
    schema = _schema(messages)
    return NO_SCHEMA if schema is None else json.dumps(_Maker(schema, rng).value(schema))


class _Maker:
    def __init__(self, root: Mapping[str, Any], rng: np.random.Generator) -> None:
        self._root = root
        self._rng = rng

    def value(self, schema: Any, depth: int = 0) -> Any:
        """A value of `schema`; null where it nests too deep to end."""
        schema = self._resolved(schema) if depth < DEEPEST else {"type": "null"}
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return pick(self._rng, schema["enum"])
        match _kind(schema):
            case "object":
                return self._object(schema, depth + 1)
            case "array":
                return self._array(schema, depth + 1)
            case "string":
                return _word(schema)
            case "integer" | "number" as kind:
                return _number(schema, self._rng, whole=kind == "integer")
            case "boolean":
                return bool(self._rng.integers(2))
        return None

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        return {name: self.value(properties.get(name, {}), depth) for name in schema.get("required", properties)}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        first = schema.get("prefixItems", [])
        rest = [schema.get("items", {})] * max(0, schema.get("minItems", 0) - len(first))
        return [self.value(schema, depth) for schema in (*first, *rest)]

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        """The schema with its references followed and the first of its alternatives taken."""
        found = dict(schema) if isinstance(schema, Mapping) else {}
        for _ in range(DEEPEST):
            if "$ref" in found:
                found = {**_referred(self._root, found.pop("$ref")), **found}
            elif choices := found.pop("anyOf", None) or found.pop("oneOf", None):
                found = {**found, **dict(choices[0])}
            elif parts := found.pop("allOf", None):
                for part in parts:
                    found = _merged(found, self._resolved(part))
            else:
                break
        return found


def _schema(messages: Sequence[Message]) -> Mapping[str, Any] | None:
    """The schema that the server was given, else the last line of the prompt that can be a schema."""
    first = messages[0].text
    if first.startswith(SCHEMA_HEADING):
        return _parsed(first.removeprefix(SCHEMA_HEADING))
    lines = [line for message in messages for line in message.text.splitlines() if line.startswith("{")]
    return next((found for line in reversed(lines) if (found := _parsed(line)) is not None), None)


def _parsed(text: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    if kind is None:
        return (
            "object" if "properties" in schema or "required" in schema else "array" if "items" in schema else "string"
        )
    return str(kind)


def _merged(first: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**first, **other}
    for name, join in (("properties", lambda a, b: {**a, **b}), ("required", lambda a, b: [*a, *b])):
        if name in first and name in other:
            merged[name] = join(first[name], other[name])
    return merged


def _referred(root: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    found: Any = root
    for name in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
        found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _word(schema: Mapping[str, Any]) -> str:
    word = "word"[: schema.get("maxLength", 4)]
    return word.ljust(schema.get("minLength", 0), "x")


def _number(schema: Mapping[str, Any], rng: np.random.Generator, *, whole: bool) -> float | int:
    """Within the bounds, both of them exclusive; from 0 on where there is none."""
    low, high = _bounds(schema)
    if not whole and "multipleOf" not in schema:
        return low + (high - low) * int(rng.integers(1, 10)) / 10
    step = schema.get("multipleOf", 1)
    least, most = _steps(schema, low, high, step)
    sampled = (least + int(rng.integers(max(0, most - least) + 1))) * step
    return int(sampled) if whole else float(sampled)


def _bounds(schema: Mapping[str, Any]) -> tuple[float, float]:
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    if math.isinf(low):
        low = min(0, high - SPREAD)
    return low, low + SPREAD if math.isinf(high) else high


def _steps(schema: Mapping[str, Any], low: float, high: float, step: float) -> tuple[int, int]:
    """The least and the most number of steps that fit; exclusive bounds shut their own multiple out."""
    least, most = math.ceil(low / step), math.floor(high / step)
    least += least * step == schema.get("exclusiveMinimum")
    most -= most * step == schema.get("exclusiveMaximum")
    return least, most
