"""The living: a bounded set of individuals, ordered by a survival."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

import numpy as np

from evo.protocols import FloatArray, Ranking, Survival
from evo.values import Individual, Objective


def costs_of(individual: Individual, objectives: Sequence[Objective]) -> FloatArray:
    """Objectives as numbers to be minimised, shape (m,)."""
    values = individual.evaluation.objectives
    return np.array([objective.sign * values[objective.name] for objective in objectives])


class Population:
    """At most `capacity` individuals with objectives. Who stays does not depend on the order in which they came.

    The pool is kept in the order of ids, so that ties fall the same way however results arrive.
    """

    def __init__(self, capacity: int, objectives: Sequence[Objective], survival: Survival) -> None:
        self._capacity = capacity
        self._objectives = objectives
        self._survival = survival
        self._ids: list[int] = []
        self._members: list[Individual] = []
        self._costs: FloatArray = np.empty((0, len(objectives)))
        self._violation: FloatArray = np.empty(0)
        self._ranking: Ranking | None = None

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Individual]:
        return iter(self._members)

    def __getitem__(self, position: int) -> Individual:
        return self._members[position]

    def add(self, newcomer: Individual) -> list[int]:
        """Let a newcomer in; the ids that had to go for it, its own perhaps among them."""
        place = bisect.bisect(self._ids, newcomer.id)
        self._ids.insert(place, newcomer.id)
        self._members.insert(place, newcomer)
        costs, violation = costs_of(newcomer, self._objectives)[np.newaxis], [newcomer.evaluation.violation]
        self._costs = np.concatenate((self._costs[:place], costs, self._costs[place:]))
        self._violation = np.concatenate((self._violation[:place], violation, self._violation[place:]))
        self._ranking = None
        excess = len(self._members) - self._capacity
        return self._drop(self.ranking.worst(excess)) if excess > 0 else []

    @property
    def ranking(self) -> Ranking:
        """The order of the present members, worked out when first asked for."""
        if self._ranking is None:
            self._ranking = self._survival.ranking(self._costs, self._violation)
        return self._ranking

    def better(self, one: int, other: int) -> int:
        """Which of two positions wins: the lower rank, then the lonelier, then the first named."""
        ranking = self.ranking
        if ranking.rank[one] != ranking.rank[other]:
            return one if ranking.rank[one] < ranking.rank[other] else other
        return one if ranking.crowding(one) >= ranking.crowding(other) else other

    def _drop(self, positions: list[int]) -> list[int]:
        gone = [self._ids[position] for position in positions]
        for position in sorted(positions, reverse=True):
            del self._ids[position], self._members[position]
        self._ranking = self.ranking.without(positions)
        self._costs = np.delete(self._costs, positions, axis=0)
        self._violation = np.delete(self._violation, positions)
        return gone
