"""Choosing parents."""

from __future__ import annotations

import numpy as np

from evo.population import Population
from evo.values import Individual


def tournament(population: Population, count: int, rng: np.random.Generator, size: int = 2) -> list[Individual]:
    """`count` winners of independent tournaments of `size`; the same individual twice only where there is no other.

    Source: Deb et al. 2002, binary tournament by rank, then crowding.
    """
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
