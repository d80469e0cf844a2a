"""The population: a bounded set of individuals, ordered by a survival."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from evo.protocols import FloatArray
from evo.survival.protocols import Ranking, Survival
from evo.values import Individual, Objective

LARGEST = 1e300


def costs_of(individual: Individual, objectives: Sequence[Objective]) -> FloatArray:
    """Objectives as numbers to be minimised, shape (m,); at most LARGEST, so that their differences are finite."""
    return np.array([cost_of(individual, objective) for objective in objectives], dtype=float)


def cost_of(individual: Individual, objective: Objective) -> float:
    """An objective as a number to be minimised, from -LARGEST to LARGEST."""
    return min(max(objective.cost(individual), -LARGEST), LARGEST)


class RankedPopulation:
    """At most `capacity` individuals with objectives.

    Members are kept in the order of ids, so that ties fall the same way in whatever order results arrive.

    Raises:
        ConfigError: the survival has options that do not fit these objectives.
    """

    def __init__(self, capacity: int, objectives: Sequence[Objective], survival: Survival) -> None:
        self._capacity = capacity
        self._objectives = tuple(objectives)
        self._ids: list[int] = []
        self._members: list[Individual] = []
        self._survival = survival.fitted(self._objectives, capacity)
        self._ranking = self._ranked()

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Individual]:
        return iter(self._members)

    def __getitem__(self, position: int) -> Individual:
        return self._members[position]

    @property
    def mating_pool(self) -> RankedPopulation:
        """All members."""
        return self

    @property
    def ranking(self) -> Ranking:
        """The order of the present members."""
        return self._ranking

    def add(self, newcomer: Individual) -> list[int]:
        """Add a newcomer; the ids that leave for it, its own perhaps among them."""
        costs, violation = costs_of(newcomer, self._objectives), newcomer.evaluation.violation
        if len(self._members) == self._capacity and self._ranking.rejects(costs, violation):
            return [newcomer.id]  # most newcomers are rejected here, and nothing has to be ranked
        place = bisect.bisect(self._ids, newcomer.id)
        self._ids.insert(place, newcomer.id)
        self._members.insert(place, newcomer)
        self._ranking = self._ranking.with_newcomer(place, costs, violation)
        return self._drop_excess()

    def merge(self, newcomers: Sequence[Individual]) -> list[int]:
        """Add several newcomers and rank old and new together, in a single step; the ids that leave."""
        self._settle([*self._members, *newcomers])
        return self._drop_excess()

    def revise(self, known: Mapping[int, Individual]) -> None:
        """Replace members by what is known of them now, by id, and rank all again; none enters or leaves."""
        self._settle([known.get(member.id, member) for member in self._members])

    def remove(self, identity: int) -> None:
        """Remove a member, however good it is."""
        self._settle([member for member in self._members if member.id != identity])

    def better(self, first: int, second: int) -> int:
        """Which of two positions wins: the lower rank, then the larger crowding distance, then the first."""
        ranking = self._ranking
        if ranking.rank[first] != ranking.rank[second]:
            return first if ranking.rank[first] < ranking.rank[second] else second
        return first if ranking.crowding(first) >= ranking.crowding(second) else second

    def _settle(self, members: Sequence[Individual]) -> None:
        self._members = sorted(members, key=lambda member: member.id)
        self._ids = [member.id for member in self._members]
        self._ranking = self._ranked()

    def _ranked(self) -> Ranking:
        costs = np.array([costs_of(member, self._objectives) for member in self._members])
        violation = np.array([member.evaluation.violation for member in self._members])
        return self._survival.ranking(costs.reshape(-1, len(self._objectives)), violation)

    def _drop_excess(self) -> list[int]:
        excess = len(self._members) - self._capacity
        return self._drop(self._ranking.worst(excess)) if excess > 0 else []

    def _drop(self, positions: list[int]) -> list[int]:
        gone = [self._ids[position] for position in positions]
        for position in sorted(positions, reverse=True):
            del self._ids[position], self._members[position]
        self._ranking = self._ranking.without(positions)
        return gone
