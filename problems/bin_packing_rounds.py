"""Plays instances against a candidate, item by item, and checks where it says that each item went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evo.errors import CandidateError
from evo.protocols import Function, IntArray
from problems.bin_packing_instances import Instance


class Rounds:
    """Instances played side by side: a round is the next item of each, so five take as many round trips as the longest.

    Attributes:
        instances: sorted by decreasing length, so that those that still have items always come first.
    """

    def __init__(self, instances: Sequence[Instance]) -> None:
        self.instances = tuple(sorted(instances, key=lambda instance: -len(instance.items)))
        self._longest = len(self.instances[0].items)
        self._shapes = [[instance.capacity, len(instance.items)] for instance in self.instances]
        self._items = [
            [float(instance.items[turn]) for instance in self.instances if turn < len(instance.items)]
            for turn in range(self._longest)
        ]

    def play(self, function: Function) -> list[IntArray]:
        """What is left in each bin at the end: for each instance an array of shape (items,).

        An item is sent only after all earlier items of its instance were answered.

        Raises:
            CandidateError: invalid; an answer that is not a list with a bin for each item, or a bin
                that is too full for its item.
        """
        first, *others = self._items
        answers = [self._checked(function(first, self._shapes), len(first))]
        answers += [self._checked(function(items), len(items)) for items in others]
        bins = np.array([number for answer in answers for number in answer])
        owners = np.array([owner for items in self._items for owner in range(len(items))])
        return [_remaining(instance, bins[owners == owner]) for owner, instance in enumerate(self.instances)]

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
