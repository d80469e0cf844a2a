"""Parent selection: tournaments, ranks, power laws, cases (Pareto, lexicase) and novelty.

Every method gives as many parents as it is asked for, the base first, all different where there are enough individuals.
It is a pure function of the mating pool, in the order of ids, of the seeds, and of `rng`.

Methods by cases look at `Evaluation.cases` alone, where larger is better; constraints are left to survival. An
individual without a score on a case that another has is worst there. Without any scores they select as `Tournament`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cmp_to_key, reduce
from operator import itemgetter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.protocols import FloatArray, IntArray
from evo.search.indicators import in_unit_box
from evo.search.population import RankedPopulation
from evo.survival.protocols import MatingPool
from evo.values import Individual

_Choose = Callable[[IntArray], int]


@dataclass(frozen=True, slots=True)
class ParentPool:
    """What parents are selected from.

    Attributes:
        population: the mating pool, at least 1 individual.
        seeds: what the search began with, without failed seeds; seeds that left the population are among them.
    """

    population: MatingPool
    seeds: Sequence[Individual]


class Parents(Protocol):
    """Selects the individuals to vary."""

    def choose(self, pool: ParentPool, count: int, rng: np.random.Generator) -> list[Individual]:
        """`count` parents, at least 1, the base first."""
        ...


@dataclass(frozen=True, slots=True)
class Tournament:
    """Winners of independent tournaments; an individual that has won before is replaced by any other.

    Source: Deb et al. 2002, binary tournament by rank, then crowding.

    Attributes:
        size: how many compete, at least 1; drawn with replacement.
    """

    size: int = 2

    def __post_init__(self) -> None:
        _expect(self.size >= 1, f"a tournament of size {self.size}", "at least 1")

    def choose(self, pool: ParentPool, count: int, rng: np.random.Generator) -> list[Individual]:
        population = pool.population
        winners: list[int] = []
        for _ in range(count):
            # `rng.integers` takes three times as long for a few.
            drawn = [int(len(population) * rng.random()) for _ in range(self.size)]
            winner = reduce(population.better, drawn)
            if winner in winners and len(population) >= count:
                rest = [position for position in range(len(population)) if position not in winners]
                winner = rest[int(rng.integers(len(rest)))]
            winners.append(winner)
        return [population[position] for position in winners]


@dataclass(frozen=True, slots=True)
class Uniform:
    """Any individual, however good."""

    def choose(self, pool: ParentPool, count: int, rng: np.random.Generator) -> list[Individual]:
        return _drawn(list(pool.population), count, rng)


@dataclass(frozen=True, slots=True)
class Best:
    """The best individual as the base, as in hill climbing; any others as mates."""

    def choose(self, pool: ParentPool, count: int, rng: np.random.Generator) -> list[Individual]:
        population = pool.population
        base = population[int(_best_first(population, np.arange(len(population)))[0])]
        rest = [member for member in population if member is not base] or [base]
        return [base, *_drawn(rest, count - 1, rng)]


@dataclass(frozen=True, slots=True)
class Seeds:
    """The seeds of the search, again and again: nothing that it finds is built upon, as in best-of-N sampling."""

    def choose(self, pool: ParentPool, count: int, rng: np.random.Generator) -> list[Individual]:
        return _drawn(list(pool.seeds), count, rng)


@dataclass(frozen=True, slots=True)
class RankProportional:
    """Linear ranking: the i-th best of n has the probability (pressure - 2 (pressure - 1) (i - 1) / (n - 1)) / n.

    The better of two different individuals has it with pressure 2, and any individual with pressure 1, so it is drawn
    in either of these ways and nothing is sorted. Equals share the mean of their ranks.

    Source: Baker, "Adaptive selection methods for genetic algorithms", 1985.

    Attributes:
        pressure: of the best, relative to the mean; 1 to 2.
    """

    pressure: float = 1.5

    def __post_init__(self) -> None:
        _expect(1 <= self.pressure <= 2, f"a pressure of {self.pressure}", "1 to 2")

    def choose(self, pool: ParentPool, count: int, rng: np.random.Generator) -> list[Individual]:
        population = pool.population

        def winner(rest: IntArray) -> int:
            if len(rest) == 1 or rng.random() >= self.pressure - 1:
                return int(rest[rng.integers(len(rest))])
            first, second = rng.choice(len(rest), size=2, replace=False)
            return population.better(int(rest[first]), int(rest[second]))

        return _without_replacement(population, count, winner)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """The i-th best has a probability proportional to i to the power of -alpha; equals are in random order.

    Attributes:
        alpha: 0 is uniform, 100 takes the best; at most that.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        _expect(0 <= self.alpha <= 100, f"an alpha of {self.alpha}", "0 to 100")

    def choose(self, pool: ParentPool, count: int, rng: np.random.Generator) -> list[Individual]:
        population = pool.population
        weights = np.empty(len(population))
        weights[_best_first(population, rng.permutation(len(population)))] = (
            np.arange(1.0, len(population) + 1) ** -self.alpha
        )
        return _without_replacement(population, count, lambda rest: _weighted(rest, weights[rest], rng))


class CaseScores:
    """Scores of a mating pool on its cases. Merely a cache: what it gives follows from the pool alone."""

    def __init__(self) -> None:
        self._columns: dict[str, int] = {}
        self._rows: dict[int, tuple[Individual, FloatArray]] = {}

    def of(self, population: MatingPool) -> FloatArray:
        """Shape (n, cases), cases by name; -inf where there is no score. Cases without any score are left out."""
        members = list(population)
        try:
            rows = [self._row(member) for member in members]
        except KeyError:
            names = set().union(*(member.evaluation.cases for member in members))
            self._columns, self._rows = {name: place for place, name in enumerate(sorted(names))}, {}
            rows = [self._row(member) for member in members]
        if len(self._rows) > 2 * len(members):
            self._rows = {member.id: self._rows[member.id] for member in members}
        scores = np.concatenate(rows).reshape(len(rows), -1)
        scored = np.isfinite(scores.max(axis=0, initial=-np.inf))
        return scores if scored.all() else scores[:, scored]

    def _row(self, member: Individual) -> FloatArray:
        kept = self._rows.get(member.id)
        if kept is not None and kept[0] is member:
            return kept[1]
        cases = member.evaluation.cases
        row = np.full(len(self._columns), -np.inf)
        row[[self._columns[name] for name in cases]] = list(cases.values())
        self._rows[member.id] = member, row
        return row


@dataclass(frozen=True, slots=True)
class _ByCase:
    """What selection by cases has in common: it looks at the scores, and falls back on a tournament without any."""

    _scores: CaseScores = field(default_factory=CaseScores, init=False, repr=False, compare=False)

    def choose(self, pool: ParentPool, count: int, rng: np.random.Generator) -> list[Individual]:
        scores = self._scores.of(pool.population)
        if scores.shape[1] == 0:
            return Tournament().choose(pool, count, rng)
        return _without_replacement(pool.population, count, self._chooser(scores, rng))

    def _chooser(self, scores: FloatArray, rng: np.random.Generator) -> _Choose:
        raise TypeError(f"{type(self).__name__} must define _chooser")


@dataclass(frozen=True, slots=True)
class ParetoPerCase(_ByCase):
    """An individual that is best on some case, its probability proportional to the number of cases where it is.

    An individual is left out where another is best on all of its cases and more. Once all of these have been selected,
    mates are selected among the others by the same rule.

    Source: GEPA, Agrawal et al., "Reflective prompt evolution can outperform reinforcement learning", 2025.
    """

    def _chooser(self, scores: FloatArray, rng: np.random.Generator) -> _Choose:
        weights = _wins(scores)

        def winner(rest: IntArray) -> int:
            if not weights[rest].any():
                weights[rest] = _wins(scores[rest])
            return _weighted(rest, weights[rest], rng)

        return winner


@dataclass(frozen=True, slots=True)
class Lexicase(_ByCase):
    """The best on a first case, of them the best on a second, and so on, in random order; any of what is left.

    So no individual dominates the base over the cases. A mate is selected by the same rule among the rest.

    Source: Spector, "Assessment of problem modality by differential performance of lexicase selection", 2012.
    """

    def _chooser(self, scores: FloatArray, rng: np.random.Generator) -> _Choose:
        return _lexicase(_sortable(scores), rng)


@dataclass(frozen=True, slots=True)
class EpsilonLexicase(_ByCase):
    """Lexicase where an individual passes a case if it is at most epsilon worse than the best, and else fails it.

    Epsilon is the median absolute deviation of the scores on the case. For scores that are hardly ever equal.

    Source: La Cava, Spector and Danai, "Epsilon-lexicase selection for regression", 2016, with automatic epsilon.
    """

    def _chooser(self, scores: FloatArray, rng: np.random.Generator) -> _Choose:
        passed = scores >= scores.max(axis=0) - _deviation(scores)
        return _lexicase(passed.view(np.uint8), rng)


@dataclass(frozen=True, slots=True)
class Novelty:
    """With a probability proportional to the mean distance to the nearest neighbours; any where all coincide.

    Distances are between the descriptors that all individuals have, or, where there are none, between the objectives;
    each is divided by its range.

    Source: Lehman and Stanley, "Abandoning objectives: evolution through the search for novelty alone", 2011.

    Attributes:
        k: how many neighbours, at least 1; all of them where there are fewer.
    """

    k: int = 10

    def __post_init__(self) -> None:
        _expect(self.k >= 1, f"a distance to the {self.k} nearest", "at least 1")

    def choose(self, pool: ParentPool, count: int, rng: np.random.Generator) -> list[Individual]:
        points = _behaviour(pool.population)
        # Each is its own nearest, which adds 0; a single individual has no other.
        from scipy.spatial import KDTree  # here, as scipy takes half a second to import

        nearest = KDTree(points).query(points, k=range(1, min(self.k + 1, len(points)) + 1))[0]
        weights = nearest.sum(axis=1)
        return _without_replacement(pool.population, count, lambda rest: _weighted(rest, weights[rest], rng))


def _drawn(population: Sequence[Individual], count: int, rng: np.random.Generator) -> list[Individual]:
    places = rng.choice(len(population), size=count, replace=len(population) < count)
    return [population[int(place)] for place in places]


def _without_replacement(population: MatingPool, count: int, choose: _Choose) -> list[Individual]:
    """Each is selected among the positions not selected yet; among all again when none is left."""
    chosen: list[Individual] = []
    rest = np.arange(len(population))
    for _ in range(count):
        place = choose(rest)
        chosen.append(population[place])
        rest = rest[rest != place] if len(rest) > 1 else np.arange(len(population))
    return chosen


def _weighted(places: IntArray, weights: FloatArray, rng: np.random.Generator) -> int:
    """A position, with a probability proportional to its weight; any where all weights are 0."""
    heights = np.cumsum(weights if weights.any() else np.ones(len(places)))
    return int(places[np.searchsorted(heights, rng.random() * heights[-1], side="right")])


def _best_first(population: MatingPool, named: IntArray) -> IntArray:
    """All positions, the best first, equals in the order in which they are named."""
    if isinstance(population, RankedPopulation):
        crowding = np.array(list(map(population.ranking.crowding, named.tolist())))
        return named[np.lexsort((-crowding, population.ranking.rank[named]))]

    def compared(first: int, second: int) -> int:
        # Two are equal where whichever is named first wins.
        return (population.better(second, first) == second) - (population.better(first, second) == first)

    return np.array(sorted(named.tolist(), key=cmp_to_key(compared)))


def _wins(scores: FloatArray) -> FloatArray:
    """On how many cases each is best; 0 where another is best on all of them and more, shape (n,)."""
    best = (scores == scores.max(axis=0)) & np.isfinite(scores)
    wins: FloatArray = best.sum(axis=1, dtype=np.float64)
    winners = np.flatnonzero(wins)
    # A word of bits for each 64 cases; a product of matrices would start threads for so little.
    own, padded = wins[winners], np.pad(best[winners], ((0, 0), (0, -best.shape[1] % 64)))
    words = np.packbits(padded, axis=1).view(np.uint64).T
    for some in np.array_split(np.arange(len(winners)), 1 + len(winners) // 500):
        within = own[some, np.newaxis] < own
        for word in words:
            within &= (word[some, np.newaxis] & ~word) == 0
        wins[winners[some[within.any(axis=1)]]] = 0
    return wins


def _lexicase(keys: NDArray[np.unsignedinteger], rng: np.random.Generator) -> _Choose:
    """Lexicase among rows whose byte order is that of their scores, so that rows are compared as byte strings."""

    def winner(rest: IntArray) -> int:
        order = rng.permutation(keys.shape[1])
        first = keys[rest, order[0]]
        left = rest[first == first.max()]
        if len(left) > 1:
            texts = [row.tobytes() for row in keys[left][:, order]]
            best = max(texts)
            left = left[[text == best for text in texts]]
        return int(left[rng.integers(len(left))])

    return winner


def _sortable(scores: FloatArray) -> NDArray[np.unsignedinteger]:
    """Integers, the high byte first, in the order of the scores: of a negative score all bits are inverted."""
    bits = (scores + 0.0).view(np.int64)
    return (bits ^ ((bits >> 63) | np.int64(-1 << 63))).astype(">u8")


def _deviation(scores: FloatArray) -> FloatArray:
    """Median absolute deviation of each case over those that have a score on it, shape (cases,)."""
    known = np.isfinite(scores)
    count = known.sum(axis=0)
    # Where there is no score its deviation is infinite too, and so never among the smallest.
    return _median(np.abs(scores - _median(np.where(known, scores, np.inf), count)), count)


def _median(values: FloatArray, count: IntArray) -> FloatArray:
    """Of the `count` smallest in each column, at least 1."""
    ordered, columns = np.sort(values, axis=0), np.arange(values.shape[1])
    return np.asarray(ordered[(count - 1) // 2, columns] / 2 + ordered[count // 2, columns] / 2)


def _behaviour(population: MatingPool) -> FloatArray:
    """Where each individual lies by its descriptors, in a unit box, shape (n, d)."""
    values = [member.evaluation.descriptors for member in population]
    names = sorted(set(values[0]).intersection(*values))
    if not names:
        values = [member.evaluation.objectives for member in population]
        names = sorted(values[0])
    points = np.array([*map(itemgetter(*names), values)], dtype=float).reshape(len(values), -1)
    return in_unit_box(points, points.min(axis=0), points.max(axis=0))


def _expect(met: bool, got: str, expected: str) -> None:
    if not met:
        raise ConfigError(f"{got} cannot choose parents; expected {expected}")
