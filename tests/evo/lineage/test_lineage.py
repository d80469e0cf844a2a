"""The lineage says what the journal says, once, to any number of readers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

from evo.errors import JournalError, LineageError
from evo.journal.log import read_events
from evo.lineage import Projection, open_run, rebuild
from tests.conftest import TOY, Evo
from tests.support.made import unsealed

TABLES = "SELECT table_name FROM duckdb_tables() ORDER BY 1"
HOLDER = """
import duckdb, sys, time
held = duckdb.connect(sys.argv[1], read_only=True)
print("held", flush=True)
time.sleep(60)
"""
IMPATIENT = """
import sys
from evo.errors import JournalError, LineageError
from evo.lineage import open_run
try:
    open_run(sys.argv[1], timeout_seconds=0.2).sql("SELECT 7")
except LineageError as error:
    print(error)
"""


def contents(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, in a fixed order."""
    with duckdb.connect(str(folder / "lineage.duckdb"), read_only=True) as client:
        tables = [row[0] for row in client.execute(TABLES).fetchall()]
        return {table: sorted(client.execute(f"FROM {table}").fetchall(), key=str) for table in tables}


def test_every_tell_of_the_journal_is_one_individual(toy_run: Path) -> None:
    told = {
        event["individual"]: event for _, event in read_events(toy_run / "journal.jsonl") if event["event"] == "tell"
    }
    rows = open_run(toy_run).sql("SELECT id, tell, outcome FROM individuals").rows
    assert sorted(rows) == sorted((one, event["tell"], event["evaluation"]["outcome"]) for one, event in told.items())
    assert len(rows) == 60


def test_views_and_macros_answer_any_client(toy_run: Path) -> None:
    with duckdb.connect(str(toy_run / "lineage.duckdb"), read_only=True) as client:
        best = client.execute("SELECT individual FROM objectives WHERE name = 'near' ORDER BY value").fetchall()[0][0]
        line = client.execute("FROM ancestors(?)", [best]).fetchall()
        assert line[0][0] == best
        assert {one for one, _ in line} >= {
            row[0] for row in client.execute("SELECT parent FROM parents WHERE child = ?", [best]).fetchall()
        }
        assert client.execute("SELECT count(*) FROM population").fetchall() == [(10,)]
        assert client.execute("SELECT sum(proposals) FROM operator_yield").fetchall()[0][0] == 60
        assert client.execute("SELECT count(*) FROM worker_timeline").fetchall()[0][0] >= 60


def test_the_front_view_holds_the_undominated(toy_run: Path) -> None:
    reader = open_run(toy_run)
    points = reader.sql(
        "SELECT n.individual, n.value, f.value FROM objectives n JOIN objectives f USING (individual) "
        "WHERE n.name = 'near' AND f.name = 'far'"
    ).rows
    undominated = {
        one
        for one, near, far in points
        if not any(a <= near and b >= far and (a, b) != (near, far) for _, a, b in points)
    }
    assert {row[0] for row in reader.sql("SELECT id FROM front").rows} == undominated


def test_projecting_in_pieces_gives_the_rows_of_one_piece(toy_run: Path, tmp_path: Path) -> None:
    pieces = tmp_path / "pieces"
    pieces.mkdir()
    journal = (toy_run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (pieces / "journal.jsonl").touch()
    for start in range(0, len(journal), 37):
        with (pieces / "journal.jsonl").open("ab") as file:
            file.writelines(journal[start : start + 37])
        # A new projection each time: it has to find its place, and the asks and proposals still pending there.
        Projection(pieces).catch_up()
    assert contents(pieces) == contents(toy_run)


def test_a_rebuilt_database_equals_the_live_one(toy_run: Path) -> None:
    live = contents(toy_run)
    assert rebuild(toy_run) > 60
    assert contents(toy_run) == live


def test_a_half_projected_batch_leaves_no_trace(toy_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    good = (toy_run / "journal.jsonl").read_bytes()
    (copy / "journal.jsonl").write_bytes(good + b'{"event": "tell", "individual": 9999}\n')
    with pytest.raises(JournalError, match="does not fit what came before"):
        Projection(copy).catch_up()
    (copy / "journal.jsonl").write_bytes(good)
    Projection(copy).catch_up()
    assert contents(copy) == contents(toy_run)


def test_a_reader_waits_for_a_writer(toy_run: Path) -> None:
    writer = duckdb.connect(str(toy_run / "lineage.duckdb"))
    threading.Timer(0.5, writer.close).start()
    began = time.monotonic()
    command = [
        sys.executable,
        "-c",
        f"from evo.lineage import open_run; print(open_run({str(toy_run)!r}).sql('SELECT 7').scalar())",
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "7"
    assert time.monotonic() - began > 0.4


def test_a_reader_that_waits_too_long_is_told_who_to_close(toy_run: Path) -> None:
    with duckdb.connect(str(toy_run / "lineage.duckdb")):
        answer = subprocess.run(
            [sys.executable, "-c", IMPATIENT, str(toy_run)], capture_output=True, text=True, check=True
        )
    assert "close the program that holds it" in answer.stdout


def test_a_reader_that_never_lets_go_loses_nothing(evo: Evo, toy_run: Path, tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(toy_run / "lineage.duckdb")], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(LineageError, match="cannot open .*; close the program that holds it"):
            Projection(toy_run).catch_up()
    finally:
        holder.kill()
        holder.communicate()
    answer = evo("resume", toy_run, "--set", "budget.evaluations=80")
    assert answer.code == 0, answer.err
    assert open_run(toy_run).sql("SELECT count(*) FROM individuals").scalar() == 80


def test_a_query_that_fails_and_a_lineage_that_is_missing_are_one_sentence(toy_run: Path, tmp_path: Path) -> None:
    with pytest.raises(LineageError, match="the query failed: .*nowhere"):
        open_run(toy_run).sql("FROM nowhere")
    with pytest.raises(LineageError, match="the query failed"):
        open_run(toy_run).sql("DELETE FROM individuals")
    with pytest.raises(LineageError, match="no lineage at .*; `evo index"):
        open_run(tmp_path / "none")


def test_hostile_text_reaches_the_tables_as_text(tmp_path: Path, toy_run: Path) -> None:
    folder = tmp_path / "hostile"
    shutil.copytree(toy_run, folder)
    text = unsealed((folder / "journal.jsonl").read_bytes()).decode()
    hostile = '"feedback":"\\ud800 \\u0000 \'); DROP TABLE runs; --"'
    (folder / "journal.jsonl").write_text(text.replace('"feedback":""', hostile, 1), "utf-8")
    rebuild(folder)
    feedback = open_run(folder).sql("SELECT feedback FROM evaluations WHERE feedback <> ''").scalar()
    assert feedback == "? ␀ '); DROP TABLE runs; --"


def test_a_reader_beside_a_run_never_meets_an_error(tmp_path: Path) -> None:
    options = ("--set", "problem.options.pause_seconds=0.002", "--set", "budget.evaluations=100000")
    command = [sys.executable, "-m", "evo", "run", *TOY, *options, "--run-dir", str(tmp_path), "--name", "live"]
    counts = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "live" / "lineage.duckdb").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        while len(counts) < 12 or counts[-1] == counts[0]:
            assert time.monotonic() < deadline
            counts.append(open_run(tmp_path / "live").sql("SELECT count(*) FROM runs, individuals").scalar())
            time.sleep(0.3)
        process.terminate()
    assert counts == sorted(counts)


def test_the_toy_of_these_tests_fails_sometimes(evo: Evo) -> None:
    evo("run", *TOY, "--set", "budget.evaluations=60", "--set", "problem.options.wall=0", "--name", "walled")
    outcomes = dict(open_run("runs/walled").sql("SELECT outcome, count(*) FROM individuals GROUP BY 1").rows)
    assert outcomes["invalid"] > 5
    assert outcomes["ok"] > 5
