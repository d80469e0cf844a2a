"""Niches: an archive of cells, each with its own elites (MAP-Elites), in the place of a population.

Sources: Mouret and Clune, "Illuminating search spaces by mapping elites", 2015 (the grid); Vassiliades et al., "Using
centroidal Voronoi tessellations to scale up the multidimensional archive of phenotypic elites algorithm", 2018; Pierrot
et al., "Multi-objective quality diversity optimization", 2022 (several elites in a cell).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from evo.errors import ConfigError
from evo.protocols import FloatArray
from evo.search.descriptors import Subject, descriptor
from evo.search.population import RankedPopulation
from evo.survival.protocols import Survival
from evo.values import Individual, Objective

MOST_GRID_CELLS = 1_000_000
MOST_CVT_CELLS = 20_000
POINTS_PER_CELL, MOST_POINTS = 50, 200_000
ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension of the archive: the range of a descriptor.

    Attributes:
        low: values below count as this.
        high: values above count as this.
        cells: into how many a grid divides the range, all equally wide.
    """

    low: float
    high: float
    cells: int = 10


@dataclass(frozen=True, slots=True)
class NicheSettings:
    """An archive of niches in the place of a population: the section search.niches.

    Attributes:
        dimensions: name of a descriptor (see `evo.search.descriptors`) to its range; at least 1.
        kind: "grid" divides each dimension evenly; "cvt" has `cells` cells in all, however many dimensions there are.
        cells: of a "cvt".
        seed: of the cells of a "cvt"; apart from the run's, so that runs with other seeds have the same cells.
        elites_per_cell: how many individuals a cell holds.
        qd_score_offset: value of the first objective that is worth nothing in the QD score; None for no QD score.
    """

    dimensions: Mapping[str, Dimension] = field(hash=False)
    kind: Literal["grid", "cvt"] = "grid"
    cells: int = 1000
    seed: int = 0
    elites_per_cell: int = 1
    qd_score_offset: float | None = None


class Archive:
    """Says which cell an individual belongs to; an archive serves any number of `Niches`.

    Attributes:
        count: how many cells there are.
        elites_per_cell: how many individuals a cell holds.
        qd_score_offset: of the QD score; see `NicheSettings`.
    """

    def __init__(self, settings: NicheSettings, subject: Subject | None = None) -> None:
        """Lay out the cells; the thousands of a large CVT take a second or more.

        Raises:
            ConfigError: settings that make no archive, or an unknown descriptor.
        """
        _check(settings)
        self._descriptors = [descriptor(name, subject) for name in settings.dimensions]
        self._low = np.array([side.low for side in settings.dimensions.values()])
        self._high = np.array([side.high for side in settings.dimensions.values()])
        self._archive = _archive(settings)
        self.count = int(self._archive.cells)
        self.elites_per_cell = settings.elites_per_cell
        self.qd_score_offset = settings.qd_score_offset

    def cell_of(self, individual: Individual) -> int | None:
        """The cell, from 0; None where a descriptor is missing. Values out of bounds count as at the border."""
        return self.cell_at([measured(individual) for measured in self._descriptors])

    def cell_at(self, descriptors: Sequence[float]) -> int | None:
        """The cell by the descriptors themselves, in the order of the archive's dimensions."""
        values = np.array(descriptors)
        if np.isnan(values).any():
            return None
        shares = (np.clip(values, self._low, self._high) - self._low) / (self._high - self._low)
        return int(self._archive.index_of_single(shares))


class Niches:
    """Each cell is a small population of its own: a newcomer competes with the elites of its cell alone.

    By `evo.survival.Lexicographic` a cell keeps the best by the first objective, feasible before infeasible, as in
    MAP-Elites; by `evo.survival.RankAndCrowding` it keeps a small front.

    Attributes:
        rejected: how many newcomers had no cell, since a descriptor was missing; they leave at once.
    """

    def __init__(self, archive: Archive, objectives: Sequence[Objective], survival: Survival) -> None:
        self.rejected = 0
        self._archive = archive
        self._objectives = tuple(objectives)
        self._survival = survival
        self._ids: list[int] = []
        self._members: list[Individual] = []
        self._cell_of: dict[int, int] = {}
        self._cells: dict[int, RankedPopulation] = {}
        self._best_by_cell: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Individual]:
        return iter(self._members)

    def __getitem__(self, position: int) -> Individual:
        return self._members[position]

    def add(self, newcomer: Individual) -> list[int]:
        """Add a newcomer; the ids that leave, its own where its cell is full of better ones or it has no cell."""
        cell = self._archive.cell_of(newcomer)
        if cell is None:
            self.rejected += 1
            return [newcomer.id]
        if cell not in self._cells:
            self._cells[cell] = RankedPopulation(self._archive.elites_per_cell, self._objectives, self._survival)
        gone = self._cells[cell].add(newcomer)
        self._enter(newcomer, cell)
        for identity in gone:
            self._leave(identity)
        self._update_best(cell)
        return gone

    def better(self, first: int, second: int) -> int:
        """Which of two positions wins: in the same cell, the better by the survival; in different cells, the first.

        So a tournament draws about uniformly from the population, as in MAP-Elites.
        """
        member, rival = self._members[first], self._members[second]
        cell = self._cell_of[member.id]
        if member is rival or self._cell_of[rival.id] != cell:
            return first
        places = [elite.id for elite in self._cells[cell]]
        here, there = places.index(member.id), places.index(rival.id)
        return first if self._cells[cell].better(here, there) == here else second

    @property
    def mating_pool(self) -> Niches:
        """All members."""
        return self

    def revise(self, known: Mapping[int, Individual]) -> None:
        """Replace members by what is known of them now, by id, each in its cell; none enters or leaves."""
        self._members = [known.get(member.id, member) for member in self._members]
        for cell, population in self._cells.items():
            population.revise(known)
            self._update_best(cell)

    def remove(self, identity: int) -> None:
        """Remove a member, however good it is."""
        cell = self._cell_of[identity]
        self._cells[cell].remove(identity)
        self._leave(identity)
        self._update_best(cell)

    def cell(self, identity: int) -> int:
        """The cell of a member, from 0."""
        return self._cell_of[identity]

    @property
    def coverage(self) -> float:
        """Share of the cells that hold a feasible individual, 0 to 1."""
        return len(self._best_by_cell) / self._archive.count

    @property
    def qd_score(self) -> float | None:
        """Sum over the cells of how far their best is better than `qd_score_offset`; None without an offset.

        The best of a cell is its best feasible member by the first objective. Those below the offset count as 0, so a
        cell that fills never lowers the score.
        """
        return None if self._archive.qd_score_offset is None else math.fsum(self._best_by_cell.values())

    def _enter(self, newcomer: Individual, cell: int) -> None:
        place = bisect.bisect(self._ids, newcomer.id)
        self._ids.insert(place, newcomer.id)
        self._members.insert(place, newcomer)
        self._cell_of[newcomer.id] = cell

    def _leave(self, identity: int) -> None:
        place = bisect.bisect_left(self._ids, identity)
        del self._ids[place], self._members[place], self._cell_of[identity]

    def _update_best(self, cell: int) -> None:
        first, qd_score_offset = self._objectives[0], self._archive.qd_score_offset
        feasible = [member.compared for member in self._cells[cell] if member.evaluation.violation <= 0]
        if feasible:
            cost = min(first.sign * values[first.name] for values in feasible)
            self._best_by_cell[cell] = 0.0 if qd_score_offset is None else max(0.0, first.sign * qd_score_offset - cost)
        else:
            self._best_by_cell.pop(cell, None)


def centroids(cells: int, dimensions: int, *, seed: int) -> FloatArray:
    """Centroids of about equally large cells of the unit cube, shape (cells, dimensions): Lloyd's k-means, 15 rounds.

    Not by scikit-learn, as in ribs: its threads add up in any order, and a search that is resumed elsewhere must find
    the same cells. It is also ten times slower.
    """
    points = np.random.default_rng(seed).random((min(POINTS_PER_CELL * cells, MOST_POINTS), dimensions))
    middles: FloatArray = points[:cells].copy()
    for _ in range(ROUNDS):
        nearest = _tessellation(middles).index_of(points)
        sums = [np.bincount(nearest, weights=column, minlength=cells) for column in points.T]
        sizes = np.bincount(nearest, minlength=cells)[:, np.newaxis]
        middles = np.where(sizes > 0, np.stack(sums, axis=1) / np.maximum(sizes, 1), middles)
    return middles


def _archive(settings: NicheSettings) -> Any:
    sides = len(settings.dimensions)
    if settings.kind == "cvt":
        return _tessellation(centroids(settings.cells, sides, seed=settings.seed))
    # The import takes a second or two: only where there are niches.
    from ribs.archives import GridArchive

    return GridArchive(
        solution_dim=1, dims=[side.cells for side in settings.dimensions.values()], ranges=[(0.0, 1.0)] * sides
    )


def _tessellation(middles: FloatArray) -> Any:
    from ribs.archives import CVTArchive

    return CVTArchive(solution_dim=1, centroids=middles, ranges=[(0.0, 1.0)] * middles.shape[1])


def _check(settings: NicheSettings) -> None:
    if not settings.dimensions:
        raise ConfigError("niches need at least one dimension: the name of a descriptor, with its low and high")
    for name, side in settings.dimensions.items():
        _check_dimension(name, side)
    if settings.kind not in ("grid", "cvt"):
        raise ConfigError(f"unknown kind of niches {settings.kind!r}; known: grid, cvt")
    if settings.elites_per_cell < 1:
        raise ConfigError(
            f"the elites_per_cell of niches is {settings.elites_per_cell}; expected at least 1 individual a cell"
        )
    if settings.seed < 0:
        raise ConfigError(f"the seed of niches is {settings.seed}; expected a number from 0 up")
    _check_count(settings)


def _check_dimension(name: str, side: Dimension) -> None:
    width = side.high - side.low
    if not (width > 0 and math.isfinite(width)):
        raise ConfigError(f"bounds of {name!r} are {side.low} and {side.high}; expected low < high, finite")
    if side.cells < 1:
        raise ConfigError(f"{name!r} is divided into {side.cells} cells; expected at least 1")


def _check_count(settings: NicheSettings) -> None:
    if settings.kind == "cvt" and not 1 <= settings.cells <= MOST_CVT_CELLS:
        raise ConfigError(f"a cvt of {settings.cells} cells; expected 1 to {MOST_CVT_CELLS}")
    count = math.prod(side.cells for side in settings.dimensions.values())
    if settings.kind == "grid" and count > MOST_GRID_CELLS:
        raise ConfigError(f"a grid of {count} cells; at most {MOST_GRID_CELLS}: divide less, or take kind: cvt")
