"""Laws of the indicators, and of the front that they are about."""

from __future__ import annotations

import math
from collections.abc import Sequence

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError
from evo.search.front import Front
from evo.search.indicators import HYPERVOLUME_OBJECTIVES, Indicators, IndicatorValues
from evo.values import Objective
from tests.support.made import TWO, individual

Points = Sequence[tuple[float, ...]]

coarse = st.integers(0, 6).map(float)
fine = st.floats(-100, 100, allow_nan=False)


def archives(least: int = 1, most: int = 4, size: int = 25) -> st.SearchStrategy[Points]:
    """Points of one dimension, some on a grid so that many are equal in something."""
    return st.integers(least, most).flatmap(
        lambda m: st.one_of(st.just(coarse), st.just(fine)).flatmap(
            lambda values: st.lists(st.tuples(*[values] * m), min_size=1, max_size=size)
        )
    )


def objectives(count: int) -> tuple[Objective, ...]:
    return tuple(Objective(f"o{number}", "min") for number in range(count))


def given_reference(dimensions: int, value: float) -> dict[str, float]:
    return {f"o{number}": value for number in range(dimensions)}


def told(points: Points, reference: float | None = 5.0, first: int = 20) -> Indicators:
    dimensions = len(points[0])
    fixed = None if reference is None else given_reference(dimensions, reference)
    indicators = Indicators(objectives(dimensions), reference=fixed, first=first)
    for point in points:
        indicators.observe(np.array(point))
    return indicators


def from_scratch(points: Points, reference: float | Sequence[float]) -> float:
    return float(moocore.hypervolume(np.array(points), ref=reference))


def nondominated(points: Points) -> list[tuple[float, ...]]:
    """The first of equals, in the order of coming."""
    kept: list[tuple[float, ...]] = []
    for place, one in enumerate(points):
        others = [*(other for other in points if other != one), *points[:place]]
        if not any(all(a <= b for a, b in zip(other, one, strict=True)) for other in others):
            kept.append(one)
    return kept


def close(value: float | None) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


@given(archives())
def test_hypervolume_is_that_of_the_whole_archive(points: Points) -> None:
    assert told(points).reading.hypervolume == close(from_scratch(points, 5.0))


@given(archives(least=5, most=HYPERVOLUME_OBJECTIVES, size=10))
def test_hypervolume_is_that_of_the_whole_archive_in_many_dimensions(points: Points) -> None:
    assert told(points).reading.hypervolume == close(from_scratch(points, 5.0))


def test_hypervolume_stays_exact_over_thousands_of_tells() -> None:
    rng = np.random.default_rng(0)
    for dimensions in (2, 3):
        sphere = np.abs(rng.normal(size=(3000, dimensions)))
        points = sphere / np.linalg.norm(sphere, axis=1, keepdims=True) * rng.uniform(1, 1.2, size=(3000, 1))
        indicators = told(points.tolist(), reference=1.3)
        assert indicators.reading.hypervolume == pytest.approx(moocore.hypervolume(points, ref=1.3), rel=1e-9)


@given(archives())
def test_hypervolume_never_falls(points: Points) -> None:
    indicators = Indicators(objectives(len(points[0])), reference=given_reference(len(points[0]), 5.0))
    readings = [indicators.observe(np.array(point)).hypervolume for point in points]
    assert readings == sorted(readings, key=lambda value: value or 0.0)


@given(archives(), st.randoms(use_true_random=False))
def test_the_order_of_telling_changes_nothing(points: Points, random: object) -> None:
    shuffled = list(points)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = told(points).reading, told(shuffled).reading
    assert other.hypervolume == close(one.hypervolume)
    assert other.diversity == close(one.diversity)
    assert (other.front, other.best, other.outside) == (one.front, one.best, one.outside)


@given(archives(), st.data())
def test_a_dominated_newcomer_changes_nothing(points: Points, data: st.DataObject) -> None:
    better = data.draw(st.sampled_from(points))
    # Within the reference where the one that dominates it is.
    worse = [value + data.draw(st.sampled_from([0.0, 1e-3])) for value in better]
    indicators = told(points, reference=1000.0)
    before = indicators.reading
    assert indicators.observe(np.array(worse)) == before


@given(archives())
def test_the_same_tells_give_the_same_readings_to_the_last_digit(points: Points) -> None:
    assert told(points).reading == told(points).reading


@given(archives())
def test_front_and_bests_are_those_of_the_archive(points: Points) -> None:
    reading = told(points).reading
    assert reading.front == len(nondominated(points))
    assert reading.best == {f"o{number}": min(column) for number, column in enumerate(zip(*points, strict=True))}


@given(archives())
def test_diversity_is_the_mean_distance_to_the_nearest_in_ranges_of_the_front(points: Points) -> None:
    front = np.array(nondominated(points))
    extent = np.ptp(front, axis=0)
    scaled = front / np.where(extent > 0, extent, 1.0)
    distances = np.linalg.norm(scaled[:, np.newaxis] - scaled, axis=2)
    np.fill_diagonal(distances, np.inf)
    expected = float(distances.min(axis=1).mean()) if len(front) > 1 else 0.0
    assert told(points).reading.diversity == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_diversity_follows_a_long_search() -> None:
    rng = np.random.default_rng(1)
    # The corners come first, so that the range stays and only neighbours are looked at.
    points = np.vstack([np.eye(3) * 2, rng.dirichlet(np.ones(3), size=400) * rng.uniform(1.0, 1.3, size=(400, 1))])
    indicators = told(points.tolist(), reference=3.0)
    front = np.array(nondominated([tuple(point) for point in points.tolist()]))
    assert len(front) < 300
    scaled = front / np.ptp(front, axis=0)
    distances = np.linalg.norm(scaled[:, np.newaxis] - scaled, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert indicators.reading.diversity == pytest.approx(distances.min(axis=1).mean())


@given(archives(), st.integers(1, 30))
def test_the_first_feasible_fix_the_reference_for_good(points: Points, first: int) -> None:
    indicators = told(points, reference=None, first=first)
    if len(points) < first:
        assert indicators.reference is None
        assert indicators.reading.hypervolume is None
        return
    early = np.array(points[:first])
    extent = np.ptp(early, axis=0)
    expected = early.max(axis=0) + np.where(extent > 0, 0.1 * extent, 1.0)
    assert indicators.reference is not None
    assert list(indicators.reference.values()) == pytest.approx(expected.tolist())
    reference = list(indicators.reference.values())
    assert indicators.reading.hypervolume == close(from_scratch(points, reference))
    outside = [point for point in points[first:] if any(a >= b for a, b in zip(point, reference, strict=True))]
    assert indicators.reading.outside == len(outside)


def test_reference_and_bests_are_in_the_direction_of_the_problem() -> None:
    indicators = Indicators(TWO, first=2)
    indicators.observe(np.array([1.0, -10.0]))
    reading = indicators.observe(np.array([3.0, -20.0]))
    assert dict(indicators.reference or {}) == pytest.approx({"cost": 3.2, "gain": 9.0})
    assert reading.best == {"cost": 1.0, "gain": 20.0}
    given = Indicators(TWO, reference={"gain": 9.0, "cost": 3.2})
    given.observe(np.array([1.0, -10.0]))
    assert given.observe(np.array([3.0, -20.0])).hypervolume == pytest.approx(reading.hypervolume)


def test_points_outside_the_reference_count_for_nothing_and_are_counted() -> None:
    indicators = told([(1.0, 1.0), (0.0, 5.0), (0.0, 7.0)])
    assert indicators.reading.hypervolume == 16.0
    assert indicators.reading.outside == 2
    assert indicators.reading.front == 2


def test_with_one_objective_hypervolume_is_the_improvement_over_the_reference() -> None:
    assert [told([(6.0,)]).reading.hypervolume, told([(6.0,), (3.0,), (4.0,)]).reading.hypervolume] == [0.0, 2.0]


def test_with_too_many_objectives_there_is_no_hypervolume_but_all_the_rest() -> None:
    count = HYPERVOLUME_OBJECTIVES + 1
    reading = told([tuple(np.eye(count)[0].tolist()), tuple(np.eye(count)[1].tolist())]).reading
    assert reading.hypervolume is None
    assert reading.front == 2
    assert reading.diversity == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_a_hypervolume_too_large_for_a_number_is_none(dimensions: int) -> None:
    far = [-1.7e308] * dimensions
    indicators = Indicators(objectives(dimensions), reference=given_reference(dimensions, 1.7e308))
    assert indicators.observe(np.array(far)).hypervolume is None
    assert indicators.observe(np.array([1.0, *far[1:]])).hypervolume is None


def test_before_the_first_tell_there_is_nothing() -> None:
    assert Indicators(TWO).reading == IndicatorValues(None, 0, {}, 0.0, 0)


@pytest.mark.parametrize(
    ("reference", "first", "match"),
    [
        ({"cost": 1.0}, 20, "the reference point names cost; expected a value for each of cost, gain"),
        ({"cost": 1.0, "gain": 2.0, "x": 0.0}, 20, "names cost, gain, x; expected"),
        ({"cost": math.inf, "gain": 2.0}, 20, "has cost = inf; expected a finite number"),
        (None, 0, "the first 0 feasible individuals cannot fix a reference point; expected at least 1"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(reference: dict[str, float] | None, first: int, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Indicators(TWO, reference=reference, first=first)


@given(st.lists(st.tuples(coarse, coarse), min_size=1, max_size=60))
def test_the_front_holds_the_nondominated_in_the_order_of_their_coming(points: list[tuple[float, float]]) -> None:
    front = Front(2)
    for number, point in enumerate(points):
        before = [member.id for member in front]
        entered, left = front.add(individual(number, *point), np.array(point))
        now = [member.id for member in front]
        assert now == [one for one in before if one not in left] + [number] * entered
        assert left == [one for one in before if one not in now]
    assert [points[member.id] for member in front] == nondominated(points)
    assert len(front) == len(list(front))
