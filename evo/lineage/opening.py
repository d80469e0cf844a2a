"""Opening a run's database: patiently while a writer has it, and what to tell a person where that fails."""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb

from evo.errors import FULL, LineageDamagedError, LineageError, LineageLockedError

T = TypeVar("T")
Settings = Mapping[str, str | bool | int | float | list[str]]

FILE_NAME = "lineage.duckdb"
TIMEOUT_SECONDS = 10.0
NAME = "lineage"
LOCK_MESSAGES = ("Could not set lock", "already attached")
FULL_MESSAGES = (*map(os.strerror, FULL), "enough disk space")
DAMAGE_MESSAGES = ("Corrupt database file", "not a valid DuckDB", "Could not read enough bytes", "Serialization Error")


def patiently(opening: Callable[[], T], path: Path, timeout_seconds: float) -> T:
    """Open a database, again and again while a writer holds it, in another process or in this one.

    Raises:
        LineageError: it was held for too long, or cannot be read.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            return opening()
        except duckdb.Error as error:
            failure = failure_of(path, error)
            if not isinstance(failure, LineageLockedError) or time.monotonic() > deadline:
                raise failure from error
            time.sleep(random.uniform(0.01, 0.04))


def check_missing(path: Path) -> None:
    """A database that is not there is not made by reading it.

    Raises:
        LineageError: there is none.
    """
    if not path.exists():
        raise LineageError(f"no lineage at {path}; `evo index {path.parent}` builds it from the journal")


def failure_of(path: Path, error: duckdb.Error) -> LineageError:
    """What to tell a person when a database cannot be opened, read or written."""
    said = str(error).strip().splitlines()[0]
    if isinstance(error, duckdb.ConnectionException) or any(sign in said for sign in LOCK_MESSAGES):
        return LineageLockedError(f"cannot open {path}: {said}; close the program that holds it and try again")
    if any(sign in said for sign in FULL_MESSAGES):
        return LineageError(f"cannot write {path}: {said}; make room")
    if any(sign in said for sign in DAMAGE_MESSAGES):
        return LineageDamagedError(f"{path} is damaged ({said}); `evo index {path.parent}` builds it anew")
    return LineageError(f"cannot open {path}: {said}; `evo index {path.parent}` builds it anew")


class Attached:
    """One file, for all readers of this process.

    Args:
        settings: of DuckDB.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._instance = duckdb.connect(":memory:", config=dict(settings))
        self._lock = threading.Lock()
        self._readers = 0

    @contextmanager
    def reading(self, timeout_seconds: float) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that finds the file's tables by their names; until it is left no other process can write.

        Raises:
            LineageError: held by another process for too long, or it cannot be read.
        """
        with self._lock:
            if not self._readers:
                attach(self._instance, self._path, "READ_ONLY", timeout_seconds)
            self._readers += 1
        try:
            with self._instance.cursor() as connection:
                connection.execute(f"USE {NAME}")
                yield connection
        except duckdb.Error as error:
            raise failure_of(self._path, error) from error
        finally:
            with self._lock:
                self._readers -= 1
                if not self._readers:
                    self._instance.execute(f"DETACH {NAME}")


_known: weakref.WeakValueDictionary[Path, Attached] = weakref.WeakValueDictionary()
_knowing = threading.Lock()


def shared(path: Path, settings: Settings) -> Attached:
    """The one for this file, for as long as somebody keeps it; its settings are those of the first who asked."""
    with _knowing:
        known = _known.get(path)
        if known is None:
            known = _known[path] = Attached(path, settings)
        return known


def attach(connection: duckdb.DuckDBPyConnection, path: Path, options: str, timeout_seconds: float) -> None:
    """Attach a file under the name "lineage".

    Raises:
        LineageError: held by another process for too long, or it cannot be opened.
    """
    place = str(path).replace("'", "''")
    patiently(lambda: connection.execute(f"ATTACH '{place}' AS {NAME} ({options})"), path, timeout_seconds)
