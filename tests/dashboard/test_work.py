"""Failures and workers: the queries count correctly, are bounded, and show foreign text as text."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from dashboard.charts import failures as failure_charts
from dashboard.charts import workers as worker_charts
from dashboard.filters import Stretch
from dashboard.queries import MOST_POINTS, failures, moments, workers
from evo.lineage import LineageReader, Run, Table, open_run
from tests.support.dashboards import HOSTILE, NOON, evaluated, worked

WHOLE = Stretch()
PART = Stretch(first=10, last=19)


@pytest.fixture(scope="module")
def run(worked_run: Run) -> Run:
    return worked_run


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Run:
    evaluations = [{"outcome": "crash"}, {"objectives": {"goal 0": 3.0}}, {"outcome": HOSTILE}]
    return open_run(evaluated(tmp_path_factory.mktemp("hostile") / "hostile", evaluations))


def column(table: Table, name: str) -> list[object]:
    return [row[table.columns.index(name)] for row in table.rows]


# Failures


def test_failures_are_counted_by_source(run: Run) -> None:
    counted = {count.source: (count.failed, count.all) for count in failures.counts(run, WHOLE)}
    assert counted == {"evaluation": (9, 54), "proposal": (6, 60), "completion": (4, 40)}
    part = {count.source: count.failed for count in failures.counts(run, PART)}
    assert part == {"evaluation": 2, "proposal": 1, "completion": 0}
    assert {count.all for count in failures.counts(run, Stretch(island=7))} == {0}
    assert failures.counts(run, Stretch(island=0)) == failures.counts(run, WHOLE)


def test_failures_over_time_are_all_of_them_in_equal_parts(run: Run) -> None:
    over, found = failures.over_time(run, WHOLE)
    assert over is not None
    assert over.parts <= failures.PARTS
    counted = Counter[tuple[str, str]]()
    for source, outcome, began, number in found.rows:
        counted[source, outcome] += number
        assert ((began - NOON).total_seconds() / over.width).is_integer()
    assert counted == {
        ("evaluation", "crash"): 3,
        ("evaluation", "timeout"): 3,
        ("evaluation", "oom"): 3,
        ("proposal", "unparsable"): 6,
        ("completion", "timeout"): 4,
    }


def test_every_ask_of_an_operator_and_model_ends_once(run: Run) -> None:
    ends = failures.by_arm(run, WHOLE)
    asks = Counter[tuple[str, str]]()
    for operator, model, _, _, number in ends.rows:
        asks[operator, model] += number
    assert asks == {("diff", "large"): 20, ("diff", "small"): 20, ("nudge", ""): 20}
    unparsable = {row[:2]: row[4] for row in ends.rows if row[3] == "unparsable"}
    assert unparsable == {("diff", "large"): 2, ("diff", "small"): 2, ("nudge", ""): 2}


def test_similar_messages_are_grouped(run: Run) -> None:
    found = failures.messages(run, WHOLE, None)
    said = {row[2]: (row[1], row[4]) for row in found.rows}
    assert said == {
        "block N does not match": ("proposal", 6),
        "no reply within N s": ("completion", 4),
        "ValueError: N is no '...'": ("evaluation", 3),
        "no answer within N s": ("evaluation", 3),
        "took more than N MB": ("evaluation", 3),
    }
    assert sum(row[5] for row in found.rows) == pytest.approx(1)
    assert {row[1] for row in failures.messages(run, WHOLE, "evaluation").rows} == {"evaluation"}


def test_a_message_leads_to_its_failures_the_latest_first(run: Run) -> None:
    key = next(row[0] for row in failures.messages(run, WHOLE, None).rows if row[2] == "block N does not match")
    rows = failures.listed(run, WHOLE, None, key)
    assert column(rows, "ask") == [59, 49, 39, 29, 19, 9]
    assert set(column(rows, "individual")) == {None}
    assert len(failures.listed(run, WHOLE, None, None).rows) == 19
    assert failures.listed(run, WHOLE, None, "' OR true --").rows == ()


def test_an_evaluation_is_listed_with_the_ask_that_made_it(run: Run) -> None:
    rows = failures.listed(run, WHOLE, "evaluation", None)
    assert sorted(zip(column(rows, "ask"), column(rows, "individual"), strict=True)) == [
        (5, 5),
        (12, 11),
        (18, 17),
        (25, 23),
        (32, 29),
        (38, 35),
        (45, 41),
        (52, 47),
        (58, 53),
    ]


def test_a_failure_is_known_in_full(run: Run) -> None:
    failed = failures.failed_ask(run, 12)
    assert failed is not None
    assert (failed.proposal["individual"], failed.proposal["outcome"]) == (11, "ok")
    assert column(failed.evaluations, "feedback") == ["no answer within 11 s"]
    assert column(failed.completions, "prompt") == ['[["user", "prompt 12"]]']
    assert column(failed.completions, "reply") == [f"reply 12 {HOSTILE}"]
    dropped = failures.failed_ask(run, 9)
    assert dropped is not None
    assert (dropped.proposal["thought"], dropped.evaluations.rows) == ("block 9 does not match", ())
    assert failures.failed_ask(run, 1000) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bad value 3.25e-7 at 12,000", "bad value N at N"),
        ("shapes (3, 4) and (-5, 6, 7) differ", "shapes (N, ...) and (N, ...) differ"),
        ("cannot open /tmp/x1/main.py: no file", "cannot open PATH: no file"),
        ("cannot read src/pack/main.py", "cannot read PATH"),
        ("name 'x_1' is not defined", "name '...' is not defined"),
        ('key "a b" is missing', "key '...' is missing"),
        ("it doesn't know what can't be", "it doesn't know what can't be"),
        ("timed out: http://10.0.0.1:8000/v1 said no", "timed out: URL said no"),
        ("at 0x7f3a and 0xFF", "at N and N"),
        ("either/or", "either/or"),
        ("  many\t spaces ", "many spaces"),
    ],
)
def test_what_differs_between_similar_messages_is_left_out(run: Run, text: str, message: str) -> None:
    assert run.sql(f"SELECT {failures.generalised('$1')}", [text]).scalar() == message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Traceback, innermost call last:\n  a.py, line 1, in f\n    x\nValueError: bad", "ValueError: bad"),
        ("Traceback (most recent call last):\n  File\n    x\nValueError: bad\nexpected 3", "ValueError: bad"),
        ("Traceback:\n  a\nKeyError: 1\n\nDuring handling:\n\nTraceback:\n  b\nTypeError: 2\n", "TypeError: 2"),
        ("Traceback", "Traceback"),
        ("took too long\nafter 3 s", "took too long"),
        ("\n\n  first\nsecond", "first"),
        ("", ""),
    ],
)
def test_the_last_line_of_a_traceback_is_the_message(run: Run, text: str, line: str) -> None:
    assert run.sql(f"SELECT {failures.line('$1')}", [text]).scalar() == line


# Workers


def test_a_timeline_is_that_of_the_lineage_and_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = workers.timeline(run, WHOLE)
    view = run.sql("SELECT worker, node, individual, stage, outcome, started, ended FROM worker_timeline").rows
    assert set(done.rows) == set(view)
    assert sorted(column(workers.timeline(run, PART), "individual"), key=str) == list(range(10, 20))
    monkeypatch.setattr(workers, "BARS", 5)
    assert set(column(workers.timeline(run, WHOLE), "individual")) == {49, 50, 51, 52, 53}
    assert workers.evaluations(run, WHOLE) == (54, 4, 2)


def overlap(spans: list[tuple[float, float]], over: moments.Span, part: int) -> float:
    low, high = over.origin + part * over.width, over.origin + (part + 1) * over.width
    return sum(max(0.0, min(high, ended) - max(low, began)) for began, ended in spans) / over.width


def spans_where(reader: LineageReader, condition: str) -> list[tuple[float, float]]:
    return list(reader.sql(f"SELECT epoch(started), epoch(ended) FROM worker_timeline WHERE {condition}").rows)


@pytest.mark.parametrize("stretch", [WHOLE, PART])
def test_utilisation_is_what_going_through_all_evaluations_gives(run: Run, stretch: Stretch) -> None:
    over, found = workers.utilisation(run, stretch)
    assert over is not None
    assert len(found.rows) <= MOST_POINTS
    for worker in ("w0", "w3"):
        spans = spans_where(run, f"worker = '{worker}' AND {stretch.tells('individual')}")
        shares = [row[3] for row in found.rows if row[0] == worker]
        assert shares == pytest.approx([overlap(spans, over, part) for part in range(len(shares))], abs=1e-5)
        assert max(shares) > 0.5


def test_busy_workers_add_up_over_machines(run: Run) -> None:
    over, found = workers.busy(run, WHOLE)
    assert over is not None
    for node in "ab":
        spans, numbers = spans_where(run, f"node = '{node}'"), [row[2] for row in found.rows if row[0] == node]
        assert numbers == pytest.approx([overlap(spans, over, part) for part in range(len(numbers))], abs=1e-5)


def test_the_queue_counts_offspring_in_each_state(run: Run) -> None:
    over, found = workers.queue(run, WHOLE)
    assert over is not None
    middle = {
        state: [row[2] for row in found.rows if row[0] == state and 20 <= (row[1] - NOON).total_seconds() < 50]
        for state in workers.STATES
    }
    means = {state: sum(numbers) / len(numbers) for state, numbers in middle.items()}
    # An ask each second, nine in ten of them with an offspring; two in three with a model, for two seconds.
    assert means == pytest.approx({"model": 4 / 3, "place": 0.9, "evaluation": 3.6, "tell": 0.45}, rel=0.12)


def test_offspring_wait_where_their_times_say(run: Run) -> None:
    found = workers.waits(run, WHOLE)
    assert {row[:2]: (row[2], *row[3:]) for row in found.rows} == {
        ("diff", "large"): pytest.approx((18, 2, 1, 4, 0.5)),
        ("diff", "small"): pytest.approx((18, 2, 1, 4, 0.5)),
        ("nudge", ""): pytest.approx((18, 0, 1, 4, 0.5)),
    }
    shares = worker_charts.shares(found)
    assert shares["nudge", ""]["evaluation"] == pytest.approx((4 / 5.5, 4.0))
    assert sum(share for share, _ in shares["all", ""].values()) == pytest.approx(1)


def test_cluster_events_are_marked(run: Run) -> None:
    marks = workers.marks(run)
    assert column(marks, "kind") == ["node_joined", "no_room", "room", "node_left", "reissued"]
    assert marks.rows[0] == (NOON + timedelta(seconds=4), "node_joined", "a", "2", "")
    drawn = worker_charts.timeline(workers.timeline(run, WHOLE), marks, revision="r")
    names = {trace.name for trace in drawn.data}
    assert {"node joined", "node left", "no room", "room again", "evaluated twice"} <= names
    assert len(drawn.layout.shapes) == 5


def test_bars_lead_to_their_individuals(run: Run) -> None:
    drawn = worker_charts.timeline(workers.timeline(run, WHOLE), workers.marks(run), revision="r")
    bars = [trace for trace in drawn.data if trace.type == "bar"]
    assert sorted(custom[0] for bar in bars for custom in bar.customdata) == list(range(54))
    assert {bar.name for bar in bars} == {"ok", "crash", "timeout", "oom"}


@pytest.mark.parametrize("parts", [5, 80, 100])
def test_a_span_has_whole_parts_and_not_too_many(run: Run, parts: int) -> None:
    over = moments.span(run, WHOLE, parts=parts)
    assert over is not None
    assert over.parts <= parts
    assert over.origin <= NOON.timestamp() + 3600 * 24
    assert (over.origin / over.width).is_integer()
    assert over.width in moments.WIDTHS


def test_an_evaluation_that_never_began_is_on_no_timeline(tmp_path: Path) -> None:
    folder = worked(tmp_path / "run", 10)
    with duckdb.connect(str(folder / "lineage.duckdb")) as client:
        client.execute("UPDATE evaluations SET started = 'epoch' WHERE individual = 3")
    reader = open_run(folder)
    assert 3 not in column(workers.timeline(reader, WHOLE), "individual")
    assert sum(row[2] for row in workers.waits(reader, WHOLE).rows) == 8


def test_all_questions_have_an_answer_for_a_run_that_has_just_begun(runs: Path) -> None:
    reader = open_run(runs / "begun")
    assert failures.over_time(reader, WHOLE)[1].rows == ()
    assert {count.all for count in failures.counts(reader, WHOLE)} == {0}
    assert failures.messages(reader, WHOLE, None).rows == failures.listed(reader, WHOLE, None, None).rows == ()
    for question in (workers.utilisation, workers.busy, workers.queue):
        assert question(reader, WHOLE)[1].rows == (), question
    assert workers.timeline(reader, WHOLE).rows == workers.waits(reader, WHOLE).rows == ()


def test_no_figure_hands_foreign_html_on(run: Run, hostile: Run) -> None:
    over, found = failures.over_time(hostile, WHOLE)
    assert over is not None
    done = workers.timeline(hostile, WHOLE)
    marks = Table(workers.marks(run).columns, tuple((done.rows[0][5], *row[1:]) for row in workers.marks(run).rows))
    drawn = [
        failure_charts.over_time(found, "evaluation", over, revision="r"),
        failure_charts.by_arm(failures.by_arm(hostile, WHOLE), revision="r"),
        worker_charts.timeline(done, marks, revision="r"),
        worker_charts.waits(workers.waits(hostile, WHOLE), revision="r"),
        worker_charts.queue(workers.queue(hostile, WHOLE)[1], revision="r"),
    ]
    spans = Table(("worker", "node", "began", "number"), ((HOSTILE, HOSTILE, NOON, 1.0),))
    drawn.append(worker_charts.utilisation(spans, revision="r"))
    drawn.append(worker_charts.busy(Table(("node", "began", "number"), ((HOSTILE, NOON, 1.0),)), marks, revision="r"))
    for figure in drawn:
        text = str(figure.to_json()).replace("\\u003c", "<")
        assert "<img" not in text
        assert "<script" not in text
