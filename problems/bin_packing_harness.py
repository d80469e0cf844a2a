"""Keeps the bins next to the candidate's `priority`, so that only items and chosen bins cross the sandbox's boundary.

Runs in the candidate's process: what it answers is a claim, which the scorer checks. It is sent an item only when it is
that item's turn, so a candidate that reads everything in its process still knows nothing of the items to come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray


class RefusedError(Exception):
    """The candidate's priorities are not finite numbers, a number for each bin."""


class Bins:
    """The bins of an instance. Those from `untouched` on are empty, so every item fits them without a check."""

    __slots__ = ("remaining", "untouched")

    def __init__(self, capacity: float, count: int) -> None:
        self.remaining = np.full(count, float(capacity))
        self.untouched = 0

    def place(self, priority: Callable[..., Any], item: float) -> int:
        """Put the item into the bin of highest priority, the first on a tie, and return its number."""
        remaining, untouched = self.remaining, self.untouched
        fitting = (remaining[:untouched] >= item).nonzero()[0]
        # A new array for every item: a candidate that writes into its argument changes only this copy.
        bins = np.concatenate((remaining.take(fitting), remaining[untouched:]))
        best = int(checked(priority(item, bins), len(bins)).argmax())
        if best < len(fitting):
            chosen = int(fitting[best])
        else:
            chosen = untouched + best - len(fitting)
            self.untouched = chosen + 1
        remaining[chosen] -= item
        return chosen


def checked(priorities: Any, count: int) -> NDArray[Any]:
    """The priorities, if they are finite real numbers of shape (count,).

    Raises:
        RefusedError: they are not.
    """
    array: NDArray[Any] = priorities if type(priorities) is np.ndarray else as_array(priorities)
    if array.shape != (count,):
        raise RefusedError(f"priority returned shape {array.shape} for bins of shape ({count},)")
    if array.dtype.kind not in "fiub":
        raise RefusedError(f"priority returned {array.dtype}, expected real numbers")
    # The sum of squares is finite only if all are, and is faster to compute; it may overflow, so then each is checked.
    if not isfinite(array.dot(array)) and not np.isfinite(array).all():
        wrong = int((~np.isfinite(array)).argmax())
        raise RefusedError(f"priority returned {array[wrong]} for bin {wrong} of {count}; each must be finite")
    return array


def as_array(priorities: Any) -> NDArray[Any]:
    """What the candidate returned, if it is not an array, as an array.

    Raises:
        RefusedError: it cannot be converted.
    """
    try:
        return np.asarray(priorities)
    except ValueError as error:
        raise RefusedError(f"priority returned a {type(priorities).__name__} that is no array of numbers") from error


def wrap(priority: Callable[..., Any]) -> Callable[..., Any]:
    """A function that plays a round: an item to each instance, a chosen bin from each.

    It takes the items' sizes, a size for each instance that still has items, in a fixed order; and in the first round
    (capacity, number of bins) of every instance. It returns the bins' numbers, or {"invalid": why}.
    """
    instances: list[Bins] = []

    def play(items: Sequence[float], opened: Sequence[Sequence[int]] = ()) -> list[int] | dict[str, str]:
        instances.extend(Bins(*shape) for shape in opened)
        with np.errstate(all="ignore"):
            try:
                return [bins.place(priority, item) for bins, item in zip(instances, items, strict=False)]
            except RefusedError as refusal:
                return {"invalid": str(refusal)}

    return play
