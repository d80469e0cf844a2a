"""The Embeddings interface, with simulated vectors: similar spelling is near, whatever it means."""

from __future__ import annotations

import base64
import math
import zlib
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.models import Message, Request
from operators.scripted.faults import Fault
from operators.scripted.wire import ReadRequest, ScriptedReply, bad, count_input, fields_of

DIMENSIONS = 256
GRAM = 3
ENCODINGS = ("float", "base64")


def read(body: bytes) -> ReadRequest:
    """The request that an HTTP body holds: a message for each text of its input.

    Raises:
        ApiError: 400, where it is no request that this server understands.
    """
    fields = fields_of(body)
    given, encoding = fields.get("input"), fields.get("encoding_format") or "float"
    texts: list[Any] = given if isinstance(given, list) else [given]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise bad("expected as input a text, or a list of texts, none of them empty")
    if encoding not in ENCODINGS or fields.get("dimensions") not in (None, DIMENSIONS):
        raise bad(f"expected encoding_format {' or '.join(ENCODINGS)}, and {DIMENSIONS} dimensions or none named")
    if not isinstance(fields.get("model"), str):
        raise bad("expected a model")
    messages = tuple(Message("user", text) for text in texts)
    request = Request("http", messages, model=fields["model"], output="vector")
    return ReadRequest(request, partial(_compose, request, encoding))


def simulated_vector(text: str) -> NDArray[np.float32]:
    """A stand-in for an embedding, of length 1: hashed trigrams of the text, its case and its spacing left out.

    Returns:
        shape (DIMENSIONS,); the same for the same text, on any machine.
    """
    plain = f" {' '.join(text.lower().split())} "
    grams = Counter(plain[start : start + GRAM] for start in range(max(1, len(plain) - GRAM + 1)))
    vector = np.zeros(DIMENSIONS)
    for gram, times in grams.items():
        hashed = zlib.crc32(gram.encode("utf-8", "replace"))
        vector[hashed % DIMENSIONS] += (1 if hashed & 1 << 31 else -1) * (1 + math.log(times))
    length = np.linalg.norm(vector)
    return (vector / length if length else np.eye(DIMENSIONS)[0]).astype("<f4")


def _compose(request: Request, encoding: str, text: str, fault: Fault | None) -> ScriptedReply:
    """A sound reply but for "empty_choices", which gives no vector, and "truncated", which cuts each short."""
    rows = [] if fault == "empty_choices" else [_row(*row, encoding, fault) for row in enumerate(request.messages)]
    prompt = count_input(request)
    usage = {"prompt_tokens": prompt, "total_tokens": prompt}
    return ScriptedReply({"object": "list", "data": rows, "model": request.model, "usage": usage}, "", prompt, 0)


def _row(index: int, message: Message, encoding: str, fault: Fault | None) -> Mapping[str, Any]:
    vector = simulated_vector(message.text)
    packed = vector.tobytes()[: -1 if fault == "truncated" else None]
    numbers = vector.tolist()[: -1 if fault == "truncated" else None]
    said = base64.b64encode(packed).decode() if encoding == "base64" else numbers
    return {"object": "embedding", "index": index, "embedding": said}
