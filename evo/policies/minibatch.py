"""Everything, or the same part of the cases for every candidate."""

from __future__ import annotations

import numpy as np

from evo.errors import ConfigError
from evo.policies.base import Pull, Rounds, grid


class Full(Rounds):
    """Every candidate on every case."""

    def __init__(self, candidates: int, cases: int) -> None:
        super().__init__(candidates, cases)
        self._advance()

    def _round(self) -> list[Pull]:
        candidates, cases = self.seen.shape
        return [] if self.seen.any() else grid(np.arange(candidates), np.arange(cases))


class Minibatch(Rounds):
    """Every candidate on one random subset of the cases, the same for all; the next batch is another policy.

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
