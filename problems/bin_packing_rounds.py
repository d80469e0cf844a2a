"""Playing instances against a candidate, item by item, and checking where it says that each item went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evo.errors import CandidateError
from evo.protocols import Function, IntArray
from problems.bin_packing_instances import Instance


class Rounds:
    """Instances played side by side: a round is the next item of each, so that five cost as many round trips as one.

    Attributes:
        instances: sorted by falling length, so that those that still have items are always the first ones.
    """

    def __init__(self, instances: Sequence[Instance]) -> None:
        self.instances = tuple(sorted(instances, key=lambda one: -len(one.items)))
        self._longest = len(self.instances[0].items)
        self._shapes = [[one.capacity, len(one.items)] for one in self.instances]
        self._items = [
            [float(one.items[turn]) for one in self.instances if turn < len(one.items)] for turn in range(self._longest)
        ]

    def play(self, function: Function) -> list[IntArray]:
        """What is left in each bin at the end: for each instance an array of shape (items,).

        An item is sent only after all earlier ones of its instance were answered for.

        Raises:
            CandidateError: invalid; an answer that is no list of bins, one an item, or a bin that did not fit its item.
        """
        first, *others = self._items
        answers = [self._checked(function(first, self._shapes), len(first))]
        answers += [self._checked(function(items), len(items)) for items in others]
        bins = np.array([number for answer in answers for number in answer])
        owners = np.array([owner for items in self._items for owner in range(len(items))])
        return [_remaining(one, bins[owners == owner]) for owner, one in enumerate(self.instances)]

    def _checked(self, answer: Any, count: int) -> list[int]:
        if isinstance(answer, dict) and "invalid" in answer:
            raise CandidateError("invalid", str(answer["invalid"]))
        if type(answer) is not list or len(answer) != count:
            raise CandidateError("invalid", f"expected a list of {count} bins, got {type(answer).__name__}")
        if not all(type(number) is int and 0 <= number < self._longest for number in answer):
            raise CandidateError("invalid", f"expected the numbers of bins, from 0 to {self._longest - 1}")
        return answer


def _remaining(instance: Instance, chosen: IntArray) -> IntArray:
    # Items are positive: if no bin is overfull at the end, none ever was, and each item fitted when it came.
    if chosen.max() >= len(instance.items):
        raise CandidateError("invalid", f"chose bin {chosen.max()} of {len(instance.items)}")
    filled = np.bincount(chosen, weights=instance.items, minlength=len(instance.items)).astype(np.intp)
    if filled.max() > instance.capacity:
        full = int(filled.argmax())
        raise CandidateError("invalid", f"put items of {filled[full]} into bin {full} of capacity {instance.capacity}")
    return instance.capacity - filled
