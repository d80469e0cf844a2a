"""Laws of noisy searches: a lucky score does not lock them, and where nothing varies nothing changes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evo.genomes import Vector
from evo.policies.noise import challenger_of
from evo.protocols import Arm, Context, Problem
from evo.scoring import scored
from evo.search.generations import Generations
from evo.search.islands import IslandSettings
from evo.search.niches import Archive, Dimension, Niches, NicheSettings
from evo.search.noise import TRUSTED_AFTER, Noise, NoiseSettings, reevaluated_individual
from evo.search.population import RankedPopulation
from evo.search.search import ReevaluationResult, Search, SearchSettings, TellResult
from evo.survival import HypervolumeContribution, Lexicographic, Newest, RankAndCrowding, ReferenceDirections
from evo.survival.protocols import Population, Survival
from evo.testing.in_process import run_in_process
from evo.testing.toys import Fog, Nudge, Valley
from evo.values import (
    REEVALUATE_OPERATOR,
    SEED_OPERATOR,
    Ask,
    Candidate,
    Evaluation,
    Individual,
    Objective,
    Outcome,
    Proposal,
    Repeats,
)
from tests.support.made import TWO, evaluation, individual, island_of
from tests.support.runs import events

ARMS = (Arm("nudge", None, 1, 1.0),)
HEIGHT = (Objective("height", "max"),)

MakeLiving = Callable[[], Population]


def searching(
    settings: SearchSettings, problem: Problem, living: MakeLiving, evaluations: int
) -> tuple[Search, list[TellResult | ReevaluationResult]]:
    """A search that was told so many evaluations, one after the other; and what each of them changed."""
    search = Search(
        settings,
        problem.objectives,
        island=lambda number: island_of(living(), ARMS),
    )
    told: list[TellResult | ReevaluationResult] = []
    while len(told) < evaluations and (ask := search.ask()):
        told += advanced(search, ask, problem)
    return search, told


def advanced(search: Search, ask: Ask, problem: Problem) -> list[TellResult | ReevaluationResult]:
    if ask.operator == REEVALUATE_OPERATOR:
        genome = search.ask_snapshot(ask).parents[0].genome
        return [search.reevaluated(ask, scored(problem, genome, run_in_process, "train"))]
    proposal = proposed(search, ask, problem)
    candidate = search.admit(ask, proposal)
    if isinstance(candidate, str):
        search.drop(ask)
        return []
    return [search.tell(candidate, scored(problem, candidate.genome, run_in_process, "train"))]


def proposed(search: Search, ask: Ask, problem: Problem) -> Proposal:
    rng = np.random.default_rng((search.settings.seed, ask.id, 1))
    if ask.operator == SEED_OPERATOR:
        return Proposal("ok", problem.seeds(10, rng)[0])
    return asyncio.run(Nudge().propose(search.ask_snapshot(ask).parents, Context(rng, space=problem.space)))


def fog(seed: int, reevaluation_rate: float, *, evaluations: int = 400, **options: Any) -> Search:
    settings = SearchSettings(seed, 10_000, noise=NoiseSettings(reevaluation_rate))
    population: MakeLiving = lambda: RankedPopulation(10, HEIGHT, RankAndCrowding())  # noqa: E731
    return searching(settings, Fog(**options), population, evaluations)[0]


def test_a_lucky_score_locks_a_search_without_re_evaluation_only() -> None:
    truths = {
        share: [Fog.truth(fog(seed, share, luck=6.0).best["height"].genome) for seed in range(8)]
        for share in (0.0, 0.3)
    }
    assert truths[0.0] == [-4.5] * 8, "the seed was lucky, and nobody ever measures so much again"
    assert sum(truth > -0.2 for truth in truths[0.3]) >= 7
    assert min(truths[0.3]) > -1.0


def test_re_evaluation_finds_better_individuals_at_the_same_cost_without_an_outlier_too() -> None:
    alone, ruled = (
        [Fog.truth(fog(seed, share, deviation=0.6).best["height"].genome) for seed in range(12)] for share in (0.0, 0.3)
    )
    assert np.median(ruled) > np.median(alone)


def test_with_repeats_members_are_evaluated_so_often_before_there_are_offspring() -> None:
    settings = SearchSettings(0, 10_000, noise=NoiseSettings(repeats=3))
    foggy, asked = Fog(luck=6.0), []
    search, _ = searching(settings, foggy, lambda: RankedPopulation(10, HEIGHT, RankAndCrowding()), 0)
    for _ in range(300):
        ask = search.ask()
        assert ask is not None
        if ask.operator not in (REEVALUATE_OPERATOR, SEED_OPERATOR):
            assert all(member.measurements == 3 for member in search.population)
        asked.append(ask.operator)
        advanced(search, ask, foggy)
    assert asked[:4] == [SEED_OPERATOR, REEVALUATE_OPERATOR, REEVALUATE_OPERATOR, "nudge"]
    assert max(member.measurements for member in search.population) == 3
    assert Fog.truth(search.best["height"].genome) > -4.4, "the lucky seed was found out"


@pytest.mark.parametrize("survival", [RankAndCrowding(), ReferenceDirections(), HypervolumeContribution()])
def test_where_nothing_varies_measuring_again_changes_nothing(survival: Survival) -> None:
    settings = SearchSettings(0, 10_000, noise=NoiseSettings(0.4))
    living: MakeLiving = lambda: RankedPopulation(8, Valley.objectives, survival)  # noqa: E731
    search, told = searching(settings, Valley(), living, 5)
    for _ in range(120):
        before, reading = standing(search), search.indicators.reading
        ask = search.ask()
        assert ask is not None
        again = ask.operator == REEVALUATE_OPERATOR
        told += advanced(search, ask, Valley())
        if again:
            assert standing(search) == before
            assert search.indicators.reading.front == reading.front
            assert search.indicators.reading.hypervolume == pytest.approx(reading.hypervolume)
            assert search.indicators.reading.diversity == pytest.approx(reading.diversity)
    times = sum(isinstance(result, ReevaluationResult) for result in told)
    assert 10 <= times <= 20, "no more once nothing has varied for long"


def standing(search: Search) -> list[Any]:
    return [
        [member.id for member in search.population],
        [member.id for member in search.front],
        {name: (one.id, one.compared) for name, one in search.best.items()},
        [island.population.ranking.rank.tolist() for island in search.population.islands],  # type: ignore[attr-defined]
        search.indicators.reading.best,
    ]


@pytest.mark.parametrize(
    "survival", [RankAndCrowding(), ReferenceDirections(), HypervolumeContribution(), Lexicographic()]
)
def test_a_population_after_a_revision_or_removal_is_as_if_made_so(survival: Survival) -> None:
    points = np.random.default_rng(4).random((2, 12, 2))
    before, after = ([individual(number, *point) for number, point in enumerate(some)] for some in points)
    revised, fresh, smaller = (RankedPopulation(12, TWO, survival) for _ in range(3))
    for one in before:
        revised.add(one)
    for one in after:
        fresh.add(one)
        smaller.add(one) if one.id != 5 else None
    revised.revise({one.id: one for one in after})
    assert (list(revised), revised.ranking.rank.tolist()) == (list(fresh), fresh.ranking.rank.tolist())
    revised.remove(5)
    assert (list(revised), revised.ranking.rank.tolist()) == (list(smaller), smaller.ranking.rank.tolist())
    assert revised.ranking.worst(6) == smaller.ranking.worst(6)


def test_a_niche_knows_what_its_elite_is_worth_by_now_and_that_it_left() -> None:
    niches = Niches(Archive(NicheSettings({"x:0": Dimension(0.0, 2.0, 2)}, qd_score_offset=10.0)), TWO, Lexicographic())
    for number in (0, 1):
        niches.add(individual(number, 4.0 + number, 0.0))
    assert niches.qd_score == 11.0
    niches.revise({0: individual(0, 9.0, 0.0)})
    assert niches.qd_score == 6.0
    niches.remove(1)
    assert (niches.qd_score, niches.coverage, len(niches)) == (1.0, 0.5, 1)


def test_the_journal_of_a_run_that_measures_once_says_nothing_of_noise(toy_run: Path) -> None:
    assert not [
        event for event in events(toy_run) if event["event"] == "reevaluation" or {"compared", "leaders"} & {*event}
    ]


def test_without_noise_settings_nothing_is_re_evaluated_or_appraised() -> None:
    search = fog(0, 0.0)
    assert not any(member.repeats or member.appraised for member in search.population)


SIDES = NicheSettings({"x:0": Dimension(-2.0, 2.0, 6)}, elites_per_cell=2)
LIVINGS: dict[str, MakeLiving] = {
    "rank_and_crowding": lambda: RankedPopulation(10, HEIGHT, RankAndCrowding()),
    "nsga3": lambda: RankedPopulation(10, HEIGHT, ReferenceDirections()),
    "sms_emoa": lambda: RankedPopulation(10, HEIGHT, HypervolumeContribution()),
    "lexicographic": lambda: RankedPopulation(10, HEIGHT, Lexicographic()),
    "newest": lambda: RankedPopulation(10, HEIGHT, Newest()),
    "generations": lambda: Generations(RankedPopulation(10, HEIGHT, RankAndCrowding()), 7),
    "niches": lambda: Niches(Archive(SIDES), HEIGHT, Lexicographic()),
}


@pytest.mark.parametrize("name", LIVINGS)
@pytest.mark.parametrize("count", [1, 3])
def test_an_individual_is_the_same_in_populations_front_and_bests(name: str, count: int) -> None:
    islands = IslandSettings(count=count, every=10, reset_every=90)
    settings = SearchSettings(1, 10_000, islands=islands, noise=NoiseSettings(0.3))
    search, told = searching(settings, Fog(luck=6.0, crash_again=1.0), LIVINGS[name], 300)
    assert any(isinstance(result, ReevaluationResult) and result.gone for result in told), (
        "some failed when they were measured again"
    )
    everywhere = [*search.front, *search.best.values(), *search.population]
    known = {member.id: member for member in everywhere}
    assert all(member == known[member.id] for member in everywhere)
    measured = {member.id: 1 for member in known.values()}
    for one in told:
        if isinstance(one, ReevaluationResult) and one.evaluation.outcome == "ok" and one.individual.id in measured:
            measured[one.individual.id] += 1
    assert {member.id: member.measurements for member in known.values()} == measured
    assert max(measured.values()) > 1


@pytest.mark.parametrize("name", [name for name in LIVINGS if name != "newest"])
def test_bests_and_front_are_of_the_values_compared(name: str) -> None:
    settings = SearchSettings(2, 10_000, noise=NoiseSettings(0.3))
    search, _ = searching(settings, Fog(), LIVINGS[name], 200)
    best = search.best["height"]
    assert [member.id for member in search.front] == [best.id]
    assert best.compared["height"] == max(member.compared["height"] for member in search.population)
    assert best.compared["height"] < best.evaluation.objectives["height"]
    assert search.indicators.reading.best == {"height": best.compared["height"]}


def test_compared_by_the_mean_the_bound_does_not_count() -> None:
    settings = SearchSettings(2, 10_000, noise=NoiseSettings(0.3, compare="mean"))
    search, _ = searching(settings, Fog(), LIVINGS["rank_and_crowding"], 200)
    assert all(member.compared == member.evaluation.objectives for member in search.population)
    assert max(member.measurements for member in search.population) > 3


def test_a_bound_is_on_the_bad_side_of_each_objective_and_nearer_the_more_is_known() -> None:
    noise = Noise(NoiseSettings(0.3), TWO, {"cost": 1.0, "gain": 4.0})
    once = individual(0, 10.0, 10.0)
    often = once
    for _ in range(8):
        often = reevaluated_individual(often, evaluation(10.0, 10.0), TWO)
    first, last = noise.appraised(once).compared, noise.appraised(often).compared
    assert first["cost"] > last["cost"] > 10.0
    assert first["gain"] < last["gain"] < 10.0
    assert 10.0 - first["gain"] == pytest.approx(2 * (first["cost"] - 10.0))


def test_objectives_violations_and_cases_are_means_over_the_measurements() -> None:
    one = Individual(
        *(0, 0, Ask(0, "seed"), Vector((0.0,))),
        Evaluation("ok", {"cost": 1.0, "gain": 0.0}, {"limit": 3.0}, "first", cases={"a": 1.0, "b": 5.0}),
    )
    one = reevaluated_individual(one, Evaluation("ok", {"cost": 3.0, "gain": 0.5}, {}, "second", cases={"a": 0.0}), TWO)
    one = reevaluated_individual(
        one, Evaluation("ok", {"cost": 5.0, "gain": 1.0}, {"other": 6.0}, cases={"a": 0.5}), TWO
    )
    assert one.evaluation.objectives == {"cost": pytest.approx(3.0), "gain": pytest.approx(0.5)}
    assert one.evaluation.violations == {"limit": pytest.approx(1.0), "other": pytest.approx(2.0)}
    assert one.evaluation.cases == {"a": pytest.approx(0.5), "b": 5.0}
    assert one.evaluation.feedback == "first"
    assert one.repeats["cost"] == Repeats.of([1.0, 3.0, 5.0])


def test_values_without_bounds_end_in_no_nan() -> None:
    one = individual(0, 1.7e308, -1.7e308)
    for value in (-1.7e308, 1.7e308, 0.0):
        one = reevaluated_individual(one, evaluation(value, value), TWO)
    noise = Noise(NoiseSettings(0.3), TWO).learnt([one])
    assert all(math.isfinite(value) for value in noise.appraised(one).compared.values())
    assert noise.most_uncertain([one, individual(1, 0.0, 0.0)], ()) is not None


def measured(*values: Sequence[float]) -> tuple[Noise, list[Individual]]:
    """What is known of noise after individuals were measured to these heights, one after the other."""
    members = []
    for number, heights in enumerate(values):
        ask = Ask(number, "seed")
        member = Individual(number, number, ask, Vector((0.0,)), Evaluation("ok", {"height": heights[0]}))
        for height in heights[1:]:
            member = reevaluated_individual(member, Evaluation("ok", {"height": height}), HEIGHT)
        members.append(member)
    return Noise(NoiseSettings(0.3), HEIGHT).learnt(members), members


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # A lucky leader that was measured once comes first.
        ([(0.1, 0.3), (0.2, 0.0), (0.45,)], 2),
        # Of leader and challenger it is whichever is known less well.
        ([(1.0, 1.4, 1.2, 1.2), (0.8, 1.2)], 1),
        # Where leader and rest are far apart, where nothing varies, and alone, nothing is uncertain.
        ([(0.0, 0.1, 0.2), (9.0, 9.1, 9.2)], None),
        ([(1.0, 1.5)], None),
    ],
)
def test_re_evaluation_goes_to_the_uncertain_leader_or_its_challenger(
    values: list[tuple[float, ...]], expected: int | None
) -> None:
    noise, members = measured(*values)
    found = replace(noise, repeated=TRUSTED_AFTER).most_uncertain(members, ())
    assert (None if found is None else found.id) == expected


def test_no_leader_is_beyond_doubt_while_few_re_evaluations_say_how_much_values_vary() -> None:
    noise, members = measured((1.0,), (2.0,))
    assert noise.most_uncertain(members, ()) == members[1]
    noise, members = measured((0.0,), (9.0, 9.0001))
    for repeated, expected in ((TRUSTED_AFTER - 1, members[1]), (TRUSTED_AFTER, None)):
        assert replace(noise, repeated=repeated).most_uncertain(members, ()) == expected


def test_a_challenger_may_dominate_the_leader_and_there_is_none_beyond_doubt() -> None:
    means = np.array([[0.0, 1.0], [0.1, 1.1], [1.0, 0.0]])
    assert challenger_of(0, means, np.full((3, 2), 0.01)) == 1
    assert challenger_of(2, means, np.full((3, 2), 0.01)) is None
    assert challenger_of(0, means, np.zeros((3, 2))) is None
    assert challenger_of(0, np.array([[0.0, 1.0], [0.1, 1.0]]), np.array([[0.01, 0.0]] * 2)) == 1


def test_no_individual_is_re_evaluated_twice_at_once_and_only_the_feasible_are() -> None:
    noise = Noise(NoiseSettings(0.3), TWO)
    living = [individual(0, 1.0, 1.0), individual(1, 2.0, 2.0), individual(2, 0.0, 9.0, violation=1.0)]
    first = noise.most_uncertain(living, ())
    assert first is not None
    second = noise.most_uncertain(living, (first.id,))
    assert second is not None
    assert {first.id, second.id} == {0, 1}
    assert noise.most_uncertain(living, (0, 1)) is None
    assert noise.most_uncertain(living[1:], ()) is None


def again(search: Search, result: Evaluation) -> ReevaluationResult:
    """Ask until somebody is to be measured again, and tell the result."""
    while ask := search.ask():
        if ask.operator == REEVALUATE_OPERATOR:
            return search.reevaluated(ask, result)
        search.drop(ask)
    raise AssertionError("nobody was to be measured again")


def made(heights: list[float], size: int = 10) -> Search:
    """A search of a population of this size whose individual k was measured to be heights[k]."""
    settings = SearchSettings(0, 10_000, noise=NoiseSettings(0.5, compare="mean"))
    living = RankedPopulation(size, HEIGHT, RankAndCrowding())
    search = Search(settings, HEIGHT, island=lambda number: island_of(living, ARMS))
    while search.count_told < len(heights):
        ask = search.ask()
        assert ask is not None
        if ask.operator == REEVALUATE_OPERATOR:
            result = search.reevaluated(ask, Evaluation("lost"))
            heights = [*heights[: result.tell], math.nan, *heights[result.tell :]]
            continue
        candidate = search.admit(ask, Proposal("ok", Vector((float(ask.id),))))
        assert isinstance(candidate, Candidate)
        search.tell(candidate, Evaluation("ok", {"height": heights[search.count_told]}))
    return search


def test_a_leader_that_is_measured_to_be_worse_falls_and_the_next_comes_into_the_front() -> None:
    search = made([1.0, 5.0, 2.0])
    leader = search.best["height"].id
    told = again(search, Evaluation("ok", {"height": -5.0}))
    assert told.individual.id == leader
    assert told.individual.evaluation.objectives == {"height": 0.0}
    assert told.left_front == (leader,)
    assert told.entered_front == (search.best["height"].id,)
    assert search.best["height"].id != leader
    assert search.indicators.reading.front == 1


@pytest.mark.parametrize("outcome", ["crash", "timeout", "oom", "invalid"])
def test_a_failed_re_evaluation_removes_the_individual_for_good(outcome: Outcome) -> None:
    search = made([1.0, 5.0, 2.0])
    leader, told = search.best["height"].id, search.count_told
    result = again(search, Evaluation(outcome))
    assert result.gone == (0,)
    assert search.count_told == told + 1
    assert leader not in {member.id for member in (*search.population, *search.front, *search.best.values())}


def test_a_lost_measurement_says_nothing_but_counts() -> None:
    search = made([1.0, 5.0, 2.0])
    before, told = search.best["height"], search.count_told
    result = again(search, Evaluation("lost"))
    assert (result.gone, result.left_front, result.individual) == ((), (), before)
    assert (search.best["height"], search.count_told) == (before, told + 1)


def test_the_last_of_all_stays_even_if_it_fails() -> None:
    search = made([1.0, 5.0])
    for _ in range(3):
        if len(search.population) > 1:
            again(search, Evaluation("crash"))
    assert len(search.population) == 1
    assert len(search.front) == 1


def test_failed_re_evaluations_do_not_count_as_values_that_agree() -> None:
    search = made([float(height) for height in range(TRUSTED_AFTER + 10)], size=TRUSTED_AFTER + 10)
    for _ in range(TRUSTED_AFTER + 5):
        again(search, Evaluation("crash"))
    assert len(search.population) == 5


def test_an_individual_that_left_during_its_re_evaluation_stays_out() -> None:
    search = made([1.0, 5.0, 2.0])
    asks = []
    while len(asks) < 1:
        ask = search.ask()
        assert ask is not None
        asks += [ask] if ask.operator == REEVALUATE_OPERATOR else []
    leader = search.best["height"].id
    assert asks[0].parents[0].id == leader
    search.population.remove(leader)
    search.front, search.best = type(search.front)(1), {}
    search.reevaluated(asks[0], Evaluation("ok", {"height": 50.0}))
    assert leader not in {member.id for member in (*search.population, *search.front, *search.best.values())}
