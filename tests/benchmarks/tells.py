"""What a tell costs: a newcomer enters, the worst leaves, and a tournament is held."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable

import numpy as np
from pymoo.core.population import Population as PymooPopulation
from pymoo.core.problem import Problem
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding as PymooRankAndCrowding

from evo.genomes import Vector
from evo.protocols import FloatArray
from evo.search.population import RankedPopulation
from evo.survival import HypervolumeContribution, Lexicographic, RankAndCrowding, ReferenceDirections
from evo.survival.protocols import Survival
from evo.values import Ask, Evaluation, Individual, Objective
from tests.benchmarks.rows import Row

SIZES = (50, 200, 1000, 5000)
OBJECTIVES = (2, 3, 5)
TELLS = 40
AIMS = {(200, 3): 1.0, (5000, 3): 10.0}
SURVIVALS: dict[str, Callable[[], Survival]] = {
    "rank_and_crowding": RankAndCrowding,
    "nsga3": ReferenceDirections,
    "sms_emoa": HypervolumeContribution,
    "lexicographic": Lexicographic,
}
STEEP = {"sms_emoa": {5: 200}}


def measure() -> list[Row]:
    rows = []
    for name, survival in SURVIVALS.items():
        for objectives in OBJECTIVES:
            sizes = [size for size in SIZES if size <= STEEP.get(name, {}).get(objectives, size)]
            rows += [_row(name, survival(), size, objectives) for size in sizes]
    return rows + [_pymoo_row(size, objectives) for objectives in OBJECTIVES for size in SIZES]


def _row(name: str, survival: Survival, size: int, objectives: int) -> Row:
    """The slower of two pools: one scattered over many fronts, and one that is a single front."""
    slowest = max(_tell_milliseconds(survival, _points(shape, size + TELLS, objectives), size) for shape in SHAPES)
    aim = AIMS.get((size, objectives)) if name == "rank_and_crowding" else None
    return Row(f"{name}: one tell at {size}, {objectives} objectives", slowest, "ms", aim, at_most=True)


def _pymoo_row(size: int, objectives: int) -> Row:
    slowest = max(_pymoo_milliseconds(_points(shape, size + 1, objectives), size) for shape in SHAPES)
    return Row(f"pymoo's RankAndCrowding().do at {size}, {objectives} objectives", slowest, "ms")


def _scattered(points: FloatArray) -> FloatArray:
    return points


def _one_front(points: FloatArray) -> FloatArray:
    outwards: FloatArray = points / np.linalg.norm(points, axis=1, keepdims=True)
    return 1.0 - outwards


SHAPES = (_scattered, _one_front)


@functools.cache
def _points(shape: Callable[[FloatArray], FloatArray], count: int, objectives: int) -> FloatArray:
    return shape(np.random.default_rng(0).random((count, objectives)))


def _tell_milliseconds(survival: Survival, points: FloatArray, size: int) -> float:
    """The median over TELLS tells of a population that is full."""
    everyone = [_individual(number, point) for number, point in enumerate(points)]
    population = RankedPopulation(size, [Objective(f"f{number}", "min") for number in range(points.shape[1])], survival)
    for individual in everyone[:size]:
        population.add(individual)
    rng, taken = np.random.default_rng(0), []
    for individual in everyone[size:]:
        started = time.perf_counter()
        population.add(individual)
        population.better(*rng.integers(size, size=2))
        taken.append(time.perf_counter() - started)
    return 1000 * statistics.median(taken)


def _pymoo_milliseconds(points: FloatArray, size: int) -> float:
    problem, pool, taken = Problem(n_obj=points.shape[1]), PymooPopulation.new("F", points), []
    for _ in range(5):
        started = time.perf_counter()
        PymooRankAndCrowding().do(problem, pool, n_survive=size, random_state=np.random.default_rng(0))
        taken.append(time.perf_counter() - started)
    return 1000 * statistics.median(taken)


def _individual(number: int, point: FloatArray) -> Individual:
    values = {f"f{place}": float(value) for place, value in enumerate(point)}
    return Individual(number, number, Ask(number, "seed"), Vector((float(number),)), Evaluation("ok", values))
