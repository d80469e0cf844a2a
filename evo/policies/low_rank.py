"""The policy `low_rank`: a race that predicts the scores not seen, by a low-rank factorisation of the score matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evo.errors import ConfigError
from evo.policies.base import CandidateBatch, own_variance
from evo.policies.racing import ROUND_PULLS, Fit, Race, Racing
from evo.protocols import FloatArray

RIDGE = 2.0
LEVEL_RIDGE = 1e-3
DROPPED = 0.1
GROWTH = 0.06
FIRST_SWEEPS = 8
SWEEPS = 2


@dataclass(frozen=True, slots=True)
class LowRank(Racing):
    """Races that predict the scores not seen, by factors; see `LowRankSchedule`.

    Attributes:
        rank: factors beyond the two levels; 0 leaves the levels alone.
        members: of the ensemble, at least 2.
    """

    rank: int = 2
    members: int = 4

    def start(self, batch: CandidateBatch) -> Race:
        return LowRankSchedule(batch.candidates, len(batch.cases), rng=batch.rng, policy=self)


class LowRankSchedule(Race):
    """A race in which the partly seen score matrix is factorised, by members that differ in what they leave out.

    A score is fitted as the candidate's level, plus the case's, plus `rank` products of a candidate's and a case's
    factor. A candidate's mean takes the scores seen as they are and the fit for the others; as its level is not ridged,
    errors of the factors cancel on average over the cases seen. Its variance is what its own regression says, plus what
    the members disagree by.

    Source: Zhou et al., "On speeding up language model evaluation" (UCB-E-LRF), 2024. Differences: cases come in a
    shared random order, not where members disagree most, so that no estimate leans on the fit alone; and pulls are
    allotted as in `Race`.

    Args:
        rng: puts the cases in order, and starts the members.

    Raises:
        ConfigError: as in `Race`; a negative rank, or less than 2 members.
    """

    def __init__(self, candidates: int, cases: int, *, rng: np.random.Generator, policy: LowRank) -> None:
        super().__init__(candidates, cases, rng=rng, policy=policy)
        rank, members = policy.rank, policy.members
        if rank < 0 or members < 2:
            raise ConfigError(f"low_rank needs a rank from 0 up and at least 2 members, got {rank} and {members}")
        self._members = [Factorisation(candidates, cases, rank, rng) for _ in range(members)]
        self._advance()

    def _size(self, made: int) -> int:
        return max(ROUND_PULLS, int(GROWTH * made))

    def _fit(self) -> Fit:
        known = self.scores[self.seen]
        centre, scale = (float(known.mean()), float(known.std()) or 1.0) if len(known) else (0.0, 1.0)
        standard = np.where(self.seen, (self.scores - centre) / scale, 0.0)
        seen = self.seen.astype(np.float64)
        fits = [member.fit(standard, seen) for member in self._members]
        mean = np.array([fit.mean for fit in fits])
        variance = np.mean([fit.variance for fit in fits], axis=0) + mean.var(axis=0, ddof=1)
        variance[~self.seen.any(axis=1)] = np.inf
        spread = np.mean([fit.spread for fit in fits], axis=0)
        return Fit(centre + scale * mean.mean(axis=0), scale**2 * variance, scale**2 * spread)


class Factorisation:
    """A factorisation, kept from round to round; it never sees the tenth of the matrix that it left out.

    The factors' own uncertainty goes into each other's regression (variational Bayes), which is what keeps factors at
    nothing while there are too few scores to tell them from noise.
    """

    def __init__(self, candidates: int, cases: int, rank: int, rng: np.random.Generator) -> None:
        self._kept = (rng.random((candidates, cases)) >= DROPPED).astype(np.float64)
        self._levels = np.zeros(cases)
        self._factors: FloatArray = rng.normal(0.0, 0.4, (cases, rank))
        self._doubt: FloatArray = np.zeros((cases, rank, rank))
        self._noise = 0.8
        self._sweeps = FIRST_SWEEPS

    def fit(self, scores: FloatArray, seen: FloatArray) -> Fit:
        """What this member says of the rows, in the units of the scores.

        Args:
            scores: in units of their own deviation, about their mean, 0 where not seen, shape (n, m).
            seen: 1 where seen and else 0, shape (n, m).
        """
        kept = seen * self._kept
        for _ in range(self._sweeps):
            rows, doubt, _ = ridge(kept, scores - self._levels, (self._factors, self._doubt), LEVEL_RIDGE)
            own, other = rows[:, 1:], self._noise * doubt[:, 1:, 1:]
            cases, doubt, used = ridge(kept.T, scores.T - rows[:, 0], (own, other), RIDGE)
            self._levels, self._factors, self._doubt = cases[:, 0], cases[:, 1:], self._noise * doubt[:, 1:, 1:]
        self._sweeps = SWEEPS
        return self._means(scores, seen, used)

    def _means(self, scores: FloatArray, seen: FloatArray, used: float) -> Fit:
        cases = scores.shape[1]
        rows, doubt, own = ridge(seen, scores - self._levels, (self._factors, self._doubt), LEVEL_RIDGE)
        terms = with_level(self._factors)
        fitted = rows @ terms.T + self._levels
        squares = (seen * (scores - fitted) ** 2).sum(axis=1)
        counts = seen.sum(axis=1).astype(np.intp)
        self._noise = float(squares.sum()) / max(1.0, float(seen.sum()) - own - used)
        spread = own_variance(squares, counts, self._noise)
        ahead = (1.0 - seen) @ terms / cases
        unseen = np.einsum("ni,nij,nj->n", ahead, doubt, ahead) + (cases - counts) / cases**2
        mean = (seen * scores + (1.0 - seen) * fitted).mean(axis=1)
        return Fit(mean, unseen * spread, spread)


def with_level(factors: FloatArray) -> FloatArray:
    """The factors after a column of ones, shape (m, 1 + rank)."""
    return np.concatenate([np.ones((len(factors), 1)), factors], axis=1)


def ridge(
    weights: FloatArray, targets: FloatArray, terms: tuple[FloatArray, FloatArray], level: float
) -> tuple[FloatArray, FloatArray, float]:
    """A ridge regression for each row, on a level and on factors that are known up to some doubt.

    Args:
        weights: of the targets, 0 or 1, shape (n, m).
        targets: shape (n, m).
        terms: the factors' means, shape (m, rank), and their covariances, shape (m, rank, rank).
        level: ridge on the level; `RIDGE` is that on the factors.

    Returns:
        Coefficients, the level first, shape (n, 1 + rank); the inverses of the normal matrices, shape
        (n, 1 + rank, 1 + rank); and how many degrees of freedom all the regressions used together.
    """
    factors, doubt = terms
    columns = with_level(factors)
    width = columns.shape[1]
    products = columns[:, :, None] * columns[:, None, :]
    products[:, 1:, 1:] += doubt
    penalty = np.diag([level, *[RIDGE] * (width - 1)])
    normal = (weights @ products.reshape(-1, width**2)).reshape(-1, width, width) + penalty
    inverse: FloatArray = np.linalg.inv(normal).astype(np.float64, copy=False)
    coefficients: FloatArray = np.einsum("nij,nj->ni", inverse, (weights * targets) @ columns)
    used = weights.any(axis=1).sum() * width - float(np.einsum("nij,ji->", inverse[weights.any(axis=1)], penalty))
    return coefficients, inverse, float(used)
