"""Candidates whose evaluation is noisy: what several measurements say, and which candidate to measure again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.special import stdtrit

from evo.policies.base import Estimate
from evo.protocols import FloatArray
from evo.values import Repeats as Repeats

PRIOR_MEASUREMENTS = 4.0


def pooled_variance(living: Sequence[Repeats]) -> float | None:
    """Of a single measurement, over all candidates together; None where none was measured twice."""
    freedom = sum(one.count - 1 for one in living if one.count)
    return math.fsum(one.squares for one in living) / freedom if freedom else None


def estimate(repeats: Repeats, prior_variance: float, confidence: float = 0.95) -> Estimate:
    """Mean of a candidate with Student bounds; the lower one is what to compare where larger is better.

    The prior variance counts for `PRIOR_MEASUREMENTS` degrees of freedom beside the candidate's own, so one measurement
    has a bound too.

    Args:
        prior_variance: of a single measurement, as `pooled_variance` has it.
        confidence: that the true mean lies between the bounds.
    """
    if not repeats.count:
        return Estimate(0.0, -math.inf, math.inf)
    wide = _deviations(repeats.count, confidence) * math.sqrt(variance_of(repeats, prior_variance) / repeats.count)
    return Estimate(repeats.mean, repeats.mean - wide, repeats.mean + wide)


def best_of(living: Sequence[Repeats], confidence: float = 0.95) -> int:
    """The candidate of the greatest lower bound, the first of equals; by the mean where nothing was measured twice.

    Raises:
        ValueError: nobody was measured.
    """
    measured = _measured(living)
    variance = pooled_variance(living)
    if variance is None:
        return max(measured, key=lambda index: living[index].mean)
    return max(measured, key=lambda index: estimate(living[index], variance, confidence).lower)


def measure_next(living: Sequence[Repeats], beyond_doubt: float = 4.0) -> int | None:
    """Which candidate to measure again, so that a lucky value does not stay on top; None where nobody is in doubt.

    Of the leader by mean and the challenger that is the hardest to tell from it, the one known less well. A lucky
    leader that was measured once is thus soon measured again, and falls.

    Source: the challenger is that of the smallest transportation cost, as in Jourdan et al., "Top two algorithms
    revisited", 2022; optimal computing budget allocation (Chen et al., 2000) tends to the same shares.

    Args:
        beyond_doubt: standard deviations between leader and challenger at which there is no doubt.

    Raises:
        ValueError: nobody was measured.
    """
    measured = _measured(living)
    leader = max(measured, key=lambda index: living[index].mean)
    variance = pooled_variance(living)
    if variance is None:
        return leader
    doubts: FloatArray = np.array([variance_of(one, variance) / max(1, one.count) for one in living])
    apart = [
        _apart(living[leader].mean - one.mean, doubts[leader] + doubt) if one.count and index != leader else math.inf
        for index, (one, doubt) in enumerate(zip(living, doubts.tolist(), strict=True))
    ]
    challenger = int(np.argmin(apart))
    if apart[challenger] >= beyond_doubt:
        return None
    return challenger if doubts[challenger] >= doubts[leader] else leader


def challenger_of(leader: int, means: FloatArray, doubts: FloatArray, beyond_doubt: float = 4.0) -> int | None:
    """Who may dominate the leader after all, and is the hardest to tell from one that does; None beyond doubt.

    With one objective this is the challenger of `measure_next`. With several, how far a candidate is from dominating
    the leader is how far it is behind in the objective in which it is furthest behind.

    Args:
        means: of the candidates' measurements, to be minimised, shape (n, m).
        doubts: variances of these means, shape (n, m).
        beyond_doubt: standard deviations at which there is no doubt.
    """
    behind, wide = means - means[leader], np.sqrt(doubts + doubts[leader])
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = behind / wide
    # Where nothing varies, any difference is beyond doubt and none says nothing against it.
    apart = np.where(wide > 0, apart, np.where(behind > 0, math.inf, -math.inf)).max(axis=1)
    apart[leader] = math.inf
    challenger = int(np.argmin(apart))
    return challenger if apart[challenger] < beyond_doubt else None


def variance_of(repeats: Repeats, prior_variance: float) -> float:
    """Of a single measurement of this candidate, the prior weighed in."""
    return (repeats.squares + PRIOR_MEASUREMENTS * prior_variance) / (PRIOR_MEASUREMENTS + repeats.count - 1)


@lru_cache(maxsize=4096)
def _deviations(count: int, confidence: float) -> float:
    """Standard errors from the mean to a bound."""
    return float(stdtrit(PRIOR_MEASUREMENTS + count - 1, (1 + confidence) / 2))


def _apart(difference: float, variance: float) -> float:
    """Standard deviations; none where measurements do not vary, for then nothing is in doubt."""
    return difference / math.sqrt(variance) if variance > 0 else math.inf


def _measured(living: Sequence[Repeats]) -> list[int]:
    measured = [index for index, one in enumerate(living) if one.count]
    if not measured:
        raise ValueError("no candidate was measured so far")
    return measured
