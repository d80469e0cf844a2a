"""Each page on each kind of run that matters to it: no traceback, no foreign markup, a sentence where it is empty."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import duckdb
import pytest

from dashboard.shell import source
from tests.support.dashboards import HOSTILE, copied, dashboard, figures, grown, said, visit
from tests.support.paths import ROOT

DASHBOARD = ROOT / "dashboard"
VIEWS = ("", "front", "lineage", "individual", "operators", "islands", "failures", "workers", "compare", "sql")
# Every page shows a run that has only just begun and a hostile run; other kinds of runs matter to some pages alone.
KINDS = {
    "begun": VIEWS,
    "broken": VIEWS,
    "failed": ("", "front", "lineage", "individual", "failures"),
    "made": ("", "front", "operators", "workers"),
    "worked": ("failures", "workers"),
    "toy": ("", "individual"),
}


@pytest.mark.parametrize("run", KINDS)
def test_every_page_shows_every_kind_of_run(monkeypatch: pytest.MonkeyPatch, runs: Path, run: str) -> None:
    for view in KINDS[run]:
        app = dashboard(monkeypatch, runs, view=view, run=run)
        assert not app.exception, (view, app.exception)
        assert [warning.value for warning in app.warning] == [], view
        assert run in app.header[0].value, view
        markdown = "\n".join(element.value for kind in (app.markdown, app.caption, app.warning) for element in kind)
        assert "<img" not in markdown.replace("\\<", ""), view
        assert "[a](" not in markdown, view


def test_a_run_whose_engine_was_killed_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It left a journal without an end, in the middle of a line."""
    history = grown(tmp_path / "runs" / "killed", 20)
    history.journal.close()
    with (tmp_path / "runs" / "killed" / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"event": "tell", "indi')
    app = dashboard(monkeypatch, tmp_path / "runs", run="killed")
    assert "not running \\(killed\\); \\`evo resume\\` continues it" in said(app)
    assert {metric.label: metric.value for metric in app.metric}["time left"] == "\N{EN DASH}"
    for view in ("", "individual", "workers", "compare"):
        visit(app, view)
        assert not app.exception, (view, app.exception)
        assert [warning.value for warning in app.warning] == [], view


def test_figures_grow_with_the_results(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = dashboard(monkeypatch, runs, run="made")
    assert len(figures(app)) == 8  # three objectives, hypervolume, front, rate, outcomes, spending
    assert "hypervolume" in [metric.label for metric in app.metric]
    begun = dashboard(monkeypatch, runs, run="begun")
    assert "No evaluation has finished yet" in said(begun)
    assert figures(begun) == []


def test_failures_alone_are_no_best(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = dashboard(monkeypatch, runs, run="failed")
    assert {metric.label: metric.value for metric in app.metric}["best goal 0"] == "none yet"
    assert "The front is empty here" in said(visit(app, "front"))


def test_a_genome_is_shown_with_its_difference_prompt_and_reply(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = dashboard(monkeypatch, runs, view="individual", run="broken", id=4)
    codes = [code.value for code in app.code]
    assert f"--- 3\n+++ 4\n@@ -1,3 +1,3 @@\n --- main.py\n-x = 3\n+x = 4\n # {HOSTILE}" in codes
    assert codes.count(HOSTILE) == 3  # feedback, prompt and reply, verbatim
    shown = dashboard(monkeypatch, runs, view="individual", run="broken", id=4, show="genome")
    assert f"x = 4\n# {HOSTILE}\n" in [code.value for code in shown.code]


def test_an_address_names_what_is_shown(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = dashboard(monkeypatch, runs, run="made", island=0, **{"from": 5, "to": 20})
    assert "Only island 0, from tell 5, to tell 20" in said(app)
    assert dict(app.query_params) == {"run": "made", "island": "0", "from": "5", "to": "20"}
    assert dict(dashboard(monkeypatch, runs).query_params)["run"]


def test_an_individual_stays_chosen_from_page_to_page(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = dashboard(monkeypatch, runs, view="lineage", run="broken", id=2)
    assert visit(app, "individual").header[0].value == "Individual 2 of broken"
    (identity,) = [field for field in app.number_input if field.label == "Individual"]
    identity.set_value(1).run()
    assert app.header[0].value == "Individual 1 of broken"
    assert "Individual 1 beside its base 0" in said(visit(app, "lineage"))


def test_a_missing_individual_and_a_missing_run_are_a_sentence(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = dashboard(monkeypatch, runs, view="individual", run="toy", id=99999)
    assert "no individual 99999 in" in app.warning[0].value
    gone = dashboard(monkeypatch, runs, run="never-was")
    assert "there is no run never\\-was any more" in gone.warning[0].value
    assert not app.exception
    assert not gone.exception


def test_nonsense_in_an_address_is_ignored(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    nonsense = {"island": "x' OR 1=1", "from": "-3", "to": "abc", "clock": "<b>"}
    app = dashboard(monkeypatch, runs, run="toy", **nonsense)
    assert not app.exception
    assert app.warning == []


def test_every_page_says_that_a_run_was_deleted_while_it_was_shown(
    monkeypatch: pytest.MonkeyPatch, toy_run: Path, tmp_path: Path
) -> None:
    app = dashboard(monkeypatch, toy_run.parent)
    source()._fresh_seconds = 0.0
    for view in VIEWS:
        if view == "sql":
            continue
        visit(app, view)
        toy_run.rename(tmp_path / "away")
        app.run()
        assert "there is no run toy any more" in app.warning[0].value, view
        assert not app.exception, view
        (tmp_path / "away").rename(toy_run)


def test_every_page_says_what_to_do_with_a_run_of_another_version(
    monkeypatch: pytest.MonkeyPatch, toy_run: Path
) -> None:
    with duckdb.connect(str(toy_run / "lineage.duckdb")) as client:
        client.execute("UPDATE projection SET version = 2")
    app = dashboard(monkeypatch, toy_run.parent)
    for view in VIEWS:
        visit(app, view)
        assert "has schema 2" in app.warning[0].value, view
        assert not app.exception, view


def test_without_any_run_the_page_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = dashboard(monkeypatch, tmp_path)
    assert "No run in" in said(app)
    assert "evo run bin_packing" in said(app)
    assert not app.exception


def test_runs_are_offered_the_latest_first_and_stay_chosen_from_page_to_page(
    monkeypatch: pytest.MonkeyPatch, first_toy_run: Path, tmp_path: Path
) -> None:
    names = [f"toy-{number}" for number in range(5)]
    for name in names:
        copied(first_toy_run, tmp_path / "runs" / name)
    (tmp_path / "runs" / "toy-2" / "journal.jsonl").touch()
    app = dashboard(monkeypatch, tmp_path / "runs")
    (run,) = [box for box in app.selectbox if box.label == "Run"]
    assert (sorted(run.options), run.value) == (names, "toy-2")
    run.select("toy-3").run()
    assert app.header[0].value == "toy\\-3"
    for view in ("lineage", "operators", "islands"):
        visit(app, view)
        assert "toy\\-3" in app.header[0].value
        assert not app.exception
    compared = visit(app, "compare")
    assert not compared.exception
    assert sorted(compared.multiselect[0].value) == names


def test_the_console_answers_refuses_and_saves(monkeypatch: pytest.MonkeyPatch, toy_run: Path) -> None:
    app = dashboard(monkeypatch, toy_run.parent, view="sql", sql="SELECT count(*) AS n FROM individuals")
    assert [table.value for table in app.dataframe] == []  # a link shows a query without running it
    next(button for button in app.button if button.label == "Run").click().run()
    assert app.dataframe[0].value.n[0] == 60
    app.text_area[0].set_value("DELETE FROM individuals").run()
    next(button for button in app.button if button.label == "Run").click().run()
    assert "this is a DELETE" in app.error[0].value
    assert sorted(path.name for path in toy_run.parent.iterdir()) == ["toy"]


def test_no_file_of_the_dashboard_hides_a_module() -> None:
    """Streamlit puts dashboard/ first on the path: a name there goes before all libraries."""
    places = [place for place in sys.path if Path(place or ".").resolve() != DASHBOARD]
    for path in DASHBOARD.iterdir():
        if path.suffix == ".py" or path.is_dir():
            name = path.stem
            assert name == "__init__" or name not in sys.stdlib_module_names, name
            assert importlib.machinery.PathFinder.find_spec(name, places) is None or name == "__pycache__", name


@pytest.mark.parametrize("room", ["queries", "charts"])
def test_queries_and_figures_know_no_streamlit(room: str) -> None:
    for path in (DASHBOARD / room).glob("*.py"):
        assert "streamlit" not in path.read_text("utf-8").replace("without Streamlit", ""), path
