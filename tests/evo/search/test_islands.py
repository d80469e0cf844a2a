"""Laws of islands: their populations follow from births and moves alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.genomes import Vector
from evo.lineage import open_run
from evo.protocols import Arm
from evo.search.islands import Island, IslandSettings
from evo.search.population import RankedPopulation
from evo.search.search import Search, SearchSettings, TellResult
from evo.survival import RankAndCrowding
from evo.values import Candidate, Individual, Proposal
from tests.conftest import TOY, Evo
from tests.support.made import TWO, evaluation, island_of, searching

ARMS = (Arm("one", None, 1, 1.0), Arm("two", None, 2, 2.0))
maybe = st.none() | st.integers(1, 12)
islands = st.builds(
    IslandSettings,
    count=st.integers(1, 5),
    topology=st.sampled_from(["ring", "star", "random"]),
    every=maybe,
    stagnation=maybe,
    migrants=st.integers(1, 3),
    reset_every=maybe,
    birth_after=maybe,
    most=st.integers(1, 7),
)


def archipelago(how: IslandSettings, *, seed: int = 0, seeds: int = 1) -> Search:
    return searching(ARMS, SearchSettings(seed, 10_000, seeds=seeds, islands=how), population=4)


def told(one: Search, tells: int, seed: int = 0) -> list[TellResult]:
    """Random results, some of them failures and some infeasible, several asks under way."""
    rng, under_way, done = np.random.default_rng(seed), [], []
    while len(done) < tells:
        while len(under_way) < 3 and (ask := one.ask()):
            candidate = one.admit(ask, Proposal("ok", Vector((float(ask.id),))))
            assert isinstance(candidate, Candidate)
            under_way.append(candidate)
        candidate = under_way.pop(int(rng.integers(len(under_way))))
        kind = "crash" if rng.random() < 0.1 and one.count_told > 5 else "ok"
        result = evaluation(*rng.random(2), outcome=kind, violation=float(rng.random() < 0.1))  # type: ignore[arg-type]
        done.append(one.tell(candidate, result))
    return done


def residents(one: Search) -> list[set[int]]:
    return [{individual.id for individual in island.population} for island in one.population.islands]


@settings(max_examples=60)
@given(islands, st.integers(1, 6), st.integers(0, 3))
def test_individuals_of_an_island_were_born_there_or_moved_there(how: IslandSettings, seeds: int, seed: int) -> None:
    one = archipelago(how, seeds=seeds)
    living: list[set[int]] = [set() for _ in range(how.most + how.count)]
    for tell in told(one, 60, seed):
        home = living[tell.individual.ask.island]
        home |= {tell.individual.id} if tell.survived else set()
        home -= set(tell.removed)
        for move in tell.moves:
            assert move.individual in living[move.source], "a migrant leaves a copy, so it lives where it came from"
            living[move.target] = (living[move.target] - set(move.removed)) | {move.individual}
            living[move.target] -= set(move.removed) if move.reason != "reset" else set()
    assert residents(one) == living[: len(one.population.islands)]


@settings(max_examples=60)
@given(islands, st.integers(1, 6))
def test_parents_live_on_the_island_that_asks(how: IslandSettings, seeds: int) -> None:
    one = archipelago(how, seeds=seeds)
    for _ in range(40):
        told(one, 1)
        if (ask := one.ask()) and ask.parents:
            assert {parent.id for parent in ask.parents} <= residents(one)[ask.island]
            one.drop(ask)


@given(islands, st.integers(1, 4))
def test_every_island_has_a_population_once_the_seeds_have_results(how: IslandSettings, seeds: int) -> None:
    one = archipelago(how, seeds=seeds)
    told(one, 12)
    assert all(residents(one))


@given(islands, st.integers(0, 3))
def test_the_same_results_make_the_same_islands(how: IslandSettings, seed: int) -> None:
    first, second = archipelago(how), archipelago(how)
    assert told(first, 50, seed) == told(second, 50, seed)
    assert residents(first) == residents(second)


@given(islands, st.integers(0, 3))
def test_the_best_feasible_individual_survives_every_reset(how: IslandSettings, seed: int) -> None:
    one = archipelago(how)
    told(one, 50, seed)
    if "cost" in one.best:
        assert one.best["cost"].id in {individual.id for individual in one.population}


def test_migrants_of_a_ring_go_to_the_next_island_every_so_many_results() -> None:
    one = archipelago(IslandSettings(count=3, every=5, migrants=2))
    moves = [move for tell in told(one, 60) for move in tell.moves if move.reason == "migrated"]
    assert moves
    assert all(move.target == (move.source + 1) % 3 for move in moves)


def test_without_migration_islands_share_their_founder_alone() -> None:
    one = archipelago(IslandSettings(count=4))
    moves = [move for tell in told(one, 80) for move in tell.moves]
    assert [(move.individual, move.reason) for move in moves] == [(0, "founded")] * 3
    shared = set.intersection(*residents(one)) | (residents(one)[0] & residents(one)[1])
    assert shared <= {0}


def test_the_weaker_half_is_emptied_and_founded_by_the_better() -> None:
    one = archipelago(IslandSettings(count=4, reset_every=40))
    tells = told(one, 40)
    resets = [move for move in tells[-1].moves if move.reason == "reset"]
    assert len(resets) == 2
    targets, sources = {move.target for move in resets}, {move.source for move in resets}
    assert not targets & sources
    assert all(residents(one)[move.target] == {move.individual} for move in resets)
    assert all(move.removed for move in resets)


def test_stagnation_everywhere_gives_birth_to_an_island_up_to_the_most() -> None:
    one = archipelago(IslandSettings(birth_after=10, most=3))
    moves = [move for tell in told(one, 200) for move in tell.moves]
    assert [(move.reason, move.target) for move in moves] == [("born", 1), ("born", 2)]


class Diary:
    """A memory of the ids that it observed."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    def observe(self, individual: Individual) -> None:
        self.ids.append(individual.id)

    def view(self) -> tuple[int, ...]:
        return tuple(self.ids)


def learning(how: IslandSettings) -> Search:
    """A search whose operators learn on each island."""

    def island(number: int) -> Island:
        diaries = {arm.operator: Diary() for arm in ARMS}
        return island_of(RankedPopulation(4, TWO, RankAndCrowding()), ARMS, memories=diaries)

    return Search(SearchSettings(0, 10_000, islands=how), TWO, island=island)


@pytest.mark.parametrize(
    "how",
    [
        IslandSettings(count=3),
        IslandSettings(count=3, every=5, stagnation=7),
        IslandSettings(count=4, reset_every=15),
        IslandSettings(birth_after=10, most=4),
        IslandSettings(count=2, reset_every=20, birth_after=15, most=6),
    ],
    ids=["founded", "migrated", "reset", "born", "reset and born"],
)
def test_operators_learn_on_every_island_however_it_came_to_be(how: IslandSettings) -> None:
    one = learning(how)
    told(one, 120)
    for number, island in enumerate(one.population.islands):
        assert set(island.memories) == {arm.operator for arm in ARMS}, f"island {number}"
    while (ask := one.ask()) and len(one.under_way) < 20:
        assert isinstance(one.ask_snapshot(ask).memory, tuple)


def test_a_reset_keeps_what_operators_and_the_selector_have_learnt() -> None:
    one = learning(IslandSettings(count=4, reset_every=40))
    told(one, 39)
    before = [(dict(island.memories), island.selector, island.count_told) for island in one.population.islands]
    views = [{name: memory.view() for name, memory in memories.items()} for memories, _, _ in before]
    [last] = told(one, 1)
    for target in (move.target for move in last.moves if move.reason == "reset"):
        island = one.population.islands[target]
        if target != last.individual.ask.island:
            assert {name: memory.view() for name, memory in island.memories.items()} == views[target]
            assert (island.selector, island.count_told) == before[target][1:]


def test_cma_es_goes_on_proposing_after_islands_were_reset(evo: Evo, tmp_path: Path) -> None:
    how = ("--set", "search.islands={count: 2, reset_every: 30}", "--set", "search.operators={cma_es: 1}")
    here = ("--set", "executor=evo.testing.executor:InProcessExecutor", "--set", "budget.evaluations=150")
    answer = evo("run", "sphere", *how, *here, "--name", "reset")
    assert answer.code == 0, answer.err
    reader = open_run(tmp_path / "runs/reset")
    assert reader.sql("SELECT count(*) FROM arrivals WHERE reason = 'reset'").scalar() > 3
    assert reader.sql("SELECT DISTINCT outcome FROM proposals").rows == (("ok",),)
    assert reader.sql("SELECT DISTINCT operator FROM individuals WHERE tell >= 100").rows == (("cma_es",),)


@pytest.fixture
def island_run(evo: Evo, tmp_path: Path) -> Path:
    how: dict[str, Any] = {"count": 3, "every": 10, "reset_every": 40, "own": [{}, {"survival": "newest"}]}
    options = ("--set", f"search.islands={json.dumps(how)}", "--set", "budget.evaluations=120", "--name", "isles")
    answer = evo("run", *TOY, *options)
    assert answer.code == 0, answer.err
    return tmp_path / "runs/isles"


def test_the_lineage_has_the_population_of_each_island(island_run: Path, evo: Evo) -> None:
    reader = open_run(island_run)
    assert reader.sql("SELECT count(DISTINCT island) FROM island_members").scalar() == 3
    assert reader.sql("SELECT max(c) FROM (SELECT count(*) AS c FROM island_members GROUP BY island)").scalar() <= 10
    reasons = {row[0] for row in reader.sql("SELECT DISTINCT reason FROM arrivals").rows}
    assert {"born", "migrated", "reset"} <= reasons
    # On the second island the newest live, whatever they are worth.
    newest = reader.sql("SELECT individual FROM arrivals WHERE island = 1 ORDER BY tell DESC LIMIT 1").scalar()
    assert newest in {row[0] for row in reader.sql("SELECT individual FROM island_members WHERE island = 1").rows}
    assert evo("replay", island_run).code == 0
    assert evo("index", island_run).code == 0
    assert open_run(island_run).sql("SELECT count(DISTINCT island) FROM island_members").scalar() == 3
