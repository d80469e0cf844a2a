"""A snapshot is a whole copy of a lineage: up to date, of one moment, and nobody waits for who holds it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from evo.errors import LineageError
from evo.lineage import Projection, open_run, rebuild
from tests.conftest import Evo
from tests.evo.lineage.test_lineage import contents

COUNT = "SELECT count(*) FROM individuals"


def of(copy: Path, tmp_path: Path) -> dict[str, list[tuple[object, ...]]]:
    """What a copy holds, by the same words as a run's."""
    folder = tmp_path / f"holding {copy.stem}"
    folder.mkdir()
    shutil.copy(copy, folder / "lineage.duckdb")
    return contents(folder)


def test_a_snapshot_holds_the_same_rows_and_answers_the_same_questions(toy_run: Path, tmp_path: Path) -> None:
    run = open_run(toy_run)
    copy = run.snapshot(tmp_path / "new folder" / "it's.duckdb")
    assert of(copy.path, tmp_path) == contents(toy_run)
    assert copy.best() == run.best()
    assert copy.ancestors(50) == run.ancestors(50)
    assert [one.name for one in copy.path.parent.iterdir()] == ["it's.duckdb"]


def test_a_snapshot_has_what_the_journal_has_beyond_the_lineage_and_leaves_the_run_alone(
    toy_run: Path, tmp_path: Path
) -> None:
    whole, journal = contents(toy_run), (toy_run / "journal.jsonl").read_bytes()
    (toy_run / "lineage.duckdb").unlink()
    (toy_run / "journal.jsonl").write_bytes(b"".join(journal.splitlines(keepends=True)[:90]))
    rebuild(toy_run)
    behind = (toy_run / "lineage.duckdb").read_bytes()
    (toy_run / "journal.jsonl").write_bytes(journal + b'{"torn')
    copy = open_run(toy_run).snapshot(tmp_path / "copy.duckdb")
    assert of(copy.path, tmp_path) == whole
    assert (toy_run / "lineage.duckdb").read_bytes() == behind


def test_the_log_of_a_writer_that_was_killed_is_in_the_snapshot(toy_run: Path, tmp_path: Path) -> None:
    killed = "import duckdb, os, sys; c = duckdb.connect(sys.argv[1])"
    killed += "; c.execute(\"UPDATE individuals SET thought = 'mine'\"); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", killed, str(toy_run / "lineage.duckdb")], check=False)
    assert done.returncode == -9
    assert (toy_run / "lineage.duckdb.wal").exists()
    copy = open_run(toy_run).snapshot(tmp_path / "copy.duckdb")
    assert copy.sql("SELECT DISTINCT thought FROM individuals").rows == (("mine",),)
    assert not list(tmp_path.glob("*.wal"))


def test_who_holds_a_snapshot_keeps_no_writer_out(evo: Evo, toy_run: Path, tmp_path: Path) -> None:
    copy = open_run(toy_run).snapshot(tmp_path)
    assert copy.path == tmp_path / "toy.duckdb"
    with duckdb.connect(str(copy.path), read_only=True) as held:
        assert evo("resume", toy_run, "--set", "budget.evaluations=80").code == 0
        assert held.execute(COUNT).fetchall() == [(60,)]
    assert open_run(toy_run).snapshot(tmp_path, force=True).sql(COUNT).scalar() == 80


def test_a_snapshot_lets_no_writer_in_where_another_reader_of_the_process_holds_the_lineage(
    toy_run: Path, tmp_path: Path
) -> None:
    writing = "import duckdb, sys; duckdb.connect(sys.argv[1])"
    with duckdb.connect(str(toy_run / "lineage.duckdb"), read_only=True):
        open_run(toy_run).snapshot(tmp_path / "copy.duckdb")
        done = subprocess.run(
            [sys.executable, "-c", writing, str(toy_run / "lineage.duckdb")],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "lock" in done.stderr


def test_a_snapshot_waits_for_a_writer(toy_run: Path, tmp_path: Path) -> None:
    writer = duckdb.connect(str(toy_run / "lineage.duckdb"))
    with pytest.raises(LineageError, match="cannot open .*toy/lineage.duckdb: .*; close the program that holds it"):
        open_run(toy_run, 0.05).snapshot(tmp_path / "copy.duckdb")
    threading.Timer(0.3, writer.close).start()
    assert open_run(toy_run).snapshot(tmp_path / "copy.duckdb").sql(COUNT).scalar() == 60


def test_a_snapshot_overwrites_nothing_unless_forced(evo: Evo, toy_run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.duckdb").write_text("mine")
    (tmp_path / "mine.duckdb.wal").write_text("of another")
    refused = evo("snapshot", toy_run, "mine.duckdb")
    assert refused.code == 2
    assert "mine.duckdb exists; choose another target, or write over it: --force" in refused.err
    assert (tmp_path / "mine.duckdb").read_text() == "mine"
    taken = evo("snapshot", toy_run, "mine.duckdb", "--force")
    assert taken.code == 0, taken.err
    assert taken.out.startswith("mine.duckdb: 60 individuals, ")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["mine.duckdb", "runs"]
    assert "60" in evo("sql", "mine.duckdb", COUNT).out


def test_a_snapshot_never_takes_the_place_of_its_source(evo: Evo, toy_run: Path, tmp_path: Path) -> None:
    (tmp_path / "link.duckdb").symlink_to(toy_run / "lineage.duckdb")
    for target in (toy_run / "lineage.duckdb", "link.duckdb"):
        refused = evo("snapshot", toy_run, target, "--force")
        assert refused.code == 2
        assert "is the lineage itself" in refused.err
    Projection(toy_run).catch_up()


def test_a_snapshot_that_cannot_be_written_says_why_and_leaves_nothing(toy_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LineageError, match="cannot write .*file/copy.duckdb: .*; choose another target"):
        open_run(toy_run).snapshot(tmp_path / "file" / "copy.duckdb")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "runs"]
