"""Laws of noisy measurements: what repeats say, and that one lucky value does not stay on top."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.policies.noise import estimate, pooled_variance
from evo.values import Repeats
from tests.benchmarks.racing import best_wins, best_wins_evenly

values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


@given(values)
def test_repeats_have_the_mean_and_variance_of_their_measurements(measured: list[float]) -> None:
    repeats = Repeats.of(measured)
    assert repeats.count == len(measured)
    assert repeats.mean == pytest.approx(statistics.fmean(measured), abs=1e-6)
    assert repeats.variance == pytest.approx(statistics.variance(measured), rel=1e-6, abs=1e-6)


def test_a_single_measurement_says_nothing_of_the_variance() -> None:
    assert Repeats.of([3.0]).variance == math.inf
    assert pooled_variance([Repeats.of([3.0]), Repeats()]) is None


def test_a_measurement_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="must be finite, got inf"):
        Repeats().with_value(math.inf)


def test_the_pooled_variance_weighs_by_degrees_of_freedom() -> None:
    assert pooled_variance([Repeats.of([0.0, 2.0]), Repeats.of([1.0, 2.0, 3.0]), Repeats.of([9.0])]) == pytest.approx(
        4 / 3
    )


def test_more_measurements_narrow_the_bounds() -> None:
    wide, narrow = (estimate(Repeats.of([0.0, 1.0] * times), 0.25) for times in (1, 8))
    assert wide.lower < narrow.lower < 0.5 < narrow.upper < wide.upper
    assert estimate(Repeats(), 0.25).lower == -math.inf


def test_bounds_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        repeats = Repeats.of(rng.normal(2.0, 0.5, 3).tolist())
        bounds = estimate(repeats, 0.25, confidence=0.9)
        held += bounds.lower <= 2.0 <= bounds.upper
    assert 860 <= held <= 960


def test_the_bound_of_a_value_measured_once_is_below_that_of_a_lower_mean_that_is_sure() -> None:
    lucky, sure = Repeats.of([1.1]), Repeats.of([0.8, 1.2] * 10)
    variance = pooled_variance([lucky, sure])
    assert variance is not None
    assert lucky.mean > sure.mean
    assert estimate(lucky, variance).lower < estimate(sure, variance).lower


def test_a_lucky_value_stays_on_top_only_without_re_evaluation() -> None:
    seeds = range(20)
    assert sum(best_wins(seed, reevaluated=0) for seed in seeds) <= 2
    ruled = sum(best_wins(seed, reevaluated=200) for seed in seeds)
    assert ruled >= 19
    assert ruled > sum(best_wins_evenly(seed, times=4) for seed in seeds)
