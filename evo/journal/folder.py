"""A run's folder: made once, held by one process at a time."""

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

from evo.errors import RunFolderError
from evo.journal.log import cut_torn_line, read_events

JOURNAL = "journal.jsonl"
LOCK = "lock"
SIGN_SECONDS, SILENT_SECONDS = 5.0, 60.0


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
        check_begun(folder)
    except OSError as error:
        raise RunFolderError(f"cannot make {folder}: {error.strerror}; choose another with --run-dir") from error
    return folder


def check_begun(folder: Path) -> None:
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

    Locks of some file systems are not seen from other hosts. So the holder also leaves its name, until it lets go, and
    a sign of life every few seconds.

    Raises:
        RunFolderError: another process holds it (its host and number are named), or it is not writable.
    """
    file = _locked(folder)
    over = threading.Event()
    alive = threading.Thread(target=_beat, args=(file, over), name="lock", daemon=True)
    try:
        _sign(file, folder)
        alive.start()
        yield
    finally:
        over.set()
        if alive.ident is not None:
            alive.join()
        with suppress(OSError):
            os.ftruncate(file, 0)
        os.close(file)


def holder(folder: Path) -> str | None:
    """Which process holds a run folder, by number and host, and since when; None where none does."""
    try:
        file = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return _named(file) if _elsewhere(file) and _silent_seconds(file, folder) < SILENT_SECONDS else None
    except OSError:
        return _named(file)
    finally:
        os.close(file)


def _locked(folder: Path) -> int:
    """The lock's file, locked; the one that stands there, where somebody removed another meanwhile."""
    path = folder / LOCK
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RunFolderError(f"cannot write in {folder}: {error.strerror}") from error
        try:
            _take(file, folder)
            _check_elsewhere(file, folder)
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _take(file: int, folder: Path) -> None:
    """Lock, and once more where it was held: `holder` holds it too, for an instant."""
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
    """The lock was free, and yet somebody on another host may be alive, whose locks are not seen from here."""
    if not _elsewhere(file):
        return
    silent = _silent_seconds(file, folder)
    if silent < SILENT_SECONDS:
        raise RunFolderError(
            f"{folder} is in use by {_named(file)}, whose last sign of life came {max(0.0, silent):.0f} s ago; "
            f"stop it, or if it is dead wait until {SILENT_SECONDS:.0f} s have passed or remove {folder / LOCK}"
        )


def _named(file: int) -> str:
    return os.pread(file, 200, 0).decode("utf-8", "replace") or "another process"


def _elsewhere(file: int) -> bool:
    """Whether somebody left a name there without letting go, and not on this host."""
    _, _, host = os.pread(file, 200, 0).decode("utf-8", "replace").partition(" on ")
    return bool(host) and host.partition(" since ")[0] != platform.node()


def _silent_seconds(file: int, folder: Path) -> float:
    """How long ago the holder gave a sign of life, both moments by the clock of the file system."""
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
    while not over.wait(SIGN_SECONDS):
        with suppress(OSError):
            os.utime(file)


def _next_free(parent: Path, stem: str) -> Path:
    number = 1
    while (parent / f"{stem}-{number}").exists():
        number += 1
    return parent / f"{stem}-{number}"
