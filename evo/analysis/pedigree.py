"""Ancestors and descendants of many individuals at once: passes over the edges in the order of ids, no recursion.

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
TELLS = "SELECT id, tell FROM individuals ORDER BY id"
BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Pedigree:
    """The edges of a lineage.

    Attributes:
        tells: id to tell, of all individuals.
        parents: of all children, those of child `i` from `starts[i]` to `starts[i + 1]`.
        base: for each of `parents`, whether the child was varied from it.
    """

    tells: dict[int, int]
    starts: Sequence[int]
    parents: Sequence[int]
    base: Sequence[bool]

    @classmethod
    def of(cls, edges: Arrays, tells: Arrays) -> Pedigree:
        """From the answers to EDGES and TELLS."""
        count = int(tells["id"].max()) + 1 if len(tells["id"]) else 0
        starts = np.searchsorted(edges["child"], np.arange(count + 1))
        by_id = dict(zip(tells["id"].tolist(), tells["tell"].tolist(), strict=True))
        return cls(by_id, starts.tolist(), edges["parent"].tolist(), edges["base"].tolist())

    def __len__(self) -> int:
        return len(self.starts) - 1

    def parents_of(self, individual: int) -> Sequence[int]:
        """The parents of an individual; none for a founder."""
        return self.parents[self.starts[individual] : self.starts[individual + 1]]

    def founders(self) -> list[int]:
        """Individuals without parents, the oldest first."""
        return [individual for individual in self.tells if self.starts[individual] == self.starts[individual + 1]]

    def ancestors(self, of: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Each of `of` and each ancestor of theirs, the youngest first, with the bits of those that descend from it."""
        held = {individual: 1 << bit for bit, individual in enumerate(of)}
        starts, parents = self.starts, self.parents
        for individual in range(max(held, default=-1), -1, -1):
            bits = held.pop(individual, 0)
            if bits:
                yield individual, bits
                for parent in parents[starts[individual] : starts[individual + 1]]:
                    held[parent] = held.get(parent, 0) | bits

    def descendants(self, of: Sequence[int]) -> list[int]:
        """How many descend from each of `of`, itself excluded."""
        held = [0] * len(self)
        for bit, individual in enumerate(of):
            held[individual] = 1 << bit
        starts, parents = self.starts, self.parents
        for individual in range(len(self)):
            for parent in parents[starts[individual] : starts[individual + 1]]:
                held[individual] |= held[parent]
        return [int(count) - 1 for count in weighed(held, np.ones((len(held), 1)), len(of))[:, 0]]

    def latest(self, tells: Mapping[int, int]) -> list[int]:
        """For each id the largest of these tells over itself and all descendants; -1 where there is none."""
        latest = [tells.get(individual, -1) for individual in range(len(self))]
        starts, parents = self.starts, self.parents
        for individual in range(len(self) - 1, -1, -1):
            for parent in parents[starts[individual] : starts[individual + 1]]:
                latest[parent] = max(latest[parent], latest[individual])
        return latest

    def offspring(self) -> np.ndarray[Any, Any]:
        """For each id how many children it has, and how many descend from it from base to base; shape (ids, 2)."""
        counts = np.zeros((len(self), 2))
        np.add.at(counts[:, 0], np.asarray(self.parents, dtype=np.int64), 1)
        line = [0] * len(self)
        for individual in range(len(self) - 1, -1, -1):
            for edge in range(self.starts[individual], self.starts[individual + 1]):
                if self.base[edge]:
                    line[self.parents[edge]] += line[individual] + 1
        counts[:, 1] = line
        return counts


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
        packed = b"".join(members.to_bytes(width, "little") for members in sets[start : start + BLOCK])
        bits = np.frombuffer(packed, dtype=np.uint8).reshape(-1, width)
        total += np.unpackbits(bits, axis=1, count=size, bitorder="little").T @ weights[start : start + BLOCK]
    return total
