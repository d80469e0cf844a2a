"""Embeddings: a vector for a text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from evo.models import Request
from operators.gateway.endpoint_replies import EndpointReply, reported
from operators.gateway.json_values import count, mapping, printable

FLOAT = np.dtype("<f4")
OPTIONAL: Mapping[str, tuple[str, ...]] = {"encoding_format": ("encoding_format",)}


def fields(request: Request, model: str, refused: Set[str]) -> dict[str, Any]:
    """The body of POST /embeddings; base64 is a fifth of what numbers in JSON take."""
    body = {"model": model, "input": printable(request.messages[0].text), "encoding_format": "base64"}
    return {name: value for name, value in body.items() if name not in refused}


def read(body: Mapping[str, Any]) -> EndpointReply:
    """The vector as base64 of little-endian 32-bit floats, and its usage; what is no vector is failed."""
    if body.get("error") and not body.get("data"):
        return reported(body["error"])
    tokens = count(mapping(body.get("usage")).get("prompt_tokens"))
    try:
        return EndpointReply("ok", _encoded(_vector(body)), tokens, output_tokens=0)
    except ValueError as error:
        return EndpointReply("failed", "", tokens, output_tokens=0, error=str(error))


def _vector(body: Mapping[str, Any]) -> bytes | list[Any]:
    rows = body.get("data")
    if not isinstance(rows, list) or len(rows) != 1:
        found = len(rows) if isinstance(rows, list) else "none"
        raise ValueError(f"expected a single vector for a text, got {found}")
    vector = mapping(rows[0]).get("embedding")
    if isinstance(vector, list):
        return vector
    if not isinstance(vector, str):
        raise ValueError(f"the vector is {type(vector).__name__}, neither base64 nor a list of numbers")
    try:
        return base64.b64decode(vector, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the vector is no base64") from None


def _encoded(vector: bytes | list[Any]) -> str:
    floats = _numbers(vector) if isinstance(vector, list) else _floats(vector)
    if not floats.size:
        raise ValueError("the vector is empty")
    if not np.isfinite(floats).all():
        raise ValueError("the vector has numbers that are not finite")
    return base64.b64encode(floats.tobytes()).decode()


def _floats(packed: bytes) -> np.ndarray[Any, Any]:
    if len(packed) % FLOAT.itemsize:
        raise ValueError(f"the vector has {len(packed)} bytes, which 32-bit floats cannot have")
    return np.frombuffer(packed, FLOAT)


def _numbers(vector: list[Any]) -> np.ndarray[Any, Any]:
    """The numbers as 32-bit floats; a number too large for them becomes infinite."""
    if not all(type(number) in (int, float) for number in vector):
        raise ValueError("the vector is a list of other things than numbers")
    try:
        with np.errstate(over="ignore"):
            return np.array(vector, np.float64).astype(FLOAT)
    except OverflowError:
        raise ValueError("the vector has numbers that are not finite") from None
