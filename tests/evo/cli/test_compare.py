"""Laws of `evo compare`: its report on results that were made up, and one comparison of real runs."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evo.analysis.comparison import Result
from evo.analysis.results import Compared, Measured, compare_runs
from evo.cli.compare import report
from evo.lineage import open_run, open_runs
from evo.values import Objective
from operators.scripted import ScriptedServer
from tests.conftest import TOY, Evo, exit_code_of
from tests.evo.engine.test_baselines import IN_PROCESS, climbing, serving
from tests.support.runs import events, overrides, spawn, wait_for_tells

SMALL = ("--set", "budget.evaluations=12")
NEAR = Objective("near", "min", "m")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with serving(monkeypatch) as server:
        yield server


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of short runs: POPULATION-SEED of two populations, longer-0 and another-0 of another problem."""
    folder = tmp_path_factory.mktemp("made") / "runs"
    for population in (10, 4):
        for seed in (3, 4, 5):
            # How many run side by side is no difference between methods.
            sizes = (f"search.population={population}", f"seed={seed}", f"executor.workers={seed}")
            made(folder, f"{population}-{seed}", *TOY, *SMALL, *overrides(*sizes))
    made(folder, "shorter-0", *TOY, *SMALL)
    made(folder, "longer-0", *TOY, *overrides("budget.evaluations=24"))
    made(folder, "another-0", "evo.testing.toys:Nothing", *IN_PROCESS, *SMALL)
    return folder


@pytest.fixture
def here(evo: Evo, runs: Path, tmp_path: Path) -> None:
    """Copies of those runs in the folder `runs` of where the command is called."""
    shutil.copytree(runs, tmp_path / "runs", dirs_exist_ok=True)


def made(folder: Path, name: str, *arguments: str) -> None:
    assert exit_code_of("run", *arguments, "--run-dir", folder, "--name", name) == 0


def read(answer_out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer_out)
    return found


def evaluated(folder: Path) -> list[int]:
    return [event["individual"] for event in events(folder, "tell")]


def results(method: str, *values: float) -> list[Measured]:
    found = (Result(method, seed, value, final=value, evaluations=40, usd=0.0) for seed, value in enumerate(values))
    return [Measured(result, NEAR, "holdout") for result in found]


def test_the_report_has_a_line_for_each_method_and_each_gain(capsys: pytest.CaptureFixture[str]) -> None:
    measured = [*results("evolve", 1, 2, 3), *results("random", 4, 5, 6), *results("best_of_n", 3, 3, 5)]
    report(Compared(["evolve", "random", "best_of_n"], measured, ["runs/cut is not finished"]), as_json=False)
    printed = capsys.readouterr().out
    assert "best of each run, near (min): median over seeds" in printed
    assert "gain over best_of_n in m (above 0 is better), mean over the same seeds" in printed
    rows = [line.split() for line in printed.splitlines()]
    assert [row[:2] for row in rows if row and row[0] in ("evolve", "random", "best_of_n")] == [
        ["evolve", "3"],
        ["random", "3"],
        ["best_of_n", "3"],
        ["evolve", "train"],
        ["evolve", "holdout"],
        ["random", "train"],
        ["random", "holdout"],
    ]
    assert printed.endswith("left out: runs/cut is not finished\n")


def test_a_comparison_of_methods_reports_the_figures_of_its_runs(evo: Evo, tmp_path: Path) -> None:
    methods = ("--method", "evolve", "--method", "random", "--seeds", 2, "--set", "seed=7")
    answer = evo("compare", *TOY, *SMALL, *methods, "--name", "two", "--json")
    assert answer.code == 0, answer.err
    lines = answer.err.splitlines()
    assert len(lines) == 4
    assert lines[-1].startswith("4 of 4, runs/two/random-8: 12 evaluations, $0, best near")
    summary = read(answer.out)["summaries"][0]
    assert (summary["seeds"], summary["evaluations"]) == ([7, 8], 12)
    readers = [open_run(tmp_path / f"runs/two/evolve-{seed}") for seed in (7, 8)]
    for figure, table in (("train", "objectives"), ("final", "holdout")):
        best = [reader.sql(f"SELECT min(value) FROM {table} WHERE name = 'near'").scalar() for reader in readers]
        assert summary[figure] == pytest.approx(sum(best) / 2)
    assert read(evo("compare", *(tmp_path / "runs/two").iterdir(), "--json").out)["summaries"][0]["method"] == "evolve"


def test_what_asks_no_model_gets_as_many_evaluations_as_the_dollars_bought(
    evo: Evo, tmp_path: Path, server: ScriptedServer
) -> None:
    options = (*climbing(tmp_path, server), *overrides("budget.usd=0.02", "budget.evaluations=100000"))
    methods = ("--method", "model_free", "--method", "evolve", "--seeds", 1, "--name", "free")
    answer = evo("compare", *options, *methods, "--json")
    assert answer.code == 0, answer.err
    place = tmp_path / "runs/free"
    assert 10 < len(evaluated(place / "model_free-0")) == len(evaluated(place / "evolve-0")) < 200
    assert open_run(place / "evolve-0").sql("SELECT sum(cost_usd) FROM completions").scalar() <= 0.02
    found = read(answer.out)
    assert found["remarks"][0].startswith("model_free spent no dollars, so evaluations count; in the mean: model_free")
    assert [summary["method"] for summary in found["summaries"]] == ["model_free", "evolve"]


@pytest.mark.slow
def test_evolution_beats_best_of_n_where_improvements_add_up(evo: Evo, tmp_path: Path, server: ScriptedServer) -> None:
    # One after the other, so that by how much it wins does not depend on whose answer comes first.
    order = ("search.deterministic=true", "search.max_in_flight=1", "seed=5")
    sizes = overrides("budget.usd=0.03", "budget.evaluations=100000", *order)
    answer = evo("compare", *climbing(tmp_path, server), *sizes, "--seeds", 6, "--name", "two", "--json")
    assert answer.code == 0, answer.err
    found = read(answer.out)
    gain = next(gain for gain in found["gains"] if gain["part"] == "holdout")
    assert (gain["method"], gain["over"], gain["won"]) == ("evolve", "best_of_n", 6)
    assert gain["interval"][0] > 0
    assert found["left_out"] == []
    for summary in found["summaries"]:
        assert 0.025 < summary["usd"] <= 0.03, summary
    for folder in (tmp_path / "runs/two").iterdir():
        assert open_run(folder).sql("SELECT sum(cost_usd) FROM completions").scalar() <= 0.03


@pytest.mark.usefixtures("here")
def test_runs_that_differ_in_nothing_but_their_length_are_two_methods(evo: Evo) -> None:
    Path("runs/notes").mkdir()
    found = read(evo("compare", "runs/shorter-0", "runs/longer-0", "runs/notes", "--json").out)
    assert found["left_out"] == ["runs/notes holds no run"]
    assert [summary["evaluations"] for summary in found["summaries"]] == [12, 24]
    assert found["remarks"][-1] == "longer differs from shorter in budget.evaluations"


@pytest.mark.usefixtures("here")
def test_runs_that_were_made_are_grouped_by_configuration_and_paired_by_seed(evo: Evo) -> None:
    names = [f"runs/{population}-{seed}" for population, seed in ((10, 5), (4, 3), (10, 3), (4, 5), (10, 4), (4, 4))]
    found = read(evo("compare", *names, "--json").out)
    assert [(summary["method"], summary["seeds"]) for summary in found["summaries"]] == [
        ("10", [3, 4, 5]),
        ("4", [3, 4, 5]),
    ]
    assert found["gains"][0]["over"] == "10"
    assert found["remarks"][-1] == "4 differs from 10 in search.population"
    shutil.copytree("runs/10-3", "runs/copy")
    twice = evo("compare", *names, "runs/copy")
    assert "left out: runs/copy: 10 has a run with seed 3 already" in twice.out


@pytest.mark.usefixtures("here")
def test_the_python_function_gives_the_figures_of_the_command(evo: Evo) -> None:
    names = [f"runs/{population}-{seed}" for population in (10, 4) for seed in (3, 4, 5)]
    found = read(evo("compare", *names, "--json").out)
    table = compare_runs(open_runs(names))
    rows = {row[0]: dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows}
    assert {method: row["train"] for method, row in rows.items()} == {
        summary["method"]: summary["train"] for summary in found["summaries"]
    }
    gain = found["gains"][-1]
    row = rows[gain["method"]]
    assert [row[column] for column in ("over", "gain", "part", "low")] == [
        gain["over"],
        gain["mean"],
        gain["part"],
        gain["interval"][0] if gain["interval"] else None,
    ]


@pytest.mark.usefixtures("here")
def test_methods_whose_folders_have_the_same_name_are_told_apart_by_the_folder_above(evo: Evo) -> None:
    for place, name in (("a", "10-3"), ("b", "4-3")):
        shutil.copytree(f"runs/{name}", f"runs/{place}/evolve-3")
    found = read(evo("compare", "runs/a/evolve-3", "runs/b/evolve-3", "--json").out)
    assert [summary["method"] for summary in found["summaries"]] == ["a/evolve", "b/evolve"]


def test_a_run_that_is_not_finished_is_left_out_with_the_command_that_goes_on(evo: Evo, toy_run: Path) -> None:
    (cut := toy_run.parent / "cut").mkdir()
    lines = (toy_run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (cut / "journal.jsonl").write_bytes(b"".join(lines[:-1]))
    evo("index", cut)
    answer = evo("compare", toy_run, cut)
    assert f"left out: {cut} is not finished; `evo resume {cut}` goes on with it" in answer.out


def test_interrupted_or_killed_a_comparison_goes_on_and_repeats_no_finished_run(evo: Evo, tmp_path: Path) -> None:
    sizes = overrides("budget.evaluations=40", "problem.options.pause_seconds=0.02")
    options = (*TOY, *sizes, "--seeds", 1, "--name", "cut", "--run-dir", tmp_path / "runs")
    first, second = tmp_path / "runs/cut/evolve-0", tmp_path / "runs/cut/best_of_n-0"
    with spawn("compare", *options) as process:
        wait_for_tells(first, 15)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    confirmed = "evo: interrupted: finishing what is in flight; interrupt again to stop at once\n"
    assert confirmed in complaint.decode()
    assert (
        complaint.decode()
        .replace(confirmed, "")
        .endswith("evolve-0: stopped\nevo: what was under way is recorded; the same `evo compare` goes on from here\n")
    )
    with spawn("compare", *options) as process:
        wait_for_tells(second, 10)
        process.send_signal(signal.SIGKILL)
    before, half = (first / "journal.jsonl").read_bytes(), evaluated(second)
    answer = evo("compare", *options)
    assert answer.code == 0, answer.err
    assert [line.rpartition(", ")[2] for line in answer.err.splitlines()] == ["finished before", "resumed"]
    assert (first / "journal.jsonl").read_bytes() == before
    assert evaluated(second)[: len(half)] == half
    assert sorted(evaluated(second)) == list(range(40))
    again = evo("compare", *options)
    assert again.out == answer.out
    assert again.err.count("finished before") == 2


def test_a_folder_without_a_whole_event_is_started_again(evo: Evo, tmp_path: Path) -> None:
    for name, written in (("evolve-0", None), ("best_of_n-0", '{"event": "ru')):
        (folder := tmp_path / "runs/torn" / name).mkdir(parents=True)
        if written:
            (folder / "journal.jsonl").write_text(written, "utf-8")
    answer = evo("compare", *TOY, *SMALL, "--seeds", 1, "--name", "torn")
    assert answer.code == 0, answer.err
    assert len(evaluated(tmp_path / "runs/torn/best_of_n-0")) == 12


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            (*TOY, "--method", "best_of_m"),
            "unknown method 'best_of_m'; did you mean 'best_of_n'? known: best_of_n, evolve",
        ),
        ((*TOY, "bin_packing"), "name a single configuration or problem, or run folders only"),
        (("runs/10-3", "--method", "random"), "these are runs that were made: --set, --model and --method have no use"),
        (
            (*TOY, "--name", "made", *overrides("budget.evaluations=40")),
            "made/evolve-0 was made with another budget.evaluations; choose another --name",
        ),
        (("bin_pakcing",), "unknown problem 'bin_pakcing'; did you mean 'bin_packing'?"),
        (("runs/shorter-0", "runs/another-0"), "has near (min) as its first objective, another has answer (max)"),
    ],
)
def test_a_mistake_gets_one_sentence(evo: Evo, arguments: tuple[str, ...], complaint: str) -> None:
    Path("runs/made").mkdir()
    shutil.copytree("runs/shorter-0", "runs/made/evolve-0")
    answer = evo("compare", *arguments)
    assert answer.code == 2
    assert complaint in answer.err
    assert answer.out == ""
