"""How alike two genomes are: by their text, and by the vectors of an embedding model."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from rapidfuzz import fuzz, process

from evo.genomes import Genome
from evo.values import Individual


@dataclass(frozen=True, slots=True)
class Alike:
    """Limits above which a newcomer counts as a near duplicate of a living individual; None never does.

    Attributes:
        text: normalised insertions and deletions between canonical texts, 0 to 1.
        vectors: cosine of their embeddings, -1 to 1.
    """

    text: float | None = None
    vectors: float | None = None

    @property
    def compares(self) -> bool:
        """Whether any two genomes could be too alike."""
        return self.text is not None or self.vectors is not None

    def twin(self, genome: Genome, vector: tuple[float, ...], living: Iterable[Individual]) -> str:
        """What says that a living individual is a near duplicate; empty where none is."""
        if not self.compares:
            return ""
        others = list(living)
        return self._by_text(genome, others) or self._by_vector(vector, others)

    def _by_text(self, genome: Genome, others: list[Individual]) -> str:
        if self.text is None:
            return ""
        texts = [one.genome.canonical for one in others]
        found = process.extractOne(genome.canonical, texts, scorer=fuzz.ratio, score_cutoff=100 * self.text)
        return f"its text is {found[1] / 100:.3f} alike that of {others[found[2]].id}" if found else ""

    def _by_vector(self, vector: tuple[float, ...], others: list[Individual]) -> str:
        fitting = [one for one in others if len(one.vector) == len(vector)]
        if self.vectors is None or not vector or not fitting:
            return ""
        stacked = np.array([one.vector for one in fitting])
        cosines = stacked @ np.array(vector) / (np.linalg.norm(stacked, axis=1) * np.linalg.norm(vector) + 1e-30)
        nearest = int(np.argmax(cosines))
        if cosines[nearest] < self.vectors:
            return ""
        return f"its embedding is {cosines[nearest]:.3f} alike that of {fitting[nearest].id}"


def vector_of(text: str) -> tuple[float, ...]:
    """The vector in a completion's text; () where it holds none."""
    try:
        numbers = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4")
    except (binascii.Error, ValueError):
        return ()
    return tuple(float(one) for one in numbers) if np.isfinite(numbers).all() else ()
