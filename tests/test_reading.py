"""Whoever reads a lineage finds the schema that it expects, the meaning of each column, and several runs as one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from evo.errors import LineageError
from evo.lineage import Projection, open_run, rebuild
from evo.lineage.meanings import MEANINGS
from tests.conftest import Evo
from tests.test_lineage import contents

KILLED = """
import os, signal, sys
from pathlib import Path
from evo.lineage import projection
projection.BATCH_EVENTS = 50
insert, batches = projection._insert, []
def insert_and_die(connection, table, rows):
    insert(connection, table, rows)
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
    with pytest.raises(LineageError, match=r"lineage.duckdb has schema 2, expected 3; `evo index .*toy` builds it"):
        open_run(toy_run).sql("FROM individuals")


def test_a_reader_of_a_database_that_was_only_begun_is_told_what_to_do(toy_run: Path) -> None:
    (toy_run / "lineage.duckdb").unlink()
    duckdb.connect(str(toy_run / "lineage.duckdb")).close()
    with pytest.raises(LineageError, match="has no schema, expected 3; `evo index"):
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
    with pytest.raises(KeyError, match="9999"):
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
