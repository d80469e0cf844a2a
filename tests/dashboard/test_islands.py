"""Islands, migrations and niches are what the search itself had."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import pytest

from dashboard.charts import islands as charts
from dashboard.charts import niches as map_charts
from dashboard.filters import Stretch
from dashboard.queries import MOST_POINTS, islands, niches
from evo import cli
from evo.lineage import Run, Table, open_run
from evo.search.niches import Dimension, NicheSettings
from tests.conftest import TOY
from tests.support.dashboards import dashboard, figures, said

WHOLE = Stretch()
GOAL = ("near", "min", "")
SIDES = '"x:0": {low: -2, high: 2, cells: 8}, "x:1": {low: -2, high: 2, cells: 5}'
MAPS = {
    "grid": f"{{floor: 3, dimensions: {{{SIDES}}}}}",
    "strip": '{floor: 3, dimensions: {"x:0": {low: -2, high: 2, cells: 12}}}',
    "cvt": f"{{kind: cvt, cells: 30, floor: 3, dimensions: {{{SIDES}}}}}",
    "cvt3": f'{{kind: cvt, cells: 30, floor: 3, dimensions: {{{SIDES}, "x:2": {{low: -2, high: 2}}}}}}',
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on three islands for each map, and one without any."""
    folder = tmp_path_factory.mktemp("islands")
    for name, stated in {**MAPS, "plain": ""}.items():
        settings = ["--set", "search.islands={count: 3, every: 10, reset_every: 90}", "--set", "budget.evaluations=200"]
        settings += ["--name", name, "--run-dir", str(folder), "--set", "search.parents=uniform"]
        settings += ["--set", f"search.niches={stated}", "--set", "search.survival=lexicographic"] if stated else []
        with pytest.MonkeyPatch.context() as patch, suppress(SystemExit):
            patch.setattr("sys.argv", ["evo", "run", *TOY, *settings])
            cli.main()
    return folder


@pytest.fixture(params=sorted(MAPS))
def mapped(request: pytest.FixtureRequest, place: Path) -> Run:
    return open_run(place / request.param)


@pytest.fixture
def plain(place: Path) -> Run:
    return open_run(place / "plain")


def rows(table: Table) -> list[dict[str, object]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_the_cells_are_those_of_the_search_itself(mapped: Run) -> None:
    """Coverage and QD score, as the search told them, follow from the elites that are drawn."""
    looked = 0
    for island in range(3):
        of = niches.archive(mapped, None, Stretch(island=island))
        last = mapped.sql(
            "SELECT coverage, qd_score FROM indicators n JOIN individuals i USING (tell) "
            f"WHERE i.island = {island} ORDER BY tell DESC LIMIT 1"
        ).rows[0]
        arrived = mapped.sql(f"SELECT max(tell) FROM arrivals WHERE island = {island} AND source IS NOT NULL").scalar()
        told = mapped.sql(f"SELECT max(tell) FROM individuals WHERE island = {island}").scalar()
        if arrived is not None and arrived >= told:
            continue  # somebody came since
        looked += 1
        assert of.feasible / of.cells == pytest.approx(last[0])
        assert math.fsum(max(0.0, 3 - one.value) for one in of.elites if one.feasible) == pytest.approx(last[1])
        assert len({one.cell for one in of.elites}) == len(of.elites) == of.living
    assert looked


def test_of_several_islands_each_cell_shows_the_best(mapped: Run) -> None:
    whole = niches.archive(mapped, None, WHOLE)
    best: dict[int, float] = {}
    for island in range(3):
        for one in niches.archive(mapped, None, Stretch(island=island)).elites:
            best[one.cell] = min(one.value, best.get(one.cell, math.inf))
    assert {one.cell: one.value for one in whole.elites} == best


def test_a_map_of_before_is_what_it_was_then_and_nobody_is_measured_twice(
    monkeypatch: pytest.MonkeyPatch, mapped: Run
) -> None:
    half = niches.archive(mapped, None, Stretch(last=80))
    assert {one.individual for one in half.elites} <= {
        row[0] for row in mapped.sql("SELECT id FROM individuals WHERE tell <= 80").rows
    }
    known = niches.archive(mapped, None, WHOLE)
    monkeypatch.setattr(niches, "genome_from_json", None)
    assert niches.archive(mapped, known, WHOLE) == known


def test_what_does_not_fit_is_counted(monkeypatch: pytest.MonkeyPatch, mapped: Run) -> None:
    monkeypatch.setattr(niches, "MOST_ELITES", 5)
    of = niches.archive(mapped, None, WHOLE)
    assert of.left_out == of.living - 5
    assert len(of.elites) <= 5


def test_a_run_without_niches_has_no_map(plain: Run) -> None:
    assert niches.archive(plain, None, WHOLE) == niches.NicheMap()
    assert niches.over_time(plain, WHOLE).rows == ()


def test_what_the_lineage_does_not_tell_is_named(monkeypatch: pytest.MonkeyPatch, plain: Run) -> None:
    how = NicheSettings({"slot:op": Dimension(0, 3, 3), "size": Dimension(0, 9, 3)})
    monkeypatch.setattr(niches, "settings", lambda reader: how)
    of = niches.archive(plain, None, WHOLE)
    assert (of.unknown, of.elites, of.cells) == (("slot:op",), (), 9)


def test_coverage_over_time_ends_with_the_last_of_each_island(mapped: Run) -> None:
    parts = rows(niches.over_time(mapped, WHOLE))
    for island in range(3):
        of = [one for one in parts if one["island"] == island]
        last = mapped.sql(
            "SELECT tell, coverage, qd_score FROM indicators n JOIN individuals i USING (tell) "
            f"WHERE i.island = {island} ORDER BY tell DESC LIMIT 1"
        ).rows[0]
        assert (of[-1]["tell"], of[-1]["coverage"], of[-1]["qd_score"]) == last


def test_islands_are_counted_as_the_lineage_has_them(plain: Run) -> None:
    found = rows(islands.islands(plain, WHOLE))
    living = dict(plain.sql("SELECT island, count(*) FROM island_members GROUP BY island").rows)
    assert {one["island"]: one["living"] for one in found} == living
    assert sum(int(str(one["count_told"])) for one in found) == 200
    (best,) = plain.sql("SELECT id, value FROM best WHERE name = 'near'").rows
    assert min(float(str(one["best"])) for one in found) == best[1]
    assert best[0] in {one["individual"] for one in found}
    assert [one["island"] for one in rows(islands.islands(plain, Stretch(island=1)))] == [1]


def test_populations_over_time_end_with_who_lives(plain: Run) -> None:
    parts = rows(islands.over_time(plain, WHOLE))
    found = rows(islands.islands(plain, WHOLE))
    for one in found:
        last = [part for part in parts if part["island"] == one["island"]][-1]
        assert (last["living"], last["best"]) == (one["living"], one["best"])
    then = rows(islands.over_time(plain, Stretch(last=80)))
    earlier = {one["island"]: one["living"] for one in rows(islands.islands(plain, Stretch(last=80)))}
    assert {one["island"]: one["living"] for one in then} == earlier
    assert max(int(str(one["tell"])) for one in then) <= 80


def test_moves_are_those_of_the_lineage(plain: Run) -> None:
    expected = plain.sql("SELECT tell, individual, source, island, reason FROM arrivals WHERE source IS NOT NULL").rows
    moves = islands.moves(plain, WHOLE)
    assert sorted(moves.rows) == sorted(expected)
    assert {row[4] for row in expected} == {"migrated", "reset"}
    flows = islands.flows(plain, WHOLE)
    assert sum(row[3] for row in flows.rows) == len(expected)
    assert {row[2] for row in flows.rows} == {row[4] for row in expected}
    for source, target, reason, individuals, parents in flows.rows:
        assert individuals == sum(row[2:] == (source, target, reason) for row in expected)
        assert 0 <= parents <= individuals
    near = islands.flows(plain, Stretch(island=1, last=100))
    assert all(1 in row[:2] for row in near.rows)


def test_each_elite_of_a_map_is_drawn(mapped: Run) -> None:
    of = niches.archive(mapped, None, WHOLE)
    assert of.settings is not None
    sides = len(of.settings.dimensions)
    drawn = map_charts.archive(of, (0, None if sides == 1 else 1), GOAL, revision="r")
    (trace,) = drawn.data
    if trace.type == "heatmap":
        cells = [entry for row in trace.customdata for entry in row if entry[0] != ""]
        shown = {entry[0] for entry in cells}
        assert sum(len(row) for row in trace.z) <= MOST_POINTS
    else:
        shown = {entry[0] for entry in trace.customdata}
    assert shown == {one.individual for one in of.elites}


def test_a_large_grid_is_drawn_in_squares_that_show_their_best(mapped: Run) -> None:
    how = NicheSettings({"x:0": Dimension(0, 1, 200), "x:1": Dimension(0, 1, 100)})
    elites = tuple(
        niches.Elite(number, cell, (0.0, 0.0), value, True, "made", 0)
        for number, (cell, value) in enumerate(((0, 2.0), (1, 1.0), (101, 3.0), (19_999, 4.0)))
    )
    of = niches.NicheMap(how, (), elites, 4)
    assert map_charts.merged(of, (0, 1)) == 2
    (trace,) = map_charts.archive(of, (0, 1), GOAL, revision="r").data
    assert (len(trace.z), len(trace.z[0])) == (50, 100)
    assert (trace.z[0][0], trace.z[49][99]) == (1.0, 4.0)
    assert niches.grid_place(how, 101) == (1, 1)


def test_flows_of_many_islands_are_a_matrix(plain: Run) -> None:
    few = islands.flows(plain, WHOLE)
    assert charts.flows(few, revision="r").data[0].type == "sankey"
    many = Table(few.columns, tuple((one, (one + 1) % 20, "migrated", 3, 1) for one in range(20)))
    drawn = charts.flows(many, revision="r").data[0]
    assert drawn.type == "heatmap"
    assert sum(value or 0 for row in drawn.z for value in row) == 60


@pytest.mark.parametrize("run", sorted(MAPS))
def test_the_page_draws_map_islands_and_migrations(monkeypatch: pytest.MonkeyPatch, place: Path, run: str) -> None:
    app = dashboard(monkeypatch, place, view="islands", run=run)
    assert not app.exception
    assert len(figures(app)) == 7
    assert "moves; **" in said(app)
    assert app.warning == []


def test_the_page_says_what_to_do_without_niches_islands_or_migrants(
    monkeypatch: pytest.MonkeyPatch, place: Path, first_toy_run: Path
) -> None:
    app = dashboard(monkeypatch, place, view="islands", run="plain")
    assert "This run has no niches" in said(app)
    assert len(figures(app)) == 4
    alone = dashboard(monkeypatch, first_toy_run, view="islands")
    assert "This run has one island" in said(alone)
    assert "search.islands.count=4" in said(alone)
    early = dashboard(monkeypatch, place, view="islands", run="plain", to=5)
    assert "Nobody has moved here yet" in said(early)
