"""Laws of the operators on vectors that fit a model, follow a line, or mutate by a polynomial."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.genomes import Vector
from evo.protocols import Context
from evo.testing.contracts.operator_contract import lies_in
from evo.values import Ask, Box, Evaluation, Individual, Objective, Proposal
from operators.vectors import GaussianModel, IsoLine, PolynomialMutation, VectorOperator

ALL = (GaussianModel(), IsoLine(), PolynomialMutation())
LOW = (Objective("height", "min"),)
HIGH = (Objective("height", "max"),)
WIDE = Box((-100.0,) * 3, (100.0,) * 3)


def parents_at(points: np.ndarray, heights: Sequence[float], violation: float = 0.0) -> list[Individual]:
    """Individuals at these points; the violation is the first's."""
    evaluations = [Evaluation("ok", {"height": float(height)}) for height in heights]
    evaluations[0] = Evaluation("ok", {"height": float(heights[0])}, {"limit": violation})
    return [
        Individual(number, number, Ask(number, "seed"), Vector(tuple(point)), evaluation)
        for number, (point, evaluation) in enumerate(zip(points, evaluations, strict=True))
    ]


def propose(
    operator: VectorOperator,
    parents: Sequence[Individual],
    seed: int,
    *,
    box: Box = WIDE,
    objectives: tuple[Objective, ...] = LOW,
) -> Proposal:
    context = Context(np.random.default_rng(seed), space=box, objectives=objectives)
    return asyncio.run(operator.propose(parents, context))


def children(
    operator: VectorOperator, parents: Sequence[Individual], objectives: tuple[Objective, ...] = LOW, count: int = 400
) -> np.ndarray:
    """Shape (count, n)."""
    made = [propose(operator, parents, seed, objectives=objectives).genome for seed in range(count)]
    return np.array([genome.values for genome in made if isinstance(genome, Vector)])


@given(st.data())
@settings(max_examples=60)
def test_a_point_never_leaves_its_box_and_never_stays_where_it_was(data: st.DataObject) -> None:
    count, edge = data.draw(st.integers(1, 5)), st.floats(-1e9, 1e9)
    bounds = [sorted(data.draw(st.tuples(edge, edge))) for _ in range(count)]
    box = Box(tuple(low for low, _ in bounds), tuple(high for _, high in bounds))
    operator = data.draw(st.sampled_from(ALL))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    points = rng.uniform(box.lower, box.upper, (operator.arity, count))
    proposal = propose(operator, parents_at(points, rng.random(operator.arity)), 0, box=box)
    assert proposal.outcome in {"ok", "duplicate"}
    assert proposal.genome is None or lies_in(proposal.genome, box)
    assert proposal.genome != Vector(tuple(points[0]))


def test_the_same_parents_and_randomness_give_the_same_child() -> None:
    rng = np.random.default_rng(0)
    for operator in ALL:
        parents = parents_at(rng.random((operator.arity, 3)), rng.random(operator.arity))
        assert propose(operator, parents, 7) == propose(operator, parents, 7)
        assert propose(operator, parents, 7) != propose(operator, parents, 8)


def test_the_model_draws_about_the_better_half_and_as_wide_as_all() -> None:
    rng = np.random.default_rng(1)
    points = rng.multivariate_normal((0, 0, 0), [[9.0, 2.9, 0], [2.9, 1.0, 0], [0, 0, 0.01]], size=20)
    heights = points[:, 0]
    made = children(GaussianModel(enlarge=1.0), parents_at(points, heights), count=1500)
    better = points[np.argsort(heights)[:10]]
    assert better[:, 0].min() < made[:, 0].mean() < better[:, 0].mean()
    assert np.cov(made.T) == pytest.approx(np.cov(points.T), rel=0.2, abs=0.05)


def test_the_model_follows_the_direction_of_the_objective_and_not_the_order_of_the_parents() -> None:
    points = np.linspace(-1, 1, 20)[:, None] * np.ones(3)
    heights = points[:, 0]
    shuffled = np.random.default_rng(2).permutation(20)
    low, mixed, high = (
        children(GaussianModel(), parents_at(points[order], heights[order]), objectives)
        for order, objectives in ((np.arange(20), LOW), (shuffled, LOW), (np.arange(20), HIGH))
    )
    assert low.mean() < -0.4
    assert mixed.mean() == pytest.approx(low.mean(), abs=0.15)
    assert high.mean() > 0.4


def test_the_model_takes_an_infeasible_parent_for_the_worst() -> None:
    points = np.zeros((20, 3)) + np.linspace(0, 0.01, 20)[:, None]
    points[0] = 50.0
    heights = np.arange(20.0)
    kept, refused = (children(GaussianModel(), parents_at(points, heights, bad)) for bad in (0.0, 1.0))
    assert np.median(kept) > 10
    assert abs(np.median(refused)) < 3


def test_a_larger_model_takes_longer_steps() -> None:
    rng = np.random.default_rng(3)
    parents = parents_at(rng.random((20, 3)), rng.random(20))
    short, long = (children(GaussianModel(enlarge=factor), parents).std(axis=0) for factor in (0.5, 2.0))
    assert (long > 3 * short).all()


def test_the_model_never_steps_out_of_the_plane_of_its_parents() -> None:
    points = np.random.default_rng(4).random((20, 3))
    points[:, 2] = points[:, 0] + points[:, 1]
    made = children(GaussianModel(), parents_at(points, points[:, 0]))
    assert made[:, 2] == pytest.approx(made[:, 0] + made[:, 1])


def test_the_model_of_equal_parents_has_nowhere_to_go_and_says_so() -> None:
    proposal = propose(GaussianModel(), parents_at(np.full((20, 3), 0.5), [1.0] * 20), 0)
    assert proposal.outcome == "duplicate"
    assert "10 samples left the point where it was" in proposal.thought


def test_iso_line_steps_along_the_line_to_the_mate_and_a_little_beside_it() -> None:
    parents = parents_at(np.array([[0.0, 0.0, 0.0], [50.0, 0.0, 0.0]]), [0.0, 0.0])
    made = children(IsoLine(iso=0.001, line=0.2), parents, count=1000)
    assert made.mean(axis=0) == pytest.approx(0, abs=1.5)
    assert made.std(axis=0) == pytest.approx([10.0, 0.2, 0.2], rel=0.1)


def test_polynomial_mutation_moves_a_coordinate_or_a_few_and_less_where_its_index_is_larger() -> None:
    box = Box((0.0,) * 10, (1.0,) * 10)
    parents = parents_at(np.full((1, 10), 0.5), [0.0])

    def moves(eta: float) -> np.ndarray:
        operator = PolynomialMutation(attempts=1, eta=eta)
        made = [propose(operator, parents, seed, box=box).genome for seed in range(300)]
        return np.array([genome.values for genome in made if isinstance(genome, Vector)]) - 0.5

    near, far = moves(50.0), moves(3.0)
    moved = (near != 0).sum(axis=1)
    assert len(moved) == 300
    assert moved.min() >= 1
    assert 1 <= moved.mean() < 2.5
    assert abs(far[far != 0]).mean() > 3 * abs(near[near != 0]).mean()


def test_the_model_finds_the_foot_of_a_narrow_valley_that_no_axis_follows() -> None:
    rng = np.random.default_rng(5)
    turned, _ = np.linalg.qr(rng.standard_normal((3, 3)))

    def height(point: np.ndarray) -> float:
        return float((np.array([1.0, 100.0, 10_000.0]) * (turned @ (point - 7.0)) ** 2).sum())

    points = rng.uniform(-50, 50, (40, 3))
    heights = np.array([height(point) for point in points])
    start = heights.min()
    for seed in range(1500):
        chosen = rng.permutation(40)[:20]
        child = propose(GaussianModel(), parents_at(points[chosen], heights[chosen]), seed).genome
        assert isinstance(child, Vector)
        if (found := height(np.array(child.values))) < heights.max():
            worst = int(heights.argmax())
            points[worst], heights[worst] = child.values, found
    assert heights.min() < start / 1e8
