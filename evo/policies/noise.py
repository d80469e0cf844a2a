"""Candidates whose evaluation is noisy: what several measurements say, and which candidate may beat the leader."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from evo.policies.base import Estimate
from evo.protocols import FloatArray
from evo.values import Repeats

PRIOR_MEASUREMENTS = 4.0


def pooled_variance(measured: Sequence[Repeats]) -> float | None:
    """Variance of a single measurement, over all candidates together; None where none was measured twice."""
    freedom = sum(repeats.count - 1 for repeats in measured if repeats.count)
    return math.fsum(repeats.squares for repeats in measured) / freedom if freedom else None


def estimate(repeats: Repeats, prior_variance: float, confidence: float = 0.95) -> Estimate:
    """Mean of a candidate with Student bounds; the lower bound is what to compare where larger is better.

    The prior variance counts for `PRIOR_MEASUREMENTS` degrees of freedom beside the candidate's own, so a single
    measurement has a bound too.

    Args:
        prior_variance: of a single measurement, as `pooled_variance` has it.
        confidence: that the true mean lies between the bounds.
    """
    if not repeats.count:
        return Estimate(0.0, -math.inf, math.inf)
    wide = _deviations(repeats.count, confidence) * math.sqrt(variance_of(repeats, prior_variance) / repeats.count)
    return Estimate(repeats.mean, repeats.mean - wide, repeats.mean + wide)


def challenger_of(leader: int, means: FloatArray, doubts: FloatArray, beyond_doubt: float = 4.0) -> int | None:
    """The candidate that may dominate the leader after all, and is the hardest to rule out; None beyond doubt.

    How far a candidate is from dominating the leader is how far it is behind in the objective in which it is furthest
    behind, in standard deviations.

    Source: with a single objective the challenger is that of the smallest transportation cost, as in Jourdan et al.,
    "Top two algorithms revisited", 2022; optimal computing budget allocation (Chen et al., 2000) tends to the same
    shares.

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
    """Variance of a single measurement of this candidate, the prior weighed in."""
    return (repeats.squares + PRIOR_MEASUREMENTS * prior_variance) / (PRIOR_MEASUREMENTS + repeats.count - 1)


@lru_cache(maxsize=4096)
def _deviations(count: int, confidence: float) -> float:
    """Standard errors from the mean to a bound."""
    from scipy.special import stdtrit  # here, as scipy takes half a second to import

    return float(stdtrit(PRIOR_MEASUREMENTS + count - 1, (1 + confidence) / 2))
