"""Laws of the pure search."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.genomes import Vector
from evo.search.duplicates import DuplicateFilter
from evo.search.population import RankedPopulation
from evo.search.search import MAX_UNREADABLE, UNREADABLE, Search
from evo.survival import RankAndCrowding
from evo.values import SEED_OPERATOR, Ask, Candidate, Individual, Proposal, ProposalOutcome
from tests.support.made import TWO, advance, evaluation, filled, individual, search

values = st.integers(0, 8).map(float)
pairs = st.lists(st.tuples(values, values, st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0])), min_size=1, max_size=40)


def dominates(one: Individual, other: Individual) -> bool:
    a, b = one.evaluation, other.evaluation
    if a.violation or b.violation:
        return a.violation < b.violation
    no_worse = a.objectives["cost"] <= b.objectives["cost"] and a.objectives["gain"] >= b.objectives["gain"]
    return no_worse and a.objectives != b.objectives


def test_the_first_ask_is_for_the_seed_and_the_next_waits_for_its_result() -> None:
    one = search()
    ask = one.ask()
    assert ask is not None
    assert ask.operator == SEED_OPERATOR
    assert one.ask() is None
    candidate = one.admit(ask, Proposal("ok", Vector((0.0,))))
    assert isinstance(candidate, Candidate)
    one.tell(candidate, evaluation(1, 1))
    following = one.ask()
    assert following is not None
    assert [parent.id for parent in following.parents][:1] == [0]


@given(pairs)
def test_a_dominated_individual_never_outlives_what_dominates_it_and_all_its_duplicates(
    points: list[tuple[float, float, float]],
) -> None:
    population = RankedPopulation(5, TWO, RankAndCrowding())
    everyone = [individual(number, *point) for number, point in enumerate(points)]
    for one in everyone:
        population.add(one)
        kept = {member.id for member in population}
        points = [member.evaluation for member in population]
        gone = [other for other in everyone[: one.id + 1] if other.id not in kept and other.evaluation not in points]
        assert not [(a.id, b.id) for a, b in itertools.product(gone, population) if dominates(a, b)]


def test_of_individuals_with_equal_objectives_the_newest_stays_and_the_distinct_come_before_them() -> None:
    population = RankedPopulation(3, TWO, RankAndCrowding())
    for number, (cost, gain) in enumerate([(1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (2.0, 0.0), (3.0, -1.0)]):
        population.add(individual(number, cost, gain))
    assert [member.id for member in population] == [2, 3, 4]


@given(pairs, st.randoms(use_true_random=False))
def test_a_full_pool_is_ranked_the_same_whatever_its_order(
    points: list[tuple[float, float, float]], shuffler: object
) -> None:
    everyone = [individual(number, *point) for number, point in enumerate(points)]
    shuffled = list(everyone)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    ranks = []
    for order in (everyone, shuffled):
        population = RankedPopulation(len(everyone), TWO, RankAndCrowding())
        for one in order:
            population.add(one)
        dropped = [population[position].id for position in population.ranking.worst(len(everyone) // 2)]
        ranks.append((population.ranking.rank.tolist(), dropped))
    assert ranks[0] == ranks[1]


@given(pairs)
def test_the_best_of_each_objective_is_never_lost(points: list[tuple[float, float, float]]) -> None:
    population = RankedPopulation(4, TWO, RankAndCrowding())
    feasible = []
    for number, point in enumerate(points):
        one = individual(number, *point)
        population.add(one)
        feasible += [one] if not point[2] else []
        if feasible:
            alive = [member.evaluation for member in population if not member.evaluation.violation]
            costs, gains = ([one.objectives[name] for one in alive] for name in ("cost", "gain"))
            assert min(costs) == min(member.evaluation.objectives["cost"] for member in feasible)
            assert max(gains) == max(member.evaluation.objectives["gain"] for member in feasible)


@given(pairs)
def test_the_front_holds_exactly_the_undominated_feasible(points: list[tuple[float, float, float]]) -> None:
    one = search(population=3)
    told = []
    for number, (cost, gain, violation) in enumerate(points):
        candidate = advance(one, Vector((float(number),)), evaluation(cost, gain, violation=violation))
        told.append(individual(candidate.id, cost, gain, violation))
    feasible = [member for member in told if not member.evaluation.violation]
    undominated = [a for a in feasible if not any(dominates(b, a) for b in feasible)]
    expected = {tuple(member.evaluation.objectives.items()) for member in undominated}
    assert {tuple(member.evaluation.objectives.items()) for member in one.front} == expected
    assert len(one.front) == len(expected)


def test_a_failed_evaluation_is_counted_and_is_never_a_parent() -> None:
    one = filled(3)
    failed = [advance(one, Vector((100.0 + number,)), evaluation(0, 9, outcome="crash")).id for number in range(5)]
    assert one.count_told == 8
    for _ in range(50):
        ask = one.ask()
        assert ask is not None
        assert not {parent.id for parent in ask.parents} & set(failed)


def test_the_same_genome_is_admitted_once() -> None:
    one = filled(3)
    ask = one.ask()
    assert ask is not None
    assert one.admit(ask, Proposal("ok", Vector((1.0,)))) == "it was proposed before"
    one.drop(ask)
    assert one.count_told == 3
    assert one.admitted == 3


def test_a_dropped_ask_costs_no_evaluation() -> None:
    one = filled(3, evaluations=5)
    for _ in range(20):
        ask = one.ask()
        assert ask is not None
        one.drop(ask)
    advance(one, Vector((50.0,)), evaluation(1, 1))
    advance(one, Vector((51.0,)), evaluation(1, 1))
    assert one.count_told == 5
    assert one.ask() is None


def test_asks_under_way_count_against_the_budget() -> None:
    one = filled(3, evaluations=5)
    assert one.ask() is not None
    assert one.ask() is not None
    assert one.ask() is None


def test_a_search_that_finds_nothing_new_ends() -> None:
    one = filled(3)
    for _ in range(one.settings.max_stale_proposals):
        ask = one.ask()
        assert ask is not None
        one.drop(ask)
    assert one.exhausted
    assert one.ask() is None


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_seed_gives_the_same_search(seed: int) -> None:
    asks = [[filled_search.ask() for _ in range(5)] for filled_search in (filled(30, seed=seed), filled(30, seed=seed))]
    assert asks[0] == asks[1]


def test_another_seed_gives_another_search() -> None:
    rows = []
    for seed in (1, 2):
        one = search(seed=seed)
        for number in range(12):
            advance(one, Vector((float(number),)), evaluation(number % 5, number % 3))
        rows.append([one.ask() for _ in range(10)])
    assert rows[0] != rows[1]


def test_parents_are_distinct_where_there_are_enough() -> None:
    one = filled(20)
    for _ in range(100):
        ask = one.ask()
        assert ask is not None
        assert len({parent.id for parent in ask.parents}) == len(ask.parents)


def test_better_ranked_individuals_are_parents_more_often() -> None:
    one = search(population=10)
    for number in range(10):
        advance(one, Vector((float(number),)), evaluation(number, -number))
    asks = [one.ask() for _ in range(2000)]
    times = np.bincount([ask.parents[0].id for ask in asks if ask], minlength=10)
    assert times[0] > 3 * times[9]
    assert times[9] >= 1 or times[8] >= 1


@pytest.mark.parametrize("told_meanwhile", [True, False])
def test_in_a_deterministic_search_duplicates_do_not_depend_on_results_meanwhile(
    told_meanwhile: bool,
) -> None:
    one = filled(8, deterministic=True, max_in_flight=4)
    one.settings = replace(one.settings, duplicate_filter=DuplicateFilter(text=0.9))
    first, second = one.ask(), one.ask()
    assert first is not None
    assert second is not None
    candidate = one.admit(first, Proposal("ok", Vector((0.123456789012,))))
    assert isinstance(candidate, Candidate)
    if told_meanwhile:
        one.tell(candidate, evaluation(-9, 9))
    twin = Proposal("ok", Vector((0.123456789013,)))
    # As versions compared that did not keep who lived when it was asked for.
    refusal = one.settings.duplicate_filter.duplicate(twin.genome, (), one.population) if twin.genome else ""
    assert bool(refusal) == told_meanwhile
    assert isinstance(one.admit(second, twin), Candidate)


@pytest.mark.parametrize("outcome", sorted(UNREADABLE))
def test_a_search_ends_soon_where_no_reply_could_ever_be_read(outcome: ProposalOutcome) -> None:
    never, once = filled(3), filled(3)
    once.drop(asked(once), outcome="duplicate")
    for each in (never, once):
        for _ in range(MAX_UNREADABLE):
            assert not each.exhausted
            each.drop(asked(each), outcome=outcome)
    assert never.exhausted
    assert never.ask() is None
    assert not once.exhausted


def test_other_reasons_of_proposals_do_not_end_a_search_soon() -> None:
    refused = filled(3)
    for _ in range(MAX_UNREADABLE + 5):
        refused.drop(asked(refused), outcome="refused")
    assert not refused.exhausted


def asked(searched: Search) -> Ask:
    ask = searched.ask()
    assert ask is not None
    return ask
