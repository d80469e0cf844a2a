"""Random sampling from a given generator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

SMALLEST, LARGEST = 1e-9, 1e12


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """An item, all equally likely."""
    return items[int(rng.integers(len(items)))]


def weighted(rng: np.random.Generator, weights: Mapping[T, float]) -> T:
    """A key, with probability proportional to its weight."""
    left = rng.random() * math.fsum(weights.values())
    for item, weight in weights.items():
        left -= weight
        if left < 0:
            return item
    return list(weights)[-1]


def rounded(value: float, digits: int) -> int | float:
    """A number of a few significant digits, its magnitude 0 or from 1e-9 to 1e12; an int where it is whole."""
    if not SMALLEST < abs(value) < LARGEST:
        return 0 if abs(value) <= SMALLEST else int(math.copysign(LARGEST, value))
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() else short
