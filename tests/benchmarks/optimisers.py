"""Model-free optimisers on vectors at equal evaluations, through the search itself; `cma`'s CMA-ES as the yardstick."""

from __future__ import annotations

import asyncio
import statistics
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cma
import numpy as np

from evo.genomes import Genome, Vector
from evo.protocols import Arm, Context, FloatArray, Operator
from evo.search.islands import Island
from evo.search.population import RankedPopulation
from evo.search.search import Search, SearchSettings
from evo.survival import Lexicographic
from evo.survival.protocols import Population
from evo.values import SEED_OPERATOR, Ask, Box, Evaluation, Objective, Proposal
from operators.cma_es import CmaEs
from operators.vectors import DifferentialEvolution, Gaussian, GaussianModel
from tests.benchmarks.rows import Row
from tests.support.made import island_of

DIMENSIONS = 10
BOX = Box((-5.0,) * DIMENSIONS, (5.0,) * DIMENSIONS)
EVALUATIONS = 4000
POPULATION = 64
SEEDS = range(3)
OPERATORS: Mapping[str, Operator] = {
    "gaussian": Gaussian(),
    "differential_evolution": DifferentialEvolution(),
    "gaussian_model": GaussianModel(),
    "cma_es": CmaEs(),
}


@dataclass(frozen=True)
class Landscape:
    """A function over a box.

    Attributes:
        evaluate: what a point gives, shape (n,).
    """

    name: str
    evaluate: Callable[[FloatArray], Evaluation]
    box: Box = BOX
    objectives: tuple[Objective, ...] = (Objective("height", "min"),)


@dataclass(frozen=True)
class Engine:
    """What a search is made of.

    Attributes:
        living: makes an empty population.
        seeds: how many random points it starts from.
    """

    operator: Operator
    living: Callable[[], Population]
    seeds: int
    parents: str = "tournament"


def searched(landscape: Landscape, engine: Engine, *, evaluations: int, seed: int) -> Search:
    """A search at its end, with neither workers nor files round it."""
    arms = (Arm("varied", None, engine.operator.arity, 1.0),)
    begin = getattr(engine.operator, "memory", None)

    def island(number: int) -> Island:
        memories = {"varied": begin(landscape.box, landscape.objectives)} if begin else {}
        return island_of(engine.living(), arms, parents=engine.parents, memories=memories)

    search = Search(SearchSettings(seed, evaluations, seeds=engine.seeds), landscape.objectives, island=island)
    asyncio.run(_advance(search, landscape, engine.operator))
    return search


async def _advance(search: Search, landscape: Landscape, operator: Operator) -> None:
    while (ask := search.ask()) is not None:
        proposal = await _proposed(search, ask, landscape, operator)
        candidate = search.admit(ask, proposal) if proposal.genome else proposal.thought
        if isinstance(candidate, str):
            search.drop(ask)
            continue
        search.tell(candidate, landscape.evaluate(values_of(candidate.genome)))


async def _proposed(search: Search, ask: Ask, landscape: Landscape, operator: Operator) -> Proposal:
    rng = np.random.default_rng((search.settings.seed, ask.id, 1))
    if ask.operator == SEED_OPERATOR:
        return Proposal("ok", Vector(tuple(rng.uniform(landscape.box.lower, landscape.box.upper))))
    ask_snapshot = search.ask_snapshot(ask)
    context = Context(rng, space=landscape.box, objectives=landscape.objectives, memory=ask_snapshot.memory)
    return await operator.propose(ask_snapshot.parents, context)


def values_of(genome: Genome) -> FloatArray:
    assert isinstance(genome, Vector)
    return np.array(genome.values)


def run_cma_es(landscape: Landscape, evaluations: int, seed: int) -> float:
    """The least height that CMA-ES by the library `cma` finds, with its own settings; it starts again where it ends."""
    rng, best, left = np.random.default_rng(seed), np.inf, evaluations
    low, high = landscape.box.lower, landscape.box.upper
    while left > 0:
        options = {"bounds": [list(low), list(high)], "seed": int(rng.integers(1, 2**31)), "verbose": -9}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it thinks of numpy
            strategy = cma.CMAEvolutionStrategy(rng.uniform(low, high), 0.3 * (high[0] - low[0]), options)
            while not strategy.stop() and left > 0:
                points = strategy.ask()
                heights = [_height(landscape, point) for point in points]
                strategy.tell(points, heights)
                best, left = min(best, *heights[:left]), left - len(points)
    return best


def _height(landscape: Landscape, point: FloatArray) -> float:
    return landscape.evaluate(np.asarray(point)).objectives["height"]


def landscapes() -> list[Landscape]:
    """A bowl, a narrow valley turned out of the axes (condition 10,000), a bent valley, and one of many holes."""
    turned, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((DIMENSIONS, DIMENSIONS)))
    stretch = 10.0 ** np.linspace(0, 4, DIMENSIONS)

    def holes(point: FloatArray) -> float:
        return float((point**2 - 10 * np.cos(2 * np.pi * point) + 10).sum())

    def bent(point: FloatArray) -> float:
        return float((100 * (point[1:] - point[:-1] ** 2) ** 2 + (1 - point[:-1]) ** 2).sum())

    heights: Mapping[str, Callable[[FloatArray], float]] = {
        "sphere": lambda point: float(((point - 0.7) ** 2).sum()),
        "ellipsoid": lambda point: float((stretch * (turned @ (point - 0.7)) ** 2).sum()),
        "rosenbrock": bent,
        "rastrigin": lambda point: holes(point - 0.7),
    }
    return [Landscape(name, _evaluation(height)) for name, height in heights.items()]


def _evaluation(height: Callable[[FloatArray], float]) -> Callable[[FloatArray], Evaluation]:
    return lambda point: Evaluation("ok", {"height": height(point)})


def best_height(landscape: Landscape, operator: Operator, seed: int) -> float:
    engine = Engine(operator, lambda: RankedPopulation(POPULATION, landscape.objectives, Lexicographic()), POPULATION)
    search = searched(landscape, engine, evaluations=EVALUATIONS, seed=seed)
    return search.best["height"].evaluation.objectives["height"]


def measure() -> list[Row]:
    rows = []
    for landscape in landscapes():
        found = {
            name: statistics.median(best_height(landscape, operator, seed) for seed in SEEDS)
            for name, operator in OPERATORS.items()
        }
        yardstick = statistics.median(run_cma_es(landscape, EVALUATIONS, seed) for seed in SEEDS)
        what = f"{landscape.name} in {DIMENSIONS} dimensions, {EVALUATIONS} evaluations"
        rows += [Row(f"{what}: height by {name}", height) for name, height in found.items()]
        rows.append(Row("  by CMA-ES (cma)", yardstick))
        # Where all directions are equal, or holes decide, a model has no advantage to show.
        aim = {"ellipsoid": 0.1, "rosenbrock": 1.0}.get(landscape.name)
        ratio = found["gaussian_model"] / found["gaussian"]
        rows.append(Row("  gaussian_model over gaussian", ratio, "x", aim, at_most=True))
    return rows
