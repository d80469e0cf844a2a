"""Laws of the evaluation policies: what every schedule keeps to, and that races find the best with few pulls."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError
from evo.policies.base import CandidateBatch, Pull, RoundSchedule, Schedule
from evo.policies.cascade import Cascade, CascadeSchedule, Stage
from evo.policies.challenge import Challenge, ChallengeSchedule, chance_to_win
from evo.policies.full import Full
from evo.policies.low_rank import LowRank, LowRankSchedule
from evo.policies.minibatch import Minibatch, MinibatchSchedule
from evo.policies.racing import Racing, RacingSchedule
from evo.protocols import FloatArray
from tests.benchmarks.racing import (
    CLOSE,
    PLAIN,
    POLICIES,
    SHARE,
    Matrix,
    best_estimate,
    challenged,
    found_best,
    over_seeds,
    played,
)

STAGES = (Stage(0.2, keep=0.5), Stage(0.5, threshold=0.3), Stage(1.0))
SMALL = Matrix(candidates=12, cases=40)

Race = Callable[..., RacingSchedule | LowRankSchedule]
Make = Callable[[np.random.Generator], RoundSchedule]


def race(candidates: int, cases: int, *, rng: np.random.Generator, **options: Any) -> RacingSchedule:
    return RacingSchedule(candidates, cases, rng=rng, policy=Racing(**options))


def race_low_rank(candidates: int, cases: int, *, rng: np.random.Generator, **options: Any) -> LowRankSchedule:
    return LowRankSchedule(candidates, cases, rng=rng, policy=LowRank(**options))


SCHEDULES: dict[str, Make] = {
    "minibatch": lambda rng: MinibatchSchedule(12, 40, rng=rng, size=10),
    "cascade": lambda rng: CascadeSchedule(12, 40, stages=STAGES, rng=rng),
    "racing": lambda rng: race(12, 40, rng=rng, share=0.5),
    "low_rank": lambda rng: race_low_rank(12, 40, rng=rng, share=0.5, members=2),
    "challenge": lambda rng: ChallengeSchedule(SMALL.scores(9)[0], rng=rng),
}
every = pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
races = pytest.mark.parametrize("race", [race, race_low_rank], ids=["racing", "low_rank"])


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pulled(schedule: Schedule, scores: FloatArray, *, width: int, order: np.random.Generator) -> list[Pull]:
    """All pulls, in the order in which they were named; scores of those under way arrive in any order."""
    pulls: list[Pull] = []
    waiting: list[Pull] = []
    while not schedule.done:
        new = schedule.next(width - len(waiting))
        pulls, waiting = pulls + new, waiting + new
        pull = waiting.pop(int(order.integers(len(waiting))))
        schedule.observe(pull, scores[pull.candidate, pull.case])
    return pulls


@every
def test_no_pull_is_made_twice_and_none_outside_the_matrix(make: Make) -> None:
    schedule = make(generator())
    pulls = pulled(schedule, SMALL.scores(1), width=7, order=generator(1))
    candidates, cases = schedule.seen.shape
    assert len(set(pulls)) == len(pulls) == schedule.seen.sum() > 0
    assert all(0 <= pull.candidate < candidates and 0 <= pull.case < cases for pull in pulls)


@every
@given(width=st.integers(1, 200), seed=st.integers(0, 99))
def test_neither_width_nor_the_order_of_scores_changes_what_is_pulled(make: Make, width: int, seed: int) -> None:
    scores = SMALL.scores(2)
    one, other = make(generator()), make(generator())
    assert pulled(one, scores, width=1, order=generator()) == pulled(other, scores, width=width, order=generator(seed))
    assert one.estimates() == other.estimates()
    assert best_estimate(one) == best_estimate(other)


@every
def test_a_schedule_that_is_done_has_no_pull_left(make: Make) -> None:
    schedule = make(generator())
    played(schedule, SMALL.scores(1))
    assert schedule.next(10) == []


@every
def test_a_score_is_taken_once_and_only_for_a_pull_under_way(make: Make) -> None:
    schedule = make(generator())
    with pytest.raises(ValueError, match="is not under way"):
        schedule.observe(Pull(0, 0), 1.0)
    first = schedule.next(1)[0]
    with pytest.raises(ValueError, match="must be finite, got nan"):
        schedule.observe(first, math.nan)
    schedule.observe(first, 1.0)
    with pytest.raises(ValueError, match="is not under way"):
        schedule.observe(first, 1.0)


@every
def test_estimates_lie_within_their_bounds_and_are_there_before_any_score(make: Make) -> None:
    schedule = make(generator())
    assert all(estimate.lower == -math.inf and estimate.upper == math.inf for estimate in schedule.estimates())
    pulled(schedule, SMALL.scores(3), width=5, order=generator())
    for estimate in schedule.estimates():
        assert estimate.lower <= estimate.mean <= estimate.upper
        assert math.isfinite(estimate.lower)


def test_a_subset_of_all_cases_knows_every_mean_exactly() -> None:
    scores = SMALL.scores(4)
    schedule = MinibatchSchedule(12, 40, rng=generator(), size=40)
    played(schedule, scores)
    assert [estimate.mean for estimate in schedule.estimates()] == pytest.approx(scores.mean(axis=1))
    assert all(estimate.upper == pytest.approx(estimate.lower) for estimate in schedule.estimates())


def test_full_has_no_schedule_and_a_challenge_none_without_the_parents_scores() -> None:
    batch = CandidateBatch(1, ("a", "b"), incumbent={"a": 1.0})
    assert Full().start(batch) is None
    assert Challenge().start(batch) is None
    assert Challenge().start(CandidateBatch(1, ("a",), incumbent={"a": 1.0})) is not None


def test_batches_of_a_run_share_the_minibatch_and_the_order_of_a_cascade_but_not_that_of_a_race() -> None:
    cases = tuple(map(str, range(100)))

    def first_cases(policy: Minibatch | Cascade | Racing, first: int) -> set[int]:
        return {pull.case for pull in policy.start(CandidateBatch(4, cases, seed=3, first=first)).next(20)}

    for policy in (Minibatch(5), Cascade(stages=[{"share": 0.05, "threshold": 0.5}])):
        assert first_cases(policy, 0) == first_cases(policy, 4)
    assert first_cases(Racing(), 0) != first_cases(Racing(), 4)


def test_a_minibatch_has_the_same_cases_for_all_and_others_for_another_generator() -> None:
    batches = []
    for seed in range(2):
        schedule = MinibatchSchedule(12, 40, rng=generator(seed), size=10)
        played(schedule, SMALL.scores(4))
        assert (schedule.seen == schedule.seen[0]).all()
        assert schedule.seen[0].sum() == 10
        batches.append(schedule.seen[0].tolist())
    assert batches[0] != batches[1]


def test_a_candidate_below_a_threshold_sees_no_later_case() -> None:
    scores = np.repeat(np.arange(10)[:, None] / 10, 20, axis=1)
    schedule = CascadeSchedule(10, 20, stages=[Stage(0.25, threshold=0.45), Stage(1.0)], rng=generator())
    played(schedule, scores)
    assert schedule.seen.sum(axis=1).tolist() == [5] * 5 + [20] * 5
    assert schedule.live.tolist() == [5, 6, 7, 8, 9]


def test_a_stage_keeps_the_best_fraction() -> None:
    scores = np.repeat(np.arange(10)[:, None] / 10, 20, axis=1)
    schedule = CascadeSchedule(10, 20, stages=[Stage(0.25, keep=0.3), Stage(1.0, keep=0.1)], rng=generator())
    played(schedule, scores)
    assert schedule.seen.sum(axis=1).tolist() == [5] * 7 + [20] * 3
    assert schedule.live.tolist() == [9]


def test_a_cascade_promotes_the_eligible_that_passed_its_last_stage() -> None:
    scores = np.repeat(np.arange(10)[:, None] / 10, 20, axis=1)
    schedule = CascadeSchedule(10, 20, stages=[Stage(0.25, threshold=0.65)], rng=generator())
    played(schedule, scores)
    assert schedule.promoted(range(10)) == [7, 8, 9]
    assert schedule.promoted([0, 8]) == [8]


def test_a_cascade_takes_what_the_stage_says_whose_pulls_it_names() -> None:
    stages = [Stage(0.25), Stage(0.5, resources={"gpus": 1})]
    schedule = CascadeSchedule(1, 4, stages=stages, rng=generator())
    [pull] = schedule.next(9)
    assert schedule.resources == {}
    schedule.observe(pull, 1.0)
    assert schedule.resources == {"gpus": 1}


def test_a_cascade_that_no_candidate_passes_ends_early() -> None:
    schedule = CascadeSchedule(3, 10, stages=[Stage(0.1, threshold=0.5), Stage(1.0)], rng=generator())
    assert played(schedule, np.zeros((3, 10))) == 3
    assert schedule.live.tolist() == []


def test_an_order_is_followed_cheap_cases_first() -> None:
    schedule = CascadeSchedule(1, 4, stages=[Stage(1.0)], rng=generator(), order=[2, 0, 3, 1])
    assert [pull.case for pull in schedule.next(4)] == [2, 0, 3, 1]


@pytest.mark.parametrize("name", ["racing", "low_rank"])
def test_a_race_finds_the_best_with_a_small_part_of_the_pulls(name: str) -> None:
    figures = over_seeds(PLAIN, POLICIES[name], 15)
    assert figures.largest_share <= SHARE
    assert figures.found >= 14


def test_a_race_finds_what_even_sampling_misses() -> None:
    even, raced = (over_seeds(CLOSE, POLICIES[name], 20).found for name in ("minibatch", "racing"))
    assert raced >= even + 6


@races
def test_an_easy_race_ends_long_before_the_pulls_are_used_up(race: Race) -> None:
    scores = (generator(5).random((20, 200)) < np.linspace(0.1, 0.6, 20)[:, None]).astype(float)
    scores[7] = 1.0
    schedule = race(20, 200, rng=generator(), share=1.0)
    assert played(schedule, scores) < 1000
    assert best_estimate(schedule) == 7


@races
def test_a_race_to_the_end_errs_no_more_often_than_allowed(race: Race) -> None:
    made = Matrix(candidates=10, cases=200)
    wrong = 0
    for seed in range(25):
        scores = made.scores(seed)
        schedule = race(10, 200, rng=generator(seed), share=1.0, error=0.05)
        played(schedule, scores)
        wrong += scores.mean(axis=1)[best_estimate(schedule)] < scores.mean(axis=1).max()
    assert wrong <= 2


@races
def test_a_race_goes_on_as_before_when_scores_have_another_unit(race: Race) -> None:
    scores = SMALL.scores(6)
    one, other = (race(12, 40, rng=generator(), share=0.5) for _ in range(2))
    pulls = pulled(one, scores, width=4, order=generator())
    assert pulled(other, 1024 * scores - 256, width=4, order=generator()) == pulls
    assert best_estimate(one) == best_estimate(other)


@races
def test_scores_that_are_all_equal_end_a_race_or_use_it_up(race: Race) -> None:
    schedule = race(5, 30, rng=generator(), share=0.8)
    assert played(schedule, np.full((5, 30), 0.5)) <= 120
    assert [estimate.mean for estimate in schedule.estimates()] == pytest.approx([0.5] * 5)


@races
def test_a_single_candidate_has_won_at_once(race: Race) -> None:
    schedule = race(1, 300, rng=generator())
    assert played(schedule, np.ones((1, 300))) <= 10
    assert best_estimate(schedule) == 0


@races
def test_the_bounds_of_a_race_seldom_promise_too_much(race: Race) -> None:
    made = Matrix(candidates=30, cases=200)
    held, below = [], []
    for seed in range(8):
        scores = made.scores(seed)
        schedule = race(30, 200, rng=generator(seed), share=0.3)
        played(schedule, scores)
        for one, mean in zip(schedule.estimates(), scores.mean(axis=1), strict=True):
            held.append(one.lower <= mean <= one.upper)
            below.append(mean < one.lower)
    assert np.mean(held) > 0.8
    assert np.mean(below) < 0.05


def test_factors_that_are_there_make_better_estimates() -> None:
    rng = generator(8)
    scores = 0.5 + 0.1 * rng.normal(size=(30, 1)) + rng.normal(size=(30, 2)) @ rng.normal(0.0, 0.3, (2, 200))
    known, unknown = (race_low_rank(30, 200, rng=generator(), rank=rank) for rank in (2, 0))
    for schedule in (known, unknown):
        played(schedule, scores)
    truth = scores.mean(axis=1)
    errors = [np.abs([e.mean for e in schedule.estimates()] - truth).mean() for schedule in (known, unknown)]
    assert errors[0] < 0.7 * errors[1]
    assert found_best(known, scores)


def test_a_hopeless_candidate_is_pruned_and_seldom_wrongly() -> None:
    outcomes = [outcome for seed in range(3) for outcome in challenged(PLAIN, seed)]
    better_of_pruned = [better for better, early, _ in outcomes if early]
    early_of_better = [early for better, early, _ in outcomes if better]
    assert np.mean(better_of_pruned) <= 0.01
    assert np.mean(early_of_better) <= 0.1
    assert np.mean([pulls for _, _, pulls in outcomes]) < 0.5 * PLAIN.cases


def test_a_limit_of_zero_prunes_no_candidate() -> None:
    challenge = ChallengeSchedule(np.ones(50), rng=generator(), limit=0.0)
    assert played(challenge, np.zeros((1, 50))) == 50


def test_the_chance_to_win_is_certain_once_every_case_was_seen() -> None:
    assert chance_to_win([0.0, 1.0, -0.5], 3) == 1.0
    assert chance_to_win([0.0, -1.0, 0.5], 3) == 0.0
    assert chance_to_win([], 3) == chance_to_win([0.0, 0.0], 3) == 0.5


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 1.0]), min_size=1, max_size=20), st.integers(0, 19))
def test_the_chance_to_win_is_one_less_that_of_the_other_side(differences: list[float], extra: int) -> None:
    cases = len(differences) + 1 + extra
    turned = chance_to_win([-one for one in differences], cases)
    assert chance_to_win(differences, cases) == pytest.approx(1 - turned)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: MinibatchSchedule(0, 3, rng=generator(), size=1), "needs candidates and cases, got 0 and 3"),
        (lambda: MinibatchSchedule(2, 3, rng=generator(), size=0), "at least one case, got size 0"),
        (lambda: Stage(0.0), r"share of a stage lies in \(0, 1\], got 0.0"),
        (lambda: Stage(0.5, keep=1.5), r"keep of a stage lies in \(0, 1\], got 1.5"),
        (lambda: CascadeSchedule(2, 3, stages=[], rng=generator()), "stages with growing shares"),
        (lambda: CascadeSchedule(2, 3, stages=[Stage(0.5), Stage(0.5)], rng=generator()), "stages with growing shares"),
        (
            lambda: CascadeSchedule(2, 3, stages=[Stage(1)], rng=generator(), order=[0, 1]),
            "names each of the 3 cases once",
        ),
        (lambda: race(10, 5, rng=generator(), share=0.1), "a share in .0, 1. that gives each at least one pull"),
        (lambda: race(10, 5, rng=generator(), share=0.5, error=0.0), "an error in .0, 1., got 0.5 and 0.0"),
        (lambda: race_low_rank(10, 50, rng=generator(), members=1), "at least 2 members, got 2 and 1"),
        (lambda: ChallengeSchedule([1.0], rng=generator(), limit=0.5), r"a limit in \[0, 0.5\)"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(make: Callable[[], object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        make()
