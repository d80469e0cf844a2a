"""The two classical rules that new rules are compared with, each as a program and as fast trusted code."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evo.genomes import Program
from problems.bin_packing_instances import Instance, excess

FRAME = '''\
"""Online bin packing: each item goes into the bin of highest priority, the first one on a tie.

item: size of the item. bins: remaining capacities of the bins that it fits, a float array in the order of the bins, the
empty ones among them. Return one finite number a bin.
"""

import numpy as np

'''


@dataclass(frozen=True, slots=True)
class Rule:
    """A known rule for choosing the bin.

    Attributes:
        text: the rule as a candidate program.
        bins_used: the number of bins that it needs for an instance, without the sandbox.
    """

    text: str
    bins_used: Callable[[Instance], int]

    @property
    def program(self) -> Program:
        """The rule as a genome."""
        return Program.single(self.text)

    def objectives(self, instances: Sequence[Instance]) -> dict[str, float]:
        """Its scores on these instances."""
        used = [self.bins_used(instance) for instance in instances]
        return {"excess": excess(used, instances), "size": float(self.program.size)}


def first_fit(instance: Instance) -> int:
    """Number of bins when each item goes into the first that it fits."""
    remaining = np.full(len(instance.items), instance.capacity)
    for item in instance.items:
        remaining[(remaining >= item).argmax()] -= item
    return int(np.count_nonzero(remaining < instance.capacity))


def best_fit(instance: Instance) -> int:
    """Number of bins when each item goes into the fullest that it fits."""
    opened: list[int] = []  # remaining capacities, sorted; which of two equal bins is taken makes no difference
    count = 0
    for item in instance.items:
        place = bisect_left(opened, item)
        count += place == len(opened)
        remaining = opened.pop(place) if place < len(opened) else instance.capacity
        insort(opened, remaining - item)
    return count


RULES: Mapping[str, Rule] = {
    "best fit": Rule(
        FRAME
        + """
# EVOLVE-BLOCK-START
def priority(item, bins):
    leftover = bins - item
    return -leftover
# EVOLVE-BLOCK-END
""",
        best_fit,
    ),
    "first fit": Rule(
        FRAME
        + """
# EVOLVE-BLOCK-START
def priority(item, bins):
    return -np.arange(len(bins))
# EVOLVE-BLOCK-END
""",
        first_fit,
    ),
}
