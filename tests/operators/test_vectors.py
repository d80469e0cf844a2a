"""Laws of the operators on vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.genomes import Vector
from evo.testing.contracts.operator_contract import lies_in, propose
from evo.values import Box
from operators.vectors import DifferentialEvolution, Gaussian, SimulatedBinaryCrossover, VectorOperator

ALL = (SimulatedBinaryCrossover(), DifferentialEvolution(), Gaussian())
UNIT = Box((0.0,) * 6, (1.0,) * 6)


def values(operator: VectorOperator, points: list[tuple[float, ...]], box: Box, seed: int) -> tuple[float, ...]:
    child = propose(operator, [Vector(point) for point in points][: operator.arity], box, seed).genome
    assert isinstance(child, Vector)
    return child.values


@given(st.data())
@settings(max_examples=150)
def test_a_point_never_leaves_its_box(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5))
    edge = st.floats(-1e9, 1e9)
    bounds = [sorted(data.draw(st.tuples(edge, edge))) for _ in range(count)]
    box = Box(tuple(low for low, _ in bounds), tuple(high for _, high in bounds))
    points = [Vector(tuple(data.draw(edge) for _ in range(count))) for _ in range(4)]
    operator = data.draw(st.sampled_from(ALL))
    proposal = propose(operator, points[: operator.arity], box, data.draw(st.integers(0, 1000)))
    assert proposal.outcome in {"ok", "duplicate"}
    assert proposal.genome is None or lies_in(proposal.genome, box)


@pytest.mark.parametrize("operator", ALL, ids=lambda operator: type(operator).__name__)
def test_a_coordinate_without_room_never_moves(operator: VectorOperator) -> None:
    box = Box((0.0, 3.0, 0.0), (1.0, 3.0, 1.0))
    points = [(0.1 * number, 3.0, 0.2 * number) for number in range(1, 5)]
    assert {values(operator, points, box, seed)[1] for seed in range(50)} == {3.0}


@pytest.mark.parametrize("operator", ALL, ids=lambda operator: type(operator).__name__)
def test_each_operator_alone_finds_the_foot_of_a_bowl(operator: VectorOperator) -> None:
    rng = np.random.default_rng(1)
    population = [tuple(rng.random(6)) for _ in range(20)]
    start = min(map(_height, population))
    for seed in range(1500):
        chosen = [population[int(index)] for index in rng.permutation(len(population))[: operator.arity]]
        child = values(operator, chosen, UNIT, seed)
        worst = max(population, key=_height)
        if _height(child) < _height(worst):
            population[population.index(worst)] = child
    assert min(map(_height, population)) < start / 100


def test_differential_evolution_of_equal_mates_mixes_them_with_the_base() -> None:
    points = [(0.1,) * 6, *[(0.9,) * 6] * 3]
    for seed in range(30):
        assert set(values(DifferentialEvolution(), points, UNIT, seed)) <= {0.1, 0.9}


def test_differential_evolution_of_one_point_has_nowhere_to_go() -> None:
    proposal = propose(DifferentialEvolution(), [Vector((0.5,) * 6)] * 4, UNIT, 0)
    assert proposal.outcome == "duplicate"
    assert "10 samples left the point where it was" in proposal.thought


def test_a_wider_spread_takes_longer_steps() -> None:
    middle = [(0.5,) * 6]
    short, long = (
        np.mean([np.ptp(values(Gaussian(spread=spread), middle, UNIT, seed)) for seed in range(100)])
        for spread in (0.01, 0.3)
    )
    assert long > 5 * short


def test_a_larger_index_keeps_children_nearer_to_their_parents() -> None:
    points = [(0.3,) * 6, (0.6,) * 6]

    def distance(eta: float) -> float:
        operator = SimulatedBinaryCrossover(eta_crossover=eta, eta_mutation=eta)
        children = np.array([values(operator, points, UNIT, seed) for seed in range(200)])
        return float(np.minimum(abs(children - 0.3), abs(children - 0.6)).mean())

    assert distance(2.0) > 2 * distance(50.0)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (None, "vectors need a box as their space, got NoneType"),
        (Box((), ()), "as many lower as upper bounds"),
        (Box((1.0,), (0.0,)), "none above its partner"),
        (Box((0.0, 0.0), (1.0, 1.0)), r"expected vectors of 2 numbers, got [1]"),
    ],
)
def test_a_refusal_says_why(box: Box | None, reason: str) -> None:
    proposal = propose(Gaussian(), [Vector((0.5,))], box, 0)
    assert proposal.outcome == "refused"
    assert reason in proposal.thought


def _height(point: tuple[float, ...]) -> float:
    return float(((np.array(point) - 0.3) ** 2).sum())
