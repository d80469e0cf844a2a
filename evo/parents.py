"""Choosing parents: how, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evo.population import Population
from evo.values import Individual

ParentChoice = Literal["tournament", "uniform", "best", "seed"]


@dataclass(frozen=True, slots=True)
class Choosable:
    """Who there is to choose from.

    Attributes:
        population: the living, at least one.
        seeds: what the search began with, the failed ones left out; dead ones stay.
    """

    population: Population
    seeds: Sequence[Individual]


def tournament(choosable: Choosable, count: int, rng: np.random.Generator, size: int = 2) -> list[Individual]:
    """`count` winners of independent tournaments of `size`; the same individual twice only where there is no other.

    Source: Deb et al. 2002, binary tournament by rank, then crowding.
    """
    population = choosable.population
    winners: list[int] = []
    for _ in range(count):
        winner = _winner(population, rng, size)
        if winner in winners and len(population) >= count:
            winner = _other(population, winners, rng)
        winners.append(winner)
    return [population[position] for position in winners]


def _winner(population: Population, rng: np.random.Generator, size: int) -> int:
    best, *others = (int(position) for position in rng.integers(len(population), size=size))
    for other in others:
        best = population.better(best, other)
    return best


def _other(population: Population, winners: list[int], rng: np.random.Generator) -> int:
    rest = [position for position in range(len(population)) if position not in winners]
    return rest[int(rng.integers(len(rest)))]


def uniform(choosable: Choosable, count: int, rng: np.random.Generator) -> list[Individual]:
    """Any of the living, however good; all different where there are enough."""
    return _drawn(list(choosable.population), count, rng)


def best(choosable: Choosable, count: int, rng: np.random.Generator) -> list[Individual]:
    """The best of the living as the base, as in hill climbing; any others as mates."""
    population = choosable.population
    first = 0
    for position in range(1, len(population)):
        first = population.better(first, position)
    rest = [one for one in population if one is not population[first]] or [population[first]]
    return [population[first], *_drawn(rest, count - 1, rng)]


def seed(choosable: Choosable, count: int, rng: np.random.Generator) -> list[Individual]:
    """What the search began with, again and again: nothing that it finds is built upon, as in best-of-N sampling."""
    return _drawn(list(choosable.seeds), count, rng)


PARENT_CHOICES: Mapping[ParentChoice, Callable[[Choosable, int, np.random.Generator], list[Individual]]] = {
    "tournament": tournament,
    "uniform": uniform,
    "best": best,
    "seed": seed,
}


def _drawn(pool: Sequence[Individual], count: int, rng: np.random.Generator) -> list[Individual]:
    places = rng.choice(len(pool), size=count, replace=len(pool) < count)
    return [pool[int(place)] for place in places]
