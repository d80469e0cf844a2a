"""What indicators cost a tell, and what choosing parents costs an ask, with 3 objectives and 100 cases."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from evo.genomes import Vector
from evo.registry import make, names
from evo.search.front import Front
from evo.search.indicators import Indicators
from evo.search.parents import ParentPool
from evo.search.population import RankedPopulation, costs_of
from evo.survival import RankAndCrowding
from evo.values import Ask, Evaluation, Individual, Objective
from tests.benchmarks.rows import Row

OBJECTIVES = tuple(Objective(f"o{number}", "min") for number in range(3))
CASES = 100
ROUNDS = {200: 100, 5000: 10}
HYPERVOLUME_AIM, FRONT_AIM, PARENTS_AIM = 0.5, 0.2, 0.3


def nondominated(rng: np.random.Generator) -> Iterator[Individual]:
    """Individuals on a sphere, of which hardly any dominates another; each passes seven cases of ten."""
    identity = 0
    while True:
        point = np.abs(rng.normal(size=len(OBJECTIVES)))
        objectives = {
            objective.name: float(value)
            for objective, value in zip(OBJECTIVES, point / np.linalg.norm(point), strict=True)
        }
        cases = {f"case {case}": float(passed) for case, passed in enumerate(rng.random(CASES) < 0.7)}
        yield Individual(
            identity,
            identity,
            Ask(identity, "seed"),
            Vector((float(identity),)),
            Evaluation("ok", objectives, cases=cases),
        )
        identity += 1


def milliseconds(rounds: int, call: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> float:
    """Median of one call, each after a `prepare` that does not count."""
    seconds = []
    for _ in range(rounds):
        prepare()
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


def of_telling(size: int) -> Iterator[Row]:
    newcomers = nondominated(np.random.default_rng(0))
    indicators = Indicators(OBJECTIVES, reference={objective.name: 1.1 for objective in OBJECTIVES})
    front = Front(len(OBJECTIVES))
    for _ in range(size):
        newcomer = next(newcomers)
        indicators.observe(costs_of(newcomer, OBJECTIVES))
        front.add(newcomer, costs_of(newcomer, OBJECTIVES))
    more = [(newcomer, costs_of(newcomer, OBJECTIVES)) for newcomer, _ in zip(newcomers, range(100), strict=False)]
    told, added = iter(more), iter(more)
    tell = milliseconds(len(more), lambda: indicators.observe(next(told)[1]))
    yield Row(
        f"indicators of a tell, front of {size}", tell, "ms", HYPERVOLUME_AIM if size == 200 else None, at_most=True
    )
    add = milliseconds(len(more), lambda: front.add(*next(added)))
    yield Row(f"  the front itself, {size}", add, "ms", FRONT_AIM, at_most=True)


def of_choosing(size: int) -> Iterator[Row]:
    rng = np.random.default_rng(0)
    newcomers = nondominated(rng)
    living = RankedPopulation(size, OBJECTIVES, RankAndCrowding())
    for _ in range(size):
        living.add(next(newcomers))
    choosable = ParentPool(living, list(living)[:1])
    for name in names("parents"):
        choose = make("parents", name, {}).choose
        choose(choosable, 2, rng)

        def enter() -> None:
            # A newcomer whose scores are new, and crowding distances already computed, as in a search.
            living.add(next(newcomers))
            living.better(0, 1)

        spent = milliseconds(ROUNDS[size], partial(choose, choosable, 2, rng), enter)
        yield Row(
            f"two parents by {name}, {size} living", spent, "ms", PARENTS_AIM if size == 200 else None, at_most=True
        )


def measure() -> list[Row]:
    return [row for size in (200, 5000) for rows in (of_telling, of_choosing) for row in rows(size)]
