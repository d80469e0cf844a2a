"""Whoever reads a lineage finds the schema that it expects, the meaning of each column, and several runs as one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from evo.errors import JournalError, LineageError
from evo.lineage import Projection, Runs, Table, open_run, open_runs, rebuild
from evo.lineage.meanings import MEANINGS
from evo.lineage.schema import SCHEMA_VERSION
from tests.conftest import TOY, Evo
from tests.evo.lineage.test_lineage import contents

KILLED = """
import os, signal, sys
from pathlib import Path
from evo.lineage import projection
projection.BATCH_EVENTS = 50
insert, batches = projection._insert, []
def insert_and_die(connection, table):
    insert(connection, table)
    batches.append(table)
    if len(batches) > 40:
        os.kill(os.getpid(), signal.SIGKILL)
projection._insert = insert_and_die
projection.rebuild(Path(sys.argv[1]))
"""


def aged(run: Path) -> None:
    """Make a run's database what version 2 was: fewer columns, and a view less."""
    with duckdb.connect(str(run / "lineage.duckdb")) as client:
        client.execute("UPDATE projection SET version = 2")
        client.execute("DROP VIEW pulls; ALTER TABLE runs DROP cases; ALTER TABLE evaluations DROP cases")


def files(run: Path) -> set[str]:
    return {path.name for path in run.iterdir()}


def test_a_reader_of_another_schema_version_is_told_what_to_do(toy_run: Path) -> None:
    aged(toy_run)
    with pytest.raises(
        LineageError, match=rf"lineage.duckdb has schema 2, expected {SCHEMA_VERSION}; `evo index .*toy` builds it"
    ):
        open_run(toy_run).sql("FROM individuals")


def test_a_reader_of_a_database_that_was_only_begun_is_told_what_to_do(toy_run: Path) -> None:
    (toy_run / "lineage.duckdb").unlink()
    duckdb.connect(str(toy_run / "lineage.duckdb")).close()
    with pytest.raises(LineageError, match=f"has no schema, expected {SCHEMA_VERSION}; `evo index"):
        open_run(toy_run).sql("FROM individuals")


@pytest.mark.parametrize("version", ["2", "99", "NULL"])
def test_the_writer_builds_a_database_of_another_version_anew(toy_run: Path, version: str) -> None:
    before, there = contents(toy_run), files(toy_run)
    aged(toy_run)
    with duckdb.connect(str(toy_run / "lineage.duckdb")) as client:
        client.execute(f"UPDATE projection SET version = {version}, next_offset = 7")
    Projection(toy_run).catch_up()
    assert contents(toy_run) == before
    assert files(toy_run) == there


def test_a_run_of_another_version_is_resumed(evo: Evo, toy_run: Path) -> None:
    aged(toy_run)
    answer = evo("resume", toy_run, "--set", "budget.evaluations=80")
    assert answer.code == 0, answer.err
    assert open_run(toy_run).sql("SELECT count(*) FROM individuals").scalar() == 80
    resumed = contents(toy_run)
    rebuild(toy_run)
    assert contents(toy_run) == resumed


def test_index_mends_a_database_of_another_version_or_that_is_none(evo: Evo, toy_run: Path) -> None:
    before = contents(toy_run)
    aged(toy_run)
    assert evo("index", toy_run).code == 0
    assert contents(toy_run) == before
    (toy_run / "lineage.duckdb").write_bytes(b"no database at all" * 1000)
    assert evo("index", toy_run).code == 0
    assert contents(toy_run) == before


def test_a_rebuild_that_is_killed_leaves_the_old_database_and_the_next_one_succeeds(toy_run: Path) -> None:
    before, there = contents(toy_run), files(toy_run)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(toy_run)], check=False)
    assert killed.returncode == -9
    assert files(toy_run) > there
    assert contents(toy_run) == before
    assert rebuild(toy_run) > 60
    assert contents(toy_run) == before
    assert files(toy_run) == there


def test_a_rebuild_that_fails_leaves_the_old_database(toy_run: Path) -> None:
    before, there = contents(toy_run), files(toy_run)
    with (toy_run / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"event": "tell", "individual": 9999}\n')
    with pytest.raises(JournalError, match="'tell' event .* does not fit what came before .*missing .*'evaluation'"):
        rebuild(toy_run)
    assert contents(toy_run) == before
    assert files(toy_run) == there


def test_a_log_of_the_old_database_never_reaches_the_new_one(toy_run: Path) -> None:
    before = contents(toy_run)
    (toy_run / "lineage.duckdb.wal").write_bytes(b"of a writer that was killed")
    rebuild(toy_run)
    assert contents(toy_run) == before


def test_a_reader_that_holds_the_old_database_does_not_stop_a_rebuild(toy_run: Path) -> None:
    command = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print('held', flush=True); input()"
    command += "; print(c.execute('SELECT count(*) FROM individuals').fetchall())"
    path = str(toy_run / "lineage.duckdb")
    holder = subprocess.Popen(
        [sys.executable, "-c", command, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    assert rebuild(toy_run) > 60
    answer, _ = holder.communicate("\n", timeout=30)
    assert answer.strip() == "[(60,)]"
    assert open_run(toy_run).sql("SELECT count(*) FROM individuals").scalar() == 60


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("tables", "table_name"),
        ("views", "view_name"),
        ("columns", "table_name || '.' || column_name"),
        ("functions", "function_name"),
    ],
)
def test_a_client_is_shown_what_everything_means(toy_run: Path, kind: str, names: str) -> None:
    with duckdb.connect(str(toy_run / "lineage.duckdb"), read_only=True) as client:
        rows = client.execute(f"SELECT {names}, comment FROM duckdb_{kind}() WHERE NOT internal").fetchall()
    assert len(rows) >= 3
    assert [name for name, comment in rows if not comment] == []


def test_no_meaning_is_of_a_column_that_there_is_not(toy_run: Path) -> None:
    columns = open_run(toy_run).sql("SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal")
    used = {(name, comment) for table, column, comment in columns.rows for name in (column, f"{table}.{column}")}
    assert [name for name, meaning in MEANINGS.items() if (name, meaning) not in used] == []


def test_a_run_answers_what_is_asked_most(toy_run: Path) -> None:
    run = open_run(toy_run)
    assert [row[0] for row in run.best().rows] == ["near", "far"]
    front = run.front()
    assert front.columns[:3] == ("id", "near", "far")
    assert {row[0] for row in front.rows} == {row[0] for row in run.sql("SELECT id FROM front").rows}
    assert front.rows[0][0] == run.best().rows[0][1]
    assert [row[1] for row in front.rows] == sorted(row[1] for row in front.rows)


def test_ancestors_are_those_of_the_macro_the_latest_first(toy_run: Path) -> None:
    run = open_run(toy_run)
    best = run.best().rows[0][1]
    line = run.ancestors(best)
    assert line.columns[:4] == ("id", "generation", "near", "far")
    assert tuple(row[:2] for row in line.rows) == run.sql("FROM ancestors(?)", [best]).rows
    assert len(line.rows) == run.individual(best).ancestors + 1 > 2


def test_a_diff_is_from_the_base_or_from_whom_one_names(toy_run: Path) -> None:
    run = open_run(toy_run)
    child, parent = run.sql("SELECT child, parent FROM parents WHERE role = 'base' ORDER BY child").rows[-1]
    assert run.diff(child) == run.diff(child, parent)
    assert run.diff(child).startswith(f"--- {parent}\n+++ {child}\n@@")
    assert run.diff(child, child) == "none"
    with pytest.raises(LineageError, match="individual 0 has no base, as a seed has none"):
        run.diff(0)


def test_an_individual_that_there_is_not_is_named(toy_run: Path) -> None:
    run = open_run(toy_run)
    for ask in (run.ancestors, run.individual, run.diff, lambda one: run.diff(0, one)):
        with pytest.raises(LineageError, match="no individual 60 in .*toy; it has 60, numbered from 0"):
            ask(60)


TABLE = Table(("id", "value", "name"), tuple((one, None if one < 150 else one / 2, f"n{one}") for one in range(200)))
TYPED = """
    SELECT * FROM (VALUES
        (NULL, NULL, NULL, NULL, NULL, NULL),
        (1::BIGINT, 0.5::DOUBLE, TIMESTAMP '2026-01-02 03:04:05.678901', '{"a": [1]}'::JSON, true, 3::HUGEINT)
    ) AS t(id, value, told, genome, survived, total)
"""
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901)
WHOLE = {"id": 1, "value": 0.5, "told": MOMENT, "genome": '{"a": [1]}', "survived": True, "total": 3}


def typed(run: Path, condition: str) -> Table:
    return open_run(run).sql(f"FROM ({TYPED}) WHERE {condition} ORDER BY id NULLS FIRST")


def test_an_answer_is_a_data_frame_of_pandas(toy_run: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = TABLE.to_pandas()
    assert list(frame.columns) == list(TABLE.columns)
    assert frame["id"].tolist() == list(range(200))
    assert frame["value"].sum() == sum(row[1] or 0 for row in TABLE.rows)
    assert list(Table(("id",), ()).to_pandas().columns) == ["id"]
    whole = typed(toy_run, "true").to_pandas()
    assert whole.iloc[0].isna().all()
    assert whole.iloc[1].to_dict() == WHOLE
    for condition in ("true", "id IS NULL", "false"):
        kinds = typed(toy_run, condition).to_pandas().dtypes
        assert pandas.api.types.is_datetime64_dtype(kinds["told"]), condition
        assert pandas.api.types.is_float_dtype(kinds["value"]), condition
        assert pandas.api.types.is_integer_dtype(kinds["id"]), condition


def test_an_answer_is_a_table_of_arrow(toy_run: Path) -> None:
    pytest.importorskip("pyarrow")
    assert TABLE.to_arrow().column_names == list(TABLE.columns)
    assert [tuple(row.values()) for row in TABLE.to_arrow().to_pylist()] == list(TABLE.rows)
    assert Table(("id",), ()).to_arrow().num_rows == 0
    assert typed(toy_run, "true").to_arrow().to_pylist() == [dict.fromkeys(WHOLE), WHOLE]
    for condition in ("true", "id IS NULL", "false"):
        kinds = {one.name: str(one.type) for one in typed(toy_run, condition).to_arrow().schema}
        assert kinds == {
            "id": "int64",
            "value": "double",
            "told": "timestamp[us]",
            "genome": "string",
            "survived": "bool",
            "total": "decimal128(38, 0)",
        }, condition


def test_an_answer_is_a_data_frame_of_polars(toy_run: Path) -> None:
    pytest.importorskip("polars")
    assert TABLE.to_polars().columns == list(TABLE.columns)
    assert TABLE.to_polars().rows() == list(TABLE.rows)
    assert Table(("id",), ()).to_polars().height == 0
    assert typed(toy_run, "true").to_polars().to_dicts() == [dict.fromkeys(WHOLE), WHOLE]
    for condition in ("true", "id IS NULL", "false"):
        kinds = [str(one).partition("(")[0] for one in typed(toy_run, condition).to_polars().dtypes]
        assert kinds == ["Int64", "Float64", "Datetime", "String", "Boolean", "Decimal"], condition


def test_an_answer_with_columns_of_one_name_or_of_odd_types_is_handed_over(toy_run: Path) -> None:
    odd = open_run(toy_run).sql(
        "SELECT MAP {'a': 1} AS one, [1, NULL] AS \"o\"\"ne\", {'x': 1} AS s, NULL AS n, 1 AS n"
    )
    frame = odd.to_pandas()
    assert frame.shape == (1, 5)
    assert list(frame.columns)[:2] == ["one", 'o"ne']
    assert open_run(toy_run).sql("FROM individuals").to_pandas().shape == (60, 14)


@pytest.mark.parametrize(("convert", "library"), [("pandas", "pandas"), ("arrow", "pyarrow"), ("polars", "polars")])
def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, convert: str, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(LineageError, match=f"needs {library}, which is not installed; `pip install {library}`"):
        getattr(TABLE, f"to_{convert}")()


@pytest.fixture
def two_runs(evo: Evo, toy_run: Path) -> Runs:
    """The toy run of 60 evaluations, and it's other of 30."""
    answer = evo("run", *TOY, "--set", "budget.evaluations=30", "--set", "seed=2", "--name", "it's other")
    assert answer.code == 0, answer.err
    (toy_run.parent / "notes").mkdir()
    return open_runs("runs/*")


def test_several_runs_are_one_with_a_column_that_says_which(two_runs: Runs) -> None:
    assert list(two_runs) == ["it's other", "toy"]
    counts = two_runs.sql("SELECT run, count(*) FROM individuals GROUP BY run ORDER BY run").rows
    assert counts == (("it's other", 30), ("toy", 60))
    assert two_runs.sql("SELECT run, seed FROM runs ORDER BY run").rows == (("it's other", 2), ("toy", 0))
    joined = "SELECT count(*) FROM Individuals i JOIN objectives o ON o.run = i.run AND o.individual = i.id"
    assert two_runs.sql(joined).scalar() == sum(
        one.sql("SELECT count(*) FROM objectives").scalar() for one in two_runs.values()
    )


def test_every_table_and_view_of_several_runs_holds_the_rows_of_each(two_runs: Runs) -> None:
    names = "SELECT DISTINCT table_name FROM duckdb_columns() WHERE NOT internal"
    for (table,) in two_runs["toy"].sql(names).rows:
        together = two_runs.sql(f"FROM {table}")
        assert together.columns.count("run") == 1
        for name, run in two_runs.items():
            here = sorted((row for row in together.rows if row[together.columns.index("run")] == name), key=str)
            assert len(here) == len(run.sql(f"FROM {table}").rows), table
            if table != "runs":
                assert [row[1:] for row in here] == sorted(run.sql(f"FROM {table}").rows, key=str), table


def test_several_runs_are_read_only(two_runs: Runs) -> None:
    with pytest.raises(LineageError, match="the query failed"):
        two_runs.sql("DELETE FROM run_0.individuals")
    with pytest.raises(LineageError, match="the query failed: .*nowhere"):
        two_runs.sql("FROM nowhere")


def test_macros_of_several_runs_take_the_run_first(two_runs: Runs) -> None:
    for name, run in two_runs.items():
        for macro in ("ancestors", "cost_of", "made_by"):
            assert two_runs.sql(f"FROM {macro}(?, ?)", [name, 25]).rows == run.sql(f"FROM {macro}(?)", [25]).rows, macro
    assert two_runs["toy"].ancestors(25).rows != two_runs["it's other"].ancestors(25).rows
    both = (
        "SELECT count(*) FROM Ancestors ('toy', (SELECT max(id) FROM individuals WHERE run = 'toy')) a JOIN parents p "
    )
    alone = "SELECT count(*) FROM ancestors((SELECT max(id) FROM individuals)) a JOIN parents p ON p.child = a.id"
    assert two_runs.sql(f"{both} ON p.run = 'toy' AND p.child = a.id").rows == two_runs["toy"].sql(alone).rows
    with pytest.raises(LineageError, match=r"the query failed: (?s:.*)ancestors\(of_run, of\)"):
        two_runs.sql("FROM ancestors(25)")


def test_the_best_of_each_run_is_asked_in_one(two_runs: Runs) -> None:
    table = two_runs.best()
    assert {row[0] for row in table.rows} == {"toy", "it's other"}
    assert tuple(row[1:] for row in table.rows if row[0] == "toy") == two_runs["toy"].best().rows


def test_runs_of_the_same_name_go_by_their_paths(two_runs: Runs, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "runs" / "toy", tmp_path / "more" / "toy")
    assert list(open_runs(["runs/*", "more/toy"])) == ["more/toy", "it's other", "runs/toy"]


def test_a_pattern_without_runs_and_a_run_that_cannot_be_read_are_named(two_runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(LineageError, match=r"no run at none/\*"):
        open_runs("none/*")
    aged(tmp_path / "runs" / "toy")
    with pytest.raises(LineageError, match=f"toy/lineage.duckdb has schema 2, expected {SCHEMA_VERSION}"):
        two_runs.sql("FROM individuals")
    (tmp_path / "runs" / "toy" / "lineage.duckdb").unlink()
    with pytest.raises(LineageError, match="no lineage at .*toy"):
        open_runs("runs/*")


def test_several_runs_wait_for_a_writer(two_runs: Runs, tmp_path: Path) -> None:
    command = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('held', flush=True); time.sleep(0.5)"
    path = str(tmp_path / "runs" / "toy" / "lineage.duckdb")
    with subprocess.Popen([sys.executable, "-c", command, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(LineageError, match="close the program that holds it"):
            open_runs("runs/*", timeout_seconds=0.05).sql("FROM individuals")
        assert two_runs.sql("SELECT count(*) FROM individuals").scalar() == 90


@pytest.mark.parametrize("pattern", ["runs/toy", "runs/*"])
def test_readers_wait_for_a_writer_within_their_own_process(two_runs: Runs, tmp_path: Path, pattern: str) -> None:
    query = "SELECT count(*) FROM individuals"
    impatient = open_run(pattern, 0.05) if pattern == "runs/toy" else open_runs(pattern, 0.05)
    patient = open_run(pattern) if pattern == "runs/toy" else two_runs
    writer = duckdb.connect(str(tmp_path / "runs" / "toy" / "lineage.duckdb"))
    threading.Timer(0.6, writer.close).start()
    with pytest.raises(LineageError, match=r"cannot open .*toy/lineage.duckdb: .*; close the program that holds it"):
        impatient.sql(query)
    assert patient.sql(query).scalar() in (60, 90)


def test_several_answers_are_those_of_each_query(toy_run: Path) -> None:
    queries = ("FROM individuals ORDER BY id", "FROM best", "SELECT 7 WHERE false")
    run = open_run(toy_run)
    assert run.answers(*queries) == [run.sql(query) for query in queries]
    with pytest.raises(LineageError, match="nobody does not exist"):
        run.answers("FROM best", "FROM nobody")


def test_who_asks_often_sees_what_others_see_and_lets_the_writer_in_between(toy_run: Path) -> None:
    often = open_run(toy_run, settings={"threads": 1}, often=True)
    assert often.best() == open_run(toy_run).best()
    with pytest.raises(LineageError, match="the query failed"):
        often.sql("SELECT nothing")
    writing = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('DELETE FROM individuals WHERE id > 9')"
    subprocess.run([sys.executable, "-c", writing, str(toy_run / "lineage.duckdb")], check=True)
    assert often.sql("SELECT count(*) FROM individuals").scalar() == 10
    rebuild(toy_run)
    assert often.sql("SELECT count(*) FROM individuals").scalar() == 60
    with pytest.raises(LineageError, match="Cannot execute statement"):
        often.sql("DELETE FROM individuals")


def test_many_threads_ask_often_and_keep_a_writer_out_until_the_last_has_read(toy_run: Path) -> None:
    readers = [open_run(toy_run, often=True) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        counts = [
            found
            for _ in range(5)
            for found in pool.map(lambda one: one.sql("SELECT count(*) FROM ancestors(59)"), readers)
        ]
    assert len({one.scalar() for one in counts}) == 1
    writing = [sys.executable, "-c", "import duckdb, sys; duckdb.connect(sys.argv[1])", str(toy_run / "lineage.duckdb")]
    with readers[0].at_once() as held:
        with readers[1].at_once() as other:
            assert held.sql("FROM best") == other.sql("FROM best")
        assert subprocess.run(writing, capture_output=True, check=False).returncode == 1
    assert subprocess.run(writing, capture_output=True, check=False).returncode == 0
