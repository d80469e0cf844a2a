"""Whatever a candidate sends becomes a value or a WireError, and what was sent honestly comes back as it was."""

from __future__ import annotations

import math
import os
import tracemalloc
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cluster.sandbox.wire import HEADER, TEXT_LIMIT_BYTES, VALUE, Wire, WireError

LIMIT = 1 << 20

texts = st.text(st.characters(codec="utf-8"))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
dtypes = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes()
    | hnp.unsigned_integer_dtypes()
    | hnp.floating_dtypes(sizes=(16, 32, 64))
)
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
values = st.recursive(scalars | arrays, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=12)


def received(content: bytes, limit_bytes: int = LIMIT) -> tuple[int, Any]:
    """What `content` says where nothing comes after it."""
    ours, theirs = os.pipe()
    try:
        os.set_blocking(theirs, False)
        os.write(theirs, content[:65536])
        os.close(theirs)
        return Wire().receive(ours, limit_bytes=limit_bytes)
    finally:
        os.close(ours)


def assert_same(left: Any, right: Any) -> None:
    if isinstance(left, list):
        assert len(left) == len(right)
        for item, other in zip(left, right, strict=True):
            assert_same(item, other)
    elif isinstance(left, dict):
        assert list(left) == list(right)
        for name in left:
            assert_same(left[name], right[name])
    elif isinstance(left, np.ndarray):
        np.testing.assert_array_equal(left, right)
        assert (left.dtype.newbyteorder("="), left.shape) == (right.dtype, right.shape)
    else:
        assert left == right
        assert type(left) is type(right)


@given(values)
def test_values_come_back_as_they_went(value: Any) -> None:
    assert_same(value, received(Wire().frame(VALUE, value))[1])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_refused(content: bytes) -> None:
    with suppress(WireError, EOFError):
        received(content)


@given(st.integers(0, 255), st.booleans(), st.binary(max_size=80), st.binary(max_size=40))
def test_any_content_of_a_frame_is_a_value_or_refused(kind: int, marked: bool, text: bytes, tail: bytes) -> None:
    with suppress(WireError):
        assert received(HEADER.pack(kind, marked, len(text), len(tail)) + text + tail)[0] == kind


@given(st.data())
def test_a_frame_with_any_bytes_changed_is_a_value_or_refused(data: st.DataObject) -> None:
    content = bytearray(Wire().frame(VALUE, [1.5, {"a": np.arange(5.0)}, np.array([[True, False]])]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(HEADER.size, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(WireError):
        assert received(bytes(content))[0] == VALUE


def test_a_length_over_the_limit_allocates_nothing() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(WireError, match="over the limit of 1,048,576"):
            received(HEADER.pack(VALUE, True, 8, 1 << 40))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_text_that_would_fill_the_memory_once_read_is_refused() -> None:
    with pytest.raises(WireError, match="large values go in arrays"):
        received(HEADER.pack(VALUE, False, TEXT_LIMIT_BYTES + 1, 0), limit_bytes=1 << 30)


@pytest.mark.parametrize(
    ("text", "tail", "said"),
    [
        ('{"$array": ["<c16", [1]]}', bytes(16), "'<c16' is no data"),
        ('{"$array": ["|O", [1]]}', bytes(8), "is no data"),
        ('{"$array": ["<f16", [1]]}', bytes(16), "is no data"),
        ('{"$array": [["<f8"], [1]]}', bytes(8), "is no data"),
        ('{"$array": ["<f8", [1.0]]}', bytes(8), "cannot be"),
        ('{"$array": ["<f8", [true]]}', bytes(8), "cannot be"),
        ('{"$array": ["<f8", [-1, -1]]}', bytes(8), "cannot be"),
        ('{"$array": ["<f8", [2]]}', bytes(8), "too small"),
        ('{"$array": ["<f8", [9223372036854775807, 2]]}', bytes(8), "cannot be read"),
        ('{"$array": ["<f8", [0, 1048577]]}', b"", "too wide"),
        ('{"$array": ["<f8", [1]]}', bytes(16), "8 bytes belong to no array"),
        ('{"$array": ["<f8"]}', bytes(8), "cannot be read"),
        ('{"$array": "<8"}', bytes(8), "is no data"),
        ('{"$array": ["<f8", ' + str([1] * 70) + "]}", bytes(8), "cannot be read"),
        ('["a", {"$array": ["<f8", [1]]}] 1', bytes(8), "more than one value"),
    ],
)
def test_an_array_that_cannot_be_is_refused(text: str, tail: bytes, said: str) -> None:
    with pytest.raises(WireError, match=said):
        received(HEADER.pack(VALUE, True, len(text), len(tail)) + text.encode() + tail)


def test_bytes_that_are_no_truth_values_are_made_so() -> None:
    text = b'{"$array": ["|b1", [4]]}'
    _, array = received(HEADER.pack(VALUE, True, len(text), 8) + text + bytes([0, 1, 2, 255, 0, 0, 0, 0]))
    assert array.view(np.uint8).tolist() == [0, 1, 1, 1]


def test_keys_that_come_twice_count_once() -> None:
    text = b'{"a": 1, "a": 2}'
    assert received(HEADER.pack(VALUE, False, len(text), 0) + text)[1] == {"a": 2}


def test_numbers_that_are_none_come_through_for_the_scorer_to_refuse() -> None:
    assert math.isnan(received(Wire().frame(VALUE, float("nan")))[1])
    assert received(Wire().frame(VALUE, [np.float32("-inf"), np.int8(3), np.bool_(True)]))[1] == [-math.inf, 3, True]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1j, "type complex"),
        (np.array([1j]), "array of complex128"),
        (np.array(["a"]), "array of <U1"),
        (np.array([object()]), "array of object"),
        (np.longdouble(1) * np.ones(2), "array of float128|array of longdouble"),
        (np.datetime64("2026-01-01"), "datetime64"),
        ({1, 2}, "type set"),
        (b"bytes", "type bytes"),
        ({(1, 2): 3}, "keys must be"),
        ({0: [1]}, r"a dict with a key of type int \(0\) is no data: keys are text"),
        ([{"a": ({None: 1},)}], "a key of type NoneType"),
        ({"a": {True: 1}}, "a key of type bool"),
        ({0.5: 1}, "a key of type float"),
        (10**5000, "Exceeds the limit"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_data_is_refused_by_its_name(value: Any, said: str) -> None:
    with pytest.raises(WireError, match=said):
        Wire().frame(VALUE, value)


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(WireError, match="recursion"):
        Wire().frame(VALUE, endless)
