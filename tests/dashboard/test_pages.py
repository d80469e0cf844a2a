"""Each page on runs of every kind: no traceback, no foreign markup, a sentence where there is nothing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from evo.lineage import open_run
from tests.conftest import TOY
from tests.support.dashboards import HOSTILE, begun, copied, dashboard, figures, grown, said, told, worked
from tests.support.paths import ROOT

DASHBOARD = ROOT / "dashboard"
VIEWS = ("", "front", "lineage", "individual", "operators", "islands", "failures", "workers", "compare", "sql")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory, first_toy_run: Path) -> Path:
    """A folder of runs: just begun, hostile with failures and one objective, and three objectives."""
    folder = tmp_path_factory.mktemp("kinds")
    begun(folder / "begun")
    failed = [{"outcome": "crash"}, {"outcome": "invalid", "objectives": {}}]
    told(folder / "failed", failed)
    told(folder / "one", [{"objectives": {"goal 0": 3.0}}, *failed, {"objectives": {"goal 0": 2.0}}])
    worked(folder / "worked")
    grown(folder / "three", 40).journal.close()
    copied(first_toy_run, folder / "toy")
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose engine was killed, in the middle of a line."""
    folder = tmp_path_factory.mktemp("killed")
    options = ("--set", "problem.options.pause_seconds=0.01", "--set", "budget.evaluations=100000")
    command = [sys.executable, "-m", "evo", "run", *TOY, *options, "--run-dir", str(folder), "--name", "killed"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as engine:
        deadline = time.monotonic() + 60
        while not (folder / "killed" / "lineage.duckdb").exists() or not open_run(folder / "killed").best().rows:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        engine.kill()
    with (folder / "killed" / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"event": "tell", "indi')
    return folder


@pytest.mark.parametrize("view", VIEWS)
def test_every_page_shows_a_run_whose_engine_was_killed(
    monkeypatch: pytest.MonkeyPatch, killed: Path, view: str
) -> None:
    app = dashboard(monkeypatch, killed, view=view, run="killed")
    assert not app.exception, app.exception
    assert [one.value for one in app.warning] == []
    if not view:
        assert "not running \\(cut short\\); evo resume goes on with it" in said(app)
        assert {one.label: one.value for one in app.metric}["time left"] == "\N{EN DASH}"


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("run", ["begun", "failed", "one", "three", "toy", "worked"])
def test_every_page_shows_every_kind_of_run(monkeypatch: pytest.MonkeyPatch, kinds: Path, run: str, view: str) -> None:
    app = dashboard(monkeypatch, kinds, view=view, run=run)
    assert not app.exception, app.exception
    assert [one.value for one in app.warning] == []
    assert run in app.header[0].value
    markdown = "\n".join(one.value for kind in (app.markdown, app.caption, app.warning) for one in kind)
    assert "<img" not in markdown.replace("\\<", "")
    assert "[a](" not in markdown


def test_figures_grow_with_what_was_told(monkeypatch: pytest.MonkeyPatch, kinds: Path) -> None:
    app = dashboard(monkeypatch, kinds, run="three")
    assert len(figures(app)) == 8  # three objectives, hypervolume, front, rate, outcomes, spending
    assert "hypervolume" in [one.label for one in app.metric]
    begun_app = dashboard(monkeypatch, kinds, run="begun")
    assert "Nothing has been told yet" in said(begun_app)
    assert figures(begun_app) == []


def test_failures_alone_are_no_best(monkeypatch: pytest.MonkeyPatch, kinds: Path) -> None:
    app = dashboard(monkeypatch, kinds, run="failed")
    assert {one.label: one.value for one in app.metric}["best goal 0"] == "none yet"
    assert "Nobody is in the front here" in said(dashboard(monkeypatch, kinds, view="front", run="failed"))


def test_a_genome_is_shown_with_its_difference_prompt_and_reply(monkeypatch: pytest.MonkeyPatch, kinds: Path) -> None:
    app = dashboard(monkeypatch, kinds, view="individual", run="one", id=3)
    codes = [one.value for one in app.code]
    assert f"--- 2\n+++ 3\n@@ -1,3 +1,3 @@\n --- main.py\n-x = 2\n+x = 3\n # {HOSTILE}" in codes
    assert codes.count(HOSTILE) == 3  # feedback, prompt and reply, to the letter
    shown = dashboard(monkeypatch, kinds, view="individual", run="one", id=3, show="genome")
    assert f"x = 3\n# {HOSTILE}\n" in [one.value for one in shown.code]


def test_an_address_names_what_is_looked_at(monkeypatch: pytest.MonkeyPatch, kinds: Path) -> None:
    app = dashboard(monkeypatch, kinds, run="three", island=0, **{"from": 5, "to": 20})
    assert "Only island 0, from tell 5, to tell 20" in said(app)
    assert dict(app.query_params) == {"run": "three", "island": "0", "from": "5", "to": "20"}
    assert dict(dashboard(monkeypatch, kinds).query_params)["run"]


def test_who_is_not_there_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, kinds: Path) -> None:
    app = dashboard(monkeypatch, kinds, view="individual", run="toy", id=99999)
    assert "no individual 99999 in" in app.warning[0].value
    gone = dashboard(monkeypatch, kinds, run="never-was")
    assert "there is no run never\\-was any more" in gone.warning[0].value
    assert not app.exception
    assert not gone.exception


def test_nonsense_in_an_address_is_passed_over(monkeypatch: pytest.MonkeyPatch, kinds: Path) -> None:
    nonsense = {"island": "x' OR 1=1", "from": "-3", "to": "abc", "clock": "<b>"}
    app = dashboard(monkeypatch, kinds, run="toy", **nonsense)
    assert not app.exception
    assert app.warning == []


@pytest.mark.parametrize("view", [one for one in VIEWS if one != "sql"])
def test_a_run_that_is_deleted_while_it_is_looked_at_is_said_to_be_gone(
    monkeypatch: pytest.MonkeyPatch, toy_run: Path, tmp_path: Path, view: str
) -> None:
    monkeypatch.setattr("dashboard.source.FRESH_SECONDS", 0.0)
    app = dashboard(monkeypatch, toy_run.parent, view=view)
    toy_run.rename(tmp_path / "away")
    from dashboard.shell import source

    source()._fresh_seconds = 0.0
    app.run()
    assert "there is no run toy any more" in app.warning[0].value
    assert not app.exception


def test_a_run_of_another_version_says_what_to_do(monkeypatch: pytest.MonkeyPatch, toy_run: Path) -> None:
    with duckdb.connect(str(toy_run / "lineage.duckdb")) as client:
        client.execute("UPDATE projection SET version = 2")
    for view in VIEWS:
        app = dashboard(monkeypatch, toy_run.parent, view=view)
        assert "has schema 2" in app.warning[0].value
        assert not app.exception


def test_no_run_at_all_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = dashboard(monkeypatch, tmp_path)
    assert "No run in" in said(app)
    assert "evo run bin_packing" in said(app)
    assert not app.exception


def test_twenty_runs_are_offered_the_latest_first(
    monkeypatch: pytest.MonkeyPatch, first_toy_run: Path, tmp_path: Path
) -> None:
    for number in range(20):
        copied(first_toy_run, tmp_path / "runs" / f"toy-{number}")
    (tmp_path / "runs" / "toy-7" / "journal.jsonl").touch()
    app = dashboard(monkeypatch, tmp_path / "runs")
    compared = dashboard(monkeypatch, tmp_path / "runs", view="compare")
    assert not compared.exception
    assert len(compared.multiselect[0].value) == 20
    (run,) = [one for one in app.selectbox if one.label == "Run"]
    assert (len(run.options), run.value) == (20, "toy-7")
    run.select("toy-3").run()
    assert app.header[0].value == "toy\\-3"
    for view in ("lineage", "operators", "islands"):
        app.switch_page(f"views/{view}.py").run()
        assert "toy\\-3" in app.header[0].value
        assert not app.exception


def test_the_console_answers_refuses_and_saves(monkeypatch: pytest.MonkeyPatch, toy_run: Path) -> None:
    app = dashboard(monkeypatch, toy_run.parent, view="sql", sql="SELECT count(*) AS n FROM individuals")
    assert [one.value for one in app.dataframe] == []  # a link shows a query, and runs none
    run = next(one for one in app.button if one.label == "Run")
    run.click().run()
    assert app.dataframe[0].value.n[0] == 60
    app.text_area[0].set_value("DELETE FROM individuals").run()
    next(one for one in app.button if one.label == "Run").click().run()
    assert "this is a DELETE" in app.error[0].value
    assert sorted(one.name for one in toy_run.parent.iterdir()) == ["toy"]


def test_no_file_of_the_dashboard_hides_a_module() -> None:
    """Streamlit puts dashboard/ first on the path: a name there goes before all libraries."""
    places = [one for one in sys.path if Path(one or ".").resolve() != DASHBOARD]
    for one in DASHBOARD.iterdir():
        if one.suffix == ".py" or one.is_dir():
            name = one.stem
            assert name == "__init__" or name not in sys.stdlib_module_names, name
            assert importlib.machinery.PathFinder.find_spec(name, places) is None or name == "__pycache__", name


@pytest.mark.parametrize("room", ["queries", "charts"])
def test_queries_and_figures_know_no_streamlit(room: str) -> None:
    for path in (DASHBOARD / room).glob("*.py"):
        assert "streamlit" not in path.read_text("utf-8").replace("without Streamlit", ""), path
