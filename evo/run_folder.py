"""A run's folder: made once, held by one process at a time."""

from __future__ import annotations

import fcntl
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evo.errors import RunFolderError
from evo.journal import cut_torn_line, read_events

JOURNAL = "journal.jsonl"
LOCK = "lock"


def create_run_folder(parent: Path, name: str | None, problem: str) -> Path:
    """A new folder for a run; without a name, the problem's and the next free number.

    One that a run made, and was killed before it wrote its first event, is as good as new.

    Raises:
        RunFolderError: it exists, or cannot be made.
    """
    folder = parent / name if name else _next_free(parent, problem.rpartition(":")[2] or problem)
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if not folder.is_dir() or holder(folder):
            raise _taken(folder) from None
        refuse_begun(folder)
    except OSError as error:
        raise RunFolderError(f"cannot make {folder}: {error.strerror}; choose another with --run-dir") from error
    return folder


def refuse_begun(folder: Path) -> None:
    """Let nobody start a run where anything is but what one left that was killed before its first event.

    Raises:
        RunFolderError: there is more; all that there is stays.
    """
    journal = folder / JOURNAL
    if journal.is_file() and next(read_events(journal), None) is None:
        cut_torn_line(journal)
    elif any(one.name != LOCK for one in folder.iterdir()):
        raise _taken(folder)


def _taken(folder: Path) -> RunFolderError:
    return RunFolderError(f"{folder} exists; `evo resume {folder}` goes on with it, --name OTHER starts another run")


def existing_run_folder(folder: Path) -> Path:
    """The folder of a run that was started before.

    Raises:
        RunFolderError: no journal there.
    """
    if not (folder / JOURNAL).is_file():
        raise RunFolderError(f"{folder} holds no run (no {JOURNAL}); `evo run PROBLEM` starts one")
    return folder


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run folder against every other process; the system lets go when this one dies.

    Raises:
        RunFolderError: another process holds it (its host and number are named), or it is not writable.
    """
    path = folder / LOCK
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise RunFolderError(f"cannot write in {folder}: {error.strerror}") from error
    try:
        _lock(file, folder)
        yield
    finally:
        os.close(file)


def holder(folder: Path) -> str | None:
    """Which process holds a run folder, by number and host; None where none does."""
    try:
        file = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _named(file)
    finally:
        os.close(file)
    return None


def _named(file: int) -> str:
    return os.pread(file, 200, 0).decode("utf-8", "replace") or "another process"


def _take(file: int) -> None:
    """Lock, and once more where it was held: `holder` holds it too, for an instant."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        time.sleep(0.02)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock(file: int, folder: Path) -> None:
    try:
        _take(file)
    except OSError as error:
        raise RunFolderError(f"{folder} is in use by {_named(file)}; wait for it or stop it") from error
    os.ftruncate(file, 0)
    os.pwrite(file, f"process {os.getpid()} on {platform.node()}".encode(), 0)


def _next_free(parent: Path, stem: str) -> Path:
    number = 1
    while (parent / f"{stem}-{number}").exists():
        number += 1
    return parent / f"{stem}-{number}"
