"""Laws of comparing: gains, intervals, remarks; and `evo compare` from the first run to the report."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evo.analysis.comparison import Comparison, Result, compare, paired_gain, reference_of
from evo.analysis.results import compare_runs
from evo.journal.log import read_events
from evo.lineage import open_run, open_runs
from evo.values import Objective
from operators.scripted import ScriptedServer
from tests.conftest import TOY, Evo
from tests.evo.engine.test_baselines import IN_PROCESS, climbing, serving
from tests.evo.engine.test_driver import spawn, wait_for_tells

COST, SCORE = Objective("cost", "min", "s"), Objective("score", "max")
SMALL = ("--set", "budget.evaluations=40")
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
    assert "seed 2: not in the gain of evolve, for want of evolve's or best_of_n's run" in comparison.remarks


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


# From here on: the command.


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with serving(monkeypatch) as one:
        yield one


def shown(answer_out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer_out)
    return found


def told(folder: Path) -> list[int]:
    return [event["individual"] for _, event in read_events(folder / "journal.jsonl") if event["event"] == "tell"]


def test_evolution_beats_best_of_n_where_improvements_add_up(evo: Evo, tmp_path: Path, server: ScriptedServer) -> None:
    # One after the other, so that by how much it wins does not depend on whose answer comes first.
    stated = (
        "budget.usd=0.03",
        "budget.evaluations=100000",
        "search.deterministic=true",
        "search.max_in_flight=1",
        "seed=5",
    )
    sizes = [word for one in stated for word in ("--set", one)]
    answer = evo("compare", *climbing(tmp_path, server), *sizes, "--seeds", 6, "--name", "two", "--json")
    assert answer.code == 0, answer.err
    found = shown(answer.out)
    gain = next(one for one in found["gains"] if one["part"] == "holdout")
    assert (gain["method"], gain["over"], gain["won"]) == ("evolve", "best_of_n", 6)
    assert gain["interval"][0] > 0
    assert found["left_out"] == []
    for one in found["summaries"]:
        assert 0.025 < one["usd"] <= 0.03, one
    for folder in (tmp_path / "runs/two").iterdir():
        assert open_run(folder).sql("SELECT sum(cost_usd) FROM completions").scalar() <= 0.03


def test_what_asks_no_model_gets_as_many_evaluations_as_the_dollars_bought(
    evo: Evo, tmp_path: Path, server: ScriptedServer
) -> None:
    options = (*climbing(tmp_path, server), "--set", "budget.usd=0.02", "--set", "budget.evaluations=100000")
    methods = ("--method", "model_free", "--method", "evolve", "--seeds", 2, "--name", "free")
    answer = evo("compare", *options, *methods, "--json")
    assert answer.code == 0, answer.err
    place = tmp_path / "runs/free"
    for seed in (0, 1):
        assert 10 < len(told(place / f"model_free-{seed}")) == len(told(place / f"evolve-{seed}")) < 200
    found = shown(answer.out)
    assert found["remarks"][0].startswith("model_free spent no dollars, so evaluations count; in the mean: model_free")
    assert [one["method"] for one in found["summaries"]] == ["model_free", "evolve"]
    again = shown(evo("compare", *place.iterdir(), "--json").out)
    assert {one["method"]: one["seeds"] for one in again["summaries"]} == {"evolve": [0, 1], "model_free": [0, 1]}
    table = compare_runs(open_runs(f"{place}/*"))
    mine = {row[0]: dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows}
    assert {name: one["train"] for name, one in mine.items()} == {
        one["method"]: one["train"] for one in again["summaries"]
    }
    gain = again["gains"][-1]
    assert [mine[gain["method"]][one] for one in ("over", "gain", "part", "low")] == [
        *(gain["over"], gain["mean"], gain["part"], gain["interval"][0] if gain["interval"] else None)
    ]


def test_runs_that_differ_in_nothing_but_their_length_are_two_methods(evo: Evo) -> None:
    for length in (30, 60):
        evo("run", *TOY, "--set", f"budget.evaluations={length}", "--name", f"{length}-0")
    Path("runs/notes").mkdir()
    found = shown(evo("compare", "runs/30-0", "runs/60-0", "runs/notes", "--json").out)
    assert found["left_out"] == ["runs/notes holds no run"]
    assert [one["evaluations"] for one in found["summaries"]] == [30, 60]
    assert found["remarks"][-1] == "60 differs from 30 in budget.evaluations"


def test_interrupted_a_comparison_stops_in_one_sentence_and_goes_on(evo: Evo, tmp_path: Path) -> None:
    options = (*TOY, *SMALL, "--set", "problem.options.pause_seconds=0.02", "--seeds", "1", "--name", "stopped")
    process = spawn("compare", *options, "--run-dir", tmp_path / "runs")
    wait_for_tells(tmp_path / "runs/stopped/evolve-0", 15)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint.decode().endswith(
        "evolve-0: stopped\nevo: what was under way is recorded; the same `evo compare` goes on from here\n"
    )
    answer = evo("compare", *options)
    assert answer.code == 0, answer.err
    assert answer.err.splitlines()[0].endswith(", resumed")


def test_the_report_says_who_gained_what_and_one_line_tells_each_run(evo: Evo) -> None:
    methods = ("--method", "evolve", "--method", "random", "--method", "best_of_n")
    answer = evo("compare", *TOY, *SMALL, *methods, "--seeds", 3, "--name", "three")
    assert answer.code == 0, answer.err
    assert len(answer.err.splitlines()) == 9
    assert "9 of 9, runs/three/best_of_n-2: 40 evaluations, $0, best near" in answer.err
    assert "best of each run, near (min): median over seeds" in answer.out
    assert "gain over best_of_n (above 0 is better), mean over the same seeds" in answer.out
    rows = [line.split() for line in answer.out.splitlines()]
    assert [row[:2] for row in rows if row and row[0] in ("evolve", "random", "best_of_n")] == [
        *(["evolve", "3"], ["random", "3"], ["best_of_n", "3"]),
        *(["evolve", "train"], ["evolve", "holdout"], ["random", "train"], ["random", "holdout"]),
    ]


def test_the_figures_are_those_of_the_runs(evo: Evo, tmp_path: Path) -> None:
    answer = evo("compare", *TOY, *SMALL, "--seeds", 1, "--set", "seed=7", "--name", "one", "--json")
    summary = shown(answer.out)["summaries"][0]
    reader = open_run(tmp_path / "runs/one/evolve-7")
    assert summary["seeds"] == [7]
    assert summary["train"] == reader.sql("SELECT min(value) FROM objectives WHERE name = 'near'").scalar()
    assert summary["final"] == reader.sql("SELECT min(value) FROM holdout WHERE name = 'near'").scalar()
    assert summary["evaluations"] == 40


def test_killed_and_called_again_a_comparison_repeats_no_finished_run(
    evo: Evo, tmp_path: Path, server: ScriptedServer
) -> None:
    options = (*climbing(tmp_path, server), "--set", "budget.evaluations=60", "--seeds", "2", "--name", "cut")
    place = tmp_path / "runs/cut"
    command = [sys.executable, "-m", "evo", "compare", *options, "--run-dir", str(tmp_path / "runs")]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for_tells(place / "best_of_n-0", 20)
        process.send_signal(signal.SIGKILL)
    finished, cut = place / "evolve-0", place / "best_of_n-0"
    before, half = (finished / "journal.jsonl").read_bytes(), told(cut)
    assert not (place / "evolve-1").exists()
    answer = evo("compare", *options)
    assert answer.code == 0, answer.err
    assert (finished / "journal.jsonl").read_bytes() == before
    assert told(cut)[: len(half)] == half
    assert all(sorted(told(folder)) == list(range(60)) for folder in place.iterdir())
    assert [line.rpartition(", ")[2] for line in answer.err.splitlines()[:2]] == ["finished before", "resumed"]
    requests = server.stats().requests
    again = evo("compare", *options)
    assert again.out == answer.out
    assert again.err.count("finished before") == 4
    assert server.stats().requests == requests


def test_a_folder_without_a_whole_event_is_begun_anew(evo: Evo, tmp_path: Path) -> None:
    for name, written in (("evolve-0", None), ("best_of_n-0", '{"event": "ru')):
        (folder := tmp_path / "runs/torn" / name).mkdir(parents=True)
        if written:
            (folder / "journal.jsonl").write_text(written, "utf-8")
    answer = evo("compare", *TOY, *SMALL, "--seeds", 1, "--name", "torn")
    assert answer.code == 0, answer.err
    assert len(told(tmp_path / "runs/torn/best_of_n-0")) == 40


def test_a_run_that_came_to_nothing_is_named_and_left_out(evo: Evo) -> None:
    for name in ("good", "bad"):
        wall = 1.5 if name == "good" else -9
        answer = evo("compare", *TOY, *SMALL, "--seeds", 1, "--name", name, "--set", f"problem.options.wall={wall}")
        assert answer.code == (0 if name == "good" else 2)
    assert "no run came to a result: runs/bad/evolve-0 failed: none of its individuals is feasible" in answer.err
    both = evo("compare", "runs/good/evolve-0", "runs/bad/evolve-0", "runs/good/best_of_n-0")
    assert both.code == 0, both.err
    assert "left out: runs/bad/evolve-0 failed: none of its individuals is feasible" in both.out


def test_a_run_that_is_not_finished_is_left_out(evo: Evo, tmp_path: Path, toy_run: Path) -> None:
    journal = toy_run / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    (cut := tmp_path / "runs/cut").mkdir()
    (cut / "journal.jsonl").write_bytes(b"".join(lines[:-1]))
    evo("index", cut)
    answer = evo("compare", toy_run, cut)
    assert f"left out: {cut} is not finished; `evo resume {cut}` goes on with it" in answer.out


def test_runs_that_are_there_are_grouped_by_configuration_and_paired_by_seed(evo: Evo) -> None:
    for population in (10, 4):
        for seed in (3, 4, 5):
            sizes = ("--set", f"search.population={population}", "--set", f"seed={seed}")
            answer = evo(
                "run", *TOY, *SMALL, *sizes, "--set", f"executor.workers={seed}", "--name", f"{population}-{seed}"
            )
            assert answer.code == 0, answer.err
    runs = ("runs/10-5", "runs/4-3", "runs/10-3", "runs/4-5", "runs/10-4", "runs/4-4")
    found = shown(evo("compare", *runs, "--json").out)
    assert [(one["method"], one["seeds"]) for one in found["summaries"]] == [("10", [3, 4, 5]), ("4", [3, 4, 5])]
    assert found["gains"][0]["over"] == "10"
    assert found["remarks"][-1] == "4 differs from 10 in search.population"
    shutil.copytree("runs/10-3", "runs/copy")
    twice = evo("compare", *runs, "runs/copy")
    assert "left out: runs/copy: 10 has a run with seed 3 already" in twice.out


def test_methods_whose_folders_have_one_name_are_told_apart_by_what_holds_them(evo: Evo) -> None:
    for place, population in (("a", 10), ("b", 4)):
        sizes = ("--set", f"search.population={population}", "--name", f"{place}/evolve-0")
        assert evo("run", *TOY, *SMALL, *sizes).code == 0
    found = shown(evo("compare", "runs/a/evolve-0", "runs/b/evolve-0", "--json").out)
    assert [one["method"] for one in found["summaries"]] == ["a/evolve", "b/evolve"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            (*TOY, "--method", "best_of_m"),
            "unknown method 'best_of_m'; did you mean 'best_of_n'? known: best_of_n, evolve",
        ),
        ((*TOY, "bin_packing"), "name one configuration or problem, or run folders only"),
        (("runs/toy", "--method", "random"), "these are runs that were made: --set, --model and --method have no use"),
        (
            (*TOY, "--name", "made", *SMALL),
            "made/evolve-0 was made with another budget.evaluations; choose another --name",
        ),
        (("bin_pakcing",), "unknown problem 'bin_pakcing'; did you mean 'bin_packing'?"),
        (("runs/toy", "runs/other"), "toy has near (min) as its first objective, other has answer (max)"),
    ],
)
def test_a_mistake_gets_one_sentence(evo: Evo, toy_run: Path, arguments: tuple[str, ...], complaint: str) -> None:
    evo("compare", *TOY, "--set", "budget.evaluations=12", "--seeds", 1, "--name", "made")
    evo("run", "evo.testing.toys:Nothing", *IN_PROCESS, "--set", "budget.evaluations=12", "--name", "other")
    answer = evo("compare", *arguments)
    assert answer.code == 2
    assert complaint in answer.err
    assert answer.out == ""
