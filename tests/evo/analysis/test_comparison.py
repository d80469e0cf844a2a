"""Laws of comparing: gains, intervals, remarks. Those of the command are in tests/evo/cli/test_compare.py."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evo.analysis.comparison import Comparison, Result, compare, paired_gain, reference_of
from evo.values import Objective

COST, SCORE = Objective("cost", "min", "s"), Objective("score", "max")
PAIRS = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=12)


def result(method: str, seed: int, value: float, **more: Any) -> Result:
    return Result(method, seed, value, **{"final": None, "evaluations": 100, "usd": 0.0, **more})


def results(method: str, *values: float, **more: Any) -> list[Result]:
    return [result(method, seed, value, **more) for seed, value in enumerate(values)]


def compared(*lists: list[Result], objective: Objective = COST, part: str | None = None) -> Comparison:
    return compare([one for each in lists for one in each], [each[0].method for each in lists], objective, part=part)


@given(PAIRS, st.sampled_from([COST, SCORE]))
def test_the_gain_of_one_over_the_other_is_the_loss_of_the_other(
    pairs: list[tuple[float, float]], objective: Objective
) -> None:
    one, other = zip(*pairs, strict=True)
    gain, loss = paired_gain(one, other, objective), paired_gain(other, one, objective)
    assert loss["mean"] == -gain["mean"]
    assert (loss["won"], loss["lost"], loss["tied"]) == (gain["lost"], gain["won"], gain["tied"])
    assert loss["without"] == gain["without"]
    if gain["interval"]:
        low, high = gain["interval"]
        assert loss["interval"] == pytest.approx((-high, -low), rel=1e-12)
        assert low <= gain["mean"] <= high


@given(PAIRS)
def test_a_gain_turns_round_with_the_direction(pairs: list[tuple[float, float]]) -> None:
    one, other = zip(*pairs, strict=True)
    smaller, larger = paired_gain(one, other, COST), paired_gain(one, other, SCORE)
    assert smaller["mean"] == -larger["mean"]
    assert smaller["won"] == larger["lost"]


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_runs_does_not_matter(pairs: list[tuple[float, float]], shuffler: random.Random) -> None:
    runs = [
        result(method, seed, value, final=-value, usd=abs(value))
        for seed, pair in enumerate(pairs)
        for method, value in zip(("evolve", "best_of_n"), pair, strict=True)
    ]
    mixed = list(runs)
    shuffler.shuffle(mixed)
    methods = ["evolve", "best_of_n"]
    assert compare(mixed, methods, COST, part="holdout") == compare(runs, methods, COST, part="holdout")


@given(PAIRS, st.integers(-100, 100))
def test_what_both_have_in_common_is_no_gain(pairs: list[tuple[float, float]], shift: int) -> None:
    assume(len(pairs) >= 3)
    one, other = zip(*pairs, strict=True)
    gain = paired_gain(one, other, COST)
    shifted = paired_gain([value + shift for value in one], [value + shift for value in other], COST)
    assert shifted["mean"] == pytest.approx(gain["mean"], abs=1e-6)


@pytest.mark.parametrize("seeds", [3, 5, 12])
def test_the_interval_covers_the_true_mean_in_95_of_100_cases(seeds: int) -> None:
    rng, cases, true = np.random.default_rng(seeds), 3000, 0.4
    covered = 0
    for _ in range(cases):
        luck = rng.normal(10, 5, seeds)  # which both methods share, and pairing takes out
        other, one = luck + rng.normal(0, 1, seeds), luck - true + rng.normal(0, 1, seeds)
        low, high = paired_gain(one.tolist(), other.tolist(), COST)["interval"]
        covered += low <= true <= high
    assert covered / cases == pytest.approx(0.95, abs=0.015)  # 3.8 standard errors


def test_a_gain_is_in_the_unit_and_in_percent_of_the_other() -> None:
    gain = paired_gain([9.0, 8.0, 10.0], [10.0, 10.0, 10.0], COST)
    assert gain["mean"] == pytest.approx(1.0)
    assert gain["percent"] == pytest.approx(10.0)
    assert (gain["won"], gain["lost"], gain["tied"]) == (2, 0, 1)
    # By hand: standard deviation 1, t(0.975, 2) = 4.30265, over the root of 3.
    assert gain["interval"] == pytest.approx((1 - 2.48414, 1 + 2.48414), abs=1e-5)
    assert paired_gain([1.0], [0.0], COST)["percent"] is None


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        ([1.0], "no interval from 1 seed; 3 are the fewest"),
        ([1.0, 2.0], "no interval from 2 seeds; 3 are the fewest"),
        ([1.0, 1.0, 1.0], "no interval: the difference is the same with every seed"),
    ],
)
def test_where_no_interval_can_be_given_it_is_said(one: list[float], reason: str) -> None:
    gain = paired_gain(one, [3.0] * len(one), COST)
    assert gain["interval"] is None
    assert gain["without"] == reason


def test_differences_that_are_equal_but_for_rounding_give_no_interval() -> None:
    others = [0.1, 0.2, 0.3, 0.7]
    assert paired_gain([other + 0.1 for other in others], others, COST)["interval"] is None


def test_a_summary_holds_medians_of_values_and_means_of_spending() -> None:
    runs = [result("evolve", 0, 1.0, final=5.0, usd=0.1), result("evolve", 1, 2.0, usd=0.3, evaluations=300)]
    summary = compared([*runs, result("evolve", 2, 9.0, final=7.0, usd=0.2)]).summaries[0]
    assert (summary.train, summary.final, summary.seeds) == (2.0, 6.0, (0, 1, 2))
    assert summary.usd == pytest.approx(0.2)
    assert summary.evaluations == pytest.approx(500 / 3)


@pytest.mark.parametrize(
    ("methods", "reference"),
    [
        (["evolve", "greedy", "best_of_n"], "best_of_n"),
        (["evolve", "greedy", "random"], "greedy"),
        (["random", "evolve"], "random"),
        (["old", "new"], "old"),
        (["evolve"], None),
        ([], None),
    ],
)
def test_the_reference_is_best_of_n_or_the_first_that_is_not_the_users(
    methods: list[str], reference: str | None
) -> None:
    assert reference_of(methods) == reference


def test_a_gain_is_taken_on_each_part_that_both_were_measured_on() -> None:
    both = compared(results("evolve", 1, 2, 3, final=1.0), results("greedy", 2, 4, 5, final=4.0), part="holdout")
    assert [(one.part, one.mean) for one in both.gains] == [("train", pytest.approx(5 / 3)), ("holdout", 3.0)]
    assert [one.part for one in compared(results("evolve", 1), results("greedy", 2), part="holdout").gains] == ["train"]


def test_a_seed_that_one_method_lacks_is_in_no_gain_and_is_said() -> None:
    comparison = compared(results("evolve", 1, 2, 3), results("best_of_n", 2, 3))
    gain = comparison.gains[0]
    assert gain.won + gain.lost + gain.tied == 2
    assert "seed 2: not in the gain of evolve, since evolve's or best_of_n's run is missing" in comparison.remarks


def test_methods_without_a_seed_in_common_have_no_gain() -> None:
    comparison = compared([result("evolve", 0, 1)], [result("best_of_n", 1, 2)])
    assert comparison.gains == ()
    assert "seeds 0, 1: not in the gain" in comparison.remarks[0]


def test_unequal_spending_is_said() -> None:
    equal = compared(results("evolve", 1, 1, usd=0.050), results("best_of_n", 1, 1, usd=0.049))
    assert equal.remarks == ()
    unequal = compared(results("evolve", 1, 1, usd=0.05), results("best_of_n", 1, 1, usd=0.01, reason="exhausted"))
    said = " ".join(unequal.remarks)
    assert "2 of 2 runs of best_of_n ended early: the operators found nothing new any more" in said
    assert "unequal spending, in the mean: evolve $0.05, best_of_n $0.01" in said


def test_what_spends_no_dollars_is_compared_by_evaluations_and_that_is_said() -> None:
    comparison = compared(results("evolve", 1, usd=0.05, evaluations=60), results("model_free", 1, evaluations=100))
    assert comparison.remarks == (
        "model_free spent no dollars, so evaluations count; in the mean: evolve 60, model_free 100",
    )
    assert compared(results("evolve", 1), results("greedy", 2)).remarks == ()
    fewer = compared(results("evolve", 1), results("greedy", 2, evaluations=40))
    assert fewer.remarks == ("unequal numbers of evaluations, in the mean: evolve 100, greedy 40",)
