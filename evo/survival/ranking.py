"""The ranking of a pool in fronts, with any rule for what leaves the last front."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Protocol, Self

import numpy as np

from evo.protocols import FloatArray, IntArray
from evo.survival.fronts import Fronts
from evo.survival.grid import Grid
from evo.survival.protocols import Survival
from evo.survival.spread import crowding_distances
from evo.values import Objective


class Spread(Protocol):
    """Orders the members of a front.

    Attributes:
        guides_parents: whether, of a front, the member with the larger crowding distance is the better parent.
    """

    guides_parents: bool

    def crowding_distance(self, objectives: FloatArray, rank: IntArray) -> FloatArray:
        """The crowding distance of each member of the last front, in the order of the pool; the smallest leaves first.

        Args:
            objectives: of a pool of feasible individuals, shape (n, m).
            rank: of each, shape (n,); the last front is that of the highest rank.
        """
        ...


class FrontRanking:
    """Ranks of a pool; crowding distances are computed a front at a time, when first asked for."""

    def __init__(self, fronts: Fronts, spread: Spread) -> None:
        self.rank = fronts.rank()
        self._fronts = fronts
        self._spread = spread
        self._distances: dict[int, tuple[IntArray, FloatArray]] = {}

    def crowding(self, member: int) -> float:
        if not self._spread.guides_parents:
            return 0.0
        members, distances = self._front(int(self.rank[member]))
        return float(distances[np.searchsorted(members, member)])

    def worst(self, count: int) -> list[int]:
        return list(islice(self._leaving(), count))

    def with_newcomer(self, place: int, objectives: FloatArray, violation: float) -> FrontRanking:
        return FrontRanking(self._fronts.with_newcomer(place, objectives, violation), self._spread)

    def rejects(self, objectives: FloatArray, violation: float) -> bool:
        # Dominated by a member of the last front, it dominates and equals none: those would rank behind that front.
        last, grid = self._last, self._fronts.grid
        if last is None or violation > grid.tolerance:
            return False
        box = grid.boxes(objectives[np.newaxis])
        no_better = np.logical_and.reduce(last <= box, axis=1)
        return bool((no_better & np.logical_or.reduce(last < box, axis=1)).any())

    def without(self, dropped: list[int]) -> FrontRanking:
        return FrontRanking(self._fronts.without(dropped), self._spread)

    @cached_property
    def _last(self) -> FloatArray | None:
        return self._fronts.last()

    def _leaving(self) -> Iterator[int]:
        """All of the pool in the order of leaving, each ranked after those before it have left."""
        ranking, places = self, np.arange(len(self.rank))
        while len(places):
            members, distances = ranking._front(int(ranking.rank.max()))
            member = int(members[np.flatnonzero(distances == distances.min())[-1]])
            yield int(places[member])
            ranking, places = ranking.without([member]), np.delete(places, member)

    def _front(self, rank: int) -> tuple[IntArray, FloatArray]:
        """Members of a front, and the crowding distance of each."""
        if rank not in self._distances:
            members = np.flatnonzero(self.rank == rank)
            self._distances[rank] = members, self._crowding_distance(rank, members)
        return self._distances[rank]

    def _crowding_distance(self, rank: int, members: IntArray) -> FloatArray:
        objectives = self._fronts.objectives
        if self._fronts.violation[members[0]] > 0:  # equally infeasible, and not sorted by dominance
            return crowding_distances(objectives[members])
        pool = np.flatnonzero(self.rank <= rank)
        return self._spread.crowding_distance(objectives[pool], self.rank[pool])


class FrontSurvival(Survival):
    """What survivals by fronts have in common: the grid on which objectives are compared."""

    def __init__(self, epsilon: Mapping[str, float] | None, tolerance: float) -> None:
        self._grid = Grid(epsilon, tolerance)
        self._capacity: int | None = None

    def fitted(self, objectives: Sequence[Objective], capacity: int) -> Self:
        fitted = copy.copy(self)
        fitted._grid, fitted._capacity = self._grid.fitted(objectives), capacity
        return fitted

    def ranking(self, objectives: FloatArray, violation: FloatArray) -> FrontRanking:
        count, dimensions = objectives.shape
        spread = self.spread(dimensions, count if self._capacity is None else self._capacity)
        return FrontRanking(Fronts.of(objectives, violation, self._grid), spread)

    def spread(self, objectives: int, capacity: int) -> Spread:
        """Orders the members of a front in a population of `capacity`."""
        raise TypeError(f"{type(self).__name__} must define spread")
