"""The policy `racing`: candidates that are clearly worse get no more pulls, and the doubtful ones get them all."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from evo.errors import ConfigError
from evo.policies.base import (
    CandidateBatch,
    Estimate,
    Policy,
    Pull,
    RoundSchedule,
    bounded,
    check_batch_size,
    grid,
    own_variance,
    shrinking,
)
from evo.protocols import FloatArray, IntArray

FIRST_PULLS = 10
ROUND_PULLS = 64
STEP = 4
SWEEPS = 4
CASE_RIDGE = 3.0


@dataclass(frozen=True, slots=True)
class Racing(Policy):
    """The candidates of a batch race, and the best are promoted.

    Attributes:
        batch_size: how many race.
        finalists: how many are promoted.
        share: of all (candidate, case) pairs of a batch, those that the race may see.
        error: see `Race`.
    """

    batch_size: int = 16
    finalists: int = 1
    share: float = 0.15
    error: float = 0.01

    reason = "others of its batch did better"

    def __post_init__(self) -> None:
        check_batch_size(self.batch_size, 2)
        if type(self.finalists) is not int or not 1 <= self.finalists < self.batch_size:
            raise ConfigError(
                f"finalists must be from 1 to below the batch of {self.batch_size}, got {self.finalists!r}"
            )

    def start(self, batch: CandidateBatch) -> Race:
        return RacingSchedule(batch.candidates, len(batch.cases), rng=batch.rng, policy=self)


@dataclass(frozen=True, slots=True)
class Fit:
    """What a fit of the scores says of the candidates; all of shape (n,).

    Attributes:
        mean: over all cases.
        variance: of that as an estimate; 0 where every case was seen.
        spread: variance of a further score about the fit, which says how fast `variance` will shrink.
    """

    mean: FloatArray
    variance: FloatArray
    spread: FloatArray


class Race(RoundSchedule):
    """Pulls go to the leader and to the challenger that is the hardest to tell from it, whichever is less certain.

    Every candidate takes the cases in the same random order, so two candidates share the cases as far as both went.
    The race ends when every challenger is beaten beyond doubt, or the pulls are used up. Bounds are normal, and not
    corrected for looking again after each round.

    Source: leader and challenger by their bounds are LUCB (Kalyanakrishnan, Tewari, Auer and Stone, 2012); the
    challenger is that of the smallest transportation cost (Jourdan, Degenne, Baudry, de Heide and Kaufmann, "Top two
    algorithms revisited", 2022); eliminating by races over shared cases is Maron and Moore's (1994).

    Attributes:
        pulls: how many it may make.

    Args:
        rng: puts the cases in order.
        policy: its share of all pulls may be made, in (0, 1]; its error is the chance to allow, over all candidates
            together, that a candidate is better than the best when a race ends before the pulls are used up.

    Raises:
        ConfigError: a share or an error out of range, or fewer pulls than candidates.
    """

    def __init__(self, candidates: int, cases: int, *, rng: np.random.Generator, policy: Racing) -> None:
        super().__init__(candidates, cases)
        share, error = policy.share, policy.error
        self.pulls = int(share * candidates * cases + 1e-9)
        if not 0 < share <= 1 or not 0 < error < 1 or self.pulls < candidates:
            raise ConfigError(
                f"a race of {candidates} candidates over {cases} cases needs a share in (0, 1] that gives each at least"
                f" one pull, and an error in (0, 1), got {share} and {error}"
            )
        self._finalists = policy.finalists
        self._order: IntArray = rng.permutation(cases)
        self._beyond_doubt = NormalDist().inv_cdf(1 - error / candidates)
        self._latest: Fit | None = None

    def estimates(self) -> list[Estimate]:
        fit = self._current_fit()
        return bounded(fit.mean, fit.variance)

    def observe(self, pull: Pull, score: float) -> None:
        self._latest = None
        super().observe(pull, score)

    def promoted(self, eligible: Sequence[int]) -> Sequence[int]:
        mean = self._current_fit().mean
        return sorted(eligible, key=lambda candidate: (-mean[candidate], candidate))[: self._finalists]

    @abstractmethod
    def _fit(self) -> Fit:
        """What the scores so far say."""

    def _current_fit(self) -> Fit:
        if self._latest is None:
            self._latest = self._fit()
        return self._latest

    def _round(self) -> list[Pull]:
        counts = self.seen.sum(axis=1)
        candidates, cases = self.seen.shape
        left = self.pulls - int(counts.sum())
        if not counts.any():
            first = min(FIRST_PULLS, cases, left // candidates)
            return grid(np.arange(candidates), self._order[:first])
        wanted = counts + self._allotted(counts, min(left, self._size(int(counts.sum()))))
        return [
            Pull(candidate, int(case))
            for candidate in np.flatnonzero(wanted > counts).tolist()
            for case in self._order[counts[candidate] : wanted[candidate]]
        ]

    def _size(self, made: int) -> int:
        """How many pulls to plan at once, after `made` of them."""
        return ROUND_PULLS

    def _allotted(self, counts: IntArray, pulls: int) -> IntArray:
        """How many pulls each candidate gets in this round, shape (n,)."""
        fit, cases = self._current_fit(), self.seen.shape[1]
        now, variance = counts.copy(), fit.variance.copy()
        # What a fit knows beyond a plain mean shrinks with more pulls in the same proportion.
        scale = variance / np.maximum(shrinking(fit.spread, counts, cases), 1e-12)
        leader = int(fit.mean.argmax())
        while pulls > 0 and (chosen := self._least_certain(leader, fit.mean, variance)) is not None:
            step = min(STEP, pulls, cases - int(now[chosen]))
            now[chosen] += step
            pulls -= step
            left = fit.spread[chosen] * (1.0 - now[chosen] / cases) / now[chosen]
            variance[chosen] = scale[chosen] * left
        return now - counts

    def _least_certain(self, leader: int, mean: FloatArray, variance: FloatArray) -> int | None:
        """Of the leader and the challenger that is the hardest to tell from it; None where none is in doubt."""
        doubt = variance + variance[leader]
        doubtful = doubt > 0
        doubtful[leader] = False
        apart = np.full(len(mean), math.inf)
        apart[doubtful] = (mean[leader] - mean[doubtful]) / np.sqrt(doubt[doubtful])
        challenger = int(apart.argmin())
        if apart[challenger] >= self._beyond_doubt:
            return None
        return challenger if variance[challenger] >= variance[leader] else leader


class RacingSchedule(Race):
    """A race in which a candidate's mean is corrected for how hard the cases were that it has seen.

    The fit is a sum of a candidate's and a case's share (least squares, cases ridged), which pairs all candidates that
    share a case, however far each went.
    """

    def __init__(self, candidates: int, cases: int, *, rng: np.random.Generator, policy: Racing) -> None:
        super().__init__(candidates, cases, rng=rng, policy=policy)
        self._advance()

    def _fit(self) -> Fit:
        seen = self.seen.astype(np.float64)
        counts = self.seen.sum(axis=1)
        own, difficulty = additive(self.scores, seen)
        fitted = own[:, None] + difficulty
        squares = (seen * (self.scores - fitted) ** 2).sum(axis=1)
        freedom = max(1, int(counts.sum()) - len(counts) - int(self.seen.any(axis=0).sum()))
        spread = own_variance(squares, counts, float(squares.sum()) / freedom)
        mean = np.where(self.seen, self.scores, fitted).mean(axis=1)
        return Fit(mean, shrinking(spread, counts, seen.shape[1]), spread)


def additive(scores: FloatArray, seen: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Levels of candidates, shape (n,), and differences of cases from the mean case, shape (m,): sums fit the scores.

    Args:
        scores: 0 where not seen, shape (n, m).
        seen: 1 where seen and else 0, shape (n, m).
    """
    tries, met = np.maximum(seen.sum(axis=1), 1.0), seen.sum(axis=0)
    totals, marks = scores.sum(axis=1), scores.sum(axis=0)
    difficulty = np.zeros(scores.shape[1])
    own = totals / tries
    for _ in range(SWEEPS):
        difficulty = (marks - own @ seen) / (met + CASE_RIDGE)
        difficulty -= difficulty.mean()
        own = (totals - seen @ difficulty) / tries
    return own, difficulty
