"""Copies a journal from a node, in as many attempts as it takes: each begins where the copy ends.

Ray serves a whole file or a number of lines of its end, and cuts a transfer after five minutes. Lines of a journal are
all different, since each ends in a checksum of all before it. So where a line of the copy comes again, what follows it
belongs behind it; and a copy that has what was the last line there is complete up to there, byte for byte.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from cluster.jobs.server import LostError
from evo.errors import UserError
from evo.journal.files import check_file

Piece = Callable[[int], AbstractContextManager[Iterator[bytes]]]
"""A number of lines of a file's end, or all for -1; nothing where there is no file."""

SMALLEST_TAIL, TIMES_MORE, NEAR_BYTES = 1000, 8, 1 << 16
TIMEOUT_SECONDS, PAUSE_SECONDS = 120.0, 2.0


def bring_up_to_date(copy: Path, piece: Piece, timeout_seconds: float = TIMEOUT_SECONDS) -> bool:
    """Make a copy, or continue an earlier copy; False where there is nothing to copy.

    Args:
        timeout_seconds: how long to try again while nothing arrives.

    Raises:
        UserError: the copy is of another journal, or nothing more arrives.
    """
    try:
        check_file(copy, writing=True)
        copy.touch()
    except OSError as error:
        raise UserError(f"cannot write {copy}: {error.strerror}") from error
    deadline = time.monotonic() + timeout_seconds
    while True:
        _cut_to_whole_lines(copy)
        before = copy.stat().st_size
        try:
            return _copied(copy, piece)
        except LostError as error:
            if copy.stat().st_size > before:
                deadline = time.monotonic() + timeout_seconds
            elif time.monotonic() > deadline:
                raise UserError(f"{error}; fetch again when the head can be reached") from error
            time.sleep(min(PAUSE_SECONDS, timeout_seconds / 10))


def _copied(copy: Path, piece: Piece) -> bool:
    last = _last_line(piece)
    if not last:
        return False
    while _place_of(last, copy) is None:
        before = copy.stat().st_size
        _lengthen(copy, piece)
        _cut_to_whole_lines(copy)
        if copy.stat().st_size == before:
            raise LostError("what arrived was no longer than before")
    return True


def _lengthen(copy: Path, piece: Piece) -> None:
    """Append what there is beyond the copy."""
    if not copy.stat().st_size:
        with piece(-1) as blocks, copy.open("ab") as target:
            target.writelines(blocks)
        return
    _append_from(_Tail(copy, piece))


class _Tail:
    """Finds how many lines of the end begin a little before the end of the copy, by bisection.

    Attributes:
        lines: to ask for next.
    """

    def __init__(self, copy: Path, piece: Piece) -> None:
        self.copy, self.piece = copy, piece
        self.lines = SMALLEST_TAIL
        self._too_few, self._enough, self._start = 0, 0, b""

    def near(self, first: bytes) -> int | None:
        """At which byte of the copy the piece begins, if that is near its end; otherwise `lines` changes.

        Raises:
            UserError: the copy is not of this file.
        """
        place = _place_of(first, self.copy) if first else None
        if place is None:
            self._look_further(first)
            return None
        self._enough = self.lines
        far = self.copy.stat().st_size - place > NEAR_BYTES
        if far and self._enough - self._too_few > max(1, self._enough // 64):
            self.lines = (self._too_few + self._enough) // 2
            return None
        return place

    def _look_further(self, first: bytes) -> None:
        if first == self._start and not self._enough:  # these are more lines than there are
            raise _other_run(self.copy)
        self._start, self._too_few = first, self.lines
        halfway = (self._too_few + self._enough) // 2
        self.lines = halfway if self._enough > self._too_few + 1 else self.lines * TIMES_MORE


def _append_from(tail: _Tail) -> None:
    while True:
        with tail.piece(tail.lines) as blocks:
            first, rest = _first_line(blocks)
            place = tail.near(first)
            if place is not None:
                _append(tail.copy, place, chain((first, rest), blocks))
                return


def _append(copy: Path, place: int, blocks: Iterator[bytes]) -> None:
    """Append a stream that begins at a byte of the copy."""
    with copy.open("r+b") as target:
        target.seek(place)
        for block in blocks:
            _lay_over(target, block, copy)


def _lay_over(target: BinaryIO, block: bytes, copy: Path) -> None:
    """Compare a block with what the copy has there, and append the rest."""
    there = target.read(len(block))
    if not block.startswith(there):
        raise _other_run(copy)
    target.write(block[len(there) :])


def _other_run(copy: Path) -> UserError:
    return UserError(f"{copy.parent} holds another run, or a changed copy; fetch into another folder")


def _first_line(blocks: Iterator[bytes]) -> tuple[bytes, bytes]:
    """The first whole line of a stream, and what was read beyond it."""
    read = b""
    for block in blocks:
        read += block
        if b"\n" in read:
            break
    line, end, rest = read.partition(b"\n")
    return (line + end, rest) if end else (b"", read)


def _last_line(piece: Piece) -> bytes:
    """The last complete line; a line may be in writing behind it."""
    with piece(2) as blocks:
        whole = b"".join(blocks).rpartition(b"\n")[0]
    return whole[whole.rfind(b"\n") + 1 :] + b"\n" if whole else b""


def _place_of(line: bytes, copy: Path) -> int | None:
    """At which byte of the copy a line begins."""
    if not copy.stat().st_size:
        return None
    with copy.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[: len(line)] == line:
            return 0
        place = content.rfind(b"\n" + line)
        return None if place < 0 else place + 1


def _cut_to_whole_lines(copy: Path) -> None:
    """Cut off a last line that is incomplete."""
    size = copy.stat().st_size
    if not size:
        return
    with copy.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            whole = content.rfind(b"\n") + 1
        if whole < size:
            file.truncate(whole)
