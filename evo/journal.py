"""The journal: one JSON event a line, appended and fsynced in groups. It is the truth; all else is derived from it.

The driver changes its state and appends in one breath, and lets nothing act on the outside world before `durable()`. So
the order of lines is the order of transitions, and what a crash loses had no effect that anyone could have seen.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from evo.errors import JournalError

VERSION = 1
GATHER_SECONDS = 0.004

Event = dict[str, Any]


_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


class Journal:
    """Appends to a journal file; one writer, enforced by the run folder's lock. A thread does the writing.

    Raises:
        JournalError: from `durable` and `close`, once a write has failed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._length = os.fstat(self._file).st_size
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
        line = _JSON.encode({"event": kind, "at": round(time.time(), 4), **fields})
        with self._wake:
            self._lines.append(line.encode("utf-8", "surrogatepass") + b"\n")
            self._appended += 1
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
                self._wake.wait_for(lambda: self._lines or self._closing)
                if not self._lines:
                    return
            if not self._closing:
                time.sleep(GATHER_SECONDS)
            with self._wake:
                lines, self._lines = self._lines, []
            self._commit(lines)

    def _commit(self, lines: list[bytes]) -> None:
        try:
            if self._failure is None:
                self._write(b"".join(lines))
        except OSError as error:
            self._failure = JournalError(
                f"cannot write {self.path}: {error.strerror}; what it holds is safe: make room, then `evo resume`"
            )
        with self._wake:
            self._committed += len(lines)
            ready = [waiter for waiter in self._waiters if waiter[0] <= self._committed]
            self._waiters = [waiter for waiter in self._waiters if waiter[0] > self._committed]
        for loop in {waiter[1] for waiter in ready}:
            with suppress(RuntimeError):  # a loop that was closed at once has nobody left who waits
                loop.call_soon_threadsafe(self._resolve, [future for _, own, future in ready if own is loop])

    def _write(self, block: bytes) -> None:
        try:
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fdatasync(self._file)
        except OSError:
            # Half a line would read as corruption once more is appended after it.
            os.ftruncate(self._file, self._length)
            raise
        self._length += len(block)

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
        JournalError: the file is missing, or a line before the last is no event.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise JournalError(f"cannot read {path}: {error.strerror}") from error
    with file:
        file.seek(start)
        offset = start
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield offset + len(line), _parse(line, path, offset)
            offset += len(line)


def latest_event(path: Path, kind: str) -> Event | None:
    """The last event of a kind, found without parsing the others; None where there is none."""
    prefix = f'{{"event": "{kind}",'.encode()
    with path.open("rb") as file:
        lines = [line for line in file if line.startswith(prefix)]
    return _parse(lines[-1], path, 0) if lines else None


def cut_torn_line(path: Path) -> int:
    """Cut an unfinished last line off; how many bytes that were."""
    size = path.stat().st_size
    if size == 0:
        return 0
    with path.open("rb+") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            keep = content.rfind(b"\n") + 1
        if keep < size:
            file.truncate(keep)
    return size - keep


def _parse(line: bytes, path: Path, offset: int) -> Event:
    try:
        event = json.loads(line)
        if not isinstance(event, Mapping) or "event" not in event:
            raise ValueError("no event")
    except (ValueError, RecursionError) as error:
        raise JournalError(
            f"{path} is corrupt at byte {offset}: {error}; restore the file, or keep the part before it with "
            f"`head -c {offset} {path.name} > repaired.jsonl`"
        ) from error
    return dict(event)
