"""NSGA-III's survival."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Self

import numpy as np
from pymoo.algorithms.moo.nsga3 import HyperplaneNormalization
from pymoo.util.ref_dirs import get_reference_directions
from pymoo.util.reference_direction import get_number_of_uniform_points, get_partition_closest_to_points
from scipy.spatial import KDTree

from evo.errors import ConfigError
from evo.protocols import FloatArray, IntArray
from evo.survival.ranking import FrontSurvival
from evo.survival.spread import best_of_each
from evo.values import Objective

FAR = 1e100  # beyond this, all is as far from the front; its square is finite


class ReferenceDirections(FrontSurvival):
    """NSGA-III's order: by front; of the last front a member of the direction that most individuals share leaves.

    That member is the individual that NSGA-III's niching would leave over when it fills all places but the last; where
    niching draws at random, the furthest from its direction leaves. The extremes by which objectives are normalised
    never leave: so the pool itself remembers them, and the order depends on the pool alone. Parents of the same front
    are equally good.

    Source: Deb and Jain, "An evolutionary many-objective optimization algorithm using reference-point-based
    nondominated sorting approach, part I", 2014.

    Args:
        divisions: of each objective's axis, for directions on an even lattice (Das and Dennis).
        directions: how many, for directions spread by Riesz energy (Blank, Deb, Dhebar, Bandaru and Seada, 2021), which
            takes seconds to compute. With neither, as many even directions as fit into the population.
        epsilon: name of an objective to the difference in it that counts; see `Grid`.
        tolerance: a total violation up to this counts as none.

    Raises:
        ConfigError: both divisions and directions, or a number of them below 1.
    """

    def __init__(
        self,
        *,
        divisions: int | None = None,
        directions: int | None = None,
        epsilon: Mapping[str, float] | None = None,
        tolerance: float = 0.0,
    ) -> None:
        super().__init__(epsilon, tolerance)
        if divisions is not None and directions is not None:
            raise ConfigError("nsga3 takes divisions or directions, not both: each says how many directions there are")
        for name, count in (("divisions", divisions), ("directions", directions)):
            if count is not None and count < 1:
                raise ConfigError(f"{name} of nsga3 is {count}; expected a number from 1 up, or none at all")
        self._divisions = divisions
        self._directions = directions
        self._crowding: DirectionCrowding | None = None

    def fitted(self, objectives: Sequence[Objective], capacity: int) -> Self:
        fitted = super().fitted(objectives, capacity)
        fitted._crowding = None  # that of a population that it was fitted to before
        fitted._crowding = fitted.spread(len(objectives), capacity)
        return fitted

    def spread(self, objectives: int, capacity: int) -> DirectionCrowding:
        if self._crowding is not None:
            return self._crowding
        if self._divisions is not None:
            return DirectionCrowding(_lattice(objectives, self._divisions))
        if self._directions is not None:
            return DirectionCrowding(_spread_out(objectives, self._directions))
        return DirectionCrowding(_fitting(objectives, capacity))


class DirectionCrowding:
    """How few individuals share a direction, and how near each is to its direction.

    Args:
        directions: no component below 0, shape (k, m).
    """

    guides_parents = False

    def __init__(self, directions: FloatArray) -> None:
        self._directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        self._tree = KDTree(self._directions)

    def crowding_distance(self, objectives: FloatArray, rank: IntArray) -> FloatArray:
        front = np.flatnonzero(rank == 0)
        points, extremes = normalised(objectives, front)
        niche, distance = self.associated(points)
        shared = np.bincount(niche)[niche] + distance / (1.0 + distance)
        if rank.max() == 0:
            shared[extremes] = -np.inf
        distances: FloatArray = -shared[rank == rank.max()]
        return distances

    def associated(self, points: FloatArray) -> tuple[IntArray, FloatArray]:
        """The direction nearest to each point by right angles, and its distance from it.

        Args:
            points: normalised, shape (n, m).

        Returns:
            Both of shape (n,).
        """
        # Of unit vectors the nearest is at the least angle, and so its line is at the least distance.
        lengths = np.sqrt((points * points).sum(axis=1, keepdims=True))
        _, niche = self._tree.query(points / np.where(lengths > 0, lengths, 1.0))
        direction = self._directions[niche]
        along = (points * direction).sum(axis=1, keepdims=True)
        aside = points - along * direction
        distance: FloatArray = np.sqrt((aside * aside).sum(axis=1))
        return niche.astype(np.intp), distance


def normalised(objectives: FloatArray, front: IntArray) -> tuple[FloatArray, IntArray]:
    """Objectives with the ideal at 0 and the plane through the front's extremes at 1.

    Args:
        objectives: of the pool, shape (n, m).
        front: members of its first front.

    Returns:
        The points, shape (n, m); and the extreme members, some perhaps twice: the best of each objective and the
        nearest to each axis.
    """
    ideal, worst = objectives.min(axis=0), objectives[front].max(axis=0)
    # pymoo's thresholds are absolute: what they are compared with must have no scale.
    scale = np.where(worst > ideal, worst - ideal, objectives.max(axis=0) - ideal)
    with np.errstate(over="ignore"):
        points = np.minimum((objectives - ideal) / np.where(scale > 0, scale, 1.0), FAR)
    plane = HyperplaneNormalization(points.shape[1])
    with warnings.catch_warnings():  # pymoo switches all warnings off for the rest of the process
        plane.update(points, nds=front)
    at_axes = [np.flatnonzero((points[front] == point).all(axis=1))[0] for point in plane.extreme_points]
    extremes = front[np.concatenate((best_of_each(points[front]), at_axes))]
    return points / np.where(plane.nadir_point > 0, plane.nadir_point, 1.0), extremes


def _fitting(objectives: int, capacity: int) -> FloatArray:
    """As many even directions as fit; where all would be on the border, an inner lattice takes half of the places."""
    outer = max(1, get_partition_closest_to_points(capacity, objectives))
    if outer >= objectives:
        return _lattice(objectives, outer)
    outer = max(1, get_partition_closest_to_points(capacity // 2, objectives))
    left = capacity - get_number_of_uniform_points(outer, objectives)
    inner = get_partition_closest_to_points(max(1, left), objectives)
    return np.concatenate((_lattice(objectives, outer), (_lattice(objectives, inner) + 1.0 / objectives) / 2.0))


@lru_cache(maxsize=16)
def _lattice(objectives: int, divisions: int) -> FloatArray:
    return _directions("das-dennis", objectives, n_partitions=divisions)


@lru_cache(maxsize=16)
def _spread_out(objectives: int, count: int) -> FloatArray:
    return _directions("energy", objectives, n_points=count)


def _directions(name: str, objectives: int, **count: int) -> FloatArray:
    directions: FloatArray = get_reference_directions(name, objectives, **count)
    return directions
