"""Laws of the evaluation policies: what every one keeps to, and that races find the best with few pulls."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError
from evo.policies.base import Policy, Pull, Rounds
from evo.policies.cascade import Cascade, Stage
from evo.policies.low_rank import LowRank
from evo.policies.minibatch import Full, Minibatch
from evo.policies.racing import Challenge, Race, Racing, chance_to_win
from evo.protocols import FloatArray
from tests.benchmarks.racing import CLOSE, PLAIN, POLICIES, SHARE, Matrix, challenged, found_best, over_seeds, played

STAGES = (Stage(0.2, keep=0.5), Stage(0.5, threshold=0.3), Stage(1.0))
SMALL = Matrix(candidates=12, cases=40)

Make = Callable[[np.random.Generator], Rounds]
EVERY: dict[str, Make] = {
    "full": lambda rng: Full(12, 40),
    "minibatch": lambda rng: Minibatch(12, 40, rng=rng, size=10),
    "cascade": lambda rng: Cascade(12, 40, stages=STAGES, rng=rng),
    "racing": lambda rng: Racing(12, 40, rng=rng, share=0.5),
    "low_rank": lambda rng: LowRank(12, 40, rng=rng, share=0.5, members=2),
    "challenge": lambda rng: Challenge(SMALL.scores(9)[0], rng=rng),
}
every = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
races = pytest.mark.parametrize("race", [Racing, LowRank])


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pulled(policy: Policy, scores: FloatArray, *, width: int, order: np.random.Generator) -> list[Pull]:
    """All pulls, in order of asking, the scores of those under way told in any order."""
    pulls: list[Pull] = []
    waiting: list[Pull] = []
    while not policy.done:
        new = policy.next(width - len(waiting))
        pulls, waiting = pulls + new, waiting + new
        pull = waiting.pop(int(order.integers(len(waiting))))
        policy.observe(pull, scores[pull.candidate, pull.case])
    return pulls


@every
def test_no_pull_is_made_twice_and_none_outside_the_matrix(make: Make) -> None:
    policy = make(generator())
    pulls = pulled(policy, SMALL.scores(1), width=7, order=generator(1))
    candidates, cases = policy.seen.shape
    assert len(set(pulls)) == len(pulls) == policy.seen.sum() > 0
    assert all(0 <= one.candidate < candidates and 0 <= one.case < cases for one in pulls)


@every
@given(width=st.integers(1, 200), seed=st.integers(0, 99))
def test_neither_width_nor_the_order_of_scores_changes_what_is_pulled(make: Make, width: int, seed: int) -> None:
    scores = SMALL.scores(2)
    one, other = make(generator()), make(generator())
    assert pulled(one, scores, width=1, order=generator()) == pulled(other, scores, width=width, order=generator(seed))
    assert one.estimates() == other.estimates()
    assert one.best == other.best


@every
def test_a_policy_that_is_done_has_no_pull_left(make: Make) -> None:
    policy = make(generator())
    played(policy, SMALL.scores(1))
    assert policy.next(10) == []


@every
def test_a_score_is_taken_once_and_only_for_a_pull_under_way(make: Make) -> None:
    policy = make(generator())
    with pytest.raises(ValueError, match="is not under way"):
        policy.observe(Pull(0, 0), 1.0)
    first = policy.next(1)[0]
    with pytest.raises(ValueError, match="must be finite, got nan"):
        policy.observe(first, math.nan)
    policy.observe(first, 1.0)
    with pytest.raises(ValueError, match="is not under way"):
        policy.observe(first, 1.0)


@every
def test_estimates_lie_within_their_bounds_and_are_there_before_any_score(make: Make) -> None:
    policy = make(generator())
    assert all(one.lower == -math.inf and one.upper == math.inf for one in policy.estimates())
    pulled(policy, SMALL.scores(3), width=5, order=generator())
    for estimate in policy.estimates():
        assert estimate.lower <= estimate.mean <= estimate.upper
        assert math.isfinite(estimate.lower)


def test_full_knows_every_mean_exactly() -> None:
    scores = SMALL.scores(4)
    policy = Full(12, 40)
    played(policy, scores)
    assert [one.mean for one in policy.estimates()] == pytest.approx(scores.mean(axis=1))
    assert all(one.upper == pytest.approx(one.lower) for one in policy.estimates())
    assert policy.best == scores.mean(axis=1).argmax()


def test_a_minibatch_has_the_same_cases_for_all_and_others_for_another_generator() -> None:
    batches = []
    for seed in range(2):
        policy = Minibatch(12, 40, rng=generator(seed), size=10)
        played(policy, SMALL.scores(4))
        assert (policy.seen == policy.seen[0]).all()
        assert policy.seen[0].sum() == 10
        batches.append(policy.seen[0].tolist())
    assert batches[0] != batches[1]


def test_who_falls_below_a_threshold_sees_no_later_case() -> None:
    scores = np.repeat(np.arange(10)[:, None] / 10, 20, axis=1)
    policy = Cascade(10, 20, stages=[Stage(0.25, threshold=0.45), Stage(1.0)], rng=generator())
    played(policy, scores)
    assert policy.seen.sum(axis=1).tolist() == [5] * 5 + [20] * 5
    assert policy.live.tolist() == [5, 6, 7, 8, 9]
    assert policy.best == 9


def test_a_stage_keeps_the_best_fraction() -> None:
    scores = np.repeat(np.arange(10)[:, None] / 10, 20, axis=1)
    policy = Cascade(10, 20, stages=[Stage(0.25, keep=0.3), Stage(1.0, keep=0.1)], rng=generator())
    played(policy, scores)
    assert policy.seen.sum(axis=1).tolist() == [5] * 7 + [20] * 3
    assert policy.live.tolist() == [9]


def test_the_best_of_a_cascade_is_of_those_who_got_furthest() -> None:
    scores = np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 0.5, 0.5, 0.5]])
    policy = Cascade(2, 4, stages=[Stage(0.25), Stage(0.5, threshold=0.6), Stage(1.0)], rng=generator(), order=range(4))
    played(policy, scores)
    assert policy.seen.sum(axis=1).tolist() == [2, 4]
    assert policy.best == 1


def test_a_cascade_that_nobody_passes_ends_early() -> None:
    policy = Cascade(3, 10, stages=[Stage(0.1, threshold=0.5), Stage(1.0)], rng=generator())
    assert played(policy, np.zeros((3, 10))) == 3
    assert policy.live.tolist() == []


def test_an_order_is_followed_cheap_cases_first() -> None:
    policy = Cascade(1, 4, stages=[Stage(1.0)], rng=generator(), order=[2, 0, 3, 1])
    assert [one.case for one in policy.next(4)] == [2, 0, 3, 1]


@races
def test_a_race_finds_the_best_with_a_small_part_of_the_pulls(race: type[Race]) -> None:
    make = POLICIES["racing" if race is Racing else "low_rank"]
    figures = over_seeds(PLAIN, make, 15)
    assert figures.largest_share <= SHARE
    assert figures.found >= 14


def test_a_race_finds_what_even_sampling_misses() -> None:
    even, raced = (over_seeds(CLOSE, POLICIES[name], 20).found for name in ("minibatch", "racing"))
    assert raced >= even + 6


@races
def test_an_easy_race_ends_long_before_the_pulls_are_used_up(race: type[Race]) -> None:
    scores = (generator(5).random((20, 200)) < np.linspace(0.1, 0.6, 20)[:, None]).astype(float)
    scores[7] = 1.0
    policy = race(20, 200, rng=generator(), share=1.0)
    assert played(policy, scores) < 1000
    assert policy.best == 7


@races
def test_a_race_to_the_end_errs_no_more_often_than_allowed(race: type[Race]) -> None:
    made = Matrix(candidates=10, cases=200)
    wrong = 0
    for seed in range(25):
        scores = made.scores(seed)
        policy = race(10, 200, rng=generator(seed), share=1.0, error=0.05)
        played(policy, scores)
        wrong += scores.mean(axis=1)[policy.best] < scores.mean(axis=1).max()
    assert wrong <= 2


@races
def test_a_race_goes_on_as_before_when_scores_have_another_unit(race: type[Race]) -> None:
    scores = SMALL.scores(6)
    one, other = (race(12, 40, rng=generator(), share=0.5) for _ in range(2))
    pulls = pulled(one, scores, width=4, order=generator())
    assert pulled(other, 1024 * scores - 256, width=4, order=generator()) == pulls
    assert one.best == other.best


@races
def test_scores_that_are_all_equal_end_a_race_or_use_it_up(race: type[Race]) -> None:
    policy = race(5, 30, rng=generator(), share=0.8)
    assert played(policy, np.full((5, 30), 0.5)) <= 120
    assert [one.mean for one in policy.estimates()] == pytest.approx([0.5] * 5)


@races
def test_one_candidate_has_won_at_once(race: type[Race]) -> None:
    policy = race(1, 300, rng=generator())
    assert played(policy, np.ones((1, 300))) <= 10
    assert policy.best == 0


@races
def test_the_bounds_of_a_race_seldom_promise_too_much(race: type[Race]) -> None:
    made = Matrix(candidates=30, cases=200)
    held, below = [], []
    for seed in range(8):
        scores = made.scores(seed)
        policy = race(30, 200, rng=generator(seed), share=0.3)
        played(policy, scores)
        for one, mean in zip(policy.estimates(), scores.mean(axis=1), strict=True):
            held.append(one.lower <= mean <= one.upper)
            below.append(mean < one.lower)
    assert np.mean(held) > 0.8
    assert np.mean(below) < 0.05


def test_factors_that_are_there_make_better_estimates() -> None:
    rng = generator(8)
    scores = 0.5 + 0.1 * rng.normal(size=(30, 1)) + rng.normal(size=(30, 2)) @ rng.normal(0.0, 0.3, (2, 200))
    known, unknown = LowRank(30, 200, rng=generator(), rank=2), LowRank(30, 200, rng=generator(), rank=0)
    for policy in (known, unknown):
        played(policy, scores)
    errors = [np.abs([one.mean for one in p.estimates()] - scores.mean(axis=1)).mean() for p in (known, unknown)]
    assert errors[0] < 0.7 * errors[1]
    assert found_best(known, scores)


def test_a_hopeless_candidate_is_stopped_and_seldom_wrongly() -> None:
    outcomes = [outcome for seed in range(3) for outcome in challenged(PLAIN, seed)]
    better_of_stopped = [better for better, early, _ in outcomes if early]
    early_of_better = [early for better, early, _ in outcomes if better]
    assert np.mean(better_of_stopped) <= 0.01
    assert np.mean(early_of_better) <= 0.1
    assert np.mean([pulls for _, _, pulls in outcomes]) < 0.5 * PLAIN.cases


def test_a_limit_of_zero_stops_nobody() -> None:
    challenge = Challenge(np.ones(50), rng=generator(), limit=0.0)
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
        (lambda: Full(0, 3), "needs candidates and cases, got 0 and 3"),
        (lambda: Minibatch(2, 3, rng=generator(), size=0), "at least one case, got size 0"),
        (lambda: Stage(0.0), r"share of a stage lies in \(0, 1\], got 0.0"),
        (lambda: Stage(0.5, keep=1.5), r"keep of a stage lies in \(0, 1\], got 1.5"),
        (lambda: Cascade(2, 3, stages=[], rng=generator()), "stages with growing shares"),
        (lambda: Cascade(2, 3, stages=[Stage(0.5), Stage(0.5)], rng=generator()), "stages with growing shares"),
        (lambda: Cascade(2, 3, stages=[Stage(1)], rng=generator(), order=[0, 1]), "names each of the 3 cases once"),
        (lambda: Racing(10, 5, rng=generator(), share=0.1), "a share in .0, 1. that gives each at least one pull"),
        (lambda: Racing(10, 5, rng=generator(), share=0.5, error=0.0), "an error in .0, 1., got 0.5 and 0.0"),
        (lambda: LowRank(10, 50, rng=generator(), members=1), "at least 2 members, got 2 and 1"),
        (lambda: Challenge([1.0], rng=generator(), limit=0.5), r"a limit in \[0, 0.5\)"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(make: Callable[[], object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        make()
