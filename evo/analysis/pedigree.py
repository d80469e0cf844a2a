"""Who descends from whom, for many at once: two passes over the edges in the order of ids, and no recursion.

A parent is older than its child, so ids are a topological order. A set of individuals is the bits of an int.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray[Any, Any]]
EDGES = (
    "SELECT child, parent, bool_or(role = 'base') AS base FROM parents GROUP BY child, parent ORDER BY child, parent"
)
TOLD = "SELECT id, tell FROM individuals ORDER BY id"
BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Pedigree:
    """The edges of a lineage.

    Attributes:
        tells: id to tell, of all that were told.
        parents: parents of all children, those of the child `one` from `starts[one]` to `starts[one + 1]`.
        base: for each of `parents`, whether the child was varied from it.
    """

    tells: dict[int, int]
    starts: Sequence[int]
    parents: Sequence[int]
    base: Sequence[bool]

    @classmethod
    def of(cls, edges: Arrays, told: Arrays) -> Pedigree:
        """From the answers to EDGES and TOLD."""
        count = int(told["id"].max()) + 1 if len(told["id"]) else 0
        starts = np.searchsorted(edges["child"], np.arange(count + 1))
        tells = dict(zip(told["id"].tolist(), told["tell"].tolist(), strict=True))
        return cls(tells, starts.tolist(), edges["parent"].tolist(), edges["base"].tolist())

    def __len__(self) -> int:
        return len(self.starts) - 1

    def parents_of(self, one: int) -> Sequence[int]:
        """Whom it was made from; nobody for a founder."""
        return self.parents[self.starts[one] : self.starts[one + 1]]

    def founders(self) -> list[int]:
        """Those without parents, the oldest first."""
        return [one for one in self.tells if self.starts[one] == self.starts[one + 1]]

    def ancestors(self, of: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Each of `of` and each ancestor of theirs, the youngest first, with the bits of those that it leads to."""
        held = {one: 1 << bit for bit, one in enumerate(of)}
        starts, parents = self.starts, self.parents
        for one in range(max(held, default=-1), -1, -1):
            bits = held.pop(one, 0)
            if bits:
                yield one, bits
                for parent in parents[starts[one] : starts[one + 1]]:
                    held[parent] = held.get(parent, 0) | bits

    def descendants(self, of: Sequence[int]) -> list[int]:
        """How many descend from each of `of`, itself left out."""
        held = [0] * len(self)
        for bit, one in enumerate(of):
            held[one] = 1 << bit
        starts, parents = self.starts, self.parents
        for one in range(len(self)):
            for parent in parents[starts[one] : starts[one + 1]]:
                held[one] |= held[parent]
        return [int(count) - 1 for count in weighed(held, np.ones((len(held), 1)), len(of))[:, 0]]

    def latest(self, tells: Mapping[int, int]) -> list[int]:
        """For each id the largest of these tells over itself and all descendants; -1 where there is none."""
        latest = [tells.get(one, -1) for one in range(len(self))]
        starts, parents = self.starts, self.parents
        for one in range(len(self) - 1, -1, -1):
            for parent in parents[starts[one] : starts[one + 1]]:
                latest[parent] = max(latest[parent], latest[one])
        return latest

    def issue(self) -> np.ndarray[Any, Any]:
        """For each id its children, and all that goes back to it from base to base; shape (ids, 2)."""
        issue = np.zeros((len(self), 2))
        np.add.at(issue[:, 0], np.asarray(self.parents, dtype=np.int64), 1)
        line = [0] * len(self)
        for one in range(len(self) - 1, -1, -1):
            for edge in range(self.starts[one], self.starts[one + 1]):
                if self.base[edge]:
                    line[self.parents[edge]] += line[one] + 1
        issue[:, 1] = line
        return issue


def weighed(sets: Sequence[int], weights: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    """For each bit the weights of the sets that have it, added up.

    Args:
        weights: shape (sets, kinds of weight).
        size: how many bits there are.

    Returns:
        Shape (size, kinds of weight).
    """
    total, width = np.zeros((size, weights.shape[1])), (size + 7) // 8
    for start in range(0, len(sets), BLOCK):
        packed = b"".join(one.to_bytes(width, "little") for one in sets[start : start + BLOCK])
        bits = np.frombuffer(packed, dtype=np.uint8).reshape(-1, width)
        total += np.unpackbits(bits, axis=1, count=size, bitorder="little").T @ weights[start : start + BLOCK]
    return total
