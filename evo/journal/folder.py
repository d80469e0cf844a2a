"""A run's folder: made once, and locked by the only process that writes in it."""

from __future__ import annotations

import fcntl
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from evo.errors import RunFolderError, command
from evo.journal.files import check_file, open_file
from evo.journal.log import cut_torn_line, read_events

JOURNAL = "journal.jsonl"
LOCK = "lock"
HEARTBEAT_SECONDS, SILENT_SECONDS = 5.0, 60.0


def create_run_folder(parent: Path, name: str | None, problem: str) -> Path:
    """A new folder for a run; without a name, the problem's and the next free number.

    A folder whose run was killed before it wrote its first event counts as new.

    Raises:
        RunFolderError: it exists, or cannot be made.
    """
    folder = parent / name if name else _next_free(parent, problem.rpartition(":")[2] or problem)
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if not folder.is_dir() or holder(folder):
            raise _taken(folder) from None
        check_begun(folder)
    except OSError as error:
        raise RunFolderError(f"cannot make {folder}: {error.strerror}; choose another with --run-dir") from error
    return folder


def check_begun(folder: Path) -> None:
    """Check that a run can start here: the folder holds nothing, or what a run killed before its first event left.

    Raises:
        RunFolderError: it holds more, which stays as it is.
        JournalError: its journal is none.
    """
    journal = folder / JOURNAL
    _check_journal(journal)
    if journal.exists() and next(read_events(journal), None) is None:
        cut_torn_line(journal)
    elif any(path.name != LOCK for path in folder.iterdir()):
        raise _taken(folder)


def _taken(folder: Path) -> RunFolderError:
    return RunFolderError(
        f"{folder} exists; `{command('resume', folder)}` continues it, --name OTHER starts another run"
    )


def existing_run_folder(folder: Path) -> Path:
    """The folder of a run that was started before.

    Raises:
        RunFolderError: no journal there.
    """
    _check_journal(folder / JOURNAL)
    if not (folder / JOURNAL).is_file():
        raise RunFolderError(f"{folder} holds no run (no {JOURNAL}); `evo run PROBLEM` starts one")
    return folder


def _check_journal(journal: Path) -> None:
    try:
        check_file(journal)
    except OSError as error:
        raise RunFolderError(f"cannot use {journal}: {error.strerror}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a run folder against every other process; the system releases the lock when this process dies.

    Locks of some file systems are not seen from other hosts. So the process also leaves its name in the lock file until
    it releases the lock, and a heartbeat every few seconds.

    Raises:
        RunFolderError: another process has locked it (the message names its host and number), or it is not writable.
    """
    file = _lock_file(folder)
    over = threading.Event()
    heartbeat = threading.Thread(target=_beat, args=(file, over), name="lock", daemon=True)
    try:
        _sign(file, folder)
        heartbeat.start()
        yield
    finally:
        over.set()
        if heartbeat.ident is not None:
            heartbeat.join()
        with suppress(OSError):
            os.ftruncate(file, 0)
        os.close(file)


def holder(folder: Path) -> str | None:
    """Which process has locked a run folder, by number and host, and since when; None where none has."""
    try:
        file = open_file(folder / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return _named(file) if _elsewhere(file) and _silent_seconds(file, folder) < SILENT_SECONDS else None
    except OSError:
        return _named(file)
    finally:
        os.close(file)


def _lock_file(folder: Path) -> int:
    """The lock file, locked; where another process removed it meanwhile, the new file of that name."""
    path = folder / LOCK
    while True:
        try:
            file = open_file(path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise RunFolderError(f"cannot write {path}: {error.strerror}") from error
        try:
            _take(file, folder)
            _check_elsewhere(file, folder)
            if path.exists() and os.path.samestat(os.fstat(file), path.lstat()):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _take(file: int, folder: Path) -> None:
    """Lock, with a second try where it was locked: `holder` locks it too, for an instant."""
    for timeout_seconds in (0.05, 0.0):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(timeout_seconds)
        except OSError as error:
            raise RunFolderError(
                f"cannot lock {folder}: {error.strerror}; put the run on a file system that can"
            ) from error
    raise RunFolderError(f"{folder} is in use by {_named(file)}; wait for it or stop it")


def _check_elsewhere(file: int, folder: Path) -> None:
    """Check that no process on another host, whose locks are not seen from here, still gives a heartbeat."""
    if not _elsewhere(file):
        return
    silent = _silent_seconds(file, folder)
    if silent < SILENT_SECONDS:
        raise RunFolderError(
            f"{folder} is in use by {_named(file)}, whose last heartbeat came {max(0.0, silent):.0f} s ago; "
            f"stop it, or if it is dead wait until {SILENT_SECONDS:.0f} s have passed or remove {folder / LOCK}"
        )


def _named(file: int) -> str:
    return os.pread(file, 200, 0).decode("utf-8", "replace") or "another process"


def _elsewhere(file: int) -> bool:
    """Whether a process on another host left its name there and did not release the lock."""
    _, _, host = os.pread(file, 200, 0).decode("utf-8", "replace").partition(" on ")
    return bool(host) and host.partition(" since ")[0] != platform.node()


def _silent_seconds(file: int, folder: Path) -> float:
    """Time since the last heartbeat, both moments by the clock of the file system."""
    try:
        with tempfile.TemporaryFile(dir=folder) as now:
            return os.fstat(now.fileno()).st_mtime - os.fstat(file).st_mtime
    except OSError:
        return time.time() - os.fstat(file).st_mtime


def _sign(file: int, folder: Path) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    name = f"process {os.getpid()} on {platform.node()} since {now}".encode()
    try:
        os.pwrite(file, name, 0)
        os.ftruncate(file, len(name))
    except OSError as error:
        raise RunFolderError(f"cannot write in {folder}: {error.strerror}; make room and try again") from error


def _beat(file: int, over: threading.Event) -> None:
    while not over.wait(HEARTBEAT_SECONDS):
        with suppress(OSError):
            os.utime(file)


def _next_free(parent: Path, stem: str) -> Path:
    number = 1
    while (parent / f"{stem}-{number}").exists():
        number += 1
    return parent / f"{stem}-{number}"
