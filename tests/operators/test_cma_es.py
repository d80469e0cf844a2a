"""Laws of CMA-ES: what it learns, and that it learns from nothing but what it observed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError
from evo.genomes import Vector
from evo.protocols import Context, FloatArray
from evo.values import Ask, Box, Evaluation, Individual, Objective, Slots
from operators.cma_es import CmaEs, Learning, Normal
from tests.conftest import Evo

BOX = Box((-5.0,) * 6, (5.0,) * 6)
LOW = (Objective("height", "min"),)
TURNED, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((6, 6)))
STRETCH = 10.0 ** np.linspace(0, 3, 6)

Height = Callable[[FloatArray], float]


def valley(point: FloatArray) -> float:
    """Narrow, and turned out of the axes: its condition is a million."""
    return float((STRETCH * (TURNED @ (point - 0.7)) ** 2).sum())


def individual(values: FloatArray, evaluation: Evaluation, operator: str = "cma_es") -> Individual:
    return Individual(0, 0, Ask(0, operator), Vector(tuple(values)), evaluation)


def sampled(memory: Learning, box: Box, seed: int) -> FloatArray:
    context = Context(np.random.default_rng(seed), space=box, objectives=LOW, memory=memory.view())
    parents = [individual(np.zeros(len(box.lower)), Evaluation("ok", {"height": 0.0}))]
    child = asyncio.run(CmaEs().propose(parents, context)).genome
    assert isinstance(child, Vector)
    return np.array(child.values)


def taught(height: Height, count: int, *, behind: int = 0, sample: int | None = None) -> tuple[Learning, float]:
    """After a number of results, each observed when a number of others had been sampled; and the least height found."""
    memory = CmaEs(sample=sample).memory(BOX, LOW)
    waiting, least = [], np.inf
    for seed in range(count):
        waiting.append(sampled(memory, BOX, seed))
        if len(waiting) > behind:
            point = waiting.pop(0)
            least = min(least, height(point))
            memory.observe(individual(point, Evaluation("ok", {"height": height(point)})))
    return memory, least


@pytest.mark.parametrize("behind", [0, 16])
def test_it_learns_the_shape_of_a_narrow_valley_even_from_late_results(behind: int) -> None:
    assert taught(valley, 3000, behind=behind)[1] < 1e-6


def test_the_user_s_own_direction_counts() -> None:
    memory = CmaEs().memory(BOX, (Objective("height", "max"),))
    for seed in range(1500):
        point = sampled(memory, BOX, seed)
        memory.observe(individual(point, Evaluation("ok", {"height": -valley(point)})))
    assert valley(sampled(memory, BOX, 0)) < 1e-2


@given(st.lists(st.tuples(st.lists(st.floats(-9, 9), min_size=6, max_size=6), st.floats(-1e9, 1e9)), max_size=40))
def test_it_stays_in_the_box_whatever_it_observes(results: list[tuple[list[float], float]]) -> None:
    memory = CmaEs(sample=4).memory(BOX, LOW)
    for values, height in results:
        memory.observe(individual(np.array(values), Evaluation("ok", {"height": height})))
    for seed in range(5):
        assert (np.abs(sampled(memory, BOX, seed)) <= 5.0).all()


def test_what_an_ask_was_shown_does_not_change_by_later_results() -> None:
    memory, _ = taught(valley, 50)
    shown = memory.view()
    before = shown.draw(np.random.default_rng(1))
    for seed in range(100):
        memory.observe(individual(sampled(memory, BOX, seed), Evaluation("ok", {"height": float(seed)})))
    assert (shown.draw(np.random.default_rng(1)) == before).all()
    assert (memory.view().mean != shown.mean).any()


def test_it_begins_at_the_best_seed() -> None:
    memory = CmaEs().memory(BOX, LOW)
    for at, height in ((1.0, 3.0), (2.0, 1.0), (3.0, 2.0)):
        memory.observe(individual(np.full(6, at), Evaluation("ok", {"height": height}), "seed"))
    assert memory.view().mean == pytest.approx(np.full(6, 0.7))
    memory.observe(individual(np.full(6, 4.0), Evaluation("ok", {"height": 9.0})))
    memory.observe(individual(np.full(6, -4.0), Evaluation("ok", {"height": 0.0}), "seed"))
    assert memory.view().mean == pytest.approx(np.full(6, 0.7))


def test_failures_and_the_infeasible_count_as_worse() -> None:
    """Of each sample only the few points on the right are any good, so that is where it goes."""

    def evaluation(point: FloatArray) -> Evaluation:
        if point[0] < 0:
            return Evaluation("crash")
        return Evaluation("ok", {"height": float(point[0])}, {"limit": 1.0 if point[0] < 2 else 0.0})

    memory = CmaEs().memory(BOX, LOW)
    for seed in range(2000):
        point = sampled(memory, BOX, seed)
        memory.observe(individual(point, evaluation(point)))
    assert 2.0 <= sampled(memory, BOX, 1)[0] < 2.01


def test_where_nothing_is_left_to_find_it_restarts_with_twice_the_sample() -> None:
    memory, _ = taught(lambda point: float(((point - 0.7) ** 2).sum()), 6000, sample=6)
    assert memory._restarts >= 1
    assert memory._rates.size == 6 * 2**memory._restarts
    view = memory.view()
    assert isinstance(view, Normal)
    assert 0 < view.step < 1


@pytest.mark.parametrize("space", [None, Box((), ()), Box((0.0, 2.0), (1.0, 1.0)), Slots({"a": [1]})])
def test_a_space_that_is_no_box_is_refused(space: Box | Slots | None) -> None:
    with pytest.raises(ConfigError, match="cma_es: (vectors need a box|the box needs)"):
        CmaEs().memory(space, LOW)


@pytest.mark.parametrize("sample", [0, 3, 2.5, True, "many"])
def test_a_sample_that_is_none_is_refused(sample: int) -> None:
    with pytest.raises(ConfigError, match="cma_es needs a sample of 4 or more"):
        CmaEs(sample=sample)


def test_a_run_by_cma_es_repeats_from_its_journal(evo: Evo, tmp_path: Path) -> None:
    islands = ("--set", "search.islands.count=2", "--set", "search.operators={cma_es: 1, gaussian: 1}")
    few = ("--set", "budget.evaluations=300", "--set", "executor.name=local", "--name", "learning")
    assert evo("run", "sphere", *islands, *few).code == 0
    assert evo("replay", tmp_path / "runs/learning").code == 0
