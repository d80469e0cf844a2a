"""Candidates whose evaluation is noisy: what several measurements say, and which candidate to measure again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from evo.policies import Estimate
from evo.protocols import FloatArray

PRIOR_MEASUREMENTS = 4.0


@dataclass(frozen=True, slots=True)
class Repeats:
    """What the measurements of one candidate come to; larger values are better.

    Attributes:
        count: of measurements.
        mean: of them.
        squares: sum of their squared distances from the mean.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Sequence[float]) -> Repeats:
        """All of them at once; the order of the values may change the last digits."""
        repeats = cls()
        for value in values:
            repeats = repeats.with_value(value)
        return repeats

    def with_value(self, value: float) -> Repeats:
        """One measurement more.

        Raises:
            ValueError: it is not finite.
        """
        if not math.isfinite(value):
            raise ValueError(f"a measurement must be finite, got {value}")
        value = float(value)
        mean = self.mean + (value - self.mean) / (self.count + 1)
        return Repeats(self.count + 1, mean, self.squares + (value - mean) * (value - self.mean))

    @property
    def variance(self) -> float:
        """Of a single measurement, by these alone; infinite where fewer than two were made."""
        return self.squares / (self.count - 1) if self.count > 1 else math.inf


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
    freedom = PRIOR_MEASUREMENTS + repeats.count - 1
    wide = float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(_variance(repeats, prior_variance) / repeats.count)
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
    doubts: FloatArray = np.array([_variance(one, variance) / max(1, one.count) for one in living])
    apart = [
        _apart(living[leader].mean - one.mean, doubts[leader] + doubt) if one.count and index != leader else math.inf
        for index, (one, doubt) in enumerate(zip(living, doubts.tolist(), strict=True))
    ]
    challenger = int(np.argmin(apart))
    if apart[challenger] >= beyond_doubt:
        return None
    return challenger if doubts[challenger] >= doubts[leader] else leader


def _variance(repeats: Repeats, prior_variance: float) -> float:
    """Of a single measurement of this candidate, the prior weighed in."""
    return (repeats.squares + PRIOR_MEASUREMENTS * prior_variance) / (PRIOR_MEASUREMENTS + repeats.count - 1)


def _apart(difference: float, variance: float) -> float:
    """Standard deviations; none where measurements do not vary, for then nothing is in doubt."""
    return difference / math.sqrt(variance) if variance > 0 else math.inf


def _measured(living: Sequence[Repeats]) -> list[int]:
    measured = [index for index, one in enumerate(living) if one.count]
    if not measured:
        raise ValueError("no candidate was measured so far")
    return measured
