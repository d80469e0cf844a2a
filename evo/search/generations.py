"""Generations: newcomers wait until there are enough of them, and are then ranked together with the population."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter

from evo.search.population import RankedPopulation
from evo.values import SEED_OPERATOR, Individual


class Generations:
    """A population that is renewed a generation at a time, (mu + lambda) as in NSGA-II, not by each newcomer.

    By `RankAndCrowding` the survivors are those of NSGA-II, the last front pruned step by step (Kukkonen and Deb,
    "Improved pruning of non-dominated solutions based on crowding distance for bi-objective optimization problems",
    2006; pymoo's "pcd"), not all at once by distances that no longer hold once the first is gone.

    Nothing waits for a generation to be full: asks go on, and their parents are of the last generation. Individuals
    that wait are on the island already, so an unfinished generation counts as part of it, at the end of a run too.
    Seeds do not wait, and neither does a newcomer to an empty island.

    Args:
        population: the mating pool, empty.
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
        """The members that have been ranked."""
        return self._population

    def add(self, newcomer: Individual) -> list[int]:
        """Add a newcomer; the ids that leave, many at once where it was the last of its generation."""
        if newcomer.ask.operator == SEED_OPERATOR or not len(self._population):
            return self._population.add(newcomer)
        self._waiting.append(newcomer)
        return self._renew() if len(self._waiting) >= self._size else []

    def revise(self, known: Mapping[int, Individual]) -> None:
        """Replace members by what is known of them now, by id, and rank the mating pool; none enters or leaves."""
        self._population.revise(known)
        self._waiting = [known.get(member.id, member) for member in self._waiting]

    def remove(self, identity: int) -> None:
        """Remove a member, however good it is; where the mating pool is empty then, the first that waits joins it."""
        self._population.remove(identity)
        self._waiting = [member for member in self._waiting if member.id != identity]
        if not len(self._population) and self._waiting:
            self._population.add(self._waiting.pop(0))

    def _renew(self) -> list[int]:
        waiting, self._waiting = self._waiting, []
        return self._population.merge(waiting)
