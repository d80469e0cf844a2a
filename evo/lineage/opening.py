"""Opens a run's database: waits while a writer has it locked, and says in a sentence why it cannot be opened.

To make an instance of DuckDB takes 15 ms of CPU, to attach a file to it 2. So a process that reads often keeps an
instance, and attaches the file for each read.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb

from evo.errors import FULL, LineageDamagedError, LineageError, LineageLockedError, command
from evo.journal.files import check_file

T = TypeVar("T")
Settings = Mapping[str, str | bool | int | float | list[str]]

FILE_NAME = "lineage.duckdb"
TIMEOUT_SECONDS = 10.0
NAME = "lineage"
LOG_SUFFIXES = (".wal", ".wal.checkpoint", ".wal.recovery")
LOCK_MESSAGES = ("Could not set lock", "already attached")
OTHER_SETTINGS = "with a different configuration"
FULL_MESSAGES = (*map(os.strerror, FULL), "enough disk space")
DAMAGE_MESSAGES = ("Corrupt database file", "not a valid DuckDB", "Could not read enough bytes", "Serialization Error")

LOCKED: Settings = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "lock_configuration": True,
}
"""A lineage may come from a stranger, with views and macros that read files: queries reach the open database alone."""


def lock(connection: duckdb.DuckDBPyConnection, *, files: Sequence[str] = (), folders: Sequence[Path] = ()) -> None:
    """As LOCKED, for an instance that has to reach these files, or to write into these folders."""
    connection.execute(f"SET allowed_paths = [{_listed(files)}]")
    connection.execute(f"SET allowed_directories = [{_listed(folders)}]")
    for setting, value in LOCKED.items():
        connection.execute(f"SET {setting} = {value}")


def refusal_of(error: duckdb.Error) -> str:
    """Why DuckDB refuses a query, in a sentence."""
    said = re.split(r"LINE \d+:", str(error), maxsplit=1)[0].strip()
    if isinstance(error, duckdb.PermissionException):
        said += "; a lineage is queried without access to other files, for the query as for every view and macro in it"
    return said


def _listed(places: Sequence[str | Path]) -> str:
    return ", ".join("'" + str(place).replace("'", "''") + "'" for place in places)


def retried(opening: Callable[[], T], path: Path, timeout_seconds: float) -> T:
    """Open a database, with retries while a writer has it open, in another process or in this process.

    Raises:
        LineageError: it was locked for too long, or cannot be read.
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
    """Check that there is a database, since opening would make it, and that it is a file.

    Raises:
        LineageError: there is none, or DuckDB would open something else.
    """
    check_files(path)
    if not path.exists():
        raise LineageError(f"no lineage at {path}; `{command('index', path.parent)}` builds it from the journal")


def check_files(path: Path, *, writing: bool = False) -> None:
    """Check that what DuckDB opens by name for this database are regular files, or not there.

    Raises:
        LineageError: something is a link, a pipe, a folder or the like.
    """
    spill = path.with_name(f"{path.name}.tmp")  # a folder, for what does not fit into memory
    inside = spill.glob("*") if spill.is_dir() and not spill.is_symlink() else (spill,)
    file = path
    try:
        for file in (path, *logs_of(path), *inside):
            check_file(file, writing=writing)
    except OSError as error:
        raise LineageError(f"cannot use {file}: {error.strerror}") from error


def logs_of(path: Path) -> Iterator[Path]:
    """The database's log, and the files that DuckDB makes while it reads the log."""
    return path.parent.glob(f"{path.name}.wal*")


def failure_of(path: Path, error: duckdb.Error) -> LineageError:
    """The error for a user where a database cannot be opened, read or written."""
    said = str(error).strip().splitlines()[0]
    if isinstance(error, duckdb.PermissionException):
        return LineageError(f"cannot read {path}: {refusal_of(error)}; `evo index {path.parent}` builds it again")
    if isinstance(error, duckdb.ConnectionException) or any(sign in said for sign in LOCK_MESSAGES):
        return LineageLockedError(f"cannot open {path}: {said}; close the program that holds it and try again")
    if any(sign in said for sign in FULL_MESSAGES):
        return LineageError(f"cannot write {path}: {said}; make room")
    if any(sign in said for sign in DAMAGE_MESSAGES):
        return LineageDamagedError(f"{path} is damaged ({said}); `{command('index', path.parent)}` builds it again")
    return LineageError(f"cannot open {path}: {said}; `{command('index', path.parent)}` builds it again")


class Attached:
    """A database file that all readers in this process share.

    Locks on a file belong to a process, and closing the file anywhere in it releases them. So all readers of a file
    share an instance, and the file stays attached to it until the last of them has read.

    Args:
        settings: of DuckDB.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._instance = duckdb.connect(":memory:", config=dict(settings))
        lock(self._instance, files=[f"{path}{suffix}" for suffix in ("", *LOG_SUFFIXES)])
        self._lock = threading.Lock()
        self._readers = 0

    @contextmanager
    def reading(self, timeout_seconds: float) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to the file's tables; no other process can write until it is closed.

        Raises:
            LineageError: locked by another process for too long, or it cannot be read.
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


_attached: weakref.WeakValueDictionary[Path, Attached] = weakref.WeakValueDictionary()
_attaching = threading.Lock()


def shared(path: Path, settings: Settings) -> Attached:
    """The shared instance for this file, as long as a reader keeps it, with the settings of its first reader."""
    with _attaching:
        attached = _attached.get(path)
        if attached is None:
            attached = _attached[path] = Attached(path, settings)
        return attached


def attach(connection: duckdb.DuckDBPyConnection, path: Path, options: str, timeout_seconds: float) -> None:
    """Attach a file under the name "lineage".

    Raises:
        LineageError: locked by another process for too long, or it cannot be opened.
    """
    place = str(path).replace("'", "''")
    retried(lambda: connection.execute(f"ATTACH '{place}' AS {NAME} ({options})"), path, timeout_seconds)
