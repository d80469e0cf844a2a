"""Survival: which individuals stay in a population. Objectives are numbers to be minimised here, and only here.

By fronts: `RankAndCrowding` (NSGA-II), `ReferenceDirections` (NSGA-III), `HypervolumeContribution` (SMS-EMOA), which
differ in what leaves the last front. By a total order: `Lexicographic`, `WeightedSum`. Without selection: `Newest`.

Feasible individuals come before infeasible ones, and those by total violation, in all but `Newest`.

Names are imported when they are used: the libraries behind some of them take half a second to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "HypervolumeContribution": "hypervolume",
    "Lexicographic": "simple",
    "Newest": "simple",
    "RankAndCrowding": "crowding",
    "ReferenceDirections": "reference_directions",
    "WeightedSum": "simple",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"evo.survival.{_MODULES[name]}"), name)
