"""Laws of the problems that need no sandbox: known optima and bounds, and interacting slots."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest

from evo.errors import CandidateError
from evo.genomes import Architecture, Genome, Vector
from evo.protocols import Problem
from evo.testing.in_process import run_in_process
from problems.benchmark_functions import Dtlz, Sphere, Zdt
from problems.k_module import DECOY, OPTIMUM, OPTIONS, KModule, quality


def values(problem: Problem, genome: Genome) -> list[float]:
    return list(problem.evaluate(genome, run_in_process, "train").objectives.values())


ALL_DESIGNS = [dict(zip(OPTIONS, choices, strict=True)) for choices in product(*OPTIONS.values())]


def test_k_module_has_625_designs_and_one_best() -> None:
    counts = Counter(quality(design) for design in ALL_DESIGNS)
    assert len(ALL_DESIGNS) == 625
    assert (max(counts), min(counts)) == (1.0, 0.0)
    assert counts[1.0] == 1
    assert values(KModule(), Architecture(OPTIMUM)) == [1.0]


def test_k_module_has_a_decoy_that_no_single_change_leaves_upwards() -> None:
    neighbours = [{**DECOY, slot: option} for slot, options in OPTIONS.items() for option in options]
    assert max(quality(design) for design in neighbours) == quality(DECOY) == 0.7


def test_the_best_option_of_every_slot_depends_on_the_others() -> None:
    for slot, options in OPTIONS.items():
        best = {max(options, key=lambda option: quality({**design, slot: option})) for design in (OPTIMUM, DECOY)}
        assert best == {OPTIMUM[slot], DECOY[slot]}


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {**OPTIMUM, "pooling": "quantum"},
        {**OPTIMUM, "depth": 3},
        {slot: OPTIMUM[slot] for slot in list(OPTIMUM)[:3]},
        {**OPTIMUM, "pooling": 1},
    ],
)
def test_a_design_outside_the_slots_is_invalid(choices: dict[str, str]) -> None:
    with pytest.raises(CandidateError, match="invalid: expected an option for each of normalisation, activation"):
        values(KModule(), Architecture(choices))


def test_the_optima_of_the_functions_are_known() -> None:
    assert values(Sphere(dimensions=3), Vector((0.5, 0.5, 0.5))) == [0.0]
    assert values(Sphere(dimensions=2), Vector((0.5, 1.0))) == [0.25]
    for f1 in (0.0, 0.3, 1.0):
        assert values(Zdt(which=1), Vector((f1,) + (0.0,) * 29)) == pytest.approx([f1, 1.0 - np.sqrt(f1)])
        assert values(Zdt(which=2), Vector((f1,) + (0.0,) * 29)) == pytest.approx([f1, 1.0 - f1**2])


def test_the_fronts_of_dtlz_are_known() -> None:
    front = Vector((0.3, 0.8) + (0.5,) * 10)
    assert sum(values(Dtlz(which=1), front)) == pytest.approx(0.5)
    assert sum(np.square(values(Dtlz(which=2), front))) == pytest.approx(1.0)


@pytest.mark.parametrize("problem", [Sphere(), Zdt(which=4), Dtlz(which=7)], ids=lambda problem: type(problem).__name__)
def test_a_vector_outside_the_box_or_of_another_length_is_invalid(problem: Problem) -> None:
    inside = problem.seeds(1, np.random.default_rng(0))[0]
    assert isinstance(inside, Vector)
    beyond = Vector((*inside.values[:-1], float(np.nextafter(problem.space.upper[-1], np.inf))))
    with pytest.raises(CandidateError, match=r"invalid: value \d+ is .*, outside its bounds"):
        values(problem, beyond)
    with pytest.raises(CandidateError, match=r"invalid: expected \d+ values, got \d+"):
        values(problem, Vector((*inside.values, 0.5)))


def test_the_declared_shape_is_the_one_asked_for() -> None:
    assert len(Sphere(dimensions=4).space.lower) == 4
    assert [objective.name for objective in Dtlz(objectives=5).objectives] == ["f1", "f2", "f3", "f4", "f5"]
    assert Zdt(which=4, dimensions=3).space.lower == (0.0, -5.0, -5.0)


def test_seeds_are_as_many_as_asked_and_spread_over_the_box() -> None:
    seeds = Zdt(which=4, dimensions=2).seeds(400, np.random.default_rng(2))
    points = np.array([seed.values for seed in seeds])
    assert points.shape == (400, 2)
    assert (points.min(axis=0) < [0.05, -4.5]).all()
    assert (points.max(axis=0) > [0.95, 4.5]).all()
