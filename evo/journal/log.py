"""The journal's file: a JSON event a line, appended and fsynced in groups. All else is derived from it.

The driver changes its state and appends without a pause between them, and lets nothing act on the outside world before
`durable()`. So the order of lines is the order of transitions, and what a crash loses has had no effect yet.

Each line ends in a checksum: the CRC-32 of all lines up to and with its own. So a line that was changed, lost, repeated
or moved is found wherever it is, unless it is the end that is lost. Lines without a checksum are of an older version.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import re
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import PydanticSerializationError, from_json, to_json

from evo.errors import FULL, JournalError, command
from evo.journal.files import open_file

VERSION = 3
"""Of what follows from a seed and a configuration: a run of another version cannot be replayed."""
GATHER_SECONDS = 0.004
WATCH_SECONDS = 0.5
CHECKSUM_BYTES = 26
TAIL_BYTES = 4096
NO_TAIL = "0-00000000"
_CHECKSUM = re.compile(rb', "checksum": "([0-9a-f]{8})"}\n')

Event = dict[str, Any]


class Journal:
    """Appends to a journal file; a single writer, enforced by the run folder's lock. A thread does the writing.

    The times of its events follow the clock at the start and run on evenly from there, whatever becomes of the clock.

    Raises:
        JournalError: from `durable`, `until_failure` and `close`, once a write has failed or the file was taken away.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open_file(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        except OSError as error:
            raise JournalError(f"cannot write {path}: {error.strerror}") from error
        self._length = os.fstat(self._file).st_size
        self._checksum = _checksum_at(os.pread(self._file, CHECKSUM_BYTES, max(0, self._length - CHECKSUM_BYTES)))
        self._began = time.time() - time.monotonic()
        self._wake = threading.Condition()
        self._lines: list[bytes] = []
        self._appended = 0
        self._committed = 0
        self._closing = False
        self._failure: JournalError | None = None
        self._waiters: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._thread = threading.Thread(target=self._commit_forever, name="journal", daemon=True)
        self._thread.start()

    def append(self, kind: str, **fields: Any) -> None:
        """Queue an event. It is on the disk when the next `durable` returns."""
        line = _line(kind, self._began + time.monotonic(), fields)
        with self._wake:
            self._lines.append(line)
            self._appended += 1
            if len(self._lines) == 1:  # else the thread was notified before, and takes this line with the others
                self._wake.notify()

    async def durable(self) -> None:
        """Wait until all that was appended so far is on the disk."""
        loop = asyncio.get_running_loop()
        with self._wake:
            if self._failure:
                raise self._failure
            if self._committed == self._appended:
                return
            future: asyncio.Future[None] = loop.create_future()
            self._waiters.append((self._appended, loop, future))
        await future

    @property
    def awaited(self) -> bool:
        """Whether something is on its way to the disk."""
        return self._committed < self._appended

    async def until_failure(self) -> None:
        """Wait until a write fails, so that what waits for something slow can be given up at once."""
        loop = asyncio.get_running_loop()
        with self._wake:
            if self._failure:
                raise self._failure
            future: asyncio.Future[None] = loop.create_future()
            self._waiters.append((sys.maxsize, loop, future))
        await future

    def close(self) -> None:
        """Write what is queued, and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        os.close(self._file)
        if self._failure:
            raise self._failure

    def _commit_forever(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._lines or self._closing, WATCH_SECONDS)
                if self._closing and not self._lines:
                    return
            if self._lines and not self._closing:
                time.sleep(GATHER_SECONDS)
            with self._wake:
                lines, self._lines = self._lines, []
            self._commit(lines)

    def _commit(self, lines: list[bytes]) -> None:
        try:
            if self._failure is None:
                self._write(lines)
        except JournalError as error:
            self._failure = error
        except OSError as error:
            remedy = "make room" if error.errno in FULL else "repair that"
            self._failure = JournalError(
                f"cannot write {self.path}: {error.strerror}; what it holds is safe: {remedy}, then `evo resume`"
            )
        with self._wake:
            self._committed += len(lines)
            reached = sys.maxsize if self._failure else self._committed
            ready = [waiter for waiter in self._waiters if waiter[0] <= reached]
            self._waiters = [waiter for waiter in self._waiters if waiter[0] > reached]
        for loop in {waiter[1] for waiter in ready}:
            with suppress(RuntimeError):  # in a loop that was closed meanwhile nothing waits any more
                loop.call_soon_threadsafe(self._resolve, [future for _, its_loop, future in ready if its_loop is loop])

    def _write(self, lines: list[bytes]) -> None:
        self._check_another_writer()
        if lines:
            self._append_block(lines)
        # After writing: what was paid for is of use in a file that was moved, and does no harm to a file in its place.
        self._check_if_taken_away()

    def _append_block(self, lines: list[bytes]) -> None:
        block, checksum = _with_checksums(lines, self._checksum)
        try:
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fdatasync(self._file)
        except OSError:
            # Half a line would read as corruption once more is appended after it.
            with suppress(OSError):
                os.ftruncate(self._file, self._length)
            raise
        self._length += len(block)
        self._checksum = checksum

    def _check_another_writer(self) -> None:
        length = os.fstat(self._file).st_size
        if length != self._length:
            raise JournalError(
                f"{self.path} has {length} bytes where this run left {self._length}: another program changed it; "
                f"stopped; `{command('doctor', self.path.parent)}` says what it holds"
            )

    def _check_if_taken_away(self) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):
            if os.path.samestat(os.fstat(self._file), os.lstat(self.path)):
                return
        raise JournalError(
            f"{self.path} was deleted, moved or replaced while the run wrote it; stopped, since nothing would be kept; "
            "where the folder was moved, `evo resume` goes on there"
        )

    def _resolve(self, futures: list[asyncio.Future[None]]) -> None:
        for future in futures:
            if not future.done():
                if self._failure:
                    future.set_exception(self._failure)
                else:
                    future.set_result(None)


def read_events(path: Path, start: int = 0) -> Iterator[tuple[int, Event]]:
    """The events from byte `start` on, each with the offset of the byte after it. A torn last line is left out.

    Raises:
        JournalError: the file is missing, or a line before the last is no event or not what was written there.
    """
    with _opened(path) as file:
        file.seek(max(0, start - CHECKSUM_BYTES))
        checksum = _checksum_at(file.read(min(start, CHECKSUM_BYTES)))
        offset = start
        for line in file:
            if not line.endswith(b"\n"):
                return
            event = _parse(line, path, offset)
            checksum = _checked(line, checksum, path, offset)
            offset += len(line)
            yield offset, event


def _opened(path: Path) -> BinaryIO:
    try:
        return os.fdopen(open_file(path, os.O_RDONLY), "rb")
    except OSError as error:
        raise JournalError(f"cannot read {path}: {error.strerror}") from error


def tail(path: Path, end: int) -> str:
    """Length and checksum of the bytes before `end`: they differ for another journal, and for another part of it."""
    with _opened(path) as file:
        file.seek(max(0, end - TAIL_BYTES))
        before = file.read(min(end, TAIL_BYTES))
    return f"{len(before)}-{zlib.crc32(before):08x}"


def latest_event(path: Path, kind: str) -> Event | None:
    """The last event of a kind, found without parsing the others; None where there is none."""
    prefix = f'{{"event": "{kind}",'.encode()
    with _opened(path) as file:
        lines = [line for line in file if line.startswith(prefix)]
    return _parse(lines[-1], path, 0) if lines else None


def cut_torn_line(path: Path) -> int:
    """Cut an unfinished last line off; returns how many bytes it had."""
    try:
        file = os.fdopen(open_file(path, os.O_RDWR), "rb+")
    except OSError as error:
        raise JournalError(f"cannot write {path}: {error.strerror}") from error
    with file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            return 0
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            keep = content.rfind(b"\n") + 1
        if keep < size:
            file.truncate(keep)
    return size - keep


def _line(kind: str, at: float, fields: Event) -> bytes:
    """An event as the journal has it; pydantic's writer takes a quarter of the time of Python's own.

    Raises:
        ValueError: a number is not finite.
    """
    try:
        rest = to_json(fields)
    except PydanticSerializationError:  # lone surrogates, which candidates and models may write
        rest = _strictly(fields)
    if b"NaN" in rest or b"Infinity" in rest:
        rest = _strictly(fields)  # they may be words of a text
    return b'{"event": "%b", "at": %.4f%b%b\n' % (kind.encode(), at, b", " if fields else b"", rest[1:])


def _strictly(fields: Event) -> bytes:
    return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")


def _parse(line: bytes, path: Path, offset: int) -> Event:
    try:
        if line.endswith(b"\r\n"):
            raise ValueError(r"its lines end in CR LF, as another program left them; `sed -i 's/\r$//'` repairs that")
        event = _read(line)
        if not isinstance(event, dict) or "event" not in event:
            raise ValueError("no event")
    except (ValueError, RecursionError) as error:
        raise _corrupt(path, offset, str(error)) from error
    event.pop("checksum", None)
    return event


def _read(line: bytes) -> Any:
    try:
        return from_json(line, allow_inf_nan=False)
    except ValueError:  # lone surrogates; of what is no JSON, Python's own reader says more
        return json.loads(line.decode("utf-8", "surrogatepass"))


def _corrupt(path: Path, offset: int, why: str) -> JournalError:
    with _opened(path) as file:
        number = 1 + file.read(offset).count(b"\n")
    return JournalError(
        f"{path} is corrupt at byte {offset} (line {number}): {why}; restore the file, or keep the part before it with "
        f"`head -c {offset} {path.name} > repaired.jsonl`"
    )


def _with_checksums(lines: Sequence[bytes], checksum: int) -> tuple[bytes, int]:
    """The lines with their checksums, and the last of these."""
    with_checksums = []
    for line in lines:
        body = line[:-2]
        checksum = zlib.crc32(body, checksum)
        with_checksums.append(b'%b, "checksum": "%08x"}\n' % (body, checksum))
    return b"".join(with_checksums), checksum


def _checksum_at(end: bytes) -> int:
    """The checksum in the last bytes of a line; 0 where it has none."""
    found = _CHECKSUM.fullmatch(end)
    return int(found[1], 16) if found else 0


def _checked(line: bytes, before: int, path: Path, offset: int) -> int:
    """The checksum of a line, which has to follow from that of the line before."""
    if not line.startswith(b', "checksum": "', max(0, len(line) - CHECKSUM_BYTES)):
        return 0
    checksum = zlib.crc32(memoryview(line)[:-CHECKSUM_BYTES], before)
    if b'%08x"}\n' % checksum != line[-11:]:
        raise _corrupt(path, offset, "it is not what was written there, or lines before it are missing")
    return checksum
