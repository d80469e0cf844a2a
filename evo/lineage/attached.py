"""A database file, attached to an instance of DuckDB that stays: to make an instance takes 15 ms of CPU, to attach 2.

Locks on a file are a process's own, and closing the file anywhere in it gives them up. So all readers of a file in one
process share an instance, and the file stays attached to it until the last of them has read.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from evo.lineage.opening import failure_of, patiently

NAME = "lineage"
Settings = Mapping[str, str | bool | int | float | list[str]]


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
