"""Architecture search on NAS-Bench-Macro: hypervolume at few evaluations, against pymoo, ageing evolution and chance.

Hypervolume is that of all networks evaluated so far, both objectives scaled to 0..1 over the whole table, reference
(1, 1), as a share of that of the whole table; medians over seeds. Regularised evolution (Real et al., AAAI 2019)
changes a slot of the winner of a tournament of 10, and the oldest of 50 is removed; each tournament adds the two
objectives up by weights of its own. Without the published table only the simulated table is searched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import moocore
import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import ElementwiseProblem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from evo.genomes import Architecture
from evo.protocols import Arm, Context, FloatArray, Operator, Problem
from evo.search.islands import ChooseParents, Island
from evo.search.parents import ParentPool, Tournament
from evo.search.population import RankedPopulation
from evo.search.search import Search, SearchSettings
from evo.search.selectors import Weights
from evo.survival import Newest, RankAndCrowding
from evo.survival.protocols import Survival
from evo.testing.in_process import run_in_process
from evo.values import SEED_OPERATOR, Ask, Evaluation, Individual, Proposal, Slots
from operators.architectures import MixSlots, ResampleSlot, UniformSlots
from problems.k_module import KModule
from problems.nas_bench_macro import NasBenchMacro, all_keys, key_of
from tests.benchmarks.rows import Row
from tests.support.shared_data import shared_data

SEEDS = 10
EVALUATIONS = (200, 500)
POPULATION = int(NasBenchMacro.defaults["search.population"])


@dataclass(frozen=True)
class Method:
    """A way to search in our engine; the operators by their own weights, or the only one."""

    operators: tuple[Operator, ...]
    population: int = POPULATION
    survival: Callable[[], Survival] = RankAndCrowding
    parents: ChooseParents = Tournament().choose

    def island(self, problem: Problem) -> Callable[[int], Island]:
        arms = tuple(
            Arm(str(number), None, operator.arity, operator.weight or 1.0)
            for number, operator in enumerate(self.operators)
        )

        def empty(number: int) -> Island:
            living = RankedPopulation(self.population, problem.objectives, self.survival())
            return Island(living, Weights(arms), arms, self.parents, {})

        return empty

    def search(self, problem: Problem, seed: int, evaluations: int) -> list[Individual]:
        """All individuals in the order of telling."""
        seeds = problem.seeds(self.population, np.random.default_rng((seed, 3)))
        settings = SearchSettings(seed, evaluations, seeds=len(seeds))
        search, individuals = Search(settings, problem.objectives, island=self.island(problem)), []
        while (ask := search.ask()) is not None:
            made = (
                Proposal("ok", seeds[ask.id])
                if ask.operator == SEED_OPERATOR
                else self._offspring(search, ask, problem)
            )
            candidate = search.admit(ask, made) if made.genome else "there is none"
            if isinstance(candidate, str):
                search.drop(ask)
                continue
            score = problem.evaluate(candidate.genome, run_in_process, "train")
            individuals.append(search.tell(candidate, Evaluation("ok", score.objectives)).individual)
        return individuals

    def _offspring(self, search: Search, ask: Ask, problem: Problem) -> Proposal:
        context = Context(np.random.default_rng((search.settings.seed, ask.id, 1)), problem.space, problem.objectives)
        return asyncio.run(self.operators[int(ask.operator)].propose(search.ask_snapshot(ask).parents, context))


def by_random_weights(size: int, low: FloatArray, width: FloatArray) -> ChooseParents:
    """Tournaments of several objectives: each adds the scaled ones up, by newly drawn weights."""

    def choose(choosable: ParentPool, count: int, rng: np.random.Generator) -> list[Individual]:
        living = list(choosable.population)
        rivals = [living[int(place)] for place in rng.choice(len(living), min(size, len(living)), replace=False)]
        weights = rng.dirichlet(np.ones(len(low)))
        costs = [weights @ ((np.array(list(rival.evaluation.objectives.values())) - low) / width) for rival in rivals]
        return [rivals[int(np.argmin(costs))]] * count

    return choose


class Scaled:
    """Both objectives of all networks of a table, scaled to 0..1."""

    def __init__(self, problem: NasBenchMacro) -> None:
        assert isinstance(problem.space, Slots)
        designs = [
            problem.space.from_json(dict(zip(problem.space.order, named(key), strict=True))) for key in all_keys()
        ]
        scores = [problem.evaluate(Architecture(design), run_in_process, "train").objectives for design in designs]
        costs = np.array([list(objectives.values()) for objectives in scores])
        self.low, self.width = costs.min(axis=0), np.ptp(costs, axis=0)
        self.costs = dict(zip(all_keys(), (costs - self.low) / self.width, strict=True))
        self.best = self._volume(list(self.costs.values()))

    def shares(self, keys: list[str]) -> list[float]:
        """Hypervolume after each number of evaluations, as a share of the table's."""
        points = [self.costs[key] for key in keys]
        return [self._volume(points[:count]) / self.best for count in EVALUATIONS]

    def _volume(self, points: list[FloatArray]) -> float:
        return float(moocore.hypervolume(np.array(points), ref=[1.0, 1.0]))


def named(key: str) -> list[str]:
    blocks = NasBenchMacro.space.options["layer_1"]
    assert isinstance(blocks, tuple)
    return [str(blocks[int(digit)]) for digit in key]


def by_pymoo(scaled: Scaled, seed: int) -> list[str]:
    """All that its NSGA-II evaluated, in order; of 21 settings tried, the best: blocks are coded as 0, 1, 2."""
    asked: list[str] = []

    class Table(ElementwiseProblem):  # type: ignore[misc]
        def _evaluate(self, x: FloatArray, out: dict[str, FloatArray], *args: object, **kwargs: object) -> None:
            asked.append("".join(str(int(digit)) for digit in x))
            out["F"] = scaled.costs[asked[-1]]

    whole = {"vtype": float, "repair": RoundingRepair()}
    crossover, mutation = SBX(prob=1.0, eta=3.0, **whole), PM(prob=1.0, eta=3.0, **whole)
    algorithm = NSGA2(POPULATION, sampling=IntegerRandomSampling(), crossover=crossover, mutation=mutation)
    minimize(Table(n_var=8, n_obj=2, xl=0, xu=2, vtype=int), algorithm, ("n_eval", EVALUATIONS[-1]), seed=seed)
    return asked


def compared(problem: NasBenchMacro) -> dict[str, FloatArray]:
    """Method to its median share after each number of evaluations."""
    scaled = Scaled(problem)
    ageing = Method((ResampleSlot(),), 50, Newest, by_random_weights(10, scaled.low, scaled.width))
    ways = {
        "ours": Method((ResampleSlot(), MixSlots())),
        "regularised": ageing,
        "random": Method((UniformSlots(),), 2),
    }
    keys: dict[str, Callable[[int], list[str]]] = {
        name: lambda seed, way=way: [
            key_of(individual.genome.choices) for individual in way.search(problem, seed, EVALUATIONS[-1])
        ]  # type: ignore[misc, union-attr]
        for name, way in ways.items()
    }
    keys["pymoo NSGA-II"] = lambda seed: by_pymoo(scaled, seed)
    return {name: np.median([scaled.shares(of(seed)) for seed in range(SEEDS)], axis=0) for name, of in keys.items()}


def rows_of(table: str, found: dict[str, FloatArray], aim: float | None) -> list[Row]:
    rivals = [name for name in found if name.startswith(("regularised", "random"))]
    rows = []
    for name, (few, many) in found.items():
        ours = name == "ours"
        least = max(float(found[rival][0]) for rival in rivals) if ours else None
        rows.append(Row(f"{table}, {EVALUATIONS[0]} evaluations: {name}", few, "", least))
        rows.append(
            Row(
                f"{table}, {EVALUATIONS[1]} evaluations: {name}",
                many,
                "",
                aim if ours else None,
            )
        )
    return rows


def solved(way: Method) -> float:
    """In how many of 20 searches of k_module the best of 625 designs is among the first 200."""
    best = [
        max(individual.evaluation.objectives["quality"] for individual in way.search(KModule(), seed, 200))
        for seed in range(20)
    ]
    return sum(value == 1.0 for value in best) / 20


def measure() -> list[Row]:
    rows = rows_of("simulated", compared(NasBenchMacro()), None)
    try:
        path = shared_data("nas-bench-macro_cifar10.json")
        rows = rows_of("NAS-Bench-Macro", compared(NasBenchMacro(file=str(path))), 0.995) + rows
    except pytest.skip.Exception:
        pass  # the published table is not part of the checkout
    ageing = Method((ResampleSlot(),), 50, Newest, by_random_weights(10, np.ones(1), -np.ones(1)))
    ways = {"ours": Method((ResampleSlot(), MixSlots())), "regularised": ageing, "random": Method((UniformSlots(),), 2)}
    return rows + [
        Row(f"k_module, share of 20 searches that solve it in 200: {name}", solved(way)) for name, way in ways.items()
    ]
