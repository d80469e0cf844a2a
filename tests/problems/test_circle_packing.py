"""The laws of circle packing: what scores is strictly valid, and the repair costs no more than the rounding errors."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.errors import CandidateError
from evo.genomes import Program
from evo.protocols import FloatArray
from evo.testing.contracts.problem_contract import Answering
from evo.testing.in_process import run_in_process
from problems.circle_geometry import TOLERANCE, valid_radii
from problems.circle_packing import RECORDS, CirclePacking
from tests.support.shared_data import shared_json

CONSTRUCTIONS = "alphaevolve_constructions.json.gz"


def returning(rows: list[list[float]]) -> Program:
    return Program.single(
        f"ROWS = {rows!r}\n\n\ndef pack(n):\n    return [row[:2] for row in ROWS], [row[2] for row in ROWS]\n"
    )


def scored(centres: Any, radii: Any) -> float:
    problem = CirclePacking(n=len(centres))
    seed = problem.seeds(1, np.random.default_rng(0))[0]
    return problem.evaluate(seed, Answering(answer=[centres, radii]), "train").objectives["sum_of_radii"]


def is_strictly_valid(centres: FloatArray, radii: FloatArray) -> bool:
    """By the definition, in fractions, for every pair."""
    circles = [tuple(map(Fraction, (x, y, r))) for (x, y), r in zip(centres.tolist(), radii.tolist(), strict=True)]
    inside = all(r >= 0 and r <= x <= 1 - r and r <= y <= 1 - r for x, y, r in circles)
    return inside and all(
        (x1 - x2) ** 2 + (y1 - y2) ** 2 >= (r1 + r2) ** 2 for (x1, y1, r1), (x2, y2, r2) in combinations(circles, 2)
    )


@pytest.mark.parametrize(
    ("n", "name", "total"),
    [
        (26, "circle_packing_26_alphaevolve_results", 2.63586275641),
        (32, "circle_packing_32_alphaevolve_results", 2.93794452621),
        (26, "circle_packing_26_repository_of_problems", 2.63598308491),
        (32, "circle_packing_32_repository_of_problems", 2.93957277120),
    ],
)
def test_published_constructions_score_what_was_published(n: int, name: str, total: float) -> None:
    problem = CirclePacking(n=n)
    program = returning(shared_json(CONSTRUCTIONS)[name])
    for part in ("train", "holdout"):
        score = problem.evaluate(program, run_in_process, part)
        assert score.objectives["sum_of_radii"] == pytest.approx(total, abs=1e-11)
    assert total in [known["sum_of_radii"] for known in problem.baselines("train").values()]


def test_a_published_construction_with_overlaps_by_rounding_is_repaired_by_less_than_it_overlapped() -> None:
    rows = np.array(shared_json(CONSTRUCTIONS)["circle_packing_26_repository_of_problems"])
    centres, radii = rows[:, :2], rows[:, 2]
    assert not is_strictly_valid(centres, radii)
    repaired = valid_radii(centres, radii)
    assert is_strictly_valid(centres, repaired)
    assert 0.0 < math.fsum(radii - repaired) < 1e-14


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.sampled_from([0.0, 1e-17, 1e-16, 1e-13, 3e-10]))
def test_what_was_tangent_up_to_rounding_becomes_strictly_valid(seed: int, n: int, swell: float) -> None:
    rng = np.random.default_rng(seed)
    centres, radii = tangent_circles(rng, n)
    radii = radii + swell * rng.random(n)
    repaired = valid_radii(centres, radii)
    assert is_strictly_valid(centres, repaired)
    assert (repaired <= radii).all()
    assert math.fsum(radii) - math.fsum(repaired) <= n * (2 * swell + 1e-15)


def tangent_circles(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
    """Random centres, and radii grown in turn until they touch a wall or another circle."""
    centres, radii = rng.random((n, 2)), np.zeros(n)
    for i in range(n):
        distances = [math.dist(centres[i], centres[j]) - radii[j] for j in range(n) if j != i]
        radii[i] = max(0.0, min([*centres[i], *(1.0 - centres[i]), *distances]))
    return centres, radii


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_a_strictly_valid_packing_keeps_its_radii(seed: int, n: int) -> None:
    centres, radii = tangent_circles(np.random.default_rng(seed), n)
    smaller = radii * (1.0 - 1e-12)
    assert is_strictly_valid(centres, smaller)
    assert valid_radii(centres, smaller).tolist() == smaller.tolist()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.floats(1e-8, 0.5))
def test_a_gross_overlap_is_never_repaired(seed: int, n: int, swell: float) -> None:
    rng = np.random.default_rng(seed)
    centres, radii = tangent_circles(rng, n)
    radii[np.argmax(radii)] += swell
    assert not is_strictly_valid(centres, radii)
    with pytest.raises(CandidateError, match=r"invalid: .* (that stick out|overlap)"):
        valid_radii(centres, radii)


@pytest.mark.parametrize(
    ("centres", "radii", "message"),
    [
        ([[0.3, 0.5], [0.5, 0.5]], [0.2, 0.2], "1 pairs of circles overlap, the worst of them: circles 0 and 1 by 0.2"),
        ([[0.3, 0.5], [0.9, 0.5]], [0.2, 0.2], "1 circles that stick out of the unit square: circle 1 by 0.1"),
        ([[0.3, 0.5], [1.1, 0.5]], [0.2, 0.0], "1 centres outside the unit square: circle 1 by 0.1"),
        ([[0.3, 0.5], [-1e-300, 0.5]], [0.2, 0.0], "1 centres outside the unit square: circle 1 by 1e-300"),
        ([[0.3, 0.5], [0.9, 0.5]], [0.2, -0.1], "1 negative radii: circle 1 by 0.1"),
        (
            [[0.3, 0.5], [0.9, math.nan]],
            [0.2, 0.1],
            r"centres holds nan at index \[1, 1\]; every number must be finite",
        ),
        ([[0.3, 0.5], [0.9, 0.5]], [0.2, math.inf], r"radii holds inf at index \[1\]"),
        ([[0.3, 0.5], [0.9, 0.5]], [0.2], "radii must have 2 entries, got 1"),
        ([[0.3, 0.5], [0.9]], [0.2, 0.1], r"centres\[1\] must have 2 entries, got 1"),
        ([[0.3, 0.5], [0.9, "0.5"]], [0.2, 0.1], r"centres\[1\]\[1\] must be a real number, got str"),
        ([[0.3, 0.5], [0.9, 0.5]], [0.2, True], r"radii\[1\] must be a real number, got bool"),
        ([[0.3, 0.5], [0.9, 0.5]], [0.2, 10**400], "radii holds a number that no 64-bit float can hold"),
        ([[0.3, 0.5], 0.9], [0.2, 0.1], r"centres\[1\] must have shape \(2,\), got float"),
        (np.zeros((2, 3)), [0.2, 0.1], r"centres must have shape \(2, 2\), got \(2, 3\)"),
        (np.zeros((2, 2), complex), [0.2, 0.1], "centres must be real numbers, got an array of complex128"),
        (np.zeros((2, 2), bool), [0.2, 0.1], "centres must be real numbers, got an array of bool"),
    ],
)
def test_an_answer_that_is_not_a_packing_is_invalid_and_says_where(centres: Any, radii: Any, message: str) -> None:
    with pytest.raises(CandidateError, match=f"^invalid: {message}"):
        scored(centres, radii)


def test_an_answer_that_is_not_a_pair_is_invalid() -> None:
    with pytest.raises(CandidateError, match=r"invalid: pack\(26\) must return \(centres, radii\), got float"):
        CirclePacking().evaluate(Program.single("def pack(n):\n    return 2.7\n"), run_in_process, "train")


def test_arrays_and_lists_score_the_same() -> None:
    centres, radii = [[0.25, 0.5], [0.75, 0.5]], [0.25, 0.25]
    assert scored(centres, radii) == scored(np.array(centres), np.array(radii)) == 0.5
    assert scored([np.array(row) for row in centres], np.array(radii, dtype="f4")) == 0.5


def test_one_ulp_too_much_costs_about_one_ulp() -> None:
    centres, radii = np.array([[0.25, 0.5], [0.75, 0.5]]), np.array([0.25, math.nextafter(0.25, 1.0)])
    repaired = valid_radii(centres, radii)
    assert is_strictly_valid(centres, repaired)
    assert math.fsum(repaired) >= 0.5 - 2.0**-52


@pytest.mark.parametrize("apart", [0.0, 1e-320, 1e-170, 1e-160, 1e-12])
def test_repair_ends_for_circles_that_almost_coincide(apart: float) -> None:
    centres = np.array([[0.5 * TOLERANCE, 0.5], [0.5 * TOLERANCE, 0.5 + apart], [apart, 0.3], [2 * apart, 0.3]])
    repaired = valid_radii(centres, np.array([0.4 * TOLERANCE, 0.4 * TOLERANCE, apart, apart]))
    assert is_strictly_valid(centres, repaired)


@pytest.mark.parametrize("n", range(1, 41))
def test_the_seed_packs_any_number(n: int) -> None:
    problem = CirclePacking(n=n)
    score = problem.evaluate(problem.seeds(1, np.random.default_rng(0))[0], run_in_process, "train")
    assert score.objectives["sum_of_radii"] >= 0.35 * math.sqrt(n)


def test_another_number_in_the_hold_out_unmasks_a_table_of_coordinates() -> None:
    problem = CirclePacking(n=2, holdout_n=3)
    table = returning([[0.25, 0.25, 0.25], [0.75, 0.75, 0.25]])
    assert problem.evaluate(table, run_in_process, "train").objectives == {"sum_of_radii": 0.5}
    with pytest.raises(CandidateError, match="invalid: centres must have 3 entries, got 2"):
        problem.evaluate(table, run_in_process, "holdout")


def test_the_feedback_names_circles_that_could_grow() -> None:
    problem = CirclePacking(n=2)
    program = returning([[0.25, 0.25, 0.25], [0.75, 0.75, 0.15]])
    feedback = problem.evaluate(program, run_in_process, "train").feedback
    assert feedback.endswith("1 of 2 circles touch nothing and could grow: circle 1 at (0.7500, 0.7500) by 0.1.")


def test_baselines_are_those_of_the_number_in_the_part() -> None:
    problem = CirclePacking(n=26, holdout_n=27)
    assert set(problem.baselines("train")) == set(RECORDS[26])
    assert problem.baselines("holdout") == {}
