"""Survivals by a total order of all individuals, and a survival without selection."""

from __future__ import annotations

import bisect
import copy
import math
from collections.abc import Mapping, Sequence
from typing import Protocol, Self

import numpy as np

from evo.errors import ConfigError
from evo.protocols import FloatArray, IntArray
from evo.survival.grid import Grid, by_objective
from evo.survival.protocols import Survival
from evo.values import Objective


class Keys(Protocol):
    """What a pool is sorted by."""

    def __call__(self, objectives: FloatArray, violation: FloatArray) -> FloatArray:
        """Shape (k, n): the first row decides, the next where that is equal; less is better."""
        ...


class OrderRanking:
    """Ranks of a pool in a total order, without crowding distances. Of equals the newest is best.

    Equals do not rank behind all others as they do in fronts: a single number has no spread to keep, and a step to an
    equal is how a search crosses a plateau.

    Args:
        values: what the pool is sorted by, shape (k, n).
        best_first: all of the pool, shape (n,).
    """

    def __init__(self, keys: Keys, values: FloatArray, best_first: IntArray) -> None:
        self._keys = keys
        self._values = values
        self._best_first = best_first
        self.rank = np.empty(len(best_first), dtype=np.intp)
        self.rank[best_first] = np.arange(len(best_first))

    @classmethod
    def of(cls, keys: Keys, objectives: FloatArray, violation: FloatArray) -> OrderRanking:
        """A pool sorted from scratch."""
        values = keys(objectives, violation)
        newest = -np.arange(len(objectives))
        return cls(keys, values, np.lexsort((newest, *values[::-1])))

    def crowding(self, member: int) -> float:
        return 0.0

    def worst(self, count: int) -> list[int]:
        leaving: list[int] = self._best_first[::-1][:count].tolist()
        return leaving

    def with_newcomer(self, place: int, objectives: FloatArray, violation: float) -> OrderRanking:
        column = self._keys(objectives[np.newaxis], np.array([violation]))
        values = np.concatenate((self._values[:, :place], column, self._values[:, place:]), axis=1)
        others = self._best_first + (self._best_first >= place)
        position = bisect.bisect(others, _sortable(values, place), key=lambda member: _sortable(values, member))
        best_first = np.concatenate((others[:position], [place], others[position:]))
        return OrderRanking(self._keys, values, best_first)

    def rejects(self, objectives: FloatArray, violation: float) -> bool:
        column = self._keys(objectives[np.newaxis], np.array([violation]))
        return tuple(column[:, 0].tolist()) > tuple(self._values[:, self._best_first[-1]].tolist())

    def without(self, dropped: list[int]) -> OrderRanking:
        left = self._best_first[: len(self.rank) - len(dropped)]
        staying = np.setdiff1d(np.arange(len(self.rank)), dropped)
        return OrderRanking(self._keys, self._values[:, staying], np.searchsorted(staying, left))


def _sortable(values: FloatArray, member: int) -> tuple[float, ...]:
    return (*values[:, member].tolist(), -member)


class Lexicographic(Survival):
    """The first objective decides, the next where that is equal: feasible before infeasible, of equals the newest.

    With a single objective this is plain elitism.

    Args:
        epsilon: name of an objective to the difference in it that counts; see `Grid`.
        tolerance: a total violation up to this counts as none.
    """

    def __init__(self, *, epsilon: Mapping[str, float] | None = None, tolerance: float = 0.0) -> None:
        self._grid = Grid(epsilon, tolerance)

    def fitted(self, objectives: Sequence[Objective], capacity: int) -> Self:
        fitted = copy.copy(self)
        fitted._grid = self._grid.fitted(objectives)
        return fitted

    def ranking(self, objectives: FloatArray, violation: FloatArray) -> OrderRanking:
        return OrderRanking.of(self._keys, objectives, violation)

    def _keys(self, objectives: FloatArray, violation: FloatArray) -> FloatArray:
        boxes, excess = self._grid.boxes(objectives).T, self._grid.excess(objectives)
        return np.vstack((self._grid.with_tolerance(violation), boxes, excess, objectives.T))


class WeightedSum(Survival):
    """The least weighted sums stay, feasible before infeasible; equals as in Lexicographic.

    Args:
        weights: name of an objective to its weight, 0 without an entry. The scales of objectives matter.
        tolerance: a total violation up to this counts as none.

    Raises:
        ConfigError: no weight, or a weight below 0.
    """

    def __init__(self, *, weights: Mapping[str, float], tolerance: float = 0.0) -> None:
        if not weights or not all(0 <= weight < math.inf for weight in weights.values()):
            raise ConfigError(f"weighted_sum needs weights from 0 up, got {dict(weights)}")
        self._named = dict(weights)
        self._weights: FloatArray | None = None
        self._grid = Grid(tolerance=tolerance)

    def fitted(self, objectives: Sequence[Objective], capacity: int) -> Self:
        fitted = copy.copy(self)
        fitted._weights = by_objective(self._named, objectives, "a weight")
        return fitted

    def ranking(self, objectives: FloatArray, violation: FloatArray) -> OrderRanking:
        return OrderRanking.of(self._keys, objectives, violation)

    def _keys(self, objectives: FloatArray, violation: FloatArray) -> FloatArray:
        if self._weights is None:
            raise ValueError("weighted_sum must be fitted to objectives before it ranks a pool")
        total = (objectives * self._weights).sum(axis=1)
        return np.vstack((self._grid.with_tolerance(violation), total, objectives.T))


class AgeRanking:
    """All are equally good, and the oldest leaves."""

    def __init__(self, count: int) -> None:
        self.rank = np.zeros(count, dtype=np.intp)

    def crowding(self, member: int) -> float:
        return 0.0

    def worst(self, count: int) -> list[int]:
        return list(range(count))

    def with_newcomer(self, place: int, objectives: FloatArray, violation: float) -> AgeRanking:
        return AgeRanking(len(self.rank) + 1)

    def rejects(self, objectives: FloatArray, violation: float) -> bool:
        return False

    def without(self, dropped: list[int]) -> AgeRanking:
        return AgeRanking(len(self.rank) - len(dropped))


class Newest(Survival):
    """The oldest leaves, however good, and all are equally good parents: no selection, for comparison.

    A pool comes in the order of ids, so age is a member's place in it.
    """

    def ranking(self, objectives: FloatArray, violation: FloatArray) -> AgeRanking:
        return AgeRanking(len(objectives))
