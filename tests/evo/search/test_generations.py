"""Laws of generations: newcomers wait, and are ranked together with the population."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.core.population import Population as PymooPopulation
from pymoo.core.problem import Problem as PymooProblem
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding as PymooRankAndCrowding

from evo.genomes import Vector
from evo.lineage import open_run
from evo.protocols import Arm, FloatArray
from evo.search.generations import Generations
from evo.search.islands import IslandSettings
from evo.search.population import RankedPopulation, costs_of
from evo.search.search import Search, SearchSettings
from evo.survival import HypervolumeContribution, Lexicographic, RankAndCrowding, ReferenceDirections
from evo.survival.protocols import Survival
from evo.values import Ask, Individual
from tests.conftest import TOY, Evo
from tests.evo.search.test_islands import residents, told
from tests.support.made import TWO, evaluation, individual, island_of
from tests.support.runs import events, sorted_history

ARMS = (Arm("one", None, 1, 1.0), Arm("two", None, 2, 2.0))
SURVIVALS = [RankAndCrowding(), ReferenceDirections(), HypervolumeContribution(), Lexicographic()]
TOY_GENERATIONS = (*TOY, "--set", "search.generation_size=7", "--set", "budget.evaluations=90")


def born(identity: int, cost: float, gain: float, violation: float = 0.0) -> Individual:
    """One that is no seed."""
    ask = Ask(identity, "one")
    return Individual(identity, identity, ask, Vector((float(identity),)), evaluation(cost, gain, violation=violation))


def generations(capacity: int, size: int, survival: Survival | None = None) -> Generations:
    return Generations(RankedPopulation(capacity, TWO, survival or RankAndCrowding()), size)


def searching(size: int, how: IslandSettings | None = None, *, seed: int = 0, seeds: int = 1) -> Search:
    search_settings = SearchSettings(seed, 10_000, seeds=seeds, islands=how or IslandSettings())
    return Search(
        search_settings,
        TWO,
        island=lambda number: island_of(generations(4, size), ARMS),
    )


@pytest.mark.parametrize("seed", range(10))
def test_the_survivors_of_a_generation_are_those_of_pymoos_survival_on_the_union(seed: int) -> None:
    rng = np.random.default_rng(seed)
    along, aside = rng.random((2, 60))
    points = np.stack((along, along - 0.3 * aside), axis=1)  # wide fronts, so that more than its ends stay of the last
    living = generations(30, 30)
    for number, point in enumerate(points[:30]):
        living.add(individual(number, *point))
    gone = [living.add(born(number, *point)) for number, point in enumerate(points[30:], 30)]
    assert gone[:-1] == [[]] * 29
    costs = np.array([costs_of(individual(number, *point), TWO) for number, point in enumerate(points)])
    assert {member.id for member in living} == survivors(costs, 30)
    assert sorted(gone[-1]) == sorted(set(range(60)) - survivors(costs, 30))


def survivors(costs: FloatArray, count: int) -> set[int]:
    """Whom pymoo keeps: by fronts, and the last is pruned one at a time by crowding distance, always measured anew."""
    pool = PymooPopulation.new("F", costs, "number", np.arange(len(costs)))
    survival, rng = PymooRankAndCrowding(crowding_func="pcd"), np.random.default_rng(0)
    kept = survival.do(PymooProblem(n_obj=costs.shape[1]), pool, n_survive=count, random_state=rng)
    return set(kept.get("number").tolist())


def test_newcomers_of_a_generation_are_no_parents_until_it_is_full_but_live() -> None:
    living = generations(4, 3)
    living.add(individual(0, 5.0, 0.0))
    for number in (1, 2):
        assert living.add(born(number, 1.0, 1.0 + number)) == []
        assert [member.id for member in living.mating_pool] == [0]
        assert [member.id for member in living] == list(range(number + 1))
    assert living.add(born(3, 0.5, 0.5)) == []
    assert [member.id for member in living.mating_pool] == [0, 1, 2, 3]


def test_seeds_and_the_first_newcomer_of_an_island_do_not_wait() -> None:
    living = generations(4, 3)
    living.add(born(5, 1.0, 1.0))
    living.add(individual(6, 2.0, 2.0))
    assert [member.id for member in living.mating_pool] == [5, 6]


def test_the_last_of_a_generation_may_be_among_those_that_leave() -> None:
    living = generations(2, 2)
    living.add(individual(0, 0.0, 1.0))
    living.add(individual(1, 1.0, 2.0))
    living.add(born(2, 5.0, 0.0))
    assert sorted(living.add(born(3, 6.0, 0.0))) == [2, 3]


@pytest.mark.parametrize("survival", SURVIVALS)
@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9), st.sampled_from([0.0, 0.0, 1.0])), max_size=40))
@settings(max_examples=25)
def test_a_generation_of_one_is_the_steady_state(survival: Survival, points: list[tuple[float, float, float]]) -> None:
    one, steady = generations(5, 1, survival), RankedPopulation(5, TWO, survival)
    for number, point in enumerate(points):
        assert one.add(born(number, *point)) == steady.add(born(number, *point))
    assert [member.id for member in one] == [member.id for member in steady]


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=60), st.integers(1, 12))
def test_the_best_of_each_objective_is_never_lost(points: list[tuple[float, float]], size: int) -> None:
    living = generations(4, size)
    for number, point in enumerate(points):
        living.add(born(number, *point))
        seen = points[: number + 1]
        alive = [member.evaluation.objectives for member in living]
        assert min(one["cost"] for one in alive) == min(cost for cost, _ in seen)
        assert max(one["gain"] for one in alive) == max(gain for _, gain in seen)


@given(st.permutations(range(24)))
def test_the_order_within_a_generation_does_not_matter(order: list[int]) -> None:
    points = np.random.default_rng(3).random((24, 2))
    kept = []
    for numbers in (range(24), order):
        living = generations(6, 24)
        living.add(individual(100, 0.5, 0.5))
        for number in numbers:
            living.add(born(number, *points[number]))
        kept.append([member.id for member in living])
    assert kept[0] == kept[1]
    assert len(kept[0]) == 6


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))
def test_on_islands_populations_follow_from_births_moves_and_removals(
    size: int, count: int, seeds: int, seed: int
) -> None:
    how = IslandSettings(count=count, every=9, reset_every=40)
    one = searching(size, how, seeds=seeds)
    living: list[set[int]] = [set() for _ in range(count)]
    for tell in told(one, 100, seed):
        home = living[tell.individual.ask.island]
        home |= {tell.individual.id} if tell.survived else set()
        home -= set(tell.removed)
        for move in tell.moves:
            living[move.target] = (living[move.target] - set(move.removed)) | {move.individual}
            living[move.target] -= set(move.removed) if move.reason != "reset" else set()
    assert residents(one) == living
    assert all(0 < len(island.population.mating_pool) <= 4 for island in one.population.islands)
    assert told(searching(size, how, seeds=seeds), 100, seed) == told(searching(size, how, seeds=seeds), 100, seed)


def test_parents_come_from_the_last_generation() -> None:
    one = searching(50)
    told(one, 49)
    mating_pool = {member.id for member in one.population.islands[0].population.mating_pool}
    assert len(one.population) > len(mating_pool)
    for _ in range(30):
        ask = one.ask()
        assert ask is not None
        assert {parent.id for parent in ask.parents} <= mating_pool
        one.drop(ask)


def test_a_run_by_generations_is_the_same_at_any_width_and_after_a_stop(evo: Evo, tmp_path: Path) -> None:
    ordered = (*TOY_GENERATIONS, "--set", "search.deterministic=true", "--set", "search.max_in_flight=8")
    for name, width in (("narrow", 1), ("wide", 9)):
        answer = evo("run", *ordered, "--set", f"executor.workers={width}", "--name", name)
        assert answer.code == 0, answer.err
    assert sorted_history(tmp_path / "runs/wide") == sorted_history(tmp_path / "runs/narrow")
    assert evo("resume", tmp_path / "runs/wide", "--set", "budget.evaluations=120").code == 0
    assert sum(event["event"] == "tell" for event in events(tmp_path / "runs/wide")) == 120
    assert evo("replay", tmp_path / "runs/wide").code == 0


def test_the_lineage_of_a_run_by_generations_has_its_population(evo: Evo, tmp_path: Path) -> None:
    islands = json.dumps({"count": 2, "every": 10})
    assert evo("run", *TOY_GENERATIONS, "--set", f"search.islands={islands}", "--name", "isles").code == 0
    reader = open_run(tmp_path / "runs/isles")
    last = [event for event in events(tmp_path / "runs/isles") if event["event"] == "tell"][-1]
    assert reader.sql("SELECT count(*) FROM population").scalar() == last["population"]
    at_once = reader.sql("SELECT max(c) FROM (SELECT count(*) AS c FROM removals GROUP BY tell)").scalar()
    assert at_once >= 7


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            ("search.survival=newest",),
            "search.generation_size ranks newcomers together with the population, and newest",
        ),
        (("search.islands={count: 2, own: [{}, {survival: newest}]}",), "and newest ranks nothing"),
        (
            ("search.niches={dimensions: {'x:0': {low: 0, high: 1}}}",),
            "generation_size and niches exclude each other",
        ),
        (("search.generation_size=-1",), "search.generation_size = -1: input should be greater than or equal to 0"),
    ],
)
def test_generations_of_what_has_none_are_refused(evo: Evo, settings: tuple[str, ...], complaint: str) -> None:
    changes = [part for one in settings for part in ("--set", one)]
    answer = evo("run", *TOY_GENERATIONS, *changes)
    assert answer.code == 2
    assert complaint in answer.err.replace("\n", " ")
