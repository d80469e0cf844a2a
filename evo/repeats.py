"""What several measurements of one thing come to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Repeats:
    """What the measurements of one candidate come to, in one objective.

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
