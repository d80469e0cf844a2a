"""Generations: newcomers wait until there are enough of them, and are then ranked together with their elders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter

from evo.search.population import RankedPopulation
from evo.values import SEED_OPERATOR, Individual


class Generations:
    """A population that is renewed in steps: (mu + lambda), as in NSGA-II, where others are renewed by each newcomer.

    By `RankAndCrowding` the survivors are those of NSGA-II, the last front pruned one at a time (Kukkonen and Deb,
    "Improved pruning of non-dominated solutions based on crowding distance for bi-objective optimization problems",
    2006; pymoo's "pcd"), not all at once by distances that no longer hold when the first has left.

    Nothing waits for a generation to be full: asks go on, and their parents are of the last one. Whoever waits lives
    on the island already, so an unfinished generation counts as living, at the end of a run too. Seeds do not wait, and
    neither does who comes where nobody is.

    Args:
        population: of those that may be parents, empty.
        size: of a generation, at least 1; with 1 every newcomer renews it.
    """

    def __init__(self, population: RankedPopulation, size: int) -> None:
        self._population = population
        self._size = size
        self._waiting: list[Individual] = []

    def __len__(self) -> int:
        return len(self._population) + len(self._waiting)

    def __iter__(self) -> Iterator[Individual]:
        return iter(sorted([*self._population, *self._waiting], key=attrgetter("id")))

    @property
    def mating_pool(self) -> RankedPopulation:
        """Those that have been ranked."""
        return self._population

    def add(self, newcomer: Individual) -> list[int]:
        """Let a newcomer in; the ids that had to go, many at once where it was the last of its generation."""
        if newcomer.ask.operator == SEED_OPERATOR or not len(self._population):
            return self._population.add(newcomer)
        self._waiting.append(newcomer)
        return self._renew() if len(self._waiting) >= self._size else []

    def revise(self, known: Mapping[int, Individual]) -> None:
        """Take members as they are known by now, by their ids, and rank the mating_pool anew; nobody comes or goes."""
        self._population.revise(known)
        self._waiting = [known.get(member.id, member) for member in self._waiting]

    def remove(self, identity: int) -> None:
        """Let a member go, whatever it is worth; where it was the last adult, the first that waits takes its place."""
        self._population.remove(identity)
        self._waiting = [member for member in self._waiting if member.id != identity]
        if not len(self._population) and self._waiting:
            self._population.add(self._waiting.pop(0))

    def _renew(self) -> list[int]:
        waiting, self._waiting = self._waiting, []
        return self._population.merge(waiting)
