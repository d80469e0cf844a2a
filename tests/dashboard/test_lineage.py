"""The lineage is drawn correctly: whole where it can be, else cut with a count of what is left out."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dashboard.charts import lineage as charts
from dashboard.charts.tracks import tracks
from dashboard.filters import Stretch
from dashboard.queries import MOST_POINTS, lineage
from evo.errors import LineageError
from evo.lineage import Run, open_run
from tests.support.dashboards import HOSTILE, begun, dashboard, figures, said

WHOLE = Stretch()
GOAL = ("goal 0", "min", "s")
DEEP = 5200


@pytest.fixture(scope="module")
def deep_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A line of bases that is thousands of generations deep."""
    folder = begun(tmp_path_factory.mktemp("lineages") / "deep", objectives=1)
    with duckdb.connect(str(folder / "lineage.duckdb")) as client:
        client.execute(f"""
            INSERT INTO individuals SELECT i, i, 0, 'vector', '{{"kind": "vector", "values": [' || i || ']}}', 'd' || i,
                1, if(i % 2 = 0, 'even', 'odd'), NULL, true, '', 'ok', make_timestamp(i * 1000000), i
            FROM range({DEEP}) r(i);
            INSERT INTO parents SELECT i, i - 1, 'base' FROM range(1, {DEEP}) r(i);
            INSERT INTO parents SELECT i, i - 2, 'mate' FROM range(2, {DEEP}) r(i);
            INSERT INTO objectives SELECT i, 'goal 0', -i FROM range({DEEP}) r(i);
            INSERT INTO evaluations SELECT i, 0, 'train', 'ok', 1, 1, 1, make_timestamp(i * 1000000), 'w', 'n',
                'none', 0, '', 0 FROM range({DEEP}) r(i);
            INSERT INTO indicators (tell, front_size, population) SELECT i, 1, 1 FROM range({DEEP}) r(i);
        """)
    return folder


@pytest.fixture(scope="module")
def deep(deep_run: Path) -> Run:
    return open_run(deep_run)


def ids(graph: lineage.LineageGraph) -> set[int]:
    return {row[0] for row in graph.members.rows}


def test_a_small_family_is_all_ancestors_and_descendants(few: Run, made: Run) -> None:
    of = lineage.family(few, 3, None)
    assert (of.line, of.line_length, of.ancestors, of.ancestors_drawn) == ((3, 2, 1, 0), 3, 3, 3)
    assert (of.descendants_drawn, of.more_descendants) == (1, False)
    assert of.graph.edges == ((1, 0, "base"), (2, 1, "base"), (3, 2, "base"), (4, 3, "base"))
    columns = of.graph.members.columns
    gains = {row[0]: row[columns.index("gain")] for row in of.graph.members.rows}
    assert gains == {0: None, 1: 1.0, 2: None, 3: None, 4: 1.5}
    youngest = made.sql("SELECT max(id) FROM individuals").scalar()
    of = lineage.family(made, youngest, None)
    ancestry = {row[0] for row in made.sql(f"SELECT id FROM ancestors({youngest})").rows}
    assert of.ancestors == len(ancestry) - 1
    assert ids(of.graph) <= ancestry
    assert of.ancestors_drawn == len(ids(of.graph)) - 1


def test_a_missing_individual_is_an_error_that_says_how_many_there_are(few: Run) -> None:
    with pytest.raises(LineageError, match="no individual 99 in .* it has 5"):
        lineage.family(few, 99, None)


def test_a_line_of_thousands_is_cut_and_what_is_left_out_is_counted(deep: Run) -> None:
    of = lineage.family(deep, DEEP - 1, None)
    assert (of.line_length, of.ancestors) == (DEEP - 1, DEEP - 1)
    assert len(of.line) == lineage.LINE + 1
    assert of.ancestors_drawn == len(ids(of.graph)) - 1 < DEEP - 1
    near = lineage.family(deep, DEEP - 1, 10)
    assert near.line == tuple(range(DEEP - 1, DEEP - 12, -1))
    assert ids(near.graph) == set(range(DEEP - 21, DEEP))  # ten bases, and by mates twice as far
    first = lineage.family(deep, 0, None)
    assert (first.ancestors, first.descendants_drawn, first.more_descendants) == (0, lineage.DESCENDANTS, True)
    for family in (of, near, first):
        drawn = charts.family(family, GOAL, colour="gain", across="tell", revision="r", marked=None)
        assert sum(len(trace.x) for trace in drawn.data if trace.mode == "markers") <= MOST_POINTS


def test_the_steps_of_a_line_and_what_operators_contributed(few: Run, deep: Run) -> None:
    assert [row[0] for row in lineage.steps(few, 4).rows] == [0, 1, 2, 3, 4]
    contributions = lineage.contributions(deep, DEEP - 1)
    assert {row[0]: row[2:] for row in contributions.rows} == {
        "even": (2599, 2599, 2599.0),
        "odd": (2600, 2600, 2600.0),
    }
    assert [row[2:] for row in lineage.contributions(few, 4).rows] == [(4, 2, 2.5)]


def test_every_individual_is_drawn_or_counted(made: Run, deep: Run) -> None:
    of = lineage.all_individuals(made, WHOLE)
    assert (of.count, len(ids(of.graph)), of.edges_left_out) == (300, 300, 0)
    assert len(of.graph.edges) == made.sql("SELECT count(*) FROM (SELECT DISTINCT * FROM parents)").scalar()
    late = lineage.all_individuals(made, Stretch(first=100, last=199))
    assert (late.count, ids(late.graph)) == (100, set(range(100, 200)))
    assert late.edges_left_out > 0
    most = lineage.all_individuals(deep, WHOLE)
    assert (most.count, len(ids(most.graph)), most.edges_left_out) == (DEEP, MOST_POINTS, 3)


def test_lines_go_straight_and_branches_do_not_cross() -> None:
    #     0 -> 1 -> 2 -> 3
    #          1 -> 4    2 -> 5
    track = tracks({0: None, 1: 0, 2: 1, 3: 2, 4: 1, 5: 2})
    assert track[0] == track[1] == track[2]
    assert sorted({track[3], track[4], track[5]}) == [0.0, 1.0, 2.0]
    assert track[2] in (track[3], track[5])
    straight = tracks({0: None, 1: 0, 2: 1, 3: 2, 4: 1, 5: 2}, straight=(0, 1, 4))
    assert straight[0] == straight[1] == straight[4]
    assert tracks({}) == {}


def test_a_line_of_thousands_has_a_single_track() -> None:
    assert set(tracks({node: node - 1 if node else None for node in range(20_000)}).values()) == {0.0}


def test_each_leaf_has_a_track_of_its_own(made: Run) -> None:
    of = lineage.all_individuals(made, WHOLE)
    base = {child: parent for child, parent, role in of.graph.edges if role == "base"}
    track = tracks({node: base.get(node) for node in sorted(ids(of.graph))})
    leaves = ids(of.graph) - set(base.values())
    assert sorted(track[leaf] for leaf in leaves) == [float(number) for number in range(len(leaves))]


@pytest.mark.parametrize("colour", ["operator", "model", "island", "gain"])
def test_every_member_is_a_point_once_and_no_foreign_html_goes_out(few: Run, made: Run, colour: str) -> None:
    for run, individual in ((few, 3), (made, 250)):
        of, everything = lineage.family(run, individual, None), lineage.all_individuals(run, WHOLE)
        family = charts.family(of, GOAL, colour=colour, across="generation", revision="r", marked=1)
        whole = charts.all_individuals(everything, GOAL, colour=colour, across="tell", by_value=False, revision="r")
        for graph, drawn in ((of.graph, family), (everything.graph, whole)):
            points = [entry for trace in drawn.data if trace.customdata is not None for entry in trace.customdata]
            assert sorted(points) == sorted(ids(graph))
            assert "<img" not in str(drawn.to_json()).replace("\\u003c", "<")


def test_by_value_individuals_without_a_value_are_left_out(few: Run) -> None:
    drawn = charts.all_individuals(
        lineage.all_individuals(few, WHOLE), GOAL, colour="operator", across="tell", by_value=True, revision="r"
    )
    points = {entry for trace in drawn.data if trace.customdata is not None for entry in trace.customdata}
    assert points == {0, 1, 3, 4}


def test_many_names_share_the_colour_of_the_others() -> None:
    rows = [(number, f"operator {number % 20}") for number in range(100)]
    groups = charts.grouped(rows, 1)
    assert len(groups) == charts.MOST_COLOURS + 1
    assert groups[-1][0] == "others"
    assert sum(len(of) for _, _, of in groups) == 100


def test_the_page_says_what_is_left_out_and_shows_a_child_beside_its_base(
    monkeypatch: pytest.MonkeyPatch, runs: Path, deep_run: Path
) -> None:
    app = dashboard(monkeypatch, deep_run, view="lineage", run="deep", far="10")
    assert f"left out are **{DEEP - 21:,}** further back" in said(app)
    assert len(figures(app)) == 2
    (code,) = [element.value for element in app.code]
    assert code.splitlines()[-2:] == [f"-values: [{DEEP - 2}.0]", f"+values: [{DEEP - 1}.0]"]
    app = dashboard(monkeypatch, runs, view="lineage", run="few", id=4, child=1)
    assert "Individual 1 beside its base 0" in said(app)
    assert f"--- 0\n+++ 1\n@@ -1,3 +1,3 @@\n --- main.py\n-x = 0\n+x = 1\n # {HOSTILE}" in [
        element.value for element in app.code
    ]
    next(button for button in app.button if button.label == "Family of 1").click().run()
    assert "**1** ancestor, " in said(app)
    assert not app.exception


def test_the_page_draws_all_individuals(monkeypatch: pytest.MonkeyPatch, runs: Path, deep_run: Path) -> None:
    app = dashboard(monkeypatch, deep_run, view="lineage", run="deep", tree="all")
    assert f"The latest **{MOST_POINTS:,}** of {DEEP:,} individuals; 3 lines to earlier parents" in said(app)
    app = dashboard(monkeypatch, runs, view="lineage", run="made", tree="all", upwards="value", across="tell")
    assert "All **300** individuals." in said(app)
    assert not app.exception
