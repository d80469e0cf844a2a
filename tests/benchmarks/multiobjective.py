"""Hypervolume through the whole engine, with Ray, against pymoo's own algorithms at equal evaluations."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import moocore
import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.optimize import minimize
from pymoo.problems import get_problem
from pymoo.util.ref_dirs import get_reference_directions

from evo.protocols import FloatArray
from tests.benchmarks.rows import Row
from tests.benchmarks.running import run_search

POPULATION = 100
SEEDS = int(os.environ.get("EVO_BENCH_SEEDS", "10"))


@dataclass(frozen=True)
class Case:
    """A benchmark function.

    Attributes:
        pymoo: its name there, and its arguments.
        reference: point of the hypervolume, beyond all that is of interest.
        survival: ours; pymoo's is NSGA-III where it is nsga3, else NSGA-II.
        more: overrides of our configuration.
    """

    name: str
    options: Mapping[str, Any]
    pymoo: tuple[str, Mapping[str, Any]]
    reference: tuple[float, ...]
    evaluations: int
    survival: str = "rank_and_crowding"
    more: tuple[str, ...] = ()


# With as many directions as pymoo's NSGA-III is given here, and its only operator.
AS_THEIRS = f"search.survival={{name: nsga3, options: {{directions: {POPULATION}}}}}", "search.operators={sbx: 1}"

CASES = (
    *(Case("zdt", {"which": n}, (f"zdt{n}", {}), (1.1, 1.1), 10_000) for n in (1, 2, 3)),
    Case("dtlz", {"which": 2}, ("dtlz2", {"n_var": 12, "n_obj": 3}), (1.1, 1.1, 1.1), 10_000, "nsga3", AS_THEIRS),
    Case("bnh", {}, ("bnh", {}), (140.0, 50.0), 3_000),
)


def ours(case: Case, seed: int) -> float:
    run = run_search(
        case.name,
        f"problem.options={dict(case.options)}",
        f"search.population={POPULATION}",
        f"search.survival={case.survival}",
        f"budget.evaluations={case.evaluations}",
        f"seed={seed}",
        *case.more,
    )
    feasible = [
        list(tell["evaluation"]["objectives"].values())
        for tell in run.tells
        if all(by <= 0 for by in tell["evaluation"]["violations"].values())
    ]
    return hypervolume(np.array(living(feasible, run.tells)), case.reference)


def living(feasible: list[list[float]], tells: list[Any]) -> list[list[float]]:
    """The objectives of those that live at the end, as pymoo reports its last population."""
    alive: dict[int, list[float]] = {}
    for tell in tells:
        if tell["survived"]:
            alive[tell["individual"]] = list(tell["evaluation"]["objectives"].values())
        for gone in tell["removed"]:
            del alive[gone]
    return list(alive.values()) or feasible


def theirs(case: Case, seed: int) -> float:
    problem = get_problem(case.pymoo[0], **case.pymoo[1])
    if case.survival == "nsga3":
        directions = get_reference_directions("energy", problem.n_obj, POPULATION, seed=1)
        algorithm = NSGA3(directions, pop_size=POPULATION)
    else:
        algorithm = NSGA2(pop_size=POPULATION)
    found = minimize(problem, algorithm, ("n_eval", case.evaluations), seed=seed)
    return hypervolume(np.atleast_2d(found.F), case.reference)


def hypervolume(costs: FloatArray, reference: tuple[float, ...]) -> float:
    return float(moocore.hypervolume(costs, ref=np.array(reference)))


def measure() -> Iterator[Row]:
    for case in CASES:
        own = float(np.median([ours(case, seed) for seed in range(SEEDS)]))
        other = float(np.median([theirs(case, seed) for seed in range(SEEDS)]))
        title = f"{case.pymoo[0].upper()}, {case.survival}, {case.evaluations} evaluations, median of {SEEDS} seeds"
        yield from (Row(title, own, "hv"), Row("  pymoo's own", other, "hv"), Row("  ratio", own / other, "", 0.99))
