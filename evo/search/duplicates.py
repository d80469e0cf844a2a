"""Duplicates: genomes that were proposed before, and near duplicates by their text or by an embedding model."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Interval
from rapidfuzz import fuzz, process

from evo.genomes import Genome
from evo.values import Individual

REMEMBERED = 1 << 20


@dataclass(frozen=True, slots=True)
class DuplicateFilter:
    """When a proposal is rejected as a near duplicate of a member of the population, before it is evaluated.

    The section search.duplicate_filter of a configuration.

    Attributes:
        text: similarity of canonical texts from which a proposal is a duplicate, by normalised insertions and
            deletions, 0 to 1; None does not compare texts.
        vectors: cosine of embeddings from which it is; None does not compare embeddings.
        model: that makes the embeddings; has to be named where `vectors` is given.
    """

    text: Annotated[float, Interval(gt=0, le=1)] | None = None
    vectors: Annotated[float, Interval(gt=0, le=1)] | None = None
    model: str | None = None

    @property
    def compares(self) -> bool:
        """Whether genomes are compared at all."""
        return self.text is not None or self.vectors is not None

    def duplicate(self, genome: Genome, vector: tuple[float, ...], population: Iterable[Individual]) -> str:
        """Why a genome is a near duplicate of a member of the population; empty where it is not."""
        if not self.compares:
            return ""
        others = list(population)
        return self._by_text(genome, others) or self._by_vector(vector, others)

    def _by_text(self, genome: Genome, others: list[Individual]) -> str:
        if self.text is None:
            return ""
        texts = [other.genome.canonical for other in others]
        found = process.extractOne(genome.canonical, texts, scorer=fuzz.ratio, score_cutoff=100 * self.text)
        return f"its text is {found[1] / 100:.3f} like that of {others[found[2]].id}" if found else ""

    def _by_vector(self, vector: tuple[float, ...], others: list[Individual]) -> str:
        fitting = [other for other in others if len(other.vector) == len(vector)]
        if self.vectors is None or not vector or not fitting:
            return ""
        stacked = np.array([other.vector for other in fitting])
        cosines = stacked @ np.array(vector) / (np.linalg.norm(stacked, axis=1) * np.linalg.norm(vector) + 1e-30)
        nearest = int(np.argmax(cosines))
        if cosines[nearest] < self.vectors:
            return ""
        return f"its embedding is {cosines[nearest]:.3f} like that of {fitting[nearest].id}"


def vector_of(text: str) -> tuple[float, ...]:
    """The embedding in the text of a completion; () where the text holds none."""
    try:
        numbers = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4")
    except (binascii.Error, ValueError):
        return ()
    return tuple(float(number) for number in numbers) if np.isfinite(numbers).all() else ()


class SeenGenomes:
    """Digests of the genomes proposed last: at least the last `remembered`, at most twice as many.

    Of a digest 64 bits are kept: that two of a million genomes are taken for the same has a chance of 3 in 10^8.

    Args:
        remembered: a power of two; 32 bytes are held for each.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._young = _Digests(2 * remembered)
        self._old = _Digests(2)

    def __contains__(self, digest: str) -> bool:
        key = _key(digest)
        return key in self._young or key in self._old

    def add(self, digest: str) -> None:
        """Remember a digest in hexadecimal; the older half is forgotten where there are too many."""
        if len(self._young) == self._remembered:
            self._young, self._old = _Digests(2 * self._remembered), self._young
        self._young.add(_key(digest))


class _Digests:
    """A set of 64-bit keys that are as good as random, by open addressing; never more than half full."""

    def __init__(self, room: int) -> None:
        self._slots = np.zeros(room, dtype=np.uint64).data
        self._mask = room - 1
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: int) -> bool:
        return self._slots[self._place(key)] == key

    def add(self, key: int) -> None:
        at = self._place(key)
        self._count += self._slots[at] != key
        self._slots[at] = key

    def _place(self, key: int) -> int:
        """Where a key is, or would be."""
        at = key & self._mask
        while self._slots[at] not in (0, key):
            at = (at + 1) & self._mask
        return at


def _key(digest: str) -> int:
    return int(digest[:16], 16) or 1  # 0 marks a free slot
