"""The journal: what was acknowledged is there, in order, whatever happened."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evo.errors import JournalError
from evo.journal.log import Journal, cut_torn_line, latest_event, read_events

WRITER = """
import asyncio, sys
from pathlib import Path
from evo.journal.log import Journal

async def write():
    journal = Journal(Path(sys.argv[1]))
    for number in range(1_000_000):
        journal.append("note", number=number)
        if number % 7 == 0:
            await journal.durable()
            print(number, flush=True)

asyncio.run(write())
"""


def written(path: Path, count: int) -> None:
    journal = Journal(path)
    for number in range(count):
        journal.append("note", number=number, text="\ud800 é")
    journal.close()


def numbers(path: Path, start: int = 0) -> list[int]:
    return [event["number"] for _, event in read_events(path, start)]


def test_events_come_back_in_order_and_from_any_offset(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    written(path, 20)
    offsets = [offset for offset, _ in read_events(path)]
    assert numbers(path) == list(range(20))
    assert numbers(path, offsets[4]) == list(range(5, 20))


def test_what_is_durable_is_in_the_file(tmp_path: Path) -> None:
    async def go() -> list[int]:
        journal = Journal(tmp_path / "journal.jsonl")
        journal.append("note", number=1)
        await journal.durable()
        seen = numbers(journal.path)
        journal.close()
        return seen

    assert asyncio.run(go()) == [1]


def test_a_torn_last_line_is_left_out_and_cut(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    written(path, 3)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event": "note", "num')
    assert numbers(path) == [0, 1, 2]
    assert cut_torn_line(path) == 22
    assert path.read_bytes() == whole
    assert cut_torn_line(path) == 0


def test_an_empty_journal_has_nothing_to_cut(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").touch()
    assert cut_torn_line(tmp_path / "journal.jsonl") == 0


def test_a_corrupt_line_in_the_middle_is_named_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    written(path, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\x00\xff garbage\n" + lines[2])
    with pytest.raises(JournalError, match=rf"corrupt at byte {len(lines[0])} \(line 2\): .*head -c {len(lines[0])}"):
        numbers(path)


def test_the_latest_event_of_a_kind_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    written(path, 3)
    assert (latest_event(path, "note") or {})["number"] == 2
    assert latest_event(path, "resume") is None


def test_a_full_disk_is_told_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def full(file: int, block: bytes) -> int:
        if len(block) > 40:
            return real(file, block[:40])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def go(path: Path) -> None:
        journal = Journal(path)
        journal.append("note", number=1)
        await journal.durable()
        monkeypatch.setattr(os, "write", full)
        journal.append("note", number=2)
        try:
            await journal.durable()
        finally:
            monkeypatch.setattr(os, "write", real)
            with pytest.raises(JournalError, match="No space left"):
                journal.close()

    with pytest.raises(
        JournalError, match=r"No space left on device; what it holds is safe: make room, then `evo resume`"
    ):
        asyncio.run(go(tmp_path / "journal.jsonl"))
    assert numbers(tmp_path / "journal.jsonl") == [1]


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(30)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().splitlines() if line]
    found = numbers(path)
    assert found == list(range(len(found)))
    assert len(found) > acknowledged[-1]
