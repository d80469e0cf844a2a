"""Laws of survival: who stays, in what order, and that keeping up to date is the same as sorting again."""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Sequence
from typing import Any

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.algorithms.moo.nsga3 import associate_to_niches, niching
from pymoo.core.population import Population as PymooPopulation
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from evo.errors import ConfigError
from evo.genomes import Vector
from evo.protocols import FloatArray
from evo.search.population import RankedPopulation
from evo.survival import (
    HypervolumeContribution,
    Lexicographic,
    Newest,
    RankAndCrowding,
    ReferenceDirections,
    WeightedSum,
)
from evo.survival.hypervolume import exclusive_hypervolumes
from evo.survival.protocols import Ranking, Survival
from evo.survival.reference_directions import DirectionCrowding, normalised
from evo.survival.spread import crowding_distances
from evo.values import Ask, Evaluation, Individual, Objective

COSTS = tuple(Objective(f"f{number}", "min") for number in range(5))
COARSE = {"f0": 2.0, "f1": 3.0}
BY_FRONTS: dict[str, Survival] = {
    "nsga2": RankAndCrowding(),
    "nsga3": ReferenceDirections(),
    "sms": HypervolumeContribution(),
}
BY_ORDER: dict[str, Survival] = {"lexicographic": Lexicographic(), "weighted": WeightedSum(weights={"f0": 2, "f1": 1})}
COARSELY: dict[str, Survival] = {
    "nsga2 on a grid": RankAndCrowding(epsilon=COARSE, tolerance=1.0),
    "nsga3 on a grid": ReferenceDirections(epsilon=COARSE, tolerance=1.0),
    "sms on a grid": HypervolumeContribution(epsilon=COARSE, tolerance=1.0),
}
ORDERLY_COARSELY: dict[str, Survival] = {
    "lexicographic on a grid": Lexicographic(epsilon=COARSE, tolerance=1.0),
}
ALL = {**BY_FRONTS, **BY_ORDER, **COARSELY, **ORDERLY_COARSELY, "newest": Newest()}


def over(survivals: dict[str, Survival]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("survival", survivals.values(), ids=survivals)


def pools(dimensions: st.SearchStrategy[int], size: int = 16) -> st.SearchStrategy[tuple[FloatArray, FloatArray]]:
    """Pools with many ties and twins: objectives, shape (n, m), and violations, shape (n,)."""

    def rows(count: int) -> st.SearchStrategy[list[tuple[list[int], float]]]:
        point = st.lists(st.integers(0, 6), min_size=count, max_size=count)
        return st.lists(st.tuples(point, st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.5])), min_size=1, max_size=size)

    def arrays(drawn: list[tuple[list[int], float]]) -> tuple[FloatArray, FloatArray]:
        return np.array([point for point, _ in drawn], dtype=float), np.array([violation for _, violation in drawn])

    return dimensions.flatmap(rows).map(arrays)


def fitted(survival: Survival, dimensions: int, capacity: int = 8) -> Survival:
    return survival.fitted(COSTS[:dimensions], capacity)


def told(ranking: Ranking) -> tuple[list[int], list[int], list[float]]:
    """All that a ranking says."""
    count = len(ranking.rank)
    return ranking.rank.tolist(), ranking.worst(count), [ranking.crowding(member) for member in range(count)]


def dominates(one: FloatArray, other: FloatArray) -> bool:
    return bool((one <= other).all() and (one < other).any())


def individual(number: int, point: Sequence[float], violation: float = 0.0) -> Individual:
    values = {f"f{place}": float(value) for place, value in enumerate(point)}
    evaluation = Evaluation("ok", values, {"limit": violation})
    return Individual(number, number, Ask(number, "seed"), Vector((float(number),)), evaluation)


def population(survival: Survival, capacity: int, dimensions: int) -> RankedPopulation:
    return RankedPopulation(capacity, COSTS[:dimensions], survival)


def sphere(count: int, dimensions: int, radius: float = 1.0, seed: int = 0) -> FloatArray:
    """Points none of which dominates another."""
    points = np.abs(np.random.default_rng(seed).standard_normal((count, dimensions)))
    outwards: FloatArray = radius * points / np.linalg.norm(points, axis=1, keepdims=True)
    return outwards


# Keeping up to date.


@over(ALL)
@given(pools(st.integers(2, 4)), st.data())
@settings(max_examples=60)
def test_a_ranking_kept_up_to_date_is_the_one_from_scratch(
    survival: Survival, pool: tuple[FloatArray, FloatArray], data: st.DataObject
) -> None:
    dimensions = pool[0].shape[1]
    made = fitted(survival, dimensions)
    objectives, violation = np.empty((0, dimensions)), np.empty(0)
    ranking = made.ranking(objectives, violation)
    for point, broken in zip(*pool, strict=True):
        place = data.draw(st.integers(0, len(violation)))
        objectives, violation = np.insert(objectives, place, point, axis=0), np.insert(violation, place, broken)
        ranking = ranking.with_newcomer(place, point, float(broken))
        assert told(ranking) == told(made.ranking(objectives, violation))
        if len(violation) > 8:
            dropped = ranking.worst(1)
            objectives, violation = np.delete(objectives, dropped, axis=0), np.delete(violation, dropped)
            ranking = ranking.without(dropped)
            assert told(ranking) == told(made.ranking(objectives, violation))


@over(ALL)
@given(pools(st.integers(2, 4)), st.data())
@settings(max_examples=200)
def test_a_rejected_newcomer_would_have_left_and_nothing_else_would_have_changed(
    survival: Survival, pool: tuple[FloatArray, FloatArray], data: st.DataObject
) -> None:
    objectives, violation = pool
    ranking = fitted(survival, objectives.shape[1]).ranking(objectives[1:], violation[1:])
    if len(pool[0]) > 1 and ranking.rejects(objectives[0], float(violation[0])):
        place = data.draw(st.integers(0, len(ranking.rank)))
        grown = ranking.with_newcomer(place, objectives[0], float(violation[0]))
        assert grown.worst(1) == [place]
        assert told(grown.without([place])) == told(ranking)


@over({**BY_FRONTS, **BY_ORDER})
def test_a_newcomer_worse_than_all_is_rejected(survival: Survival) -> None:
    ranking = fitted(survival, 2).ranking(np.array([[0.0, 3.0], [1.0, 1.0]]), np.zeros(2))
    assert ranking.rejects(np.array([2.0, 4.0]), 0.0)
    assert not ranking.rejects(np.array([0.5, 0.5]), 0.0)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["scattered", "one line", "few values"])
def test_large_fronts_kept_up_to_date_are_those_from_scratch(kind: str, dimensions: int) -> None:
    rng = np.random.default_rng(0)
    points = {
        "scattered": rng.random((400, dimensions)),
        "one line": np.repeat(rng.permutation(400)[:, np.newaxis], dimensions, axis=1).astype(float),
        "few values": rng.integers(0, 5, (400, dimensions)).astype(float),
    }[kind]
    ranking: Ranking = RankAndCrowding().ranking(points[:0], np.empty(0))
    for number, point in enumerate(points):
        ranking = ranking.with_newcomer(number, point, 0.0)
    assert told(ranking)[::2] == told(RankAndCrowding().ranking(points, np.zeros(400)))[::2]
    assert ranking.worst(20) == RankAndCrowding().ranking(points, np.zeros(400)).worst(20)


@given(pools(st.integers(1, 4), 40))
def test_distinct_feasible_individuals_are_ranked_by_pymoos_fronts(pool: tuple[FloatArray, FloatArray]) -> None:
    points = np.unique(pool[0], axis=0)
    ranking = RankAndCrowding().ranking(points, np.zeros(len(points)))
    _, expected = NonDominatedSorting().do(points, return_rank=True)
    assert ranking.rank.tolist() == expected.tolist()


@over(ALL)
@given(pools(st.integers(2, 4)))
@settings(max_examples=60)
def test_members_that_leave_together_are_those_that_leave_one_by_one(
    survival: Survival, pool: tuple[FloatArray, FloatArray]
) -> None:
    objectives, violation = pool
    made = fitted(survival, objectives.shape[1])
    ranking, places = made.ranking(objectives, violation), list(range(len(violation)))
    together = ranking.worst(len(violation))
    assert sorted(together) == places
    for one in together:
        (leaving,) = ranking.worst(1)
        assert places.pop(leaving) == one
        ranking = ranking.without([leaving])


# Who stays.


@over(ALL)
@given(pools(st.integers(2, 4)), st.integers(0, 1000))
@settings(max_examples=60)
def test_survival_ignores_the_order_in_which_its_pool_came(
    survival: Survival, pool: tuple[FloatArray, FloatArray], seed: int
) -> None:
    count, dimensions = pool[0].shape
    everyone = [individual(number, point, broken) for number, (point, broken) in enumerate(zip(*pool, strict=True))]
    shuffled = random.Random(seed).sample(everyone, count)
    answers = []
    for order in (everyone, shuffled):
        living = population(survival, count, dimensions)
        for one in order:
            living.add(one)
        answers.append(told(living.ranking))
    assert answers[0] == answers[1]


@over({**BY_FRONTS, **BY_ORDER})
@given(pools(st.integers(2, 4)))
@settings(max_examples=60)
def test_a_dominated_individual_never_outlives_what_dominates_it_and_all_its_duplicates(
    survival: Survival, pool: tuple[FloatArray, FloatArray]
) -> None:
    objectives, violation = pool
    leaving = fitted(survival, objectives.shape[1]).ranking(objectives, violation).worst(len(violation))
    last: dict[bytes, int] = {}  # of each point, when the last of its feasible twins leaves
    for turn, one in enumerate(leaving):
        if violation[one] == 0:
            last[objectives[one].tobytes()] = turn
    for one, other in itertools.permutations(last, 2):
        if dominates(np.frombuffer(one), np.frombuffer(other)):
            assert last[one] > last[other]


@over(BY_ORDER)
@given(pools(st.integers(2, 4)))
@settings(max_examples=60)
def test_by_a_total_order_a_dominated_individual_never_outlives_what_dominates_it(
    survival: Survival, pool: tuple[FloatArray, FloatArray]
) -> None:
    objectives, violation = pool
    leaving = fitted(survival, objectives.shape[1]).ranking(objectives, violation).worst(len(violation))
    for sooner, later in itertools.combinations(leaving, 2):
        assert violation[sooner] > violation[later] or not dominates(objectives[sooner], objectives[later])


@over({**BY_FRONTS, **BY_ORDER})
@given(pools(st.integers(2, 4)))
@settings(max_examples=60)
def test_an_infeasible_individual_never_outlives_a_feasible_one_nor_one_that_breaks_less(
    survival: Survival, pool: tuple[FloatArray, FloatArray]
) -> None:
    objectives, violation = pool
    ranking = fitted(survival, objectives.shape[1]).ranking(objectives, violation)
    broken = violation[ranking.worst(len(violation))]
    assert (np.diff(broken) <= 0).all()
    assert ranking.rank[violation == 0].max(initial=-1) < ranking.rank[violation > 0].min(initial=1000)


@over(BY_FRONTS)
@given(pools(st.integers(2, 3), 40))
@settings(max_examples=60)
def test_the_best_of_each_objective_is_never_lost_by_fronts(
    survival: Survival, pool: tuple[FloatArray, FloatArray]
) -> None:
    objectives, violation = pool
    dimensions = objectives.shape[1]
    living = population(survival, 2 * dimensions, dimensions)
    best = np.full(dimensions, np.inf)
    for number, (point, broken) in enumerate(zip(objectives, violation, strict=True)):
        living.add(individual(number, point, broken))
        if broken == 0:
            best = np.minimum(best, point)
        feasible = [
            list(member.evaluation.objectives.values()) for member in living if member.evaluation.violation == 0
        ]
        assert np.min([np.full(dimensions, np.inf), *feasible], axis=0).tolist() == best.tolist()


@given(pools(st.integers(2, 3), 40))
def test_the_best_by_a_total_order_is_never_lost(pool: tuple[FloatArray, FloatArray]) -> None:
    numbers = (lambda point: point[0], lambda point: 2 * point[0] + point[1])
    for survival, number in zip(BY_ORDER.values(), numbers, strict=True):
        living, best = population(survival, 2, pool[0].shape[1]), np.inf
        for place, (point, broken) in enumerate(zip(*pool, strict=True)):
            living.add(individual(place, point, broken))
            best = min(best, number(point)) if broken == 0 else best
            points = [
                list(member.evaluation.objectives.values()) for member in living if member.evaluation.violation == 0
            ]
            assert min(map(number, points), default=np.inf) == best


@over({**BY_FRONTS, "lexicographic": Lexicographic()})
@given(pools(st.integers(2, 4)), st.lists(st.integers(-40, 40), min_size=4, max_size=4))
@settings(max_examples=60)
def test_the_scales_of_objectives_do_not_matter(
    survival: Survival, pool: tuple[FloatArray, FloatArray], exponents: list[int]
) -> None:
    objectives, violation = pool
    made = fitted(survival, objectives.shape[1])
    scaled = np.ldexp(objectives, exponents[: objectives.shape[1]])  # exact
    assert told(made.ranking(scaled, violation)) == told(made.ranking(objectives, violation))


@over(BY_FRONTS)
def test_of_individuals_with_equal_objectives_the_newest_stays_and_the_distinct_come_before_the_others(
    survival: Survival,
) -> None:
    living = population(survival, 3, 2)
    for number, point in enumerate([(1, 1), (1, 1), (1, 1), (2, 2), (3, 3)]):
        living.add(individual(number, point))
    assert [member.id for member in living] == [2, 3, 4]


@over(ALL)
@given(st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3), max_size=12))
@settings(max_examples=60)
def test_any_finite_objectives_can_be_ranked(survival: Survival, points: list[list[float]]) -> None:
    named = {*BY_ORDER.values(), *COARSELY.values(), *ORDERLY_COARSELY.values()}
    for dimensions in (2, 3) if survival in named else (1, 3):
        living = population(survival, 4, dimensions)
        for number, point in enumerate(points):
            living.add(individual(number, point[:dimensions]))
            living.better(0, len(living) - 1)
        assert len(living) == min(4, len(points))


@over(BY_FRONTS)
def test_of_the_equally_lonely_the_later_leaves(survival: Survival) -> None:
    points = np.array([(0.0, 3.0), (1.0, 2.0), (2.0, 1.0), (3.0, 0.0)])
    assert fitted(survival, 2).ranking(points, np.ones(4)).worst(1) == [2]


# Grids and tolerances.


@over(COARSELY)
@given(pools(st.integers(2, 4)))
@settings(max_examples=60)
def test_on_a_grid_a_worse_box_never_outlives_a_better_one(
    survival: Survival, pool: tuple[FloatArray, FloatArray]
) -> None:
    objectives = pool[0]
    boxes = np.floor(objectives / [2.0, 3.0, *np.ones(objectives.shape[1] - 2)])
    leaving = fitted(survival, objectives.shape[1]).ranking(objectives, np.zeros(len(boxes))).worst(len(boxes))
    last = {boxes[one].tobytes(): turn for turn, one in enumerate(leaving)}
    for one, other in itertools.permutations(last, 2):
        if dominates(np.frombuffer(one), np.frombuffer(other)):
            assert last[one] > last[other]


@over({**COARSELY, **ORDERLY_COARSELY})
@given(pools(st.integers(2, 4)))
@settings(max_examples=60)
def test_within_a_box_a_dominated_individual_never_outlives_one_that_dominates_it(
    survival: Survival, pool: tuple[FloatArray, FloatArray]
) -> None:
    objectives = pool[0]
    boxes = np.floor(objectives / [2.0, 3.0, *np.ones(objectives.shape[1] - 2)])
    leaving = fitted(survival, objectives.shape[1]).ranking(objectives, np.zeros(len(boxes))).worst(len(boxes))
    for sooner, later in itertools.combinations(leaving, 2):
        assert (boxes[sooner] != boxes[later]).any() or not dominates(objectives[sooner], objectives[later])


def test_a_difference_below_epsilon_does_not_decide_between_boxes() -> None:
    points, none = np.array([(0.1, 9.0), (0.9, 1.0)]), np.zeros(2)
    exact = Lexicographic().fitted(COSTS[:2], 2)
    coarse = Lexicographic(epsilon={"f0": 1.0}).fitted(COSTS[:2], 2)
    assert exact.ranking(points, none).worst(1) == [1]
    assert coarse.ranking(points, none).worst(1) == [0]


@over({**COARSELY, **ORDERLY_COARSELY})
def test_a_violation_within_the_tolerance_counts_as_none(survival: Survival) -> None:
    made = fitted(survival, 2)
    points = np.array([(1.0, 1.0), (9.0, 9.0), (0.0, 0.0)])
    assert made.ranking(points, np.array([1.0, 0.0, 1.5])).worst(3) == [2, 1, 0]


def test_epsilon_is_in_the_users_own_unit_whatever_the_direction() -> None:
    objectives = (Objective("cost", "min"), Objective("gain", "max"))
    living = RankedPopulation(1, objectives, Lexicographic(epsilon={"gain": 10.0}))
    ask = Ask(0, "seed")
    for number, (cost, gain) in enumerate([(1.0, 5.0), (1.0, 15.0), (1.0, 12.0)]):
        values = {"cost": cost, "gain": gain}
        living.add(Individual(number, number, ask, Vector((float(number),)), Evaluation("ok", values)))
    assert [member.id for member in living] == [1]


@pytest.mark.parametrize(
    ("survival", "options", "message"),
    [
        (RankAndCrowding, {"epsilon": {"f0": 0.0}}, "epsilon of f0 is 0.0; expected a number above 0"),
        (HypervolumeContribution, {"tolerance": -1.0}, "tolerance for violations is -1.0"),
        (Lexicographic, {"epsilon": {"f9": 1.0}}, "epsilon for 'f9', which is no objective; expected among f0, f1"),
        (WeightedSum, {"weights": {"f9": 1.0}}, "a weight for 'f9', which is no objective"),
        (WeightedSum, {"weights": {}}, "needs weights from 0 up"),
        (WeightedSum, {"weights": {"f0": -1.0}}, "needs weights from 0 up"),
        (ReferenceDirections, {"divisions": 3, "directions": 9}, "divisions or directions, not both"),
        (ReferenceDirections, {"divisions": 0}, "divisions of nsga3 is 0; expected a number from 1 up"),
    ],
)
def test_an_option_that_means_nothing_is_refused_when_the_population_is_made(
    survival: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        population(survival(**options), 4, 2)


def test_a_survival_that_needs_names_says_so_when_it_has_none() -> None:
    with pytest.raises(ValueError, match="an epsilon for f0 needs a survival that was fitted to objectives"):
        RankAndCrowding(epsilon={"f0": 1.0}).ranking(np.ones((2, 2)), np.zeros(2))


# What tells the members of a front apart.


@given(st.integers(1, 9), st.integers(1, 40), st.booleans())
def test_crowding_is_pymoos_to_the_last_digit(dimensions: int, count: int, few: bool) -> None:
    rng = np.random.default_rng(count)
    points = rng.integers(0, 4, (count, dimensions)).astype(float) if few else rng.random((count, dimensions))
    assert crowding_distances(points).tolist() == calc_crowding_distance(points).tolist()


@pytest.mark.parametrize("dimensions", [2, 3, 4, 5])
@pytest.mark.parametrize("count", [1, 2, 30])
def test_an_exclusive_hypervolume_is_what_is_lost_without_the_point(count: int, dimensions: int) -> None:
    points = sphere(count, dimensions)
    reference = np.full(dimensions, 2.0)
    whole = moocore.hypervolume(points, ref=reference)
    for one, volume in enumerate(exclusive_hypervolumes(points, 2.0)):
        rest = np.delete(points, one, axis=0)
        without = moocore.hypervolume(rest, ref=reference) if len(rest) else 0.0
        assert volume == pytest.approx(whole - without, abs=1e-9)


@pytest.mark.parametrize("dimensions", [2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_under_sms_emoa_the_member_of_least_hypervolume_leaves(dimensions: int, seed: int) -> None:
    ahead, front = sphere(10, dimensions, 1.0, seed), sphere(12, dimensions, 2.0, seed + 100)
    ranking = HypervolumeContribution().ranking(np.vstack((ahead, front)), np.zeros(22))
    last = np.flatnonzero(ranking.rank == ranking.rank.max())
    points = np.vstack((ahead, front))[last]
    scaled = (points - points.min(axis=0)) / np.ptp(points, axis=0)
    volumes = [
        moocore.hypervolume(np.delete(scaled, one, axis=0), ref=np.full(dimensions, 2.0)) for one in range(len(last))
    ]
    inner = [one for one in range(len(last)) if (scaled[one] > 0).all()]  # all but the best of each objective
    assert ranking.worst(1) == [last[max(inner, key=lambda one: volumes[one])]]


def test_the_best_of_an_objective_stays_under_sms_emoa_however_little_it_adds() -> None:
    points = np.array([(0.0, 0.5, 0.5), (0.001, 0.3, 0.3), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0), (0.6, 0.29, 0.29)])
    order = np.argsort(exclusive_hypervolumes(points, 2.0)).tolist()
    assert order[:2] == [0, 4]
    assert HypervolumeContribution().ranking(points, np.zeros(5)).worst(1) == [4]


@pytest.mark.parametrize("dimensions", [2, 3, 5])
def test_points_belong_to_the_direction_that_pymoo_says(dimensions: int) -> None:
    points = np.random.default_rng(0).random((300, dimensions))
    directions = sphere(40, dimensions, seed=1)
    niche, distance = DirectionCrowding(directions).associated(points)
    ideal, nadir = np.zeros(dimensions), np.ones(dimensions)
    expected, expected_distance, _ = associate_to_niches(points, directions, ideal, nadir)
    assert niche.tolist() == expected.tolist()
    np.testing.assert_allclose(distance, expected_distance, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_under_nsga3_a_member_leaves_that_pymoos_niching_leaves_over(seed: int) -> None:
    ahead, behind = sphere(20, 3, 1.0, seed), sphere(15, 3, 1.8, seed + 100)
    points = np.vstack((ahead, behind))
    ranking = ReferenceDirections(divisions=3).ranking(points, np.zeros(35))
    last = np.flatnonzero(ranking.rank == ranking.rank.max())
    lattice = np.array([one for one in itertools.product(range(4), repeat=3) if sum(one) == 3]) / 3.0
    scaled, _ = normalised(points, np.flatnonzero(ranking.rank == 0))
    niche, distance, _ = associate_to_niches(scaled, lattice, np.zeros(3), np.ones(3))
    left = set()
    for draw in range(50):
        counts = np.bincount(np.delete(niche, last), minlength=len(lattice))
        kept = niching(
            PymooPopulation.new("F", points[last]),
            len(last) - 1,
            counts,
            niche[last],
            distance[last],
            random_state=np.random.default_rng(draw),
        )
        left.add(int(niche[last[sorted(set(range(len(last))) - set(kept))[0]]]))
    assert int(niche[ranking.worst(1)[0]]) in left


@pytest.mark.parametrize("seed", range(20))
def test_the_extremes_of_the_first_front_never_leave_under_nsga3(seed: int) -> None:
    points = sphere(12, 3, 1.0, seed)
    _, extremes = normalised(points, np.arange(12))
    assert ReferenceDirections(divisions=1).ranking(points, np.zeros(12)).worst(1)[0] not in extremes


@pytest.mark.parametrize("dimensions", [2, 3, 5, 8])
@pytest.mark.parametrize("capacity", [1, 7, 91, 200])
def test_directions_derived_from_the_population_fit_into_it_and_reach_inside(dimensions: int, capacity: int) -> None:
    count, inside = directions_of(ReferenceDirections(), dimensions, capacity)
    assert count <= max(capacity, dimensions + 1)
    assert inside or capacity < dimensions * 2


def test_directions_are_as_many_as_the_options_say() -> None:
    assert directions_of(ReferenceDirections(divisions=12), 3, 20)[0] == 91
    assert directions_of(ReferenceDirections(directions=5), 3, 20)[0] == 5


def test_a_survival_can_be_fitted_again_to_another_population() -> None:
    once = ReferenceDirections().fitted(COSTS[:3], 91)
    assert isinstance(once, ReferenceDirections)
    assert directions_of(once, 2, 20)[0] == 20


def directions_of(survival: ReferenceDirections, dimensions: int, capacity: int) -> tuple[int, bool]:
    """How many a population would have, and whether any is off all borders."""
    objectives = [Objective(f"f{number}", "min") for number in range(dimensions)]
    directions = survival.fitted(objectives, capacity).spread(dimensions, capacity)._directions
    return len(directions), bool((directions > 0).all(axis=1).any())


def test_nsga3_spreads_over_directions_where_one_region_is_crowded() -> None:
    crowd = sphere(60, 3)
    crowd[:, 2] += 3.0 * crowd[:, 0]  # most of them far from one of the axes
    living = population(ReferenceDirections(), 15, 3)
    for number, point in enumerate(np.vstack((crowd, sphere(30, 3, 1.0, 5)))):
        living.add(individual(number, point))
    points = np.array([list(member.evaluation.objectives.values()) for member in living])
    scaled, _ = normalised(points, np.arange(len(points)))
    niche, _ = ReferenceDirections(divisions=4).spread(3, 15).associated(scaled)
    assert len(set(niche.tolist())) >= 11


def test_ranking_by_directions_leaves_the_warnings_of_the_process_as_they_are() -> None:
    before = list(warnings.filters)
    ReferenceDirections().ranking(sphere(20, 3), np.zeros(20)).worst(1)
    assert list(warnings.filters) == before
