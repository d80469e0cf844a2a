"""The policy `minibatch`: every candidate on the same part of the cases, and on no other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evo.errors import ConfigError
from evo.policies.base import CandidateBatch, Policy, Pull, RoundSchedule, grid


@dataclass(frozen=True, slots=True)
class Minibatch(Policy):
    """Every candidate on the same random subset of the cases; the subset is the run's.

    Attributes:
        size: of the subset.
    """

    size: int = 32

    whole = False

    def start(self, batch: CandidateBatch) -> MinibatchSchedule:
        return MinibatchSchedule(batch.candidates, len(batch.cases), rng=batch.shared_rng, size=self.size)


class MinibatchSchedule(RoundSchedule):
    """Every candidate on a random subset of the cases, the same for all.

    Args:
        rng: draws the subset.
        size: of the subset; all cases where there are no more than that.

    Raises:
        ConfigError: a size below 1.
    """

    def __init__(self, candidates: int, cases: int, *, rng: np.random.Generator, size: int) -> None:
        super().__init__(candidates, cases)
        if size < 1:
            raise ConfigError(f"a minibatch needs at least one case, got size {size}")
        self._cases = rng.permutation(cases)[:size]
        self._advance()

    def _round(self) -> list[Pull]:
        return [] if self.seen.any() else grid(np.arange(len(self.seen)), self._cases)
