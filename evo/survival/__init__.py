"""Survival: which individuals stay in a population. Objectives are numbers to be minimised here, and only here.

By fronts: `RankAndCrowding` (NSGA-II), `ReferenceDirections` (NSGA-III), `HypervolumeContribution` (SMS-EMOA), which
differ in what leaves the last front. By a total order: `Lexicographic`, `WeightedSum`. Without selection: `Newest`.

Feasible individuals come before infeasible ones, and those by total violation, in all but `Newest`.
"""

from evo.survival.crowding import RankAndCrowding
from evo.survival.hypervolume import HypervolumeContribution
from evo.survival.reference_directions import ReferenceDirections
from evo.survival.simple import Lexicographic, Newest, WeightedSum

__all__ = [
    "HypervolumeContribution",
    "Lexicographic",
    "Newest",
    "RankAndCrowding",
    "ReferenceDirections",
    "WeightedSum",
]
