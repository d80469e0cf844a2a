"""Islands, migrations and niches are those of the search itself."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from dashboard.charts import islands as charts
from dashboard.charts import niches as niche_charts
from dashboard.filters import Stretch
from dashboard.queries import MOST_POINTS, islands, niches
from evo.lineage import Run, Table, open_run
from evo.search.niches import Dimension, NicheSettings
from tests.dashboard.conftest import ARCHIVES
from tests.support.dashboards import dashboard, figures, said

WHOLE = Stretch()
GOAL = ("near", "min", "")


@pytest.fixture(params=ARCHIVES)
def mapped(request: pytest.FixtureRequest, island_runs: Path) -> Run:
    """A run with an archive of each kind."""
    return open_run(island_runs / request.param)


@pytest.fixture
def grid(island_runs: Path) -> Run:
    return open_run(island_runs / "grid")


@pytest.fixture
def plain(island_runs: Path) -> Run:
    return open_run(island_runs / "plain")


def test_the_cells_are_those_of_the_search_itself(mapped: Run) -> None:
    """Coverage and QD score in the lineage follow from the elites that are drawn."""
    looked = 0
    for island in range(3):
        of = niches.niche_map(mapped, None, Stretch(island=island))
        last = mapped.sql(
            "SELECT coverage, qd_score FROM indicators n JOIN individuals i USING (tell) "
            f"WHERE i.island = {island} ORDER BY tell DESC LIMIT 1"
        ).rows[0]
        arrived = mapped.sql(f"SELECT max(tell) FROM arrivals WHERE island = {island} AND source IS NOT NULL").scalar()
        born = mapped.sql(f"SELECT max(tell) FROM individuals WHERE island = {island}").scalar()
        if arrived is not None and arrived >= born:
            continue  # a migrant has arrived since
        looked += 1
        assert of.feasible / of.cells == pytest.approx(last[0])
        assert math.fsum(max(0.0, 3 - elite.value) for elite in of.elites if elite.feasible) == pytest.approx(last[1])
        assert len({elite.cell for elite in of.elites}) == len(of.elites) == of.population
    assert looked


def test_of_several_islands_each_cell_shows_the_best(grid: Run) -> None:
    whole = niches.niche_map(grid, None, WHOLE)
    best: dict[int, float] = {}
    for island in range(3):
        for elite in niches.niche_map(grid, None, Stretch(island=island)).elites:
            best[elite.cell] = min(elite.value, best.get(elite.cell, math.inf))
    assert {elite.cell: elite.value for elite in whole.elites} == best


def test_an_earlier_archive_is_what_it_was_then_and_descriptors_are_computed_once(
    monkeypatch: pytest.MonkeyPatch, grid: Run
) -> None:
    half = niches.niche_map(grid, None, Stretch(last=80))
    assert {elite.individual for elite in half.elites} <= {
        row[0] for row in grid.sql("SELECT id FROM individuals WHERE tell <= 80").rows
    }
    known = niches.niche_map(grid, None, WHOLE)
    monkeypatch.setattr(niches, "genome_from_json", None)
    assert niches.niche_map(grid, known, WHOLE) == known


def test_members_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch, grid: Run) -> None:
    monkeypatch.setattr(niches, "MOST_ELITES", 5)
    of = niches.niche_map(grid, None, WHOLE)
    assert of.left_out == of.population - 5
    assert len(of.elites) <= 5


def test_a_run_without_niches_has_no_map(plain: Run) -> None:
    assert niches.niche_map(plain, None, WHOLE) == niches.NicheMap()
    assert niches.over_time(plain, WHOLE).rows == ()


def test_descriptors_that_the_lineage_does_not_have_are_named(monkeypatch: pytest.MonkeyPatch, plain: Run) -> None:
    how = NicheSettings((Dimension("slot:op", 0, 3, 3), Dimension("size", 0, 9, 3)))
    monkeypatch.setattr(niches, "settings", lambda reader: how)
    of = niches.niche_map(plain, None, WHOLE)
    assert (of.unknown, of.elites, of.cells) == (("slot:op",), (), 9)


def test_coverage_over_time_ends_with_the_last_of_each_island(mapped: Run) -> None:
    parts = niches.over_time(mapped, WHOLE).records()
    for island in range(3):
        of = [part for part in parts if part["island"] == island]
        last = mapped.sql(
            "SELECT tell, coverage, qd_score FROM indicators n JOIN individuals i USING (tell) "
            f"WHERE i.island = {island} ORDER BY tell DESC LIMIT 1"
        ).rows[0]
        assert (of[-1]["tell"], of[-1]["coverage"], of[-1]["qd_score"]) == last


def test_islands_are_counted_as_the_lineage_has_them(plain: Run) -> None:
    found = islands.islands(plain, WHOLE).records()
    members = dict(plain.sql("SELECT island, count(*) FROM island_members GROUP BY island").rows)
    assert {island["island"]: island["population"] for island in found} == members
    assert sum(island["evaluations"] for island in found) == 130
    (best,) = plain.sql("SELECT id, value FROM best WHERE name = 'near'").rows
    assert min(island["best"] for island in found) == best[1]
    assert best[0] in {island["individual"] for island in found}
    assert [island["island"] for island in islands.islands(plain, Stretch(island=1)).records()] == [1]


def test_populations_over_time_end_with_the_present_population(plain: Run) -> None:
    parts = islands.over_time(plain, WHOLE).records()
    for island in islands.islands(plain, WHOLE).records():
        last = [part for part in parts if part["island"] == island["island"]][-1]
        assert (last["population"], last["best"]) == (island["population"], island["best"])
    then = islands.over_time(plain, Stretch(last=80)).records()
    earlier = islands.islands(plain, Stretch(last=80)).records()
    assert {part["island"]: part["population"] for part in then} == {
        island["island"]: island["population"] for island in earlier
    }
    assert max(part["tell"] for part in then) <= 80


def test_migrations_are_those_of_the_lineage(plain: Run) -> None:
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


def test_each_elite_is_drawn(mapped: Run) -> None:
    of = niches.niche_map(mapped, None, WHOLE)
    assert of.settings is not None
    sides = len(of.settings.dimensions)
    drawn = niche_charts.niche_map(of, (0, None if sides == 1 else 1), GOAL, revision="r")
    (trace,) = drawn.data
    if trace.type == "heatmap":
        cells = [entry for row in trace.customdata for entry in row if entry[0] != ""]
        shown = {entry[0] for entry in cells}
        assert sum(len(row) for row in trace.z) <= MOST_POINTS
    else:
        shown = {entry[0] for entry in trace.customdata}
    assert shown == {elite.individual for elite in of.elites}


def test_a_large_grid_is_drawn_in_squares_that_show_their_best() -> None:
    how = NicheSettings((Dimension("x:0", 0, 1, 200), Dimension("x:1", 0, 1, 100)))
    elites = tuple(
        niches.Elite(number, cell, (0.0, 0.0), value, True, "made", 0)
        for number, (cell, value) in enumerate(((0, 2.0), (1, 1.0), (101, 3.0), (19_999, 4.0)))
    )
    of = niches.NicheMap(how, (), elites, 4)
    assert niche_charts.merged(of, (0, 1)) == 2
    (trace,) = niche_charts.niche_map(of, (0, 1), GOAL, revision="r").data
    assert (len(trace.z), len(trace.z[0])) == (50, 100)
    assert (trace.z[0][0], trace.z[49][99]) == (1.0, 4.0)
    assert niches.grid_place(how, 101) == (1, 1)


def test_flows_of_many_islands_are_a_matrix(plain: Run) -> None:
    few = islands.flows(plain, WHOLE)
    assert charts.flows(few, revision="r").data[0].type == "sankey"
    many = Table(few.columns, tuple((island, (island + 1) % 20, "migrated", 3, 1) for island in range(20)))
    drawn = charts.flows(many, revision="r").data[0]
    assert drawn.type == "heatmap"
    assert sum(value or 0 for row in drawn.z for value in row) == 60


@pytest.mark.parametrize("run", ["strip", "cvt3"])
def test_the_page_draws_archive_islands_and_migrations(
    monkeypatch: pytest.MonkeyPatch, island_runs: Path, run: str
) -> None:
    app = dashboard(monkeypatch, island_runs, view="islands", run=run)
    assert not app.exception
    assert len(figures(app)) == 7
    assert "migrations; **" in said(app)
    assert app.warning == []


def test_the_page_says_what_to_do_without_niches_islands_or_migrants(
    monkeypatch: pytest.MonkeyPatch, island_runs: Path, first_toy_run: Path
) -> None:
    app = dashboard(monkeypatch, island_runs, view="islands", run="plain")
    assert "This run has no niches" in said(app)
    assert len(figures(app)) == 4
    alone = dashboard(monkeypatch, first_toy_run, view="islands")
    assert "This run has one island" in said(alone)
    assert "search.islands.count=4" in said(alone)
    early = dashboard(monkeypatch, island_runs, view="islands", run="plain", to=5)
    assert "There is no migration here yet" in said(early)
