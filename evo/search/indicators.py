"""Indicators of how a search does: hypervolume, size of the front, bests and diversity, updated by each result.

They follow from the results in their order and from nothing else, so a replayed journal gives the same values.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import moocore
import numpy as np

from evo.errors import ConfigError
from evo.protocols import FloatArray, IntArray
from evo.search.front import Nondominated
from evo.values import Objective

# A newcomer to a front of 200 costs 0.8 ms with six, 60 ms with seven and more than a second with eight.
HYPERVOLUME_OBJECTIVES = 6
FIRST_FEASIBLE = 20
MARGIN = 0.1


@dataclass(frozen=True, slots=True)
class IndicatorValues:
    """The values of the indicators after a result.

    Attributes:
        hypervolume: of all feasible individuals so far, in the product of the objectives' units; of a single objective,
            how far the best is below the reference. None while there is no reference point, with more than
            HYPERVOLUME_OBJECTIVES objectives, and where it is too large for a number.
        front: how many individuals no other dominates; equals count once.
        best: name of an objective to its best value, in the problem's own direction; {} before the first result.
        diversity: mean distance of a member of the front to the nearest other, each objective divided by its range over
            the front; 0 for fewer than two.
        outside: how many feasible individuals lay outside the reference point and did not count.
    """

    hypervolume: float | None = None
    front: int = 0
    best: Mapping[str, float] = field(default_factory=dict)
    diversity: float = 0.0
    outside: int = 0


class Indicators:
    """Keeps the `IndicatorValues` of all feasible individuals that it observes.

    The reference point is given, or fixed by the first feasible individuals: for each objective the worst of them and
    MARGIN of their range beyond it (1.0 where they are all equal). It never changes after that, so the hypervolume
    never falls. A search that ends before there are so many has no hypervolume.

    Attributes:
        reading: the values after the latest result.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        *,
        reference: Mapping[str, float] | None = None,
        first: int = FIRST_FEASIBLE,
    ) -> None:
        """Indicators of no individual yet.

        Args:
            objectives: at least 1.
            reference: name of each objective to its worst value that counts, in the problem's own direction.
            first: how many feasible individuals fix the reference point where none is given.

        Raises:
            ConfigError: a reference that lacks an objective, names another, or is not finite; `first` below 1.
        """
        _check(objectives, reference, first)
        self.reading = IndicatorValues()
        self._objectives = tuple(objectives)
        self._signs = np.array([objective.sign for objective in objectives])
        self._first = first
        self._observed = 0
        self._low, self._high = np.full(len(objectives), np.inf), np.full(len(objectives), -np.inf)
        self._front = Nondominated(len(objectives))
        self._spacing = _Spacing()
        self._volume: _Volume | None = None
        self._reference: FloatArray | None = None
        if reference is not None:
            self._fix(np.array([objective.sign * reference[objective.name] for objective in objectives]))

    @property
    def reference(self) -> Mapping[str, float] | None:
        """Name of each objective to its reference value, in the problem's own direction; None until it is fixed."""
        return None if self._reference is None else self._named(self._reference)

    def observe(self, costs: FloatArray) -> IndicatorValues:
        """The values after a further feasible individual.

        Args:
            costs: its objectives in their order, finite, to be minimised, shape (m,).
        """
        self._observed += 1
        self._note_range(costs)
        beaten = self._front.beaten(costs)
        if beaten is not None:
            self._enter(costs, beaten)
        if self._reference is None and self._observed == self._first:
            self._fix(_beyond(self._low, self._high))
        elif self._outside(costs):
            self.reading = replace(self.reading, outside=self.reading.outside + 1)
        return self.reading

    def replace_front(self, costs: FloatArray) -> IndicatorValues:
        """The values with another front in the place of all that was observed, so they may get worse.

        Args:
            costs: of the front as it is known now, none dominated by another, shape (n, m).
        """
        self._front, self._spacing = Nondominated(costs.shape[1]), _Spacing()
        self._low = costs.min(axis=0, initial=np.inf)
        for point in costs:
            self._front.enter(point, np.empty(0, np.intp))
        diversity = self._spacing.entered(costs, np.empty(0, np.intp), costs[:0]) if len(costs) else 0.0
        best = self._named(self._low) if len(costs) else {}
        self.reading = replace(self.reading, front=len(costs), best=best, diversity=diversity)
        if self._reference is not None and self._volume is not None:
            self._volume = _volume_of(costs[(costs < self._reference).all(axis=1)], self._reference)
            self.reading = replace(self.reading, hypervolume=self._size)
        return self.reading

    def _note_range(self, costs: FloatArray) -> None:
        if (costs < self._low).any():
            self._low = np.minimum(self._low, costs)
            self.reading = replace(self.reading, best=self._named(self._low))
        self._high = np.maximum(self._high, costs)

    def _enter(self, costs: FloatArray, beaten: IntArray) -> None:
        if self._volume is not None and not self._outside(costs):
            self._volume.add(costs, self._front.points)
        left = self._front.points[beaten]
        self._front.enter(costs, beaten)
        diversity = self._spacing.entered(self._front.points, beaten, left)
        self.reading = replace(self.reading, hypervolume=self._size, front=len(self._front), diversity=diversity)

    def _outside(self, costs: FloatArray) -> bool:
        return self._reference is not None and bool((costs >= self._reference).any())

    def _fix(self, reference: FloatArray) -> None:
        self._reference = reference
        if len(reference) > HYPERVOLUME_OBJECTIVES:
            return
        self._volume = _Staircase(reference) if len(reference) == 2 else _Body(reference)
        points = self._front.points
        for place, costs in enumerate(points):
            if not self._outside(costs):
                self._volume.add(costs, points[:place])
        self.reading = replace(self.reading, hypervolume=self._size)

    @property
    def _size(self) -> float | None:
        return self._volume.size if self._volume is not None and math.isfinite(self._volume.size) else None

    def _named(self, costs: FloatArray) -> dict[str, float]:
        pairs = zip(self._objectives, (costs * self._signs).tolist(), strict=True)
        return {objective.name: value for objective, value in pairs}


class _Volume(Protocol):
    """The region that points dominate within a reference point.

    Attributes:
        size: its volume; infinite or NaN once that is too large for a number.
    """

    size: float

    def add(self, costs: FloatArray, before: FloatArray) -> None:
        """Add a point.

        Args:
            costs: within the reference, and not dominated by the points before, shape (m,).
            before: the nondominated points so far, shape (n, m).
        """
        ...


class _Staircase:
    """Two objectives: corners in the order of the first, so that a newcomer meets only points that it dominates."""

    def __init__(self, reference: FloatArray) -> None:
        right, top = reference.tolist()
        self.size = 0.0
        self._across = [-math.inf, right]
        self._up = [top, -math.inf]

    def add(self, costs: FloatArray, before: FloatArray) -> None:
        across, up = costs.tolist()
        place = end = bisect_left(self._across, across)
        self.size += (self._across[end] - across) * (self._up[end - 1] - up)
        while self._up[end] >= up:
            end += 1
            self.size += (self._across[end] - self._across[end - 1]) * (self._up[end - 1] - up)
        self._across[place:end], self._up[place:end] = [across], [up]


class _Body:
    """Any number of objectives: a newcomer adds its own box, less what the others cover of it.

    Source: the exclusive hypervolume of While, Bradstreet and Barone, "A fast way of calculating exact hypervolumes",
    2012. What is taken away is never more than the box, so rounding stays as small as of a single sum of the boxes.
    """

    def __init__(self, reference: FloatArray) -> None:
        self.size = 0.0
        self._reference = reference

    def add(self, costs: FloatArray, before: FloatArray) -> None:
        with np.errstate(over="ignore"):
            box = math.prod((self._reference - costs).tolist())
        limited = np.maximum(before.T, costs[:, np.newaxis])
        within = np.logical_and.reduce(limited < self._reference[:, np.newaxis], axis=0)
        added = box - self.covered(limited[:, within].T)
        # Only rounding makes this negative; NaN passes, and means that the volume is too large for a number.
        self.size += 0.0 if added < 0 else added

    def covered(self, points: FloatArray) -> float:
        """The volume that these points dominate together; NaN where it is too large for a number.

        Args:
            points: within the reference, shape (n, m).
        """
        if len(points) == 0:
            return 0.0
        nondominated = points[moocore.is_nondominated(points)]
        covered = float(moocore.hypervolume(nondominated, ref=self._reference))
        return covered if math.isfinite(covered) else math.nan


def _volume_of(points: FloatArray, reference: FloatArray) -> _Volume:
    """The volume of points within the reference, none dominated by another, shape (n, m)."""
    if len(reference) != 2:
        body = _Body(reference)
        body.size = body.covered(points)
        return body
    staircase = _Staircase(reference)
    for place, costs in enumerate(points):
        staircase.add(costs, points[:place])
    return staircase


class _Spacing:
    """Distance of each member of a front to the nearest other, each objective divided by its range over the front.

    While the range stays, only the neighbours of points that enter or leave are looked at; when it changes, all are.
    """

    def __init__(self) -> None:
        self._nearest: FloatArray = np.empty(0)
        self._low: FloatArray = np.empty(0)
        self._high: FloatArray = np.empty(0)

    def entered(self, points: FloatArray, beaten: IntArray, left: FloatArray) -> float:
        """The mean distance after a newcomer.

        Args:
            points: the front, the newcomer last, shape (n, m).
            beaten: positions, in the front before it, of the points that left, shape (k,).
            left: the points that left, shape (k, m).
        """
        low, high = points.min(axis=0), points.max(axis=0)
        same_range = np.array_equal(low, self._low) and np.array_equal(high, self._high)
        self._low, self._high = low, high
        if len(points) < 2:
            self._nearest = np.zeros(len(points))
        elif same_range and len(self._nearest) - len(beaten) > 1:
            self._update(in_unit_box(points, low, high), beaten, in_unit_box(left, low, high))
        else:
            scaled = in_unit_box(points, low, high)
            from scipy.spatial import KDTree  # here, as scipy takes half a second to import

            self._nearest = KDTree(scaled).query(scaled, k=2)[0][:, 1]
        return float(self._nearest.mean())

    def _update(self, points: FloatArray, beaten: IntArray, left: FloatArray) -> None:
        others, newcomer = points[:-1], points[-1]
        nearest = np.delete(self._nearest, beaten)
        orphaned = np.zeros(len(others), dtype=bool)
        for gone in left:
            # With a tolerance: rather too many than too few, whatever the last digit.
            orphaned |= _distances(others, gone) <= nearest * (1 + 1e-9)
        gaps = _distances(others, newcomer)
        nearest = np.minimum(nearest, gaps)
        for place in np.flatnonzero(orphaned):
            distances = _distances(points, points[place])
            distances[place] = np.inf
            nearest[place] = distances.min()
        self._nearest = np.append(nearest, gaps.min())


def in_unit_box(points: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Points with each column divided by its range, `low` at 0; a constant column is 0."""
    # By halves, since a range may be too large for a number.
    extent = high / 2 - low / 2
    return (points / 2 - low / 2) / np.where(extent > 0, extent, 1.0)


def _distances(points: FloatArray, point: FloatArray) -> FloatArray:
    distances: FloatArray = np.sqrt(((points - point) ** 2).sum(axis=1))
    return distances


def _beyond(low: FloatArray, high: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):
        margin = np.where(high > low, MARGIN * (high - low), 1.0)
    largest = np.finfo(np.float64).max
    return np.clip(high + margin, -largest, largest)


def _check(objectives: Sequence[Objective], reference: Mapping[str, float] | None, first: int) -> None:
    if first < 1:
        raise ConfigError(f"the first {first} feasible individuals cannot fix a reference point; expected at least 1")
    if reference is None:
        return
    names = {objective.name for objective in objectives}
    if set(reference) != names:
        given, wanted = ", ".join(sorted(reference)) or "nothing", ", ".join(sorted(names))
        raise ConfigError(f"the reference point names {given}; expected a value for each of {wanted}")
    for name, value in reference.items():
        if not math.isfinite(value):
            raise ConfigError(f"the reference point has {name} = {value}; expected a finite number")
