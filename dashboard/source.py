"""Reading runs for many viewers: each query runs at most once a second, however many viewers there are.

A query (here: a question) is a function from a reader to a result of bounded size (see `dashboard.queries`). Its answer
is kept for a second, and for as long as the run's files do not change, so that a finished run is read once. A question
about the whole history gets its previous answer, and reads only what came since.
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
from evo.lineage.attached import Settings
from evo.lineage.console import Reply, ask
from evo.lineage.reading import FILE_NAME

T = TypeVar("T")

FRESH_SECONDS = 1.0
TIMEOUT_SECONDS = 2.0
STALE_SECONDS = 30.0
MOST_ANSWERS = 200
MOST_READERS = 16
CONSOLES, CONSOLE_TIMEOUT_SECONDS = 3, 5.0
# For all readers of a run together; what does not fit in memory goes to disk.
SETTINGS: Settings = {"memory_limit": "512MB", "threads": 2}

Signature = tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class _Entry:
    """The last answer to a question, or why there is none."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Any = None
    answered: float | None = None
    failure: EvoError | None = None
    asked: float = float("-inf")
    signature: Signature = ()


class Source:
    """All runs that the dashboard shows; shared by all its viewers, and thread-safe.

    Args:
        places: run folders, or folders of them.
        fresh_seconds: how long an answer is used without a look at the files.
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
        """The answer of `question(reader, *arguments)`, read in a single transaction.

        Raises:
            LineageError: no such run (any more), locked for too long, or of another version.
        """
        return self._answer(run, question, arguments, grows=False)

    def grow(self, run: str, question: Callable[..., T], *arguments: Hashable) -> T:
        """The answer of `question(reader, before, *arguments)`, where `before` is its previous answer, or None.

        Raises:
            LineageError: as `ask`.
        """
        return self._answer(run, question, arguments, grows=True)

    def query(self, run: str, sql: str) -> Reply:
        """The answer to a user's query: in a process of its own, with limits, and without files or network.

        Raises:
            LineageError: it is rejected, exceeds a limit, or too many queries are running.
        """
        if not self._consoles.acquire(timeout=CONSOLE_TIMEOUT_SECONDS):
            raise LineageError(f"{CONSOLES} queries are running; try again when one of them has ended")
        try:
            return ask(self.path(run), sql)
        finally:
            self._consoles.release()

    def holder(self, run: str) -> str | None:
        """The process that is running it now; None if it is not running."""
        return holder(self._folder(run))

    def path(self, run: str) -> Path:
        """The path of a run's lineage.

        Raises:
            LineageError: no such run.
        """
        folder = self._folder(run)
        return folder if folder.suffix == ".duckdb" else folder / FILE_NAME

    def _folder(self, run: str) -> Path:
        runs = self.runs()
        if run not in runs:
            raise LineageError(f"there is no run {run} any more; choose another, or start a run: `evo run PROBLEM`")
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
        """A reader of a run, kept open: most of the cost of a short read is in opening."""
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
        except LineageLockedError as error:  # a recent answer is better than none
            recent = entry.answered is not None and time.monotonic() - entry.answered < STALE_SECONDS
            entry.failure = None if recent else error
            entry.signature = ()
        except EvoError as error:
            entry.value, entry.answered, entry.failure = None, None, error
        entry.asked = time.monotonic()


def _signature(folder: Path) -> Signature:
    """The state of a run's files, which changes with every write; empty where a file is missing."""
    files = [folder] if folder.suffix == ".duckdb" else [folder / FILE_NAME, folder / JOURNAL]
    found = []
    for path in files:
        try:
            seen = path.stat()
        except OSError:
            continue
        found.append((seen.st_ino, seen.st_mtime_ns, seen.st_size))
    return tuple(found) if len(found) == len(files) else ()
