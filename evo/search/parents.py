"""Choosing parents: how, by name.

Every choice gives as many as it is asked for, the base first, and all different where there are enough of them. It is a
pure function of the living, in the order of their ids, of the seeds, and of `rng`.

Those that go by cases look at `Evaluation.cases` alone, where larger is better; constraints are left to survival. Who
has no score on a case that another has is worst there. Where nobody has any they choose as `Tournament` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cmp_to_key, reduce
from operator import itemgetter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from evo.errors import ConfigError
from evo.protocols import FloatArray, IntArray
from evo.search.indicators import in_unit_box
from evo.search.population import RankedPopulation
from evo.survival.protocols import MatingPool
from evo.values import Individual

_Choose = Callable[[IntArray], int]


@dataclass(frozen=True, slots=True)
class Choosable:
    """Who there is to choose from.

    Attributes:
        population: the living, at least one.
        seeds: what the search began with, the failed ones left out; dead ones stay.
    """

    population: MatingPool
    seeds: Sequence[Individual]


class Parents(Protocol):
    """Chooses whom to vary."""

    def choose(self, choosable: Choosable, count: int, rng: np.random.Generator) -> list[Individual]:
        """`count` parents, at least one, the base first."""
        ...


@dataclass(frozen=True, slots=True)
class Tournament:
    """Winners of independent tournaments; one who has won before gives way to any other.

    Source: Deb et al. 2002, binary tournament by rank, then crowding.

    Attributes:
        size: how many contend, at least 1; the same one may do so twice.
    """

    size: int = 2

    def __post_init__(self) -> None:
        _expect(self.size >= 1, f"a tournament of size {self.size}", "at least 1")

    def choose(self, choosable: Choosable, count: int, rng: np.random.Generator) -> list[Individual]:
        living = choosable.population
        winners: list[int] = []
        for _ in range(count):
            # `rng.integers` takes three times as long for a few.
            drawn = [int(len(living) * rng.random()) for _ in range(self.size)]
            winner = reduce(living.better, drawn)
            if winner in winners and len(living) >= count:
                rest = [position for position in range(len(living)) if position not in winners]
                winner = rest[int(rng.integers(len(rest)))]
            winners.append(winner)
        return [living[position] for position in winners]


@dataclass(frozen=True, slots=True)
class Uniform:
    """Any of the living, however good."""

    def choose(self, choosable: Choosable, count: int, rng: np.random.Generator) -> list[Individual]:
        return _drawn(list(choosable.population), count, rng)


@dataclass(frozen=True, slots=True)
class Best:
    """The best of the living as the base, as in hill climbing; any others as mates."""

    def choose(self, choosable: Choosable, count: int, rng: np.random.Generator) -> list[Individual]:
        living = choosable.population
        base = living[int(_best_first(living, np.arange(len(living)))[0])]
        rest = [member for member in living if member is not base] or [base]
        return [base, *_drawn(rest, count - 1, rng)]


@dataclass(frozen=True, slots=True)
class Seeds:
    """What the search began with, again and again: nothing that it finds is built upon, as in best-of-N sampling."""

    def choose(self, choosable: Choosable, count: int, rng: np.random.Generator) -> list[Individual]:
        return _drawn(list(choosable.seeds), count, rng)


@dataclass(frozen=True, slots=True)
class RankProportional:
    """Linear ranking: the i-th best of n has the probability (pressure - 2 (pressure - 1) (i - 1) / (n - 1)) / n.

    The better of two different ones has it with pressure 2, and anybody with pressure 1, so one or the other is drawn
    and nobody is sorted. Equals share the mean of their ranks.

    Source: Baker, "Adaptive selection methods for genetic algorithms", 1985.

    Attributes:
        pressure: of the best, relative to the mean; 1 to 2.
    """

    pressure: float = 1.5

    def __post_init__(self) -> None:
        _expect(1 <= self.pressure <= 2, f"a pressure of {self.pressure}", "1 to 2")

    def choose(self, choosable: Choosable, count: int, rng: np.random.Generator) -> list[Individual]:
        living = choosable.population

        def winner(rest: IntArray) -> int:
            if len(rest) == 1 or rng.random() >= self.pressure - 1:
                return int(rest[rng.integers(len(rest))])
            first, second = rng.choice(len(rest), size=2, replace=False)
            return living.better(int(rest[first]), int(rest[second]))

        return _one_by_one(living, count, winner)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """The i-th best has a probability proportional to i to the power of -alpha; equals are ranked by lot.

    Attributes:
        alpha: 0 is uniform, 100 takes the best; at most that.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        _expect(0 <= self.alpha <= 100, f"an alpha of {self.alpha}", "0 to 100")

    def choose(self, choosable: Choosable, count: int, rng: np.random.Generator) -> list[Individual]:
        living = choosable.population
        weights = np.empty(len(living))
        weights[_best_first(living, rng.permutation(len(living)))] = np.arange(1.0, len(living) + 1) ** -self.alpha
        return _one_by_one(living, count, lambda rest: _weighted(rest, weights[rest], rng))


class CaseScores:
    """Scores of the living on their cases. A cache and no more: what it gives follows from the living alone."""

    def __init__(self) -> None:
        self._columns: dict[str, int] = {}
        self._rows: dict[int, tuple[Individual, FloatArray]] = {}

    def of(self, living: MatingPool) -> FloatArray:
        """Shape (n, cases); -inf where there is no score. Cases by name; those that nobody has a score on left out."""
        members = list(living)
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
    """What choices by cases have in common: they look at the scores, and fall back on a tournament without any."""

    _scores: CaseScores = field(default_factory=CaseScores, init=False, repr=False, compare=False)

    def choose(self, choosable: Choosable, count: int, rng: np.random.Generator) -> list[Individual]:
        scores = self._scores.of(choosable.population)
        if scores.shape[1] == 0:
            return Tournament().choose(choosable, count, rng)
        return _one_by_one(choosable.population, count, self._chooser(scores, rng))

    def _chooser(self, scores: FloatArray, rng: np.random.Generator) -> _Choose:
        raise TypeError(f"{type(self).__name__} must define _chooser")


@dataclass(frozen=True, slots=True)
class ParetoPerCase(_ByCase):
    """The best on some case, each with a probability proportional to the number of cases on which it is (one of) them.

    Whose cases are all among those of another that is best on still more is left out. Once all of these have been
    chosen, mates are chosen among the others by the same rule.

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
    """Those best on a first case, of them those best on a second, ..., the cases in random order; one of who is left.

    So the base is never dominated over the cases by a living one. A mate is chosen by the same rule among the rest.

    Source: Spector, "Assessment of problem modality by differential performance of lexicase selection", 2012.
    """

    def _chooser(self, scores: FloatArray, rng: np.random.Generator) -> _Choose:
        return _lexicase(_sortable(scores), rng)


@dataclass(frozen=True, slots=True)
class EpsilonLexicase(_ByCase):
    """Lexicase where all pass a case that are at most epsilon worse than the best of the living, and else fail it.

    Epsilon is the median absolute deviation of the scores on the case. For scores that are hardly ever equal.

    Source: La Cava, Spector and Danai, "Epsilon-lexicase selection for regression", 2016, with automatic epsilon.
    """

    def _chooser(self, scores: FloatArray, rng: np.random.Generator) -> _Choose:
        passed = scores >= scores.max(axis=0) - _deviation(scores)
        return _lexicase(passed.view(np.uint8), rng)


@dataclass(frozen=True, slots=True)
class Novelty:
    """With a probability proportional to the mean distance to the nearest living; anybody where all are in one place.

    Distances are between the descriptors that all the living have, or, where there are none, between the objectives;
    each is divided by its range.

    Source: Lehman and Stanley, "Abandoning objectives: evolution through the search for novelty alone", 2011.

    Attributes:
        k: how many neighbours, at least 1; all of them where there are fewer.
    """

    k: int = 10

    def __post_init__(self) -> None:
        _expect(self.k >= 1, f"a distance to the {self.k} nearest", "at least 1")

    def choose(self, choosable: Choosable, count: int, rng: np.random.Generator) -> list[Individual]:
        points = _behaviour(choosable.population)
        # Each is its own nearest, which adds nothing; of one alone there is no second.
        nearest = KDTree(points).query(points, k=range(1, min(self.k + 1, len(points)) + 1))[0]
        weights = nearest.sum(axis=1)
        return _one_by_one(choosable.population, count, lambda rest: _weighted(rest, weights[rest], rng))


def _drawn(pool: Sequence[Individual], count: int, rng: np.random.Generator) -> list[Individual]:
    places = rng.choice(len(pool), size=count, replace=len(pool) < count)
    return [pool[int(place)] for place in places]


def _one_by_one(living: MatingPool, count: int, choose: _Choose) -> list[Individual]:
    """Each chosen among the positions of those not chosen yet; among all again when none is left."""
    chosen: list[Individual] = []
    rest = np.arange(len(living))
    for _ in range(count):
        place = choose(rest)
        chosen.append(living[place])
        rest = rest[rest != place] if len(rest) > 1 else np.arange(len(living))
    return chosen


def _weighted(places: IntArray, weights: FloatArray, rng: np.random.Generator) -> int:
    """One of the places, with a probability proportional to its weight; any where all weigh nothing."""
    heights = np.cumsum(weights if weights.any() else np.ones(len(places)))
    return int(places[np.searchsorted(heights, rng.random() * heights[-1], side="right")])


def _best_first(living: MatingPool, named: IntArray) -> IntArray:
    """All positions, the best first, equals in the order in which they are named."""
    if isinstance(living, RankedPopulation):
        crowding = np.array(list(map(living.ranking.crowding, named.tolist())))
        return named[np.lexsort((-crowding, living.ranking.rank[named]))]

    def compared(first: int, second: int) -> int:
        # Equals are those of whom the first named is better, either way round.
        return (living.better(second, first) == second) - (living.better(first, second) == first)

    return np.array(sorted(named.tolist(), key=cmp_to_key(compared)))


def _wins(scores: FloatArray) -> FloatArray:
    """On how many cases each is best; 0 for those whose cases are some of another's, shape (n,)."""
    best = (scores == scores.max(axis=0)) & np.isfinite(scores)
    wins: FloatArray = best.sum(axis=1, dtype=np.float64)
    winners = np.flatnonzero(wins)
    # A word of bits for 64 cases; a product of matrices would start threads for so little.
    own, padded = wins[winners], np.pad(best[winners], ((0, 0), (0, -best.shape[1] % 64)))
    words = np.packbits(padded, axis=1).view(np.uint64).T
    for some in np.array_split(np.arange(len(winners)), 1 + len(winners) // 500):
        within = own[some, np.newaxis] < own
        for word in words:
            within &= (word[some, np.newaxis] & ~word) == 0
        wins[winners[some[within.any(axis=1)]]] = 0
    return wins


def _lexicase(keys: NDArray[np.unsignedinteger], rng: np.random.Generator) -> _Choose:
    """Lexicase among rows whose order, byte by byte, is that of their scores: then comparing rows is comparing text."""

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
    """Whole numbers, the high byte first, in the order of the scores: a negative one has all its bits turned round."""
    bits = (scores + 0.0).view(np.int64)
    return (bits ^ ((bits >> 63) | np.int64(-1 << 63))).astype(">u8")


def _deviation(scores: FloatArray) -> FloatArray:
    """Median absolute deviation of each case over those that have a score on it, shape (cases,)."""
    known = np.isfinite(scores)
    count = known.sum(axis=0)
    # Where there is no score its deviation is infinite too, and so never among the smallest.
    return _median(np.abs(scores - _median(np.where(known, scores, np.inf), count)), count)


def _median(values: FloatArray, count: IntArray) -> FloatArray:
    """Of the `count` smallest in each column, at least one."""
    ordered, columns = np.sort(values, axis=0), np.arange(values.shape[1])
    return np.asarray(ordered[(count - 1) // 2, columns] / 2 + ordered[count // 2, columns] / 2)


def _behaviour(living: MatingPool) -> FloatArray:
    """Where each of the living stands, in a unit box, shape (n, d)."""
    told = [member.evaluation.descriptors for member in living]
    names = sorted(set(told[0]).intersection(*told))
    if not names:
        told = [member.evaluation.objectives for member in living]
        names = sorted(told[0])
    points = np.array([*map(itemgetter(*names), told)], dtype=float).reshape(len(told), -1)
    return in_unit_box(points, points.min(axis=0), points.max(axis=0))


def _expect(met: bool, got: str, expected: str) -> None:
    if not met:
        raise ConfigError(f"{got} cannot choose parents; expected {expected}")
