"""What happens to a run from outside, such as a full disk and changed files: nothing recorded is lost."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evo.config.loading import load_config
from evo.engine.run import run
from evo.errors import JournalError
from evo.journal.log import Journal, read_events
from evo.lineage import rebuild
from tests.conftest import TOY, Answer, Evo
from tests.evo.engine.test_driver import ORDERED
from tests.evo.lineage.test_lineage import contents
from tests.support.made import unsealed
from tests.support.runs import events, sorted_history, wait_for_tells

FOREVER = ("--set", "problem.options.pause_seconds=0.01", "--set", "budget.evaluations=100000")


@pytest.fixture(scope="module")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "toy"
    run(load_config(TOY[0], [TOY[2], "budget.evaluations=60"]), folder)
    return folder


@pytest.fixture
def toy_run(made_run: Path, tmp_path: Path) -> Path:
    """As that of all tests, and made once for these."""
    return Path(shutil.copytree(made_run, tmp_path / "runs" / "toy"))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What writes more into a file is refused, as by a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python would cache a module that is imported meanwhile, up to the limit and no further, and trip over it later.
    caches, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = caches


def refused_in_one_sentence(answer: Answer, complaint: str) -> None:
    assert answer.code == 2, answer
    assert re.search(complaint, answer.err), answer.err
    assert "Traceback" not in answer.err


def after(tells: int, run: Path, act: Callable[[Path], object]) -> threading.Thread:
    """Do something to a run once it has so many results."""

    def wait() -> None:
        wait_for_tells(run, tells)
        act(run)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_full_disk_stops_a_run_that_then_goes_on_as_if_it_had_not_been_full(evo: Evo, tmp_path: Path) -> None:
    sizes = ("--set", "budget.evaluations=90")
    assert evo("run", *ORDERED, *sizes, "--name", "whole").code == 0
    with files_of_at_most(40_000):
        answer = evo("run", *ORDERED, *sizes, "--name", "full")
    refused_in_one_sentence(answer, r"cannot write .*full/journal.jsonl: File too large; what it holds .* `evo resume`")
    assert (tmp_path / "runs/full/journal.jsonl").read_bytes().endswith(b"}\n")
    assert 10 < sum(event["event"] == "tell" for event in events(tmp_path / "runs/full")) < 90
    assert evo("resume", tmp_path / "runs/full").code == 0
    assert sorted_history(tmp_path / "runs/full") == sorted_history(tmp_path / "runs/whole")
    assert evo("doctor", tmp_path / "runs/full").code == 0


def test_a_disk_that_is_full_for_the_lineage_alone_does_not_stop_the_search(evo: Evo, tmp_path: Path) -> None:
    with files_of_at_most(90_000):
        answer = evo("run", *TOY, "--set", "budget.evaluations=60", "--name", "toy")
        assert answer.code == 0, answer.err
        assert re.search("cannot write .*lineage.*duckdb.*nothing is lost: `evo index .*toy`", answer.err), answer.err
        refused_in_one_sentence(evo("index", tmp_path / "runs/toy"), "cannot write .*duckdb.*File too large; make room")
    assert "Traceback" not in answer.err
    with files_of_at_most(200_000):  # room for the database's log, and not for the database
        refused_in_one_sentence(evo("index", tmp_path / "runs/toy"), "cannot write .*duckdb.*File too large; make room")
    assert evo("index", tmp_path / "runs/toy").code == 0
    assert evo("doctor", tmp_path / "runs/toy").code == 0


@pytest.mark.parametrize("format", ["parquet", "json", "graphml"])
def test_a_disk_that_is_too_small_for_an_export_is_said(evo: Evo, toy_run: Path, tmp_path: Path, format: str) -> None:
    with files_of_at_most(1000):
        answer = evo("export", toy_run, "--format", format, "--to", "written")
    refused_in_one_sentence(answer, "File too large")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


ON_A_SMALL_DISK = """
set -u
evo="$1 -m evo"
$evo run evo.testing.toys:Valley --set executor=evo.testing.executor:InProcessExecutor --set search.deterministic=true \
    --set search.max_in_flight=8 --set budget.evaluations=3000 --name full --run-dir small
echo "run $?"
$evo index small/full; echo "index $?"
cat /dev/zero > small/rest 2> /dev/null
$evo export small/full --to small/exported --format json; echo "export $?"
cp -r small/full roomy/
"""


@pytest.mark.slow
def test_a_run_on_a_real_file_system_that_is_full_goes_on_where_there_is_room(evo: Evo, tmp_path: Path) -> None:
    for name in ("small", "roomy"):
        (tmp_path / name).mkdir()
    small = ["bwrap", "--dev-bind", "/", "/", "--size", "1500000", "--tmpfs", str(tmp_path / "small")]
    if shutil.which("bwrap") is None or subprocess.run([*small, "true"], check=False).returncode:
        pytest.skip("a small file system without being root takes bwrap and namespaces")
    command = [*small, "sh", "-c", ON_A_SMALL_DISK, "sh", sys.executable]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert re.findall(r"(?:run|index|export) \d", said.stdout) == ["run 2", "index 2", "export 2"], said
    assert "cannot write small/full/journal.jsonl: No space left on device" in said.stderr
    assert "Traceback" not in said.stderr
    assert evo("run", *ORDERED, "--set", "budget.evaluations=3000", "--name", "whole").code == 0
    assert evo("resume", tmp_path / "roomy/full").code == 0
    assert sorted_history(tmp_path / "roomy/full") == sorted_history(tmp_path / "runs/whole")
    assert evo("doctor", tmp_path / "roomy/full").code == 0


def replaced(run: Path) -> None:
    text = (run / "journal.jsonl").read_bytes()
    (run / "other").write_bytes(text)
    (run / "other").rename(run / "journal.jsonl")


@pytest.mark.parametrize(
    "take_away", [shutil.rmtree, replaced, lambda run: run.rename(run.with_name("moved"))], ids=["rm", "replace", "mv"]
)
def test_a_run_whose_folder_is_taken_away_stops(evo: Evo, tmp_path: Path, take_away: Callable[[Path], object]) -> None:
    taker = after(5, tmp_path / "runs/lost", take_away)
    answer = evo("run", *TOY, *FOREVER, "--name", "lost")
    taker.join()
    refused_in_one_sentence(answer, "lost/journal.jsonl was deleted, moved or replaced")
    if (moved := tmp_path / "runs/moved").exists():
        assert evo("resume", moved, "--set", "budget.evaluations=5").code in (0, 2)
        assert evo("replay", moved).code == 0


def test_who_waits_for_something_slow_hears_within_a_second_that_the_journal_is_gone(tmp_path: Path) -> None:
    async def wait(journal: Journal) -> float:
        journal.append("note")
        await journal.durable()
        journal.path.unlink()
        began = time.monotonic()
        with pytest.raises(JournalError, match="was deleted"):
            await asyncio.wait_for(journal.until_failure(), 30)
        return time.monotonic() - began

    journal = Journal(tmp_path / "journal.jsonl")
    assert asyncio.run(wait(journal)) < 5
    with pytest.raises(JournalError, match="was deleted"):
        journal.close()


def test_a_journal_that_another_program_wrote_to_is_left_to_it(tmp_path: Path) -> None:
    async def write(journal: Journal) -> None:
        for number in range(2):
            journal.append("note", number=number)
            await journal.durable()
            journal.path.write_bytes(journal.path.read_bytes() + b'{"event": "mine"}\n')

    journal = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(JournalError, match="another program changed it"):
        asyncio.run(write(journal))
    with pytest.raises(JournalError, match="another program changed it"):
        journal.close()
    assert [event["event"] for _, event in read_events(journal.path)] == ["note", "mine"]


def test_a_lineage_that_is_deleted_during_a_run_is_built_again(evo: Evo, tmp_path: Path) -> None:
    def delete(run: Path) -> None:
        while not (run / "lineage.duckdb").exists():
            time.sleep(0.01)
        (run / "lineage.duckdb").unlink()

    deleter = after(5, tmp_path / "runs/toy", delete)
    answer = evo("run", *TOY, *FOREVER, "--set", "budget.wall_seconds=2", "--name", "toy")
    deleter.join()
    assert answer.code == 0, answer.err
    live = contents(tmp_path / "runs/toy")
    rebuild(tmp_path / "runs/toy")
    assert contents(tmp_path / "runs/toy") == live


def scrambled(database: Path) -> None:
    block = bytearray(database.read_bytes())
    block[12_288 : len(block)] = os.urandom(len(block) - 12_288)
    database.write_bytes(block)


@pytest.mark.parametrize(
    "damage", [scrambled, lambda path: os.truncate(path, 20_000), lambda path: os.truncate(path, 0)]
)
@pytest.mark.parametrize("mend", [("index",), ("resume", "--set", "budget.evaluations=70")])
def test_a_damaged_lineage_is_said_and_mended(
    evo: Evo, toy_run: Path, damage: Callable[[Path], None], mend: tuple[str, ...]
) -> None:
    damage(toy_run / "lineage.duckdb")
    refused_in_one_sentence(evo("top", toy_run), "lineage.*damaged.*`evo index")
    broken = evo("doctor", toy_run)
    assert (broken.code, "is damaged" in broken.out) == (1, True)
    command, *rest = mend
    assert evo(command, toy_run, *rest).code == 0
    assert evo("doctor", toy_run).code == 0


def test_the_lineage_of_a_finished_run_that_was_cut_short_is_finished_by_resuming(evo: Evo, toy_run: Path) -> None:
    live = contents(toy_run)
    (toy_run / "lineage.duckdb").unlink()
    refused_in_one_sentence(evo("resume", toy_run), "is finished")
    assert contents(toy_run) == live


def changed(lines: list[bytes], number: int) -> list[bytes]:
    changed = lines[number].replace(b'"seconds":0.', b'"seconds":1.')
    assert changed != lines[number]
    return [*lines[:number], changed, *lines[number + 1 :]]


DAMAGES: dict[str, tuple[Callable[[list[bytes], int], list[bytes]], int]] = {
    "a line is lost": (lambda lines, at: [*lines[:at], *lines[at + 1 :]], 0),
    "a line is doubled": (lambda lines, at: [*lines[: at + 1], *lines[at:]], 1),
    "a digit is changed": (changed, 0),
    "a line is halved": (lambda lines, at: [*lines[:at], lines[at][:40], *lines[at + 1 :]], 0),
    "zeros are in a line": (lambda lines, at: [*lines[:at], bytes(30) + lines[at][30:], *lines[at + 1 :]], 0),
    "lines are swapped": (lambda lines, at: [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]], 0),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("place", ["early", "last"])
def test_a_journal_that_was_changed_anywhere_is_refused_by_line_and_byte(
    evo: Evo, toy_run: Path, damage: str, place: str
) -> None:
    journal = toy_run / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    tells = [number for number, line in enumerate(lines) if line.startswith(b'{"event": "tell"')]
    at = tells[10] if place == "early" else tells[-1]
    make, offset = DAMAGES[damage]
    journal.write_bytes(b"".join(make(lines, at)))
    byte = len(b"".join(lines[: at + offset]))
    complaint = rf"is corrupt at byte {byte} \(line {at + offset + 1}\)"
    for command in (("resume", toy_run, "--set", "budget.evaluations=99"), ("index", toy_run), ("replay", toy_run)):
        refused_in_one_sentence(evo(*command), complaint)
    assert re.search(complaint, evo("doctor", toy_run).out)


def test_line_ends_of_another_system_are_named(evo: Evo, toy_run: Path) -> None:
    journal = toy_run / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b"\n", b"\r\n"))
    refused_in_one_sentence(evo("index", toy_run), r"corrupt at byte 0 \(line 1\): its lines end in CR LF.*sed -i")


@pytest.mark.parametrize("rest", [b"\0" * 5000, b'{"event": "tell", "indi', b'{"event": "te\0\0\0\0'])
def test_what_a_crash_of_the_system_leaves_at_the_end_is_cut_off(evo: Evo, toy_run: Path, rest: bytes) -> None:
    with (toy_run / "journal.jsonl").open("ab") as file:
        file.write(rest)
    assert f"torn: {len(rest)} bytes" in evo("doctor", toy_run).out
    assert evo("resume", toy_run, "--set", "budget.evaluations=70").code == 0
    assert evo("doctor", toy_run).code == 0


@pytest.mark.parametrize("mend", [("index",), ("resume",)])
def test_a_journal_that_lost_its_end_is_noticed_by_its_lineage(evo: Evo, toy_run: Path, mend: tuple[str]) -> None:
    journal = toy_run / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:100]))
    assert "bytes more than the journal holds" in evo("doctor", toy_run).out
    answer = evo(*mend, toy_run)
    assert answer.code == 0
    assert ("has read another journal, or more than is left of it" in answer.err) == (mend == ("resume",))
    live = contents(toy_run)
    rebuild(toy_run)
    assert contents(toy_run) == live
    assert evo("doctor", toy_run).code == 0


def test_the_journal_of_another_run_is_noticed_by_the_lineage(evo: Evo, toy_run: Path, tmp_path: Path) -> None:
    assert evo("run", *TOY, "--set", "budget.evaluations=70", "--set", "seed=9", "--name", "other").code == 0
    shutil.copy(tmp_path / "runs/other/journal.jsonl", toy_run / "journal.jsonl")
    assert evo("resume", toy_run, "--set", "budget.evaluations=80").code == 0
    live = contents(toy_run)
    rebuild(toy_run)
    assert contents(toy_run) == live


def test_a_journal_without_seals_goes_on_with_them(evo: Evo, toy_run: Path) -> None:
    journal = toy_run / "journal.jsonl"
    journal.write_bytes(unsealed(journal.read_bytes()))
    assert evo("resume", toy_run, "--set", "budget.evaluations=80").code == 0
    assert evo("replay", toy_run).code == 0
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:-2], lines[-1]]))
    refused_in_one_sentence(evo("replay", toy_run), rf"corrupt at byte \d+ \(line {len(lines) - 1}\)")
