"""Races: candidates that are clearly worse get no more pulls, and the doubtful ones get them all."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import stdtr

from evo.errors import ConfigError
from evo.policies.base import Estimate, Pull, Rounds, bounded, grid, own_variance, shrinking
from evo.protocols import FloatArray, IntArray

FIRST_PULLS = 10
ROUND_PULLS = 64
STEP = 4
SWEEPS = 4
CASE_RIDGE = 3.0
PRIOR_DIFFERENCES = 2


@dataclass(frozen=True, slots=True)
class Belief:
    """What a fit says of the candidates; all of shape (n,).

    Attributes:
        mean: over all cases.
        variance: of that as an estimate; 0 where every case was seen.
        spread: variance that one more score has about the fit, which says how fast `variance` will shrink.
    """

    mean: FloatArray
    variance: FloatArray
    spread: FloatArray


class Race(Rounds):
    """Pulls go to the leader and to the challenger that is the hardest to tell from it, whichever is less certain.

    Every candidate takes the cases in the same random order, so two meet on the same cases as far as both went.
    The race ends when every challenger is beaten beyond doubt, or the pulls are used up. Bounds are normal, and not
    corrected for looking again after each round.

    Source: leader and challenger by their bounds are LUCB (Kalyanakrishnan, Tewari, Auer and Stone, 2012); the
    challenger is that of the smallest transportation cost (Jourdan, Degenne, Baudry, de Heide and Kaufmann, "Top two
    algorithms revisited", 2022); eliminating by races over shared cases is Maron and Moore's (1994).

    Attributes:
        pulls: how many it may make.

    Args:
        rng: puts the cases in order.
        share: of all pulls that may be made, in (0, 1].
        error: chance to allow that somebody is better than the best, over all candidates together, when a race ends
            before the pulls are used up.

    Raises:
        ConfigError: a share or an error out of range, or less than one pull a candidate.
    """

    def __init__(
        self, candidates: int, cases: int, *, rng: np.random.Generator, share: float = 0.15, error: float = 0.01
    ) -> None:
        super().__init__(candidates, cases)
        self.pulls = int(share * candidates * cases + 1e-9)
        if not 0 < share <= 1 or not 0 < error < 1 or self.pulls < candidates:
            raise ConfigError(
                f"a race of {candidates} candidates over {cases} cases needs a share in (0, 1] that gives each at least"
                f" one pull, and an error in (0, 1), got {share} and {error}"
            )
        self._order: IntArray = rng.permutation(cases)
        self._beyond_doubt = NormalDist().inv_cdf(1 - error / candidates)
        self._belief: Belief | None = None

    @property
    def best(self) -> int:
        return int(self._believed().mean.argmax())

    def estimates(self) -> list[Estimate]:
        belief = self._believed()
        return bounded(belief.mean, belief.variance)

    def observe(self, pull: Pull, score: float) -> None:
        self._belief = None
        super().observe(pull, score)

    @abstractmethod
    def _fit(self) -> Belief:
        """What the scores so far say."""

    def _believed(self) -> Belief:
        if self._belief is None:
            self._belief = self._fit()
        return self._belief

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

    def _size(self, told: int) -> int:
        """How many pulls to plan at once, after so many."""
        return ROUND_PULLS

    def _allotted(self, counts: IntArray, pulls: int) -> IntArray:
        """How many pulls each candidate gets in this round, shape (n,)."""
        belief, cases = self._believed(), self.seen.shape[1]
        now, variance = counts.copy(), belief.variance.copy()
        # What a fit knows beyond a plain mean shrinks with more pulls in the same proportion.
        scale = variance / np.maximum(shrinking(belief.spread, counts, cases), 1e-12)
        leader = int(belief.mean.argmax())
        while pulls > 0 and (chosen := self._least_certain(leader, belief.mean, variance)) is not None:
            step = min(STEP, pulls, cases - int(now[chosen]))
            now[chosen] += step
            pulls -= step
            left = belief.spread[chosen] * (1.0 - now[chosen] / cases) / now[chosen]
            variance[chosen] = scale[chosen] * left
        return now - counts

    def _least_certain(self, leader: int, mean: FloatArray, variance: FloatArray) -> int | None:
        """Of the leader and the challenger that is the hardest to tell from it; None where nobody is in doubt."""
        doubt = variance + variance[leader]
        open_ones = doubt > 0
        open_ones[leader] = False
        apart = np.full(len(mean), math.inf)
        apart[open_ones] = (mean[leader] - mean[open_ones]) / np.sqrt(doubt[open_ones])
        challenger = int(apart.argmin())
        if apart[challenger] >= self._beyond_doubt:
            return None
        return challenger if variance[challenger] >= variance[leader] else leader


class Racing(Race):
    """A race in which a candidate's mean is corrected for how hard the cases were that it has seen.

    The fit is a sum of a candidate's and a case's share (least squares, cases ridged), which pairs all candidates that
    met on a case, however far each went.
    """

    def __init__(
        self, candidates: int, cases: int, *, rng: np.random.Generator, share: float = 0.15, error: float = 0.01
    ) -> None:
        super().__init__(candidates, cases, rng=rng, share=share, error=error)
        self._advance()

    def _fit(self) -> Belief:
        seen = self.seen.astype(np.float64)
        counts = self.seen.sum(axis=1)
        own, difficulty = additive(self.scores, seen)
        fitted = own[:, None] + difficulty
        squares = (seen * (self.scores - fitted) ** 2).sum(axis=1)
        freedom = max(1, int(counts.sum()) - len(counts) - int(self.seen.any(axis=0).sum()))
        spread = own_variance(squares, counts, float(squares.sum()) / freedom)
        mean = np.where(self.seen, self.scores, fitted).mean(axis=1)
        return Belief(mean, shrinking(spread, counts, seen.shape[1]), spread)


def additive(scores: FloatArray, seen: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Candidates' levels, shape (n,), and cases' differences from the mean case, shape (m,): their sums fit the scores.

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


def chance_to_win(differences: Sequence[float] | FloatArray, cases: int) -> float:
    """Chance that a candidate's mean over all cases is at least the incumbent's, by those that both have seen.

    The prior on the difference is flat. Its spread has `PRIOR_DIFFERENCES` more of the largest size seen, so that a few
    equal differences are no certainty.

    Args:
        differences: candidate minus incumbent, one a case, the cases drawn at random.
        cases: how many there are in all.
    """
    mean, variance = _difference(np.asarray(differences, dtype=np.float64), cases)
    if not 0 < variance < math.inf:
        return float(mean >= 0) if len(differences) == cases or mean else 0.5
    return float(stdtr(len(differences) - 1 + PRIOR_DIFFERENCES, mean / math.sqrt(variance)))


def _difference(seen: FloatArray, cases: int) -> tuple[float, float]:
    """Mean of the differences seen, and its variance about the mean over all cases."""
    count = len(seen)
    if not count:
        return 0.0, math.inf
    mean = float(seen.mean())
    squares = float(((seen - mean) ** 2).sum()) + PRIOR_DIFFERENCES * float(np.abs(seen).max()) ** 2
    return mean, squares / (count - 1 + PRIOR_DIFFERENCES) / count * (1 - count / cases)


class Challenge(Rounds):
    """One candidate against an incumbent whose scores are known: it is stopped once it hardly can win any more.

    The limit bounds how many of those stopped would have won. It looks at the chance again and again, so of candidates
    exactly as good as the incumbent more are stopped (9 of 100 at a limit of 0.01 and 500 cases).

    Attributes:
        chance: that it wins, by what was told.

    Args:
        incumbent: score on each case, shape (cases,).
        rng: puts the cases in order.
        limit: the chance to win below which it is stopped.
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
