"""Opening a run's database: patiently while a writer has it, and what to tell a person where that fails."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import duckdb

from evo.errors import FULL, LineageDamagedError, LineageError, LineageLockedError

T = TypeVar("T")

TIMEOUT_SECONDS = 10.0
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
