"""Frames between the trusted side and a candidate: lengths, JSON, raw numpy buffers. Data only, never pickle.

    header (16 bytes)   kind, whether the text names arrays, bytes of text, bytes of arrays
    text                JSON; an array is {"$array": [dtype, shape]}
    arrays              their bytes in order of naming, C order, each padded to a multiple of 8

Both sides run this file. Only what `receive` refuses protects the trusted side: a candidate can send any bytes at all.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

LOAD, CALL, VALUE, FAILURE = 1, 2, 3, 4

HEADER = struct.Struct("<BBxxIQ")
TEXT_LIMIT_BYTES = 16 << 20
"""JSON takes some twenty times its length in memory once it is read; large values belong in arrays."""

DTYPES = {
    np.dtype(name).str: np.dtype(name)
    for name in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
}
EMPTY_EXTENT_LIMIT = 1 << 20
"""Product of the other dimensions of an array with a dimension of 0: reducing a (0, n) array allocates n numbers."""

_MARK = "$array"
_UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError, MemoryError)


class WireError(ValueError):
    """A value that is no data, or bytes that are no frame; the message says what came."""


class Wire:
    """Turns values into frames, and frames back into values. Not for several threads at once."""

    def __init__(self) -> None:
        self._encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=self._default)
        self._decoder = json.JSONDecoder()
        self._array_decoder = json.JSONDecoder(object_hook=self._revive)
        self._out: list[bytes] = []
        self._in = bytearray()
        self._offset = 0

    def frame(self, kind: int, value: Any) -> bytes:
        """The bytes that say `value`.

        Raises:
            WireError: something in it is neither JSON nor an array of real numbers, or a key of a dict is no text.
        """
        self._out = []
        try:
            text = self._encoder.encode(value).encode("ascii")
            _check_keys(value)
        except WireError:
            raise
        except (ValueError, TypeError, RecursionError) as error:
            raise WireError(f"{_name(value)} is no data: {error}") from error
        arrays = b"".join(self._out)
        return HEADER.pack(kind, bool(self._out), len(text), len(arrays)) + text + arrays

    def receive(self, descriptor: int, *, limit_bytes: int, wait: Callable[[], None] | None = None) -> tuple[int, Any]:
        """Read a frame: its kind and its value. Arrays in it are writable.

        Args:
            limit_bytes: the longest frame to read; lengths are checked before anything is allocated.
            wait: called while there is nothing to read, where `descriptor` does not block; it returns when there is, or
                raises.

        Raises:
            WireError: a frame too long, or bytes that make no value.
            EOFError: the other side has closed its end.
        """
        if wait is not None:
            wait()
        kind, has_arrays, text_bytes, array_bytes = HEADER.unpack(_read(descriptor, HEADER.size, wait))
        if text_bytes + array_bytes > limit_bytes:
            raise WireError(f"a value of {text_bytes + array_bytes:,} bytes is over the limit of {limit_bytes:,}")
        if text_bytes > TEXT_LIMIT_BYTES:
            raise WireError(
                f"{text_bytes:,} bytes beside arrays are over {TEXT_LIMIT_BYTES:,}; large values go in arrays"
            )
        text = _read(descriptor, text_bytes, wait)
        arrays = _read(descriptor, array_bytes, wait) if array_bytes else bytearray()
        try:
            return kind, self._decoded(str(text, "utf-8"), arrays if has_arrays else None)
        except WireError:
            raise
        except _UNREADABLE as error:
            raise WireError(f"it cannot be read: {type(error).__name__}: {error}"[:500]) from None
        finally:
            self._in = bytearray()

    def _decoded(self, text: str, arrays: bytearray | None) -> Any:
        if arrays is None:
            value, end = self._decoder.raw_decode(text)
        else:
            self._in, self._offset = arrays, 0
            value, end = self._array_decoder.raw_decode(text)
            if self._offset != len(arrays):
                raise WireError(f"{len(arrays) - self._offset:,} bytes belong to no array")
        if end != len(text):
            raise WireError("it is more than one value")
        return value

    def _default(self, value: Any) -> Any:
        """What JSON does not know: arrays and numpy's numbers; anything else is refused by its name."""
        if isinstance(value, np.ndarray):
            native = value.dtype.newbyteorder("=")
            if native.str not in DTYPES:
                raise WireError(f"an array of {value.dtype} is no data; known: {', '.join(DTYPES)}")
            content = value.astype(native, copy=False).tobytes()
            self._out.append(content + b"\0" * (-len(content) % 8))
            return {_MARK: (native.str, value.shape)}
        if isinstance(value, np.generic) and value.dtype.kind in "biuf":
            return {"b": bool, "i": int, "u": int, "f": float}[value.dtype.kind](value)
        raise WireError(
            f"{_name(value)} is no data; data is None, bool, int, float, str, list, dict, array of real numbers"
        )

    def _revive(self, fields: dict[str, Any]) -> Any:
        if _MARK not in fields:
            return fields
        dtype, shape = _checked(*fields[_MARK])
        array: Any = np.ndarray(shape, dtype, self._in, self._offset)
        self._offset += array.nbytes + -array.nbytes % 8
        # A byte other than 0 and 1 in an array of bool makes numpy's results undefined.
        return np.asarray(array.view(np.uint8) != 0) if dtype.kind == "b" else array


def _read(descriptor: int, count: int, wait: Callable[[], None] | None) -> bytearray:
    content = bytearray(count)
    done = 0
    while done < count:
        try:
            size = os.readv(descriptor, [memoryview(content)[done:] if done else content])
        except BlockingIOError:
            if wait is not None:
                wait()
            continue
        if not size:
            raise EOFError("the other side has closed its end")
        done += size
    return content


def _checked(name: Any, shape: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    dtype = DTYPES.get(name) if isinstance(name, str) else None
    if dtype is None:
        raise WireError(f"an array of {str(name)[:40]!r} is no data; known: {', '.join(DTYPES)}")
    if not isinstance(shape, list) or not all(type(extent) is int and extent >= 0 for extent in shape):
        raise WireError(f"an array of shape {str(shape)[:80]} cannot be")
    if 0 in shape and math.prod(extent for extent in shape if extent) > EMPTY_EXTENT_LIMIT:
        raise WireError(f"an empty array of shape {str(shape)[:80]} is too wide")
    return dtype, tuple(shape)


def _check_keys(value: Any) -> None:
    """Refuse keys that JSON would turn into text: what arrived would be another value, and nobody would know."""
    stack = [value]
    while stack:
        found = stack.pop()
        if isinstance(found, dict):
            stranger = next((key for key in found if not isinstance(key, str)), "")
            if not isinstance(stranger, str):
                raise WireError(
                    f"a dict with a key of type {type(stranger).__name__} ({stranger!r:.40}) is no data: keys are "
                    "text; a list of pairs holds any keys"
                )
            found = found.values()
        elif not isinstance(found, (list, tuple)):
            continue
        stack += [inner for inner in found if isinstance(inner, (dict, list, tuple))]


def _name(value: Any) -> str:
    if isinstance(value, (np.ndarray, np.generic)):
        return f"{type(value).__name__} of {value.dtype}"
    return f"a value of type {type(value).__name__}"
