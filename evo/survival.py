"""Survival, by pymoo. The one place where objectives are numbers to be minimised."""

from __future__ import annotations

import numpy as np
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from evo.protocols import FloatArray, IntArray


class FrontRanking:
    """Ranks of a pool, with crowding worked out a front at a time, when first asked for."""

    def __init__(self, objectives: FloatArray, rank: IntArray) -> None:
        self.rank = rank
        self._objectives = objectives
        self._crowding: dict[int, dict[int, float]] = {}

    def crowding(self, member: int) -> float:
        return self._front(int(self.rank[member]))[member]

    def worst(self, count: int) -> list[int]:
        dropped: list[int] = []
        for rank in sorted(set(self.rank.tolist()), reverse=True):
            if len(dropped) == count:
                break
            front = self._front(rank)
            loneliest_last = sorted(front, key=lambda member: (front[member], -member))
            dropped.extend(loneliest_last[: count - len(dropped)])
        return dropped

    def without(self, dropped: list[int]) -> FrontRanking:
        """The ranking of those that are left when the worst are gone: they dominated nobody, so no rank changes."""
        return FrontRanking(np.delete(self._objectives, dropped, axis=0), np.delete(self.rank, dropped))

    def _front(self, rank: int) -> dict[int, float]:
        if rank not in self._crowding:
            members = np.flatnonzero(self.rank == rank)
            distances = calc_crowding_distance(self._objectives[members], filter_out_duplicates=True)
            self._crowding[rank] = dict(zip(members.tolist(), distances.tolist(), strict=True))
        return self._crowding[rank]


class RankAndCrowding:
    """NSGA-II's order: feasible by front and crowding distance, then infeasible by violation; twins come last.

    Programs that do the same score the same to the last digit, and would fill a population with copies of a few points
    (measured on bin packing: 7 of 10 searches beat best fit so, 10 of 10 with this). So of individuals with equal
    objectives the newest keeps its rank, the second newest ranks behind all fronts of newest ones, and so on.

    Source: Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002.
    """

    def __init__(self) -> None:
        self._sorting = NonDominatedSorting()

    def ranking(self, objectives: FloatArray, violation: FloatArray) -> FrontRanking:
        rank = np.zeros(len(objectives), dtype=np.intp)
        feasible = np.flatnonzero(violation <= 0)
        if len(feasible):
            rank[feasible] = self._rank_feasible(objectives[feasible])
        if len(feasible) < len(objectives):
            self._rank_infeasible(rank, violation, 1 + int(rank[feasible].max(initial=-1)))
        return FrontRanking(objectives, rank)

    def _rank_feasible(self, objectives: FloatArray) -> IntArray:
        _, rank = self._sorting.do(objectives, return_rank=True)
        fronts = 1 + int(rank.max())
        ranks: IntArray = rank + fronts * _newer_twins(objectives)
        return ranks

    @staticmethod
    def _rank_infeasible(rank: IntArray, violation: FloatArray, first: int) -> None:
        infeasible = np.flatnonzero(violation > 0)
        _, position = np.unique(violation[infeasible], return_inverse=True)
        rank[infeasible] = first + position


def _newer_twins(objectives: FloatArray) -> IntArray:
    """How many later members of the pool have the same objectives, shape (n,)."""
    seen: dict[bytes, int] = {}
    twins = np.zeros(len(objectives), dtype=np.intp)
    for member in range(len(objectives) - 1, -1, -1):
        point = objectives[member].tobytes()
        twins[member] = seen.get(point, 0)
        seen[point] = int(twins[member]) + 1
    return twins


class OrderRanking:
    """Ranks of a pool that say all there is to say: nobody is lonelier than another.

    Args:
        rank: shape (n,).
        leaving: all of the pool, those who leave first before the others, shape (n,).
    """

    def __init__(self, rank: IntArray, leaving: IntArray) -> None:
        self.rank = rank
        self._leaving = leaving

    def crowding(self, member: int) -> float:
        return 0.0

    def worst(self, count: int) -> list[int]:
        dropped: list[int] = self._leaving[:count].tolist()
        return dropped

    def without(self, dropped: list[int]) -> OrderRanking:
        staying = np.setdiff1d(np.arange(len(self.rank)), dropped)
        left = self._leaving[len(dropped) :]
        return OrderRanking(self.rank[staying], np.searchsorted(staying, left))


class Newest:
    """The oldest leaves, whatever it is worth, and nobody is better than another: no selection, for comparison.

    A pool comes in the order of ids, so age is a member's place in it.
    """

    def ranking(self, objectives: FloatArray, violation: FloatArray) -> OrderRanking:
        count = len(objectives)
        return OrderRanking(np.zeros(count, dtype=np.intp), np.arange(count))


class Lexicographic:
    """The first objective decides, the next where that is equal: feasible before infeasible, of equals the newest."""

    def ranking(self, objectives: FloatArray, violation: FloatArray) -> OrderRanking:
        newest = -np.arange(len(objectives))
        best_first = np.lexsort((newest, *objectives.T[::-1], np.maximum(violation, 0.0)))
        rank = np.empty(len(objectives), dtype=np.intp)
        rank[best_first] = np.arange(len(objectives))
        return OrderRanking(rank, best_first[::-1])
