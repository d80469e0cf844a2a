"""A copy of a run's database, which may be held open for as long as its user likes."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evo.errors import LineageError
from evo.journal.folder import JOURNAL
from evo.lineage.opening import TIMEOUT_SECONDS
from evo.lineage.projection import Projection
from evo.lineage.reading import LineageReader


def snapshot(path: Path, target: Path, *, force: bool = False, timeout_seconds: float = TIMEOUT_SECONDS) -> Path:
    """Copy a database as it is at a moment, and add what the journal beside it has beyond that.

    The writer waits while the file is copied (1.5 s for a gigabyte), but not while the copy is brought up to date.

    Args:
        path: the database, of a run that goes on or has ended.
        target: the copy, or a folder for it.

    Returns:
        The copy.

    Raises:
        LineageError: no such database, held by another process for too long, of another schema version; the target
        exists and may not be overwritten, is the database itself, or cannot be written.
    """
    target = target / f"{path.parent.resolve().name}.duckdb" if target.is_dir() else target
    _check_target(path, target, force=force)
    with half_written(target) as folder:
        copy = folder / "lineage.duckdb"
        _copy(path, copy, timeout_seconds)
        if (path.parent / JOURNAL).exists():
            Projection(path.parent.resolve(), str(copy)).catch_up()
        _log_of(target).unlink(missing_ok=True)  # of the file that is replaced: it would be taken for the copy's
        os.replace(copy, target)
    return target


def _check_target(path: Path, target: Path, *, force: bool) -> None:
    if target.resolve() == path.resolve():
        raise LineageError(f"{target} is the lineage itself; choose another target for its copy")
    if target.exists() and not force:
        raise LineageError(f"{target} exists; choose another target, or write over it: --force, in Python force=True")


@contextmanager
def half_written(target: Path) -> Iterator[Path]:
    """A folder beside the target to write in, so that nothing half written is ever seen under the target's name.

    Raises:
        LineageError: it, or what is made in it, cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".evo-") as folder:
            yield Path(folder).resolve()
    except OSError as error:
        raise LineageError(f"cannot write {target}: {error.strerror}; choose another target") from error


def _copy(path: Path, copy: Path, timeout_seconds: float) -> None:
    """Copy the file, and the log that a killed writer left, while no writer can open it.

    Another process copies: closing any descriptor of a file gives up all of a process's POSIX locks on it, and with
    them what keeps writers out in this process.
    """
    with LineageReader(path, timeout_seconds).at_once():
        for source, target in ((path, copy), (_log_of(path), _log_of(copy))):
            if source.exists():
                done = subprocess.run(["cp", "--", source, target], capture_output=True, text=True, check=False)
                if done.returncode:
                    raise LineageError(f"cannot copy {source}: {done.stderr.strip()}")


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + ".wal")
