"""Laws of the baselines: what each may build upon, and that all keep to the same budget."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.config.loading import config_from_json
from evo.config.schema import Config
from evo.engine.baselines import BASELINES, with_baseline
from evo.engine.setup import prepare
from evo.errors import ConfigError
from evo.genomes import Architecture, Vector
from evo.journal.log import read_events
from evo.lineage import open_run
from evo.search.population import RankedPopulation
from evo.survival import Lexicographic, Newest
from evo.survival.protocols import Survival
from evo.testing.contracts.operator_contract import propose
from evo.testing.contracts.parents import BOX
from evo.values import Slots
from operators.architectures import UniformSlots
from operators.scripted import Faults, ScriptedServer, find_rule
from operators.vectors import UniformVector
from tests.conftest import TOY, Evo
from tests.support.made import TWO, individual

KEY = "sk-a-key-that-nobody-may-see-0123456789"
IN_PROCESS = ("--set", "executor=evo.testing.executor:InProcessExecutor")
CAP = 0.03
CLIMB = '''
import math

from evo.genomes import Program
from evo.protocols import Problem
from evo.values import Objective, Score


class Climb(Problem):
    """Answer 1000, from 1.5; the distance is in powers of e, so no single change of a number bridges it."""

    objectives = (Objective("distance", "min"),)

    def seeds(self, count, rng):
        return [Program.single("def answer():\\n    return 1.5\\n")]

    def evaluate(self, genome, run, part):
        with run(genome, "answer") as answer:
            return Score({"distance": abs(math.log(float(answer()) / 1000))})
'''


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A scripted model that changes a number of the program that it is shown."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    one = ScriptedServer(find_rule("constant_jitter"), Faults(latency_seconds=0.005), require_key=KEY)
    with one.in_thread():
        yield one


def climbing(folder: Path, server: ScriptedServer) -> tuple[str, ...]:
    """A search of the problem above by a model that costs something."""
    (folder / "climb.py").write_text(CLIMB, "utf-8")
    endpoint = {"base_url": server.base_url, "concurrency": 4, "price": {"input_usd": 1.0, "output_usd": 4.0}}
    rewrite = {"weight": 2.0, "options": {"reply_tokens": 256}}
    settings = {"model.endpoints.here": endpoint, "search.operators": {"model_rewrite": rewrite}}
    stated = [one for key, value in settings.items() for one in ("--set", f"{key}={json.dumps(value)}")]
    return "climb.py:Climb", *IN_PROCESS, "--model", "scripted", *stated


def configured(problem: str, **sections: Any) -> Config:
    return config_from_json({"problem": {"name": problem}, **sections})


def events(folder: Path) -> list[dict[str, Any]]:
    return [event for _, event in read_events(folder / "journal.jsonl")]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with serving(monkeypatch) as one:
        yield one


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_runs_within_the_same_dollars(
    evo: Evo, tmp_path: Path, server: ScriptedServer, name: str
) -> None:
    budget = ("--set", f"budget.usd={CAP}", "--set", "budget.evaluations=60")
    answer = evo("run", *climbing(tmp_path, server), *budget, "--baseline", name, "--name", name)
    assert answer.code == 0, answer.err
    reader = open_run(tmp_path / "runs" / name)
    spent = reader.sql("SELECT coalesce(sum(cost_usd), 0) FROM completions").scalar()
    if name == "model_free":
        assert spent == 0
        assert reader.sql("SELECT count(*) FROM individuals").scalar() == 60
    else:
        assert 0.5 * CAP < spent <= CAP
        assert reader.sql("SELECT count(*) FROM individuals WHERE model = 'scripted'").scalar() > 10
    assert evo("replay", tmp_path / "runs" / name).code == 0


def test_best_of_n_varies_nothing_but_seeds(evo: Evo, tmp_path: Path, server: ScriptedServer) -> None:
    answer = evo("run", *climbing(tmp_path, server), "--set", "budget.evaluations=30", "--baseline", "best_of_n")
    assert answer.code == 0, answer.err
    reader = open_run(tmp_path / "runs/Climb-1")
    found = reader.sql("SELECT DISTINCT i.operator FROM parents p JOIN individuals i ON i.id = p.parent").rows
    assert found == (("seed",),)
    assert reader.sql("SELECT count(DISTINCT child) FROM parents WHERE role = 'base'").scalar() == 29


@pytest.mark.parametrize("many", [(), ("--set", "problem=bin_packing")])
def test_greedy_always_varies_the_best_so_far(evo: Evo, tmp_path: Path, many: tuple[str, ...]) -> None:
    # In the order of asking, so that how often something better is found does not depend on timing.
    stated = (
        "budget.evaluations=60",
        "executor.workers=3",
        "search.deterministic=true",
        "search.max_in_flight=4",
        "seed=2",
    )
    sizes = [word for one in stated for word in ("--set", one)]
    answer = evo("run", *TOY, *sizes, *many, "--baseline", "greedy", "--name", "greedy")
    assert answer.code == 0, answer.err
    worth, best, bases = {}, math.inf, []
    for event in events(tmp_path / "runs/greedy"):
        if event["event"] == "tell" and event["evaluation"]["outcome"] == "ok":
            worth[event["individual"]] = next(iter(event["evaluation"]["objectives"].values()))
            best = min(worth.values())
        elif event["event"] == "ask" and event["parents"]:
            bases.append((worth[event["parents"][0][0]], best))
    assert len(bases) > 40
    assert len({base for base, _ in bases}) > 1
    assert [base for base, _ in bases] == [best for _, best in bases]


def test_random_keeps_the_newest_and_takes_any_of_them(evo: Evo, tmp_path: Path) -> None:
    nudged = configured("evo.testing.toys:Valley", search={"population": 7})
    assert with_baseline(nudged, "random").search.operators == {"uniform_vector": 1.0}
    answer = evo("run", *TOY, "--set", "budget.evaluations=80", "--set", "search.population=7", "--baseline", "random")
    assert answer.code == 0, answer.err
    reader = open_run(tmp_path / "runs/Valley-1")
    living = {row[0] for row in reader.sql("SELECT id FROM population").rows}
    newest = reader.sql("SELECT id FROM individuals WHERE outcome = 'ok' ORDER BY id DESC LIMIT 7").rows
    assert living == {row[0] for row in newest}
    made = reader.sql("SELECT DISTINCT operator FROM individuals WHERE operator <> 'seed'").rows
    assert made == (("uniform_vector",),)
    bases = reader.sql("SELECT parent FROM parents WHERE child > 14").rows
    # A parent lives as long as it takes seven more to come, and those under way besides.
    assert len(set(bases)) > 20


def test_without_a_model_best_of_n_takes_the_operators_of_one_parent() -> None:
    assert with_baseline(configured("sphere"), "best_of_n").search.operators == {"gaussian": 1.0}
    taken = with_baseline(configured("bin_packing"), "best_of_n").search.operators
    assert "jitter_constant" in taken
    assert not {"crossover_subtree", "model_rewrite"} & set(taken)


@pytest.mark.parametrize(
    ("stated", "taken"),
    [
        ({}, {"model_rewrite": 1.0}),
        ({"model_crossover": 1.0}, {"model_rewrite": 1.0}),
        ({"model_diff": 3.0, "model_crossover": 1.0, "jitter_constant": 1.0}, {"model_diff": 3.0}),
        ({"model_diff": 3.0, "eoh_m1": 0.0}, {"model_diff": 3.0}),
        ({"jitter_constant": 2.0, "crossover_subtree": 1.0}, {"jitter_constant": 2.0}),
    ],
)
def test_best_of_n_asks_as_the_users_mixture_does(stated: dict[str, float], taken: dict[str, float]) -> None:
    config = configured("bin_packing", model={"name": "some"}, search={"operators": stated})
    assert with_baseline(config, "best_of_n").search.operators == taken


def test_best_of_n_of_operators_that_all_need_mates_is_refused() -> None:
    config = configured("sphere", search={"operators": {"sbx": 1.0}})
    with pytest.raises(ConfigError, match="each of sbx takes several parents; add an operator of a single parent"):
        with_baseline(config, "best_of_n")


def test_model_free_drops_all_that_asks_a_model() -> None:
    search = {
        "operators": {"model_rewrite": 1.0},
        "duplicate_filter": {"text": 0.9, "vectors": 0.9, "model": "some"},
    }
    config = configured("bin_packing", model={"name": "some", "pool": {"some": 1, "other": 2}}, search=search)
    free = prepare(with_baseline(config, "model_free"))
    assert free.config.model.name is None
    assert free.config.search.duplicate_filter.text == 0.9
    assert {"jitter_constant", "crossover_subtree"} <= set(free.operators)
    assert not any(getattr(one, "needs_model", False) for one in free.operators.values())


def test_model_free_keeps_the_model_that_evaluations_ask() -> None:
    free = with_baseline(configured("evo.testing.toys:Echo", model={"name": "some"}), "model_free")
    assert free.model.name == "some"
    assert free.search.operators == {"evo.testing.toys:Reword": 1.0}


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_changes_neither_problem_nor_seed_nor_budget(name: str) -> None:
    config = configured("sphere", seed=5, budget={"evaluations": 77, "usd": 2.0})
    changed = with_baseline(config, name)
    assert (changed.problem, changed.seed, changed.budget) == (config.problem, 5, config.budget)


def test_an_unknown_baseline_gets_one_sentence(evo: Evo) -> None:
    answer = evo("run", *TOY, "--baseline", "gredy")
    assert answer.code == 2
    assert answer.err == (
        "evo: unknown baseline 'gredy'; did you mean 'greedy'? known: best_of_n, greedy, model_free, random\n"
    )


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(0, 1)), min_size=1, max_size=30), st.integers(2, 6))
def test_the_newest_stay_whatever_they_are_worth(points: list[tuple[float, float]], capacity: int) -> None:
    population = RankedPopulation(capacity, TWO, Newest())
    for number, (cost, violation) in enumerate(points):
        population.add(individual(number, cost, -cost, violation))
    assert [one.id for one in population] == list(range(len(points)))[-capacity:]
    assert {int(rank) for rank in population.ranking.rank} == {0}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=30),
    st.integers(2, 6),
)
def test_the_first_objective_decides_and_the_next_where_that_is_equal(
    points: list[tuple[int, int, int]], capacity: int
) -> None:
    everyone = [individual(number, *map(float, point)) for number, point in enumerate(points)]
    population = RankedPopulation(capacity, TWO, Lexicographic())
    for one in everyone:
        population.add(one)
    # TWO: the first is a cost, the second a gain; of equals the newest.
    order = sorted(range(len(points)), key=lambda one: (points[one][2], points[one][0], -points[one][1], -one))
    assert {one.id for one in population} == set(order[:capacity])
    ranked = sorted(zip(population.ranking.rank.tolist(), (one.id for one in population), strict=True))
    assert [identity for _, identity in ranked] == order[:capacity]


@pytest.mark.parametrize("survival", [Newest(), Lexicographic()], ids=lambda one: type(one).__name__)
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=20), st.data())
def test_a_ranking_without_its_worst_is_that_of_the_others(
    survival: Survival, points: list[tuple[float, float]], data: st.DataObject
) -> None:
    objectives, violation = np.array(points), np.zeros(len(points))
    ranking = survival.ranking(objectives, violation)
    dropped = ranking.worst(data.draw(st.integers(1, len(points) - 1)))
    rest = np.delete(objectives, dropped, axis=0)
    left, fresh = ranking.without(dropped), survival.ranking(rest, np.zeros(len(rest)))
    assert left.worst(len(rest)) == fresh.worst(len(rest))
    assert np.argsort(left.rank, kind="stable").tolist() == np.argsort(fresh.rank, kind="stable").tolist()


@pytest.mark.parametrize("operator", [UniformVector, UniformSlots])
def test_a_uniform_operator_proposes_only_where_it_is_named(operator: type[UniformVector | UniformSlots]) -> None:
    assert operator.weight == 0


def test_a_uniform_point_is_anywhere_in_the_box_wherever_its_parent_is() -> None:
    low, high = np.array(BOX.lower), np.array(BOX.upper)
    for parent in (BOX.lower, BOX.upper):
        children = [propose(UniformVector(), [Vector(parent)], BOX, seed).genome for seed in range(400)]
        values = np.array([child.values for child in children if isinstance(child, Vector)])
        free = high > low
        share = ((values - low)[:, free]) / (high - low)[free]
        assert np.abs(share.mean(axis=0) - 0.5).max() < 0.06  # 4 standard errors
        assert np.abs(share.std(axis=0) - math.sqrt(1 / 12)).max() < 0.03


def test_uniform_choices_are_all_as_likely_but_the_parents_own() -> None:
    space = Slots({"a": (1, 2, 3), "b": (True, False)})
    parent = Architecture({"a": 1, "b": True})
    drawn = [propose(UniformSlots(), [parent], space, seed).genome for seed in range(1000)]
    counts = {one.canonical: drawn.count(one) for one in drawn if one is not None}
    assert len(counts) == 5
    assert parent.canonical not in counts
    assert max(abs(count - 200) for count in counts.values()) < 55  # 4 standard errors


def test_a_space_of_two_points_has_one_other() -> None:
    child = propose(UniformSlots(), [Architecture({"a": 1})], Slots({"a": (1, True)}), 0).genome
    assert child == Architecture({"a": True})
