"""All randomness of a run: a generator for each use and number, from the run's seed alone."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import numpy as np
from numpy.random.bit_generator import ISeedSequence

from evo.protocols import IntArray

STATE_BYTES = 32

Use = Literal["parents", "proposal", "islands", "again", "contest", "batch"]


def generator(seed: int, number: int, use: Use) -> np.random.Generator:
    """The randomness of one ask, tell or contest, which no other shares.

    Its first state is a BLAKE2b of the three; numpy's own way to mix seeds takes three times as long.
    """
    state = hashlib.blake2b(f"{seed} {number} {use}".encode(), digest_size=STATE_BYTES).digest()
    return np.random.Generator(np.random.PCG64(_Given(np.frombuffer(state, "<u8"))))


class _Given(ISeedSequence):
    """Hands over a state that is as random as any."""

    def __init__(self, words: IntArray) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> IntArray:
        return self._words
