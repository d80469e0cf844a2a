"""NSGA-II's survival."""

from __future__ import annotations

from collections.abc import Mapping

from evo.protocols import FloatArray, IntArray
from evo.survival.ranking import FrontSurvival
from evo.survival.spread import crowding_distances


class RankAndCrowding(FrontSurvival):
    """NSGA-II's order: by front, then by crowding distance, for survival and for parents.

    Source: Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002.

    Args:
        epsilon: name of an objective to the difference in it that counts; see `Grid`.
        tolerance: a total violation up to this counts as none.
    """

    def __init__(self, *, epsilon: Mapping[str, float] | None = None, tolerance: float = 0.0) -> None:
        super().__init__(epsilon, tolerance)

    def spread(self, objectives: int, capacity: int) -> Crowding:
        return Crowding()


class Crowding:
    """The distance to the neighbours in the front."""

    guides_parents = True

    def crowding_distance(self, objectives: FloatArray, rank: IntArray) -> FloatArray:
        return crowding_distances(objectives[rank == rank.max()])
