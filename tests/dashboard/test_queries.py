"""The dashboard's queries are correct, bounded, and give the same answer however a run grew."""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from dashboard import saved, words
from dashboard.charts import front as front_charts
from dashboard.charts import individual as individual_charts
from dashboard.charts import overview as overview_charts
from dashboard.charts import result as result_charts
from dashboard.charts.style import PALETTE
from dashboard.filters import Filters, Stretch
from dashboard.library import runs_in
from dashboard.queries import MOST_POINTS, completions, front, history, individual, overview, schema
from dashboard.source import Source
from evo.errors import LineageError, UserError
from evo.genomes import Program
from evo.lineage import LineageReader, Projection, Run, Table, open_run
from evo.lineage.queries import front as front_of_the_lineage
from tests.support.dashboards import HOSTILE, begun, grown

WHOLE = Stretch()
PARTS = (Stretch(first=40), Stretch(last=60), Stretch(first=20, last=80), Stretch(island=0), Stretch(island=7))


def test_the_best_so_far_is_the_best_up_to_each_tell(made: Run) -> None:
    seen: dict[str, float] = {}
    steps = []
    query = "SELECT tell, name, value FROM individuals i JOIN objectives o ON o.individual = i.id ORDER BY tell, name"
    for tell, name, value in made.sql(query).rows:
        if value < seen.get(name, math.inf):
            seen[name] = value
            steps.append((tell, name, value))
    found = history.bests(made, None, WHOLE)
    assert [(step.tell, step.name, step.value) for step in found.steps] == steps
    assert {row[0]: row[2] for row in made.sql("FROM best").rows} == seen
    assert found.looked == 299
    assert len(steps) > 20


@pytest.mark.parametrize("stretch", [WHOLE, PARTS[2], PARTS[3]])
def test_the_best_so_far_grows_to_what_it_is_when_it_is_read_at_once(tmp_path: Path, stretch: Stretch) -> None:
    run = grown(tmp_path / "run", 10)
    reader = open_run(tmp_path / "run")
    known = history.bests(reader, None, stretch)
    for count in (25, 40):
        run.grow(count)
        Projection(tmp_path / "run").catch_up()
        known = history.bests(reader, known, stretch)
    run.journal.close()
    assert known == history.bests(reader, None, stretch)
    assert known.looked == 74


def test_an_answer_about_another_run_is_not_reused(made: Run, broken: Run) -> None:
    before = history.bests(made, None, WHOLE)
    assert history.bests(broken, before, WHOLE) == history.bests(broken, None, WHOLE)


def test_the_infeasible_and_the_failed_are_never_the_best(broken: Run) -> None:
    steps = history.bests(broken, None, WHOLE).steps
    assert [(step.individual, step.value) for step in steps] == [(1, 3.0), (4, 2.5)]


def test_many_steps_are_thinned_and_the_last_of_each_objective_stays() -> None:
    then = datetime(2026, 1, 1)
    steps = [history.Step("a", number, then, number, -float(number)) for number in range(20_000)]
    steps.insert(5, history.Step("b", 5, then, 5, 1.0))
    kept = history._thinned(steps)
    assert len(kept) <= history.MOST_STEPS
    assert kept[-1] == steps[-1]
    assert [step for step in kept if step.name == "b"] == [steps[5]]
    assert [step.tell for step in kept] == sorted(step.tell for step in kept)


@pytest.mark.parametrize("stretch", [WHOLE, *PARTS[:3]])
def test_a_sample_of_the_indicators_ends_with_the_last_tell(made: Run, stretch: Stretch) -> None:
    sample = history.indicators(made, stretch).records()
    first, last = made.sql(f"SELECT min(tell), max(tell) FROM indicators WHERE {stretch.tells()}").rows[0]
    assert sample[0]["tell"] in (first, first + 1)
    assert sample[-1]["tell"] == last
    hypervolumes = [row["hypervolume"] for row in sample if row["hypervolume"] is not None]
    assert hypervolumes == sorted(hypervolumes)


def test_samples_stay_few_and_where_they_are(monkeypatch: pytest.MonkeyPatch, made: Run) -> None:
    monkeypatch.setattr(history, "SAMPLES", 10)
    sample = [row["tell"] for row in history.indicators(made, WHOLE).records()]
    assert 5 <= len(sample) <= 21
    assert all(tell % 32 == 0 for tell in sample[:-1])


def test_every_individual_is_in_the_outcomes_once(made: Run, broken: Run) -> None:
    assert sum(row[3] for row in history.outcomes(made, WHOLE).rows) == 300
    counted = {row[2]: row[3] for row in history.outcomes(broken, WHOLE).rows}
    assert counted == {"ok": 3, "crash": 1, "timeout": 1}
    assert sum(row[3] for row in history.outcomes(made, Stretch(first=21, last=80)).rows) == 60


def test_spending_ends_with_what_was_spent(made: Run) -> None:
    ends = {row[1]: row[2] for row in history.spending(made).rows}
    spent = dict(made.sql("SELECT model, sum(cost_usd) FROM completions GROUP BY model").rows)
    assert ends == pytest.approx(spent)
    assert set(ends) == {"", "large", "small"}


def test_totals_are_those_of_the_command_line(made: Run, toy_run: Path) -> None:
    totals = overview.totals(open_run(toy_run))
    assert (totals.count_told, totals.stopped, totals.problem) == (60, "budget", "evo.testing.toys:Valley")
    assert totals.left_seconds == 0
    assert totals.forecast_usd is None
    assert totals.running_seconds > 0
    made_totals = overview.totals(made)
    assert made_totals.usd == pytest.approx(300 * 3e-4)
    assert made_totals.tokens == 300 * 1300


def test_time_left_and_forecast_keep_to_the_nearest_budget(made: Run) -> None:
    totals = replace(overview.totals(made), per_second=2.0, count_told=100, usd=1.0, running_seconds=50.0)
    assert replace(totals, budget={"evaluations": 300}).left_seconds == 100
    assert replace(totals, budget={"evaluations": 300, "usd": 1.5}).left_seconds == pytest.approx(25)
    assert replace(totals, budget={"evaluations": 300, "wall_seconds": 60}).left_seconds == 10
    assert replace(totals, budget={"evaluations": 300}).forecast_usd == pytest.approx(3)
    assert replace(totals, budget={"evaluations": 300, "usd": 1.5}).forecast_usd == 1.5
    assert replace(totals, per_second=0.0, budget={"evaluations": 300}).left_seconds is None


def test_open_asks_come_from_the_journal(tmp_path: Path) -> None:
    run = grown(tmp_path / "run", 5)
    ask = run.search.ask()
    assert ask is not None
    run._recorder.asked(ask)
    run.journal.close()
    totals = overview.totals(open_run(tmp_path / "run"))
    assert totals.proposals == {ask.operator: 1}
    assert totals.evaluations == 0


def test_endpoints_and_workers_are_counted(made: Run, broken: Run) -> None:
    endpoint, worker = overview.endpoints(broken).records()[0], overview.workers(broken).records()[0]
    assert (endpoint["completions"], endpoint["failed"], endpoint["seconds"]) == (5, 0, 0.5)
    assert (worker["evaluations"], worker["failed"], worker["isolation"]) == (5, 2, "process")
    assert 0 < worker["busy"] <= 1
    assert sum(row["completions"] for row in overview.endpoints(made).records()) == 300


def test_the_front_is_that_of_the_lineage(made: Run, toy_run: Path) -> None:
    for run in (made, open_run(toy_run)):
        found = front.front(run, WHOLE)
        expected = front_of_the_lineage(run)
        assert [row[0] for row in found.rows] == [row[0] for row in expected.rows]
        assert found.columns[: len(front.FACTS)] == front.FACTS


def test_the_front_of_a_moment_is_what_it_was_then(made: Run) -> None:
    members: set[int] = set()
    for _, individual_id, entered in made.sql("FROM front_moves WHERE tell <= 60 ORDER BY tell, entered").rows:
        (members.add if entered else members.discard)(individual_id)
    assert {row[0] for row in front.front(made, Stretch(last=60)).rows} == members
    assert front.front(made, Stretch(island=7)).rows == ()


def test_the_sample_of_dominated_individuals_is_stable_and_without_the_front(
    monkeypatch: pytest.MonkeyPatch, made: Run
) -> None:
    whole = {row[0] for row in front.dominated(made, WHOLE).rows}
    monkeypatch.setattr(front, "DOMINATED", 10)
    few = {row[0] for row in front.dominated(made, WHOLE).rows}
    assert 1 <= len(few) <= 10
    assert few < whole
    assert not whole & {row[0] for row in front.front(made, WHOLE).rows}


def test_earlier_fronts_are_those_of_their_moments(made: Run) -> None:
    earlier = front.earlier(made, WHOLE)
    for after in {row[0] for row in earlier.rows}:
        then = {row[1] for row in earlier.rows if row[0] == after}
        assert then == {row[0] for row in front.front(made, Stretch(last=after)).rows}


def test_an_objective_that_is_named_like_a_fact_has_a_column_of_its_own(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    with duckdb.connect(str(folder / "lineage.duckdb")) as client:
        client.execute("UPDATE objective_names SET name = 'tell' WHERE position = 0")
    assert "objective tell" in front.front(open_run(folder), WHOLE).columns


def test_an_individual_is_shown_beside_its_base(broken: Run) -> None:
    seen = individual.side_by_side(broken, 4, None)
    assert (seen.other, seen.portrait.parents) == (3, ((3, "base"),))
    assert isinstance(seen.genome, Program)
    assert seen.genome.text.startswith("x = 4")
    beside = individual.side_by_side(broken, 4, 1)
    assert isinstance(beside.other_genome, Program)
    assert beside.other_genome.text.startswith("x = 1")
    assert individual.side_by_side(broken, 0, None).other_genome is None
    (row,) = individual.values(broken, 4, 1).records()
    assert (row["value"], row["other"], row["gain"]) == (2.5, 3.0, 0.5)
    with pytest.raises(LineageError, match="no individual 99 in .* it has 5"):
        individual.side_by_side(broken, 99, None)


def test_prompt_and_reply_are_verbatim(broken: Run) -> None:
    (completion,) = completions.of_individual(broken, 2).records()
    assert json.loads(completion["prompt"]) == [["user", HOSTILE]]
    assert completion["reply"] == HOSTILE
    assert individual.cost(broken, 4) == pytest.approx((0.01, 0.05, 5))


def test_cases_descriptors_and_the_line_of_bases(broken: Run) -> None:
    assert [row[:2] for row in individual.cases(broken, 4, None).rows] == [("a", 1.0), ("b", 0.0)]
    assert individual.descriptors(broken, 4).rows == (("d", 4.0),)
    assert [row[0] for row in individual.line_of_bases(broken, 4).rows] == [4, 3, 2, 1, 0]
    assert individual.best(broken) == 4


def test_all_questions_have_an_answer_for_a_run_that_has_just_begun(runs: Path) -> None:
    reader = open_run(runs / "begun")
    assert history.bests(reader, None, WHOLE).steps == ()
    for question in (history.indicators, history.outcomes, history.rates, front.front, front.dominated, front.earlier):
        assert question(reader, WHOLE).rows == (), question
    for asked in (history.spending, overview.endpoints, overview.workers, overview.islands):
        assert asked(reader).rows == (), asked
    assert individual.best(reader) is None
    assert overview.totals(reader).count_told == 0


def test_the_schema_describes_every_table_view_and_macro(made: Run) -> None:
    tables = schema.tables(made).records()
    assert {"individuals", "best", "ancestors(of)"} <= {table["name"] for table in tables}
    assert all(table["comment"] for table in tables)
    assert all(row[3] for row in schema.columns(made).rows)


# The source


class Counted:
    """A question that knows how often it was asked."""

    def __init__(self) -> None:
        self.times = 0
        self.__module__, self.__qualname__ = "tests", "counted"

    def __call__(self, reader: LineageReader, *rest: object) -> int:
        self.times += 1
        time.sleep(0.05)
        found: int = reader.sql("SELECT count(*) FROM individuals").scalar()
        return found


def test_twenty_viewers_cost_one_query(toy_run: Path) -> None:
    source, question, answers = Source([toy_run]), Counted(), []
    threads = [threading.Thread(target=lambda: answers.append(source.ask("toy", question))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [60] * 20
    assert question.times == 1


def test_a_finished_run_is_read_once_and_a_running_one_again(toy_run: Path) -> None:
    source, question = Source([toy_run], fresh_seconds=0.0), Counted()
    for _ in range(3):
        assert source.ask("toy", question) == 60
    assert question.times == 1
    (toy_run / "journal.jsonl").touch()
    source.ask("toy", question)
    assert question.times == 2


def test_a_deleted_run_is_reported_and_can_come_back(toy_run: Path, tmp_path: Path) -> None:
    source = Source([toy_run.parent], fresh_seconds=0.0)
    assert source.ask("toy", Counted()) == 60
    toy_run.rename(tmp_path / "away")
    with pytest.raises(LineageError, match="there is no run toy any more"):
        source.ask("toy", Counted())
    (tmp_path / "away").rename(toy_run)
    assert source.ask("toy", Counted()) == 60


def test_another_version_and_a_missing_lineage_are_errors_that_say_what_to_do(toy_run: Path) -> None:
    source = Source([toy_run], fresh_seconds=0.0)
    with duckdb.connect(str(toy_run / "lineage.duckdb")) as client:
        client.execute("UPDATE projection SET version = 2")
    with pytest.raises(LineageError, match="has schema 2, expected"):
        source.ask("toy", Counted())
    (toy_run / "lineage.duckdb").unlink()
    with pytest.raises(LineageError, match="no lineage at .*`evo index"):
        source.ask("toy", Counted())


def test_answers_are_bounded(toy_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.source.MOST_ANSWERS", 3)
    source = Source([toy_run])
    for number in range(10):
        source.ask("toy", Counted(), number)
    assert len(source._entries) == 3


def test_runs_are_found_in_folders_and_below(toy_run: Path, tmp_path: Path) -> None:
    grown(tmp_path / "runs" / "compared" / "evolve-1", 2).journal.close()
    grown(tmp_path / "other" / "toy", 2).journal.close()
    open_run(toy_run).snapshot(tmp_path / "copy.duckdb")
    (tmp_path / "runs" / "notes").mkdir()
    named = runs_in([tmp_path / "runs", tmp_path / "other", tmp_path / "copy.duckdb", tmp_path / "nowhere"])
    assert set(named) == {str(toy_run), "evolve-1", str(tmp_path / "other" / "toy"), "copy"}
    source = Source([tmp_path / "copy.duckdb"])
    assert source.ask("copy", overview.totals).count_told == 60
    assert source.holder("copy") is None


# Words, links, figures


def test_foreign_text_is_no_markdown_and_no_html() -> None:
    shown = words.plain(HOSTILE)
    assert "\\<img" in shown
    assert "\\[a\\]\\(javascript\\:" in shown
    assert "\\*\\*b" in shown
    assert "\\$x" in shown
    assert "<" not in words.hover(HOSTILE)
    assert "\n" not in words.plain("a\n# b\x00\x1b")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, words.NOTHING),
        (3.0, "3"),
        (1234567.0, "1,234,567"),
        (0.123456789, "0.123457"),
        (2.5e-9, "2.5e-09"),
        (math.nan, "nan"),
    ],
)
def test_figures_are_short(value: float | None, shown: str) -> None:
    assert words.number(value) == shown


def test_a_single_pair_of_braces_around_a_thought_is_left_out() -> None:
    said = ("{ fill the fullest }", "{a} and {b}", "sort {x}", "{{a}}", "", "{}", "{cut")
    assert [words.thought(text) for text in said] == [
        "fill the fullest",
        "{a} and {b}",
        "sort {x}",
        "{{a}}",
        "",
        "",
        "{cut",
    ]


def test_short_durations_are_no_zero() -> None:
    assert [words.duration(seconds) for seconds in (0.0022, 0.05, 0.3)] == ["2.2 ms", "50 ms", "0.3 s"]


def test_durations_have_two_units() -> None:
    shown = [words.duration(seconds) for seconds in (0, 5.25, 59, 61, 3700, 200_000)]
    assert shown == ["0 s", "5.2 s", "59 s", "1 min 1 s", "1 h 1 min", "2 d 7 h"]


def test_a_link_holds_all_filters() -> None:
    link = Filters("a b&c", Stretch(2, 10, 20)).link("individual", id=7)
    assert link == "/individual?run=a+b%26c&island=2&from=10&to=20&id=7"


def figure_text(figure: object) -> str:
    return str(figure.to_json())  # type: ignore[attr-defined]


def test_no_figure_hands_foreign_html_on(broken: Run) -> None:
    parts = front.front(broken, WHOLE), front.dominated(broken, WHOLE)
    axes = [("goal 0", "min", HOSTILE), front.TELLS]
    bests = history.bests(broken, None, WHOLE)
    drawn = [
        front_charts.plane(parts, axes, colour="operator", earlier=front.earlier(broken, WHOLE), revision="r"),
        front_charts.space(parts, [*axes, axes[0]], colour="model", revision="r"),
        front_charts.parallel(parts[0], axes[:1], colour="model", revision="r"),
        overview_charts.spending(history.spending(broken), cap=1.0, revision="r"),
        overview_charts.best_so_far(bests, axes[0], clock="tells", end=(4, None), revision="r"),
        individual_charts.line_of_bases(individual.line_of_bases(broken, 4), axes[0], revision="r"),
        individual_charts.slots({HOSTILE: HOSTILE}, {HOSTILE: "b"}, {HOSTILE: (HOSTILE, "b")}, revision="r"),
        result_charts.result(Table((HOSTILE, "y"), ((HOSTILE, 1),), ("VARCHAR", "BIGINT")), "bars", HOSTILE, ["y"]),
    ]
    for figure in drawn:
        assert figure.layout.uirevision
        figure.layout.uirevision = None  # the only text that is never shown
        assert "<img" not in figure_text(figure).replace("\\u003c", "<")


def test_a_figure_has_at_most_as_many_points_as_a_browser_takes() -> None:
    table = Table(("x", "y", "z"), tuple((number, number, 1.0) for number in range(12_000)), ("BIGINT",) * 3)
    drawn = result_charts.result(table, "line", "x", ["y", "z"])
    assert sum(len(trace.x) for trace in drawn.data) <= MOST_POINTS


def test_slots_are_drawn_a_row_each_and_the_choice_is_filled() -> None:
    drawn = individual_charts.slots(
        {"op": "conv", "n": 2}, {"op": "pool", "n": 2}, {"op": ("conv", "pool")}, revision=""
    )
    filled = [shape for shape in drawn.layout.shapes if shape.fillcolor == PALETTE[0]]
    assert len(drawn.layout.shapes) == 3
    assert len(filled) == 2
    assert list(drawn.layout.yaxis.ticktext) == ["n", "op"]


# Saved queries


def test_a_saved_query_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = saved.place([tmp_path])
    assert saved.read(path) == {}
    saved.save(path, " mine ", "SELECT 1\n-- a comment\n;")
    saved.save(path, "other", "FROM best")
    saved.save(path, "mine", "SELECT 2")
    assert saved.read(path) == {"mine": "SELECT 2", "other": "FROM best"}
    assert [path.name for path in tmp_path.iterdir()] == ["queries.sql"]


@pytest.mark.parametrize(("name", "query"), [("", "FROM best"), ("a\nb", "FROM best"), ("a", "1\n-- name: b\n2")])
def test_a_query_that_could_not_be_read_back_is_not_saved(tmp_path: Path, name: str, query: str) -> None:
    with pytest.raises(UserError, match="name"):
        saved.save(tmp_path / "queries.sql", name, query)
    assert list(tmp_path.iterdir()) == []


def test_saved_queries_are_beside_a_run_that_was_named_alone(toy_run: Path) -> None:
    assert saved.place([toy_run]) == toy_run.parent / "queries.sql"
