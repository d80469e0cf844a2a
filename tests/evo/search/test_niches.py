"""Laws of niches."""

from __future__ import annotations

import itertools
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError
from evo.genomes import Vector
from evo.lineage import open_run
from evo.protocols import Arm
from evo.search.descriptors import Subject
from evo.search.islands import Island
from evo.search.niches import Archive, Dimension, Niches, NicheSettings, centroids
from evo.search.search import Search, SearchSettings
from evo.survival import Lexicographic, RankAndCrowding
from evo.survival.protocols import Survival
from evo.values import Ask, Evaluation, Individual, Objective
from tests.conftest import TOY, Evo
from tests.support.made import TWO, advance, island_of

SIDES = {"x:0": Dimension(0.0, 1.0, 3), "x:1": Dimension(0.0, 2.0, 2)}
ONE = (Objective("gain", "max"),)

place = st.floats(-0.5, 2.5, width=16)
score = st.integers(0, 6).map(float)
tellings = st.lists(
    st.tuples(place, place, score, score, st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0])), min_size=1, max_size=40
)
kinds = st.sampled_from(["grid", "cvt"])
survivals = st.sampled_from([Lexicographic(), RankAndCrowding()])


@cache
def archive(kind: str = "grid", elites_per_cell: int = 1, qd_score_offset: float | None = None) -> Archive:
    settings = NicheSettings(SIDES, kind, cells=6, elites_per_cell=elites_per_cell, qd_score_offset=qd_score_offset)  # type: ignore[arg-type]
    return Archive(settings, Subject(TWO))


def one_of(identity: int, told: tuple[float, float, float, float, float]) -> Individual:
    x, y, cost, gain, violation = told
    evaluation = Evaluation("ok", {"cost": cost, "gain": gain}, {"limit": violation})
    return Individual(identity, identity, Ask(identity, "seed"), Vector((x, y)), evaluation)


def everyone(told: list[tuple[float, float, float, float, float]]) -> list[Individual]:
    return [one_of(number, each) for number, each in enumerate(told)]


def filled(chosen: Archive, survival: Survival, individuals: list[Individual]) -> Niches:
    niches = Niches(chosen, TWO, survival)
    for one in individuals:
        niches.add(one)
    return niches


def key(one: Individual) -> tuple[float, float, float]:
    return one.evaluation.violation, one.evaluation.objectives["cost"], -one.evaluation.objectives["gain"]


def dominates(one: Individual, other: Individual) -> bool:
    (bad, *mine), (worse, *theirs) = key(one), key(other)
    if bad or worse:
        return bad < worse
    return mine != theirs and all(here <= there for here, there in zip(mine, theirs, strict=True))


@given(tellings, kinds, st.integers(1, 3), survivals)
def test_members_are_in_their_own_cells_and_no_cell_holds_too_many_elites(
    told: list[tuple[float, ...]], kind: str, elites_per_cell: int, survival: Survival
) -> None:
    chosen = archive(kind, elites_per_cell)
    niches = filled(chosen, survival, everyone(told))  # type: ignore[arg-type]
    cells = [niches.cell(member.id) for member in niches]
    assert cells == [chosen.cell_of(member) for member in niches]
    assert max(map(cells.count, cells)) <= elites_per_cell
    assert [member.id for member in niches] == sorted({member.id for member in niches})
    assert [niches[position].id for position in range(len(niches))] == [member.id for member in niches]


@given(tellings, kinds, st.integers(1, 3), survivals)
def test_removed_ids_are_gone_and_all_others_stay(
    told: list[tuple[float, ...]], kind: str, elites_per_cell: int, survival: Survival
) -> None:
    niches, alive = Niches(archive(kind, elites_per_cell), TWO, survival), set()
    for one in everyone(told):  # type: ignore[arg-type]
        alive.add(one.id)
        gone = niches.add(one)
        assert alive >= set(gone)
        assert len(set(gone)) == len(gone)
        alive -= set(gone)
        assert {other.id for other in niches} == alive


@given(tellings, kinds, survivals)
def test_a_member_leaves_only_for_a_newcomer_in_the_same_cell(
    told: list[tuple[float, ...]], kind: str, survival: Survival
) -> None:
    niches, cells = Niches(archive(kind), TWO, survival), {}
    for one in everyone(told):  # type: ignore[arg-type]
        cells[one.id] = archive(kind).cell_of(one)
        assert {cells[gone] for gone in niches.add(one)} <= {cells[one.id]}


@given(tellings, kinds)
def test_the_elite_of_a_cell_never_gets_worse(told: list[tuple[float, ...]], kind: str) -> None:
    niches: Niches = Niches(archive(kind), TWO, Lexicographic())
    held: dict[int, tuple[float, float, float]] = {}
    for one in everyone(told):  # type: ignore[arg-type]
        niches.add(one)
        now = {niches.cell(other.id): key(other) for other in niches}
        assert all(now[cell] <= before for cell, before in held.items())
        held = now


@given(tellings, kinds, st.integers(1, 3), survivals)
def test_a_dominated_elite_never_outlives_what_dominates_it_in_its_cell_and_all_duplicates(
    told: list[tuple[float, ...]], kind: str, elites_per_cell: int, survival: Survival
) -> None:
    chosen, individuals = archive(kind, elites_per_cell), everyone(told)  # type: ignore[arg-type]
    niches = filled(chosen, survival, individuals)
    living = {member.id for member in niches}
    for lost, left in itertools.product(individuals, niches):
        twin = any(key(member) == key(lost) and chosen.cell_of(member) == chosen.cell_of(lost) for member in niches)
        if lost.id not in living and not twin and chosen.cell_of(lost) == niches.cell(left.id):
            assert not dominates(lost, left), (lost.id, left.id)


@given(tellings, kinds, st.integers(1, 3))
def test_the_best_by_the_first_objective_so_far_is_in_the_archive(
    told: list[tuple[float, ...]], kind: str, elites_per_cell: int
) -> None:
    individuals = everyone(told)  # type: ignore[arg-type]
    niches = filled(archive(kind, elites_per_cell), Lexicographic(), individuals)
    assert min(map(key, niches)) == min(map(key, individuals))


@given(tellings, kinds, st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_order_of_results_does_not_matter_where_survival_is_a_total_order(
    told: list[tuple[float, ...]], kind: str, elites_per_cell: int, shuffler: object
) -> None:
    individuals = everyone(told)  # type: ignore[arg-type]
    shuffled = list(individuals)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (
        filled(archive(kind, elites_per_cell, 6.0), Lexicographic(), order) for order in (individuals, shuffled)
    )
    assert [member.id for member in one] == [member.id for member in other]
    assert (one.coverage, one.qd_score) == (other.coverage, other.qd_score)


@given(tellings, kinds, st.integers(1, 3))
def test_coverage_and_qd_score_never_fall(told: list[tuple[float, ...]], kind: str, elites_per_cell: int) -> None:
    niches, before = Niches(archive(kind, elites_per_cell, 6.0), TWO, Lexicographic()), (0.0, 0.0)
    for one in everyone(told):  # type: ignore[arg-type]
        niches.add(one)
        assert niches.qd_score is not None
        assert niches.coverage >= before[0]
        assert niches.qd_score >= before[1]
        before = niches.coverage, niches.qd_score
    assert 0 <= before[0] <= 1


def test_an_infeasible_elite_gives_way_to_a_feasible_one_and_never_counts() -> None:
    niches = Niches(archive(qd_score_offset=9.0), TWO, Lexicographic())
    assert niches.add(one_of(0, (0.1, 0.1, 0.0, 5.0, 1.0))) == []
    assert (len(niches), niches.coverage, niches.qd_score) == (1, 0.0, 0.0)
    assert niches.add(one_of(1, (0.1, 0.1, 6.0, 0.0, 0.0))) == [0]
    assert niches.add(one_of(2, (0.1, 0.1, 0.0, 5.0, 1.0))) == [2]
    assert (niches.coverage, niches.qd_score) == (1 / 6, 3.0)


def test_the_qd_score_adds_up_what_passes_the_floor_in_the_objectives_own_direction() -> None:
    gains = [(0.1, 0.1, 3.0), (0.5, 0.1, 7.0), (0.9, 0.1, 1.0), (0.9, 0.2, 0.5)]
    individuals = [one_of(number, (x, y, 0.0, gain, 0.0)) for number, (x, y, gain) in enumerate(gains)]
    niches = Niches(Archive(NicheSettings(SIDES, qd_score_offset=2.0)), ONE, Lexicographic())
    assert [niches.add(member) for member in individuals] == [[], [], [], [3]]
    assert niches.qd_score == (3 - 2) + (7 - 2)
    assert niches.coverage == 3 / 6
    assert Niches(archive(), ONE, Lexicographic()).qd_score is None


def test_what_lies_out_of_bounds_counts_as_at_the_border() -> None:
    for kind in ("grid", "cvt"):
        at_border = [archive(kind).cell_of(one_of(0, (x, y, 0, 0, 0))) for x, y in [(0.0, 2.0), (1.0, 0.0)]]
        beyond = [archive(kind).cell_of(one_of(0, (x, y, 0, 0, 0))) for x, y in [(-1e300, 1e300), (1.01, -5.0)]]
        assert at_border == beyond
        assert len(set(at_border)) == 2


def test_an_individual_without_a_descriptor_has_no_cell_and_leaves_at_once() -> None:
    niches = Niches(Archive(NicheSettings({"evaluation:speed": Dimension(0, 1)})), TWO, Lexicographic())
    nowhere = one_of(0, (0.5, 0.5, 1.0, 1.0, 0.0))
    assert niches.add(nowhere) == [0]
    assert (len(niches), niches.rejected, niches.coverage) == (0, 1, 0.0)


def test_in_a_cell_the_better_wins_and_of_two_cells_the_first_named() -> None:
    told = [(0.1, 0.1, 5.0, 0.0, 0.0), (0.1, 0.1, 1.0, 0.0, 0.0), (0.9, 0.1, 3.0, 0.0, 0.0)]
    niches = filled(archive(elites_per_cell=2), Lexicographic(), everyone(told))
    assert (niches.better(0, 1), niches.better(1, 0)) == (1, 1)
    assert (niches.better(0, 2), niches.better(2, 0), niches.better(2, 2)) == (0, 2, 2)


def test_a_deep_cell_keeps_a_front_where_domination_decides() -> None:
    told = [(0.1, 0.1, *pair, 0.0) for pair in [(1.0, 1.0), (3.0, 3.0), (2.0, 0.0), (5.0, 6.0), (4.0, 0.0)]]
    niches = filled(archive(elites_per_cell=3), RankAndCrowding(), everyone(told))  # type: ignore[arg-type]
    assert [member.id for member in niches] == [0, 1, 3]


def test_a_grid_of_ten_finds_the_cell_of_each_tenth() -> None:
    ten = Archive(NicheSettings({"x:0": Dimension(0, 100, 10)}))
    found = [ten.cell_of(one_of(0, (value, 0, 0, 0, 0))) for value in (0, 9.9, 10, 55, 90, 99.9, 100)]
    assert found == [0, 0, 1, 5, 9, 9, 9]


def test_cells_of_a_cvt_follow_from_their_seed_and_are_about_equally_large() -> None:
    one, same, other = (centroids(50, 2, seed=seed) for seed in (1, 1, 2))
    assert one.tobytes() == same.tobytes()
    assert one.tobytes() != other.tobytes()
    assert ((one >= 0) & (one <= 1)).all()
    points = np.random.default_rng(0).random((20_000, 2))
    sizes = np.bincount(((points[:, None] - one) ** 2).sum(axis=2).argmin(axis=1), minlength=50)
    assert sizes.min() > 400 / 2
    assert sizes.max() < 400 * 2


def test_a_point_is_in_the_cell_whose_middle_is_nearest_whatever_the_scale_of_a_dimension() -> None:
    wide = Archive(NicheSettings({"x:0": Dimension(0, 1), "x:1": Dimension(0, 1e6)}, "cvt", cells=20))
    middles = centroids(20, 2, seed=0)
    for point in np.random.default_rng(3).random((50, 2)):
        nearest = int(((middles - point) ** 2).sum(axis=1).argmin())
        assert wide.cell_of(one_of(0, (point[0], point[1] * 1e6, 0, 0, 0))) == nearest


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (NicheSettings({}), "need at least one dimension"),
        (NicheSettings({"size": Dimension(5, 5)}), "bounds of 'size' are 5 and 5; expected low < high"),
        (NicheSettings({"size": Dimension(0, float("inf"))}), "expected low < high, finite"),
        (NicheSettings({"size": Dimension(0, float("nan"))}), "expected low < high, finite"),
        (NicheSettings({"size": Dimension(0, 5, 0)}), "divided into 0 cells"),
        (NicheSettings({"size": Dimension(0, 5)}, elites_per_cell=0), "elites_per_cell of niches is 0"),
        (NicheSettings({"size": Dimension(0, 5)}, "cvt", cells=0), "a cvt of 0 cells"),
        (NicheSettings({"size": Dimension(0, 5)}, seed=-1), "the seed of niches is -1"),
        (NicheSettings({"size": Dimension(0, 5)}, "hex"), "unknown kind of niches 'hex'; known: grid, cvt"),  # type: ignore[arg-type]
        (NicheSettings({"size": Dimension(0, 5, 2000), "x:0": Dimension(0, 5, 2000)}), "a grid of 4000000 cells"),
        (NicheSettings({"sise": Dimension(0, 5)}), "unknown descriptor 'sise'; did you mean 'size'"),
    ],
)
def test_settings_that_make_no_archive_are_rejected_with_the_reason(settings: NicheSettings, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Archive(settings)


def test_a_search_over_niches_fills_them_and_repeats_itself() -> None:
    arms = (Arm("one", None, 1, 1.0), Arm("two", None, 2, 2.0))

    def run() -> Search:
        def island(number: int) -> Island:
            niches = Niches(archive("cvt"), TWO, Lexicographic())
            return island_of(niches, arms, parents="uniform")

        search, rng = Search(SearchSettings(0, 200), TWO, island=island), np.random.default_rng(5)
        for _ in range(120):
            cost, gain, *point = rng.random(4).tolist()
            advance(search, Vector((point[0], 2 * point[1])), Evaluation("ok", {"cost": cost, "gain": gain}))
        return search

    one, same = run(), run()
    assert [member.id for member in one.population] == [member.id for member in same.population]
    assert len(one.population) == 6
    assert one.best["cost"].id in {member.id for member in one.population}


def test_a_run_with_niches_keeps_an_elite_for_each_cell_and_is_rebuilt_from_its_journal(
    evo: Evo, tmp_path: Path
) -> None:
    sides = {"objective:near": {"low": 0, "high": 9, "cells": 5}, "x:0": {"low": -2, "high": 2, "cells": 4}}
    niches = ("--set", f"search.niches={json.dumps({'dimensions': sides})}", "--set", "search.parents=uniform")
    answer = evo(
        "run",
        *TOY,
        *niches,
        "--set",
        "search.survival=lexicographic",
        "--set",
        "budget.evaluations=150",
        "--name",
        "map",
    )
    assert answer.code == 0, answer.err
    run = tmp_path / "runs/map"
    cells = "floor(least(o.value, 8.99) / 1.8), floor((json_extract(genome, '$.values[0]')::DOUBLE + 2) / 1.001)"
    living = f"FROM population p JOIN objectives o ON o.individual = p.id AND o.name = 'near' GROUP BY {cells}"
    counts = [row[0] for row in open_run(run).sql(f"SELECT count(*) {living}").rows]
    assert len(counts) > 5
    assert max(counts) == 1
    told = open_run(run).sql("SELECT coverage, qd_score FROM indicators ORDER BY tell").rows
    assert [row[0] for row in told] == sorted(row[0] for row in told)
    assert told[-1] == (len(counts) / 20, None)
    assert evo("replay", run).code == 0


def test_an_unknown_descriptor_is_an_error_in_one_sentence(evo: Evo) -> None:
    answer = evo("run", *TOY, "--set", "search.niches={dimensions: {loops: {low: 0, high: 5}}}")
    assert answer.code == 2
    assert "loops" in answer.err
    assert len(answer.err.strip().splitlines()) == 1


@pytest.mark.parametrize("parents", ["best", "power_law"])
def test_parents_that_rank_the_whole_archive_are_an_error_in_one_sentence(evo: Evo, parents: str) -> None:
    niches = "search.niches={dimensions: {'x:0': {low: -2, high: 2}}}"
    answer = evo("run", *TOY, "--set", niches, "--set", f"search.parents={parents}")
    assert answer.code == 2
    assert f"search.parents {parents} ranks the whole population" in answer.err
    baseline = evo("run", *TOY, "--set", niches, "--set", "budget.evaluations=20", "--baseline", "greedy")
    assert baseline.code == 0, baseline.err
