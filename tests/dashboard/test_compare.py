"""Runs side by side: grouped and compared as `evo compare` does, with hypervolumes against a common reference point."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dashboard.charts import compare as charts
from dashboard.queries import MOST_POINTS, compare
from evo.analysis.results import comparison_of, existing
from evo.lineage import Run, Table, open_run
from tests.dashboard.conftest import toy
from tests.support.dashboards import HOSTILE, copied, dashboard, figures, said

OBJECTIVE = ("near", "min", "")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods of three seeds each."""
    folder = tmp_path_factory.mktemp("compared")
    for seed in (1, 2, 3):
        common = ("budget.evaluations=40", f"seed={seed}")
        toy(folder, f"small-{seed}", *common, "search.population=5")
        toy(folder, f"random-{seed}", *common, baseline="random")
    return folder


def known(place: Path) -> dict[str, tuple[Path, str]]:
    return {run.name: (run, compare.configuration(open_run(run))[1]) for run in sorted(place.iterdir())}


def test_runs_that_differ_in_the_seed_alone_are_one_method(place: Path) -> None:
    methods, left_out = compare.methods(known(place))
    assert [(method.label, dict(method.seeds)) for method in methods] == [
        ("random", {"random-1": 1, "random-2": 2, "random-3": 3}),
        ("small", {"small-1": 1, "small-2": 2, "small-3": 3}),
    ]
    assert left_out == []


def test_only_what_differs_is_shown(place: Path) -> None:
    methods, _ = compare.methods(known(place))
    found = {row[0]: row[1:] for row in compare.differences(methods).rows}
    assert found["search.population"] == ("10", "5")
    assert found["search.operators"] == ("uniform_vector 1.0", "evo.testing.toys:Nudge 1.0")
    assert not {"seed", "problem.name", "budget.evaluations"} & set(found)


def test_gains_are_those_of_evo_compare(place: Path) -> None:
    methods, _ = compare.methods(known(place))
    results = {run.name: compare.measured(open_run(run), run.name, int(run.name[-1])) for run in place.iterdir()}
    found, left_out = compare.comparison(methods, results)
    assert found is not None
    expected = comparison_of(existing(sorted(place.iterdir())))
    assert replace(found, remarks=()) == replace(expected, remarks=())
    assert (left_out, len(found.gains), found.gains[0].over) == ([], 2, "random")


def test_runs_without_a_result_are_left_out_with_a_reason(runs: Path) -> None:
    begun = open_run(runs / "begun")
    methods, _ = compare.methods({"begun": (runs / "begun", compare.configuration(begun)[1])})
    result = compare.measured(begun, "begun", 1)
    assert compare.comparison(methods, {"begun": result}) == (None, [result])
    assert "begun is not finished" in str(result)
    _, reasons = compare.methods({"odd": (runs, '{"problem": {"name": "x"}, "sede": 1}')})
    assert "odd: sede: extra inputs" in reasons[0]
    assert compare.methods({}) == ([], [])


def test_a_curve_ends_with_the_result_of_the_run(place: Path) -> None:
    reader = open_run(place / "small-1")
    found = compare.curve(reader, 10)
    last = dict(zip(found.columns, found.rows[-1], strict=True))
    assert (last["tell"], last["best"]) == (39, reader.best().rows[0][2])
    assert len(found.rows) <= 21
    assert [row[1] for row in found.rows] == sorted(row[1] for row in found.rows)


def test_dollars_are_those_spent_by_then(worked_run: Run) -> None:
    found = compare.curve(worked_run, 100)
    usd = {row[0]: row[2] for row in found.rows}
    # An ask's tell is 7.5 s later, when every ask up to 5 s later has its reply: two in three of them cost a cent.
    assert usd[0] == pytest.approx(0.04)
    assert usd[53] == pytest.approx(0.40)


def test_pauses_are_no_time(runs: Path, tmp_path: Path) -> None:
    folder = copied(runs / "worked", tmp_path / "run")
    before = {row[0]: row[1] for row in compare.curve(open_run(folder), 100).rows}
    with duckdb.connect(str(folder / "lineage.duckdb")) as client:
        for table, column in (("individuals", "told_at"), ("completions", "completed")):
            client.execute(
                f"UPDATE {table} SET {column} = {column} + INTERVAL 1 DAY WHERE {column} > '2026-05-01 12:00:40'"
            )
        client.execute("INSERT INTO events VALUES ('2026-05-02 12:00:40', 'resume', '{\"config\": {}}')")
    after = {row[0]: row[1] for row in compare.curve(open_run(folder), 100).rows}
    assert after[20] == pytest.approx(before[20])
    assert after[53] == pytest.approx(before[53], abs=1.0)


def test_against_its_own_reference_a_hypervolume_is_that_of_the_run(made: Run) -> None:
    own = dict(made.sql("SELECT tell, hypervolume FROM indicators WHERE hypervolume IS NOT NULL").rows)
    found = compare.hypervolumes(made, compare.common([compare.references(made)]), 40)
    compared = [(row[4], own[row[0]]) for row in found.rows if row[0] in own]
    assert len(compared) > 15
    assert [found for found, _ in compared] == pytest.approx([expected for _, expected in compared])


def test_a_common_reference_is_the_worst_of_all() -> None:
    first, second = [("a", "min", 3.0), ("b", "max", -1.0)], [("a", "min", 2.0), ("b", "max", -4.0)]
    assert compare.common([first, second]) == (("a", "min", 3.0), ("b", "max", -4.0))
    assert compare.common([first, [("a", "min", None), ("b", "max", None)]]) == tuple(first)
    assert compare.common([first, [("a", "max", 3.0), ("b", "max", -1.0)]]) == ()
    assert compare.common([]) == ()


def test_a_band_goes_from_the_least_to_the_most_and_ends_with_the_shortest_run() -> None:
    lines = [[(1.0, 5.0), (3.0, 3.0), (9.0, 1.0)], [(2.0, 4.0), (5.0, 2.0)], [(1.0, 9.0), (7.0, 0.0)]]
    found = charts.band(lines)
    assert (found.x[0], found.x[-1]) == (2.0, 5.0)
    assert (found.low[0], found.middle[0], found.high[0]) == (4.0, 5.0, 9.0)
    assert (found.low[-1], found.middle[-1], found.high[-1]) == (2.0, 3.0, 9.0)
    assert charts.band([[(1.0, 1.0)], [(2.0, 1.0)]]).x == ()
    assert charts.band([[(1.0, 1.0)], [(1.0, 3.0)]]).middle == (2.0,)


@pytest.mark.parametrize("across", ["evaluations", "time", "dollars"])
def test_curves_are_bounded_and_escape_foreign_names(across: charts.Across) -> None:
    runs = compare.MOST_RUNS
    each = compare.points_each(runs)
    rows: tuple[tuple[Any, ...], ...] = tuple((at, float(at), float(at), 100.0 - at, None) for at in range(2 * each))
    found = {HOSTILE: {f"{HOSTILE}-{at}": Table(compare.CURVES, rows) for at in range(runs)}}
    drawn = charts.curves(found, across, "best", objective=(HOSTILE, "min", HOSTILE), revision="r")
    assert sum(len(trace.x) for trace in drawn.data) <= MOST_POINTS
    assert "<img" not in str(drawn.to_json()).replace("\\u003c", "<")
    assert charts.curves(found, across, "hypervolume", objective=None, revision="r").data == ()


def test_a_single_run_has_the_name_of_its_method(place: Path) -> None:
    found = {"small": {"small-1": compare.curve(open_run(place / "small-1"), 20)}}
    drawn = charts.curves(found, "evaluations", "best", objective=OBJECTIVE, revision="r")
    assert [trace.name for trace in drawn.data] == ["small"]
    assert drawn.data[0].x[-1] == 40


def test_the_page_compares_the_runs_of_a_problem(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    app = dashboard(monkeypatch, place, view="compare", run="small-1")
    assert not app.exception
    assert sorted(app.multiselect[0].value) == sorted(run.name for run in place.iterdir())
    assert list(app.dataframe[0].value.method) in (["small", "random"], ["random", "small"])
    assert len(figures(app)) == 3
    app.multiselect[0].set_value(["small-1"]).run()
    assert not app.exception
    assert "There is no gain to show yet" in said(app)
    app.multiselect[0].set_value([]).run()
    assert "No run is chosen" in said(app)


def test_a_link_names_the_runs_that_are_compared(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    app = dashboard(monkeypatch, place, view="compare", run="small-1", runs="random-2", over="time")
    assert app.multiselect[0].value == ["random-2"]
    assert not app.exception


def test_a_deleted_run_is_left_out(monkeypatch: pytest.MonkeyPatch, place: Path, tmp_path: Path) -> None:
    from dashboard.shell import source

    app = dashboard(monkeypatch, place, view="compare", run="small-1")
    source()._fresh_seconds = 0.0
    (place / "small-2").rename(tmp_path / "away")
    try:
        app.run()
        assert not app.exception
        assert "small-2" not in app.multiselect[0].value
        assert len(app.dataframe[0].value) == 2
    finally:
        (tmp_path / "away").rename(place / "small-2")


def test_a_run_of_other_objectives_has_no_hypervolume_against_a_reference(made: Run, worked_run: Run) -> None:
    reference = compare.common([compare.references(made)])
    assert len(reference) == 3
    assert compare.hypervolumes(worked_run, reference, 40).rows == ()
