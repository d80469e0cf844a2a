"""Reading runs for many viewers: a question is put to a run once a second, however many want to know.

A question is a function from a reader to something bounded (see `dashboard.queries`). Its answer is kept for a second,
and for as long as the run's files stay as they are, so that a run that is over is read once. A question that goes over
all of the history takes what it said before, and reads no more than what came since.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dashboard.library import runs_in
from evo.errors import EvoError, LineageError, LineageLockedError
from evo.journal.folder import JOURNAL, holder
from evo.lineage import Run, open_run
from evo.lineage.console import Reply, ask
from evo.lineage.opening import FILE_NAME, Settings

T = TypeVar("T")

FRESH_SECONDS = 1.0
TIMEOUT_SECONDS = 2.0
STALE_SECONDS = 30.0
MOST_ANSWERS = 200
MOST_READERS = 16
CONSOLES, CONSOLE_TIMEOUT_SECONDS = 3, 5.0
# Of all readers of one run together; what does not fit goes to the disk.
SETTINGS: Settings = {"memory_limit": "512MB", "threads": 2}

Signature = tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class _Entry:
    """What a question was answered with last, or why it was not."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Any = None
    answered: float | None = None
    failure: EvoError | None = None
    asked: float = float("-inf")
    signature: Signature = ()


class Source:
    """All runs that the dashboard shows; one for all its viewers, and safe for threads.

    Args:
        places: run folders, or folders of them.
        fresh_seconds: how long an answer is as good as new.
    """

    def __init__(self, places: Sequence[Path], *, fresh_seconds: float = FRESH_SECONDS) -> None:
        self.places = tuple(places)
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._consoles = threading.BoundedSemaphore(CONSOLES)
        self._runs: tuple[float, dict[str, Path]] = (float("-inf"), {})
        self._readers: OrderedDict[Path, Run] = OrderedDict()

    def runs(self) -> dict[str, Path]:
        """Name to folder of each run, the latest first."""
        with self._lock:
            looked, runs = self._runs
            if time.monotonic() - looked > self._fresh_seconds:
                runs = runs_in(self.places)
                self._runs = time.monotonic(), runs
            return runs

    def ask(self, run: str, question: Callable[..., T], *arguments: Hashable) -> T:
        """The answer of `question(reader, *arguments)`, all of it of one moment.

        Raises:
            LineageError: no such run (any more), held by somebody for too long, or of another version.
        """
        return self._answer(run, question, arguments, grows=False)

    def grow(self, run: str, question: Callable[..., T], *arguments: Hashable) -> T:
        """The answer of `question(reader, before, *arguments)`, where `before` is its last answer, or None.

        Raises:
            LineageError: as `ask`.
        """
        return self._answer(run, question, arguments, grows=True)

    def query(self, run: str, sql: str) -> Reply:
        """The answer to a stranger's query: in a process of its own, with limits, no file and no network.

        Raises:
            LineageError: it is refused, or took too much, or too many are under way.
        """
        if not self._consoles.acquire(timeout=CONSOLE_TIMEOUT_SECONDS):
            raise LineageError(f"{CONSOLES} queries are under way; try again when one has ended")
        try:
            return ask(self.path(run), sql)
        finally:
            self._consoles.release()

    def holder(self, run: str) -> str | None:
        """Which process runs it right now; None where none does."""
        return holder(self._folder(run))

    def path(self, run: str) -> Path:
        """Where a run's lineage lies.

        Raises:
            LineageError: no such run.
        """
        folder = self._folder(run)
        return folder if folder.suffix == ".duckdb" else folder / FILE_NAME

    def _folder(self, run: str) -> Path:
        runs = self.runs()
        if run not in runs:
            raise LineageError(f"there is no run {run} any more; choose another one, or start one: `evo run PROBLEM`")
        return runs[run]

    def _answer(self, run: str, question: Callable[..., T], arguments: Sequence[Hashable], *, grows: bool) -> T:
        folder = self._folder(run)
        entry = self._entry((folder, question.__module__, question.__qualname__, *arguments))
        with entry.lock:
            if not self._is_good(entry, folder):
                self._put(entry, folder, question, ((entry.value, *arguments) if grows else arguments))
            if entry.failure:
                raise entry.failure
            answer: T = entry.value
            return answer

    def _entry(self, key: Hashable) -> _Entry:
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > MOST_ANSWERS:
                self._entries.popitem(last=False)
            return entry

    def _is_good(self, entry: _Entry, folder: Path) -> bool:
        if time.monotonic() - entry.asked < self._fresh_seconds:
            return True
        unchanged = entry.answered is not None and entry.failure is None and entry.signature == _signature(folder)
        return unchanged and bool(entry.signature)

    def _reader(self, folder: Path) -> Run:
        """Kept, since most of the price of a short open is paid once."""
        with self._lock:
            reader = self._readers.get(folder) or open_run(folder, TIMEOUT_SECONDS, SETTINGS, often=True)
            self._readers[folder] = reader
            self._readers.move_to_end(folder)
            while len(self._readers) > MOST_READERS:
                self._readers.popitem(last=False)
            return reader

    def _put(self, entry: _Entry, folder: Path, question: Callable[..., Any], arguments: Sequence[Any]) -> None:
        signature = _signature(folder)
        try:
            with self._reader(folder).at_once() as reader:
                entry.value = question(reader, *arguments)
            entry.answered, entry.failure, entry.signature = time.monotonic(), None, signature
        except LineageLockedError as error:  # an answer of just now is better than none
            recent = entry.answered is not None and time.monotonic() - entry.answered < STALE_SECONDS
            entry.failure = None if recent else error
            entry.signature = ()
        except EvoError as error:
            entry.value, entry.answered, entry.failure = None, None, error
        entry.asked = time.monotonic()


def _signature(folder: Path) -> Signature:
    """What changes with every write to a run; empty where that cannot be said."""
    files = [folder] if folder.suffix == ".duckdb" else [folder / FILE_NAME, folder / JOURNAL]
    found = []
    for one in files:
        try:
            seen = one.stat()
        except OSError:
            continue
        found.append((seen.st_ino, seen.st_mtime_ns, seen.st_size))
    return tuple(found) if len(found) == len(files) else ()
