"""What a stranger put into a run folder is never followed, waited for or written: it is said in one sentence."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest

from evo.errors import JournalError, RunFolderError
from evo.journal.files import open_file
from evo.journal.folder import holder, locked
from evo.journal.log import Journal, read_events
from tests.conftest import TOY, Answer, Evo

SECONDS = 30.0
PRECIOUS = b"process 1 on a host, or whatever else is of value\n" * 100

# Every name that a run's folder has from us or from DuckDB.
NAMES = (
    "lock",
    "journal.jsonl",
    "lineage.duckdb",
    "lineage.duckdb.wal",
    "lineage.duckdb.wal.checkpoint",
    "lineage.duckdb.tmp",
    "lineage.new.duckdb",
    "lineage.new.duckdb.wal",
)


def a_folder(place: Path, target: Path) -> None:
    place.mkdir()
    (place / "inside").write_bytes(PRECIOUS)


KINDS: Mapping[str, Callable[[Path, Path], object]] = {
    "link": lambda place, target: place.symlink_to(target),
    "dangling link": lambda place, target: place.symlink_to(target.with_name("nothing")),
    "link to a folder": lambda place, target: place.symlink_to(target.parent),
    "pipe": lambda place, target: os.mkfifo(place),
    "folder": a_folder,
    "link to a device": lambda place, target: place.symlink_to("/dev/zero"),
}

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "run": (*TOY, "--set", "budget.evaluations=20", "--name", "toy", "--run-dir", "started"),
    "resume": ("runs/toy", "--set", "budget.evaluations=70"),
    "status": ("runs/toy",),
    "sql": ("runs/toy", "SELECT count(*) FROM individuals"),
    "top": ("runs/toy",),
}
# What a command does not open, or removes without looking: there it may as well succeed.
UNREFUSED = {
    *product(("status", "sql", "top"), ("lock", "lineage.new.duckdb", "lineage.new.duckdb.wal")),
    *product(("sql", "top"), ("journal.jsonl",)),
    *product(("status",), (name for name in NAMES if name.startswith("lineage"))),
    # A search does not wait for its lineage, and complains once.
    *product(("run", "resume"), (name for name in NAMES if name.startswith("lineage"))),
}


@contextmanager
def ended_within(seconds: float) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"it had not ended after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def said_in_one_sentence(answer: Answer) -> None:
    assert answer.code in (0, 2), answer
    assert "Traceback" not in answer.err
    if answer.code:
        assert answer.err.startswith("evo: "), answer.err
        assert answer.err.count("\n") == 1, answer.err


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_strange_in_a_run_folder_is_followed_or_waited_for(
    evo: Evo, toy_run: Path, tmp_path: Path, name: str, kind: str
) -> None:
    target = tmp_path / "elsewhere" / "precious"
    target.parent.mkdir()
    target.write_bytes(PRECIOUS)
    whole = tmp_path / "whole"
    shutil.copytree(toy_run, whole)
    for command, arguments in COMMANDS.items():
        folder = tmp_path / ("started" if command == "run" else "runs") / "toy"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True) if command == "run" else shutil.copytree(whole, folder)
        (folder / name).unlink(missing_ok=True)
        KINDS[kind](folder / name, target)
        with ended_within(SECONDS):
            answer = evo(command, *arguments)
        said_in_one_sentence(answer)
        expected = (name, kind) == ("lineage.duckdb.tmp", "folder") or (command, name) in UNREFUSED
        assert answer.code == 2 or expected, answer
        assert target.read_bytes() == PRECIOUS
        assert [place.name for place in target.parent.iterdir()] == ["precious"]
        if kind == "folder" and (folder / name).is_dir():
            assert [place.name for place in (folder / name).iterdir()] == ["inside"]


def test_a_run_folder_may_itself_be_a_link(evo: Evo, toy_run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(toy_run)
    for command in (("resume", "link", "--set", "budget.evaluations=70"), ("status", "link"), ("top", "link")):
        answer = evo(*command)
        assert answer.code == 0, answer.err
    (tmp_path / "empty").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "empty")
    assert evo("run", *TOY, "--set", "budget.evaluations=20", "--name", "linked").code == 0
    assert {"journal.jsonl", "lineage.duckdb"} <= {path.name for path in (tmp_path / "empty").iterdir()}


def test_a_database_that_its_user_names_may_be_a_link(evo: Evo, toy_run: Path, tmp_path: Path) -> None:
    (tmp_path / "named.duckdb").symlink_to(toy_run / "lineage.duckdb")
    answer = evo("sql", "named.duckdb", "SELECT count(*) FROM individuals")
    assert (answer.code, "60" in answer.out) == (0, True), answer.err


@pytest.mark.parametrize("name", ["lock", "journal.jsonl", "lineage.duckdb"])
def test_no_file_that_has_another_name_is_written(evo: Evo, toy_run: Path, tmp_path: Path, name: str) -> None:
    other = tmp_path / "other"
    if name == "lock":
        other.write_bytes(PRECIOUS)
        (toy_run / name).unlink(missing_ok=True)
        os.link(other, toy_run / name)
    else:
        os.link(toy_run / name, other)
    before = other.read_bytes()
    answer = evo("resume", toy_run, "--set", "budget.evaluations=70")
    assert "it is a hard link" in answer.err
    assert "Traceback" not in answer.err
    assert answer.code == (0 if name == "lineage.duckdb" else 2)
    assert other.read_bytes() == before
    assert evo("status", toy_run).code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to make files of another user")
def test_in_a_folder_where_anyone_may_write_another_users_files_are_not_written(tmp_path: Path) -> None:
    lock, journal = tmp_path / "lock", tmp_path / "journal.jsonl"
    for path in (lock, journal):
        path.write_bytes(b"")
        os.chown(path, 12345, 12345)
    tmp_path.chmod(0o1777)
    with pytest.raises(RunFolderError, match="cannot write .*lock: .*belongs to another user"), locked(tmp_path):
        pass
    with pytest.raises(JournalError, match="cannot write .*journal.jsonl: .*belongs to another user"):
        Journal(journal)
    assert list(read_events(journal)) == []
    tmp_path.chmod(0o770)  # as a group shares it
    with locked(tmp_path):
        Journal(journal).close()


@pytest.mark.parametrize("kind", KINDS)
def test_only_files_are_opened_and_at_once(tmp_path: Path, kind: str) -> None:
    target, place = tmp_path / "elsewhere" / "precious", tmp_path / "lock"
    target.parent.mkdir()
    target.write_bytes(PRECIOUS)
    KINDS[kind](place, target)
    for flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_APPEND):
        with ended_within(5.0), pytest.raises(OSError, match="it is a .* where a run has a file of its own"):
            open_file(place, flags)
    assert holder(tmp_path) is None
    assert target.read_bytes() == PRECIOUS
    assert not target.with_name("nothing").exists()
    assert stat.S_IFMT(place.lstat().st_mode) != stat.S_IFREG
