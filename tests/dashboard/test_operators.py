"""What operators and models took and gave adds up, and beliefs are those that the choice itself holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from dashboard.charts import operators as charts
from dashboard.filters import Stretch
from dashboard.queries import MOST_POINTS, beliefs, operators
from dashboard.queries.beliefs import Rule
from evo.journal.inheritance import Inheritance
from evo.lineage import Run, Table, open_run, rebuild
from evo.protocols import ArmRecord
from evo.search.selectors import Bandit, Router, Thompson, Ucb1
from evo.values import Proposal
from tests.benchmarks.histories import ARMS, History
from tests.support.dashboards import HOSTILE, dashboard, figures, grown, said, told

WHOLE = Stretch()


def rows(table: Table) -> list[dict[str, object]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("operators")
    values = [{"objectives": {"goal 0": one}} for one in (3.0, 2.0, 2.5, 1.0)]
    told(folder / "few", [*values[:2], {"outcome": "crash"}, *values[2:]])
    grown(folder / "made", 300).journal.close()
    return folder


@pytest.fixture(scope="module")
def few(place: Path) -> Run:
    return open_run(place / "few")


@pytest.fixture(scope="module")
def made(place: Path) -> Run:
    return open_run(place / "made")


def test_what_an_arm_took_and_gave(few: Run) -> None:
    (arm,) = rows(operators.arms(few, WHOLE))
    assert (arm["operator"], arm["model"]) == (HOSTILE, HOSTILE)
    counts = [
        arm[name] for name in ("proposals", "admitted", "valid", "improved", "survived", "entered_front", "calls")
    ]
    assert counts == [5, 5, 4, 2, 4, 4, 5]
    assert arm["reward"] == pytest.approx(0.8)
    assert (arm["gain"], arm["largest"]) == (1.25, 1.5)
    assert arm["usd"] == pytest.approx(0.05)
    assert arm["usd_each"] == pytest.approx(0.0125)
    assert (arm["input_tokens"], arm["output_tokens"], arm["seconds"], arm["slow"]) == (50, 25, 0.5, 0.5)


def test_arms_are_those_of_the_lineages_own_view(made: Run) -> None:
    expected = {row[:2]: row[2:] for row in made.sql("FROM operator_yield").rows}
    found = rows(operators.arms(made, WHOLE))
    names = ("proposals", "admitted", "valid", "survived", "entered_front")
    assert {(one["operator"], one["model"]): tuple(one[name] for name in names) for one in found} == expected
    assert sum(float(str(one["usd"])) for one in found) == pytest.approx(300 * 3e-4)


@pytest.mark.parametrize("by", ["operator", "model", "both"])
def test_what_came_over_time_adds_up(made: Run, by: operators.By) -> None:
    parts, arms = rows(operators.over_time(made, WHOLE, by)), rows(operators.arms(made, WHOLE))
    for name in ("proposals", "valid", "survived", "entered_front"):
        assert sum(int(str(one[name])) for one in parts) == sum(int(str(one[name])) for one in arms), name
    assert len({one["ask"] for one in parts}) > 20
    counted = operators.outcomes(made, WHOLE, by)
    assert sum(row[2] for row in counted.rows) == 300
    assert {row[0] for row in counted.rows} == {one["maker"] for one in parts}


def test_a_stretch_holds_its_own_proposals_alone(made: Run) -> None:
    part = operators.arms(made, Stretch(first=100, last=199))
    assert sum(row[2] for row in part.rows) == 100
    assert operators.arms(made, Stretch(island=7)).rows == ()
    assert operators.arms(made, Stretch(first=10_000)).rows == ()


def test_proposals_that_came_to_nothing_count(tmp_path: Path) -> None:
    history = _grown_by(tmp_path / "run", Thompson(ARMS), 30, drops=5)
    history.journal.close()
    reader = open_run(tmp_path / "run")
    arms = rows(operators.arms(reader, WHOLE))
    assert sum(int(str(one["proposals"])) - int(str(one["admitted"])) for one in arms) == 5
    assert sum(row[2] for row in operators.outcomes(reader, WHOLE, "both").rows if row[1] == "unparsable") == 5


def _grown_by(folder: Path, choice: Bandit, count: int, *, drops: int = 0) -> History:
    """A run whose arms a bandit chooses, with so many proposals in between that cannot be read."""
    folder.mkdir(parents=True)
    history = History(folder, population=10)
    history.search.population.islands[0].selector = choice
    for _ in range(max(1, drops)):
        history.grow(count // max(1, drops))
        if drops:
            ask = history.search.ask()
            assert ask is not None
            history._recorder.asked(ask)
            history._complete(ask)
            history.search.drop(ask)
            history._recorder.dropped(ask, Proposal("unparsable"))
    rebuild(folder)
    return history


@pytest.mark.parametrize(
    ("how", "choice"),
    [
        (Rule("thompson"), Thompson(ARMS)),
        (Rule("thompson", half_life=25), Thompson(ARMS, half_life=25)),
        (Rule("ucb1", per_dollar=True, evaluation_usd=0.01), Ucb1(ARMS, per_dollar=True, evaluation_usd=0.01)),
    ],
)
def test_beliefs_are_those_that_the_choice_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: Rule, choice: Bandit
) -> None:
    _grown_by(tmp_path / "run", choice, 150, drops=6).journal.close()
    monkeypatch.setattr(beliefs, "rule", lambda reader: how)
    found = beliefs.beliefs(open_run(tmp_path / "run"), 0)
    _assert_held(found, how, choice)
    assert len({one.ended for one in found}) > 20
    assert all(one.low <= one.mean <= one.high for one in found)


def test_a_router_begins_with_what_it_inherited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    records = (ArmRecord("cross", "large", 200.0, 90.0, 0.5, 3), ArmRecord("inspire", "small", 4.0, 1.0, 0.1, 2))
    choice = Router(ARMS, records)
    (tmp_path / "run").mkdir()
    history = History(tmp_path / "run", population=10)
    history._recorder.inherited(Inheritance((), records))
    history.search.population.islands[0].selector = choice
    history.grow(80)
    history.journal.close()
    rebuild(tmp_path / "run")
    how = Rule("router", per_dollar=True)
    monkeypatch.setattr(beliefs, "rule", lambda reader: how)
    _assert_held(beliefs.beliefs(open_run(tmp_path / "run"), 0), how, choice)


def _assert_held(found: tuple[beliefs.Belief, ...], how: Rule, choice: Bandit) -> None:
    """The last beliefs come from the very sums of the choice."""
    last = {one.arm: one for one in found if one.ended == found[-1].ended}
    prices = choice.prices(choice.known)
    assert set(last) == {(arm.operator, arm.model) for arm in ARMS}
    for arm, known, price in zip(choice.arms, choice.known, prices, strict=True):
        one = last[arm.operator, arm.model]
        assert one.pulls == pytest.approx(known.pulls)
        assert one.price == pytest.approx(price)
        mean = known.gain / known.pulls if how.name == "ucb1" else (1 + known.gain) / (2 + known.pulls)
        assert one.mean == pytest.approx(mean)


def test_the_rule_is_read_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    history = History(tmp_path / "run")
    history.grow(1)
    history.journal.close()
    rebuild(tmp_path / "run")
    reader = open_run(tmp_path / "run")
    assert beliefs.rule(reader) == Rule("weights")
    assert not beliefs.rule(reader).learns
    for choice, expected in (
        ({"name": "thompson", "options": {"half_life": 30}}, Rule("thompson", half_life=30)),
        ({"name": "router", "options": {}}, Rule("router", per_dollar=True)),
        ({"name": "router", "options": {"per_dollar": False}}, Rule("router")),
        ({"name": "mine:Own", "options": {}}, Rule("mine:Own")),
    ):
        _configure(tmp_path / "run", choice)
        assert beliefs.rule(reader) == expected
    assert not replace(Rule(), name="mine:Own").is_known


def _configure(folder: Path, choice: dict[str, object]) -> None:
    with duckdb.connect(str(folder / "lineage.duckdb")) as client:
        client.execute("UPDATE runs SET config = ?", [json.dumps({"search": {"choice": choice}})])


def test_no_figure_hands_foreign_html_on_and_all_are_bounded(few: Run, made: Run) -> None:
    for run in (few, made):
        arms, believed = operators.arms(run, WHOLE), beliefs.beliefs(run, 0)
        drawn = [charts.price_and_gain(arms, revision="r"), charts.beliefs(believed, per_dollar=True, revision="r")]
        drawn.append(charts.outcomes(operators.outcomes(run, WHOLE, "both"), revision="r"))
        parts = operators.over_time(run, WHOLE, "both")
        drawn += [charts.over_time(parts, what, revision="r") for what in charts.OVER_TIME]
        for figure in drawn:
            assert figure.data
            assert sum(len(trace.x) for trace in figure.data) <= MOST_POINTS
            assert "<img" not in str(figure.to_json()).replace("\\u003c", "<")


def test_shares_of_asks_add_up_to_one(made: Run) -> None:
    drawn = charts.over_time(operators.over_time(made, WHOLE, "both"), "share of asks", revision="r")
    for at in range(len(drawn.data[0].y)):
        assert sum(trace.y[at] for trace in drawn.data) == pytest.approx(1)


def test_the_page_says_how_beliefs_were_come_by(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    app = dashboard(monkeypatch, place, view="operators", run="made", by="both", what="reward")
    assert "Derived from what was told on island 0" in said(app)
    assert "chooses by fixed weights, and learns nothing" in said(app)
    assert len(figures(app)) == 4
    assert {one.label: one.value for one in app.metric}["proposals"] == "300"
    empty = dashboard(monkeypatch, place, view="operators", run="made", island=7)
    assert "Nobody has proposed anything here" in said(empty)
    assert not app.exception
    assert not empty.exception
