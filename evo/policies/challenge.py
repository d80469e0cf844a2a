"""The policy `challenge`: a candidate against its base parent, pruned once it hardly can be better any more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evo.errors import ConfigError
from evo.policies.base import CandidateBatch, Estimate, Policy, Pull, RoundSchedule, bounded, grid
from evo.protocols import FloatArray, IntArray

PRIOR_DIFFERENCES = 2


@dataclass(frozen=True, slots=True)
class Challenge(Policy):
    """Each candidate against its base parent, pruned once it hardly can be better any more.

    A candidate without a parent that was scored on all cases is scored as a whole.

    Attributes:
        limit: the chance to win below which it is pruned.
        step: how many cases it takes between two looks at the chance; they are scored side by side.
    """

    limit: float = 0.01
    step: int = 8

    reason = "by now it would hardly be better than its parent"

    def start(self, batch: CandidateBatch) -> ChallengeSchedule | None:
        if any(name not in batch.incumbent for name in batch.cases):
            return None
        known = [batch.incumbent[name] for name in batch.cases]
        return ChallengeSchedule(known, rng=batch.rng, limit=self.limit, step=self.step)


def chance_to_win(differences: Sequence[float] | FloatArray, cases: int) -> float:
    """Chance that a candidate's mean over all cases is at least the incumbent's, by those that both have seen.

    The prior on the difference is flat. Its spread has `PRIOR_DIFFERENCES` more of the largest size seen, so that a few
    equal differences are no certainty.

    Args:
        differences: candidate minus incumbent on each case, the cases drawn at random.
        cases: how many there are in all.
    """
    mean, variance = _difference(np.asarray(differences, dtype=np.float64), cases)
    if not 0 < variance < math.inf:
        return float(mean >= 0) if len(differences) == cases or mean else 0.5
    from scipy.special import stdtr  # here, as scipy takes half a second to import

    return float(stdtr(len(differences) - 1 + PRIOR_DIFFERENCES, mean / math.sqrt(variance)))


def _difference(seen: FloatArray, cases: int) -> tuple[float, float]:
    """Mean of the differences seen, and its variance about the mean over all cases."""
    count = len(seen)
    if not count:
        return 0.0, math.inf
    mean = float(seen.mean())
    squares = float(((seen - mean) ** 2).sum()) + PRIOR_DIFFERENCES * float(np.abs(seen).max()) ** 2
    return mean, squares / (count - 1 + PRIOR_DIFFERENCES) / count * (1 - count / cases)


class ChallengeSchedule(RoundSchedule):
    """A candidate against an incumbent whose scores are known: it is pruned once it hardly can win any more.

    The limit bounds how many of the pruned would have won. It looks at the chance again and again, so of candidates
    exactly as good as the incumbent more are pruned (9 of 100 at a limit of 0.01 and 500 cases).

    Attributes:
        chance: that it wins, by the scores so far.

    Args:
        incumbent: score on each case, shape (cases,).
        rng: puts the cases in order.
        limit: the chance to win below which it is pruned.
        step: how many cases it takes between two looks at the chance.

    Raises:
        ConfigError: a limit outside [0, 0.5), or a step below 1.
    """

    def __init__(
        self, incumbent: Sequence[float] | FloatArray, *, rng: np.random.Generator, limit: float = 0.01, step: int = 8
    ) -> None:
        super().__init__(1, len(incumbent))
        if not 0 <= limit < 0.5 or step < 1:
            raise ConfigError(f"a challenge needs a limit in [0, 0.5) and a step from 1 up, got {limit} and {step}")
        self.chance = 0.5
        self._incumbent: FloatArray = np.asarray(incumbent, dtype=np.float64)
        self._order: IntArray = rng.permutation(len(incumbent))
        self._limit, self._step = limit, step
        self._advance()

    def estimates(self) -> list[Estimate]:
        """The incumbent's mean, moved by the mean difference where both were seen."""
        mean, variance = _difference(self._differences(), len(self._incumbent))
        return bounded(np.array([mean + self._incumbent.mean()]), np.array([variance]))

    def promoted(self, eligible: Sequence[int]) -> Sequence[int]:
        return eligible if self.seen.all() else []

    def _round(self) -> list[Pull]:
        differences = self._differences()
        count = len(differences)
        self.chance = chance_to_win(differences, len(self._incumbent))
        if self.chance < self._limit:
            return []
        return grid(np.zeros(1, dtype=np.intp), self._order[count : count + self._step])

    def _differences(self) -> FloatArray:
        """Candidate minus incumbent on the cases seen, shape (k,)."""
        differences: FloatArray = (self.scores[0] - self._incumbent)[self.seen[0]]
        return differences
