"""Which files a problem is made from, its code and its data, and whether they are what they were when a run began."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from evo.protocols import Problem

WHOLE_BYTES = 256 << 20
"""Of a longer file the size, the beginning and the end are compared."""
BESIDE = "problem:"
"""Stands before the names of files in the folder of the problem's code."""

_noting: list[set[Path]] = []
_hooked: list[bool] = []


@contextmanager
def noted_files() -> Iterator[set[Path]]:
    """The files that Python code opens for reading meanwhile, libraries' and our own left out."""
    _hook()
    found: set[Path] = set()
    _noting.append(found)
    try:
        yield found
    finally:
        _noting.remove(found)


def digests_of(problem: Problem, files: Set[Path]) -> dict[str, str]:
    """Name to digest of the problem's files: those that were read, and loaded modules in the folder of its code."""
    folder = _folder_of(problem)
    modules = (Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None)))
    beside = {path for path in modules if folder and path.parent == folder and not _is_library(path)}
    named = {_name(path, folder): digest for path in files | beside if (digest := _digest(path))}
    return dict(sorted(named.items()))


def changed_files(problem: Problem, recorded: Mapping[str, str]) -> list[str]:
    """The names of files that are gone, or not what they were."""
    folder = _folder_of(problem)
    return [name for name, digest in recorded.items() if _digest(_place(name, folder)) != digest]


def _hook() -> None:
    if not _hooked:  # an audit hook stays for good, so there is only one
        sys.addaudithook(_note)
        _hooked.append(True)


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _noting:
        return
    path, mode, flags = arguments
    reads = "r" in mode if isinstance(mode, str) else not (flags or 0) & (os.O_WRONLY | os.O_RDWR)
    if reads and isinstance(path, str | bytes | os.PathLike):
        with suppress(ValueError, OSError):
            found = _source(Path(os.fsdecode(path)).absolute())
            if not _is_library(found) and found.is_file():
                for noting in _noting:
                    noting.add(found)


def _source(path: Path) -> Path:
    return Path(importlib.util.source_from_cache(str(path))) if path.suffix == ".pyc" else path


def _is_library(path: Path) -> bool:
    libraries = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    ours = (str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "cluster"), "/proc", "/sys", "/dev", "/etc")
    return str(path).startswith((*libraries, *ours, sys.prefix, sys.base_prefix + "/lib"))


def _folder_of(problem: Problem) -> Path | None:
    try:
        return Path(inspect.getfile(type(problem))).resolve().parent
    except (OSError, TypeError):
        return None


def _name(path: Path, folder: Path | None) -> str:
    if folder and path.is_relative_to(folder):
        return f"{BESIDE}{path.relative_to(folder)}"
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _place(name: str, folder: Path | None) -> Path:
    if name.startswith(BESIDE):
        return (folder or Path.cwd()) / name.removeprefix(BESIDE)
    return Path.cwd() / name


def _digest(path: Path) -> str:
    """The digest of a file's content; "" where there is none."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if size <= WHOLE_BYTES:
                return hashlib.file_digest(file, "sha256").hexdigest()[:32]
            head = file.read(1 << 20)
            file.seek(-(1 << 20), os.SEEK_END)
            return hashlib.sha256(b"%d " % size + head + file.read()).hexdigest()[:32]
    except OSError:
        return ""
