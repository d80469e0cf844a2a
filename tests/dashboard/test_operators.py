"""What operators and models cost and yield adds up, and beliefs are those that the operator selector itself has."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from dashboard.charts import operators as charts
from dashboard.filters import Stretch
from dashboard.queries import MOST_POINTS, beliefs, operators
from dashboard.queries.beliefs import SelectorSettings
from evo.journal.inheritance import Inheritance
from evo.lineage import Run, open_run, rebuild
from evo.protocols import ArmRecord
from evo.search.selectors import Bandit, Router, Thompson, Ucb1
from evo.values import Proposal
from tests.benchmarks.histories import ARMS, History
from tests.support.dashboards import HOSTILE, dashboard, figures, said

WHOLE = Stretch()


def test_what_an_arm_costs_and_yields(few: Run) -> None:
    (arm,) = operators.arms(few, WHOLE).records()
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
    found = operators.arms(made, WHOLE).records()
    names = ("proposals", "admitted", "valid", "survived", "entered_front")
    assert {(arm["operator"], arm["model"]): tuple(arm[name] for name in names) for arm in found} == expected
    assert sum(arm["usd"] for arm in found) == pytest.approx(300 * 3e-4)


@pytest.mark.parametrize("by", ["operator", "model", "both"])
def test_results_over_time_add_up(made: Run, by: operators.By) -> None:
    parts, arms = operators.over_time(made, WHOLE, by).records(), operators.arms(made, WHOLE).records()
    for name in ("proposals", "valid", "survived", "entered_front"):
        assert sum(part[name] for part in parts) == sum(arm[name] for arm in arms), name
    assert len({part["ask"] for part in parts}) > 20
    counted = operators.outcomes(made, WHOLE, by)
    assert sum(row[2] for row in counted.rows) == 300
    assert {row[0] for row in counted.rows} == {part["maker"] for part in parts}


def test_a_stretch_holds_its_own_proposals_alone(made: Run) -> None:
    part = operators.arms(made, Stretch(first=100, last=199))
    assert sum(row[2] for row in part.rows) == 100
    assert operators.arms(made, Stretch(island=7)).rows == ()
    assert operators.arms(made, Stretch(first=10_000)).rows == ()


def test_proposals_without_a_candidate_count(tmp_path: Path) -> None:
    history = _grown_by(tmp_path / "run", Thompson(ARMS), 30, drops=5)
    history.journal.close()
    reader = open_run(tmp_path / "run")
    arms = operators.arms(reader, WHOLE).records()
    assert sum(arm["proposals"] - arm["admitted"] for arm in arms) == 5
    assert sum(row[2] for row in operators.outcomes(reader, WHOLE, "both").rows if row[1] == "unparsable") == 5


def _grown_by(folder: Path, selector: Bandit, count: int, *, drops: int = 0) -> History:
    """A run whose arms a bandit selects, with `drops` unparsable proposals in between."""
    folder.mkdir(parents=True)
    history = History(folder, population=10)
    history.search.population.islands[0].selector = selector
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
    ("how", "selector"),
    [
        (SelectorSettings("thompson"), Thompson(ARMS)),
        (SelectorSettings("thompson", half_life=25), Thompson(ARMS, half_life=25)),
        (
            SelectorSettings("ucb1", per_dollar=True, evaluation_usd=0.01),
            Ucb1(ARMS, per_dollar=True, evaluation_usd=0.01),
        ),
    ],
)
def test_beliefs_are_those_of_the_operator_selector(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: SelectorSettings, selector: Bandit
) -> None:
    _grown_by(tmp_path / "run", selector, 150, drops=6).journal.close()
    monkeypatch.setattr(beliefs, "selector_settings", lambda reader: how)
    found = beliefs.beliefs(open_run(tmp_path / "run"), 0)
    _assert_same(found, how, selector)
    assert len({belief.ended for belief in found}) > 20
    assert all(belief.low <= belief.mean <= belief.high for belief in found)


def test_a_router_starts_with_what_it_inherited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    records = (ArmRecord("cross", "large", 200.0, 90.0, 0.5, 3), ArmRecord("inspire", "small", 4.0, 1.0, 0.1, 2))
    selector = Router(ARMS, records)
    (tmp_path / "run").mkdir()
    history = History(tmp_path / "run", population=10)
    history._recorder.inherited(Inheritance((), records))
    history.search.population.islands[0].selector = selector
    history.grow(80)
    history.journal.close()
    rebuild(tmp_path / "run")
    how = SelectorSettings("router", per_dollar=True)
    monkeypatch.setattr(beliefs, "selector_settings", lambda reader: how)
    _assert_same(beliefs.beliefs(open_run(tmp_path / "run"), 0), how, selector)


def _assert_same(found: tuple[beliefs.Belief, ...], how: SelectorSettings, selector: Bandit) -> None:
    """The last beliefs follow from the selector's own sums."""
    last = {belief.arm: belief for belief in found if belief.ended == found[-1].ended}
    prices = selector.prices(selector.known)
    assert set(last) == {(arm.operator, arm.model) for arm in ARMS}
    for arm, known, price in zip(selector.arms, selector.known, prices, strict=True):
        belief = last[arm.operator, arm.model]
        assert belief.pulls == pytest.approx(known.pulls)
        assert belief.price == pytest.approx(price)
        mean = known.gain / known.pulls if how.name == "ucb1" else (1 + known.gain) / (2 + known.pulls)
        assert belief.mean == pytest.approx(mean)


def test_the_selector_is_read_from_the_configuration_with_old_keys_too(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    history = History(tmp_path / "run")
    history.grow(1)
    history.journal.close()
    rebuild(tmp_path / "run")
    reader = open_run(tmp_path / "run")
    assert beliefs.selector_settings(reader) == SelectorSettings("weights")
    assert not beliefs.selector_settings(reader).learns
    for selector, expected in (
        ({"name": "thompson", "options": {"half_life": 30}}, SelectorSettings("thompson", half_life=30)),
        ({"name": "router", "options": {}}, SelectorSettings("router", per_dollar=True)),
        ({"name": "router", "options": {"per_dollar": False}}, SelectorSettings("router")),
        ({"name": "mine:Own", "options": {}}, SelectorSettings("mine:Own")),
    ):
        for key in ("selector", "choice"):
            _configure(tmp_path / "run", {key: selector})
            assert beliefs.selector_settings(reader) == expected
    assert not replace(SelectorSettings(), name="mine:Own").is_known


def _configure(folder: Path, search: dict[str, object]) -> None:
    with duckdb.connect(str(folder / "lineage.duckdb")) as client:
        client.execute("UPDATE runs SET config = ?", [json.dumps({"search": search})])


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


def test_the_page_says_how_beliefs_are_derived(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    app = dashboard(monkeypatch, runs, view="operators", run="made", by="both", what="reward")
    assert "Derived from the results on island 0" in said(app)
    assert "selects by fixed weights, and learns nothing" in said(app)
    assert len(figures(app)) == 4
    assert {metric.label: metric.value for metric in app.metric}["proposals"] == "300"
    empty = dashboard(monkeypatch, runs, view="operators", run="made", island=7)
    assert "There is no proposal here" in said(empty)
    assert not app.exception
    assert not empty.exception
