"""Which genomes were proposed before: exact for the latest, bounded for all."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.search.duplicates import SeenGenomes


def digest(number: int) -> str:
    return hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest()


@given(st.lists(st.integers(0, 300), max_size=300))
def test_it_agrees_with_a_set_while_it_forgets_nothing(numbers: list[int]) -> None:
    seen, known = SeenGenomes(512), set[int]()
    for number in numbers:
        assert (digest(number) in seen) == (number in known)
        seen.add(digest(number))
        known.add(number)
    assert {one for one in range(301) if digest(one) in seen} == known


def test_the_latest_are_remembered_and_the_oldest_forgotten() -> None:
    seen = SeenGenomes(64)
    for number in range(1000):
        seen.add(digest(number))
        assert all(digest(one) in seen for one in range(max(0, number - 63), number + 1))
    assert sum(digest(one) in seen for one in range(1000)) <= 128


@pytest.mark.parametrize("key", ["0" * 32, "0" * 15 + "1" + "0" * 16, "f" * 32])
def test_every_digest_can_be_remembered(key: str) -> None:
    seen = SeenGenomes(4)
    assert key not in seen
    seen.add(key)
    seen.add(key)
    assert key in seen
