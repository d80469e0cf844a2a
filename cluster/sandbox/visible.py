"""Which files of the machine a candidate may see: libraries, without our own packages and what else is hidden.

Never visible: homes, the working folder, a project's sources, its data and run folders, secrets in /etc or /run.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import site
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

OUR_PACKAGES = ("evo", "operators", "problems", "cluster", "dashboard")

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

_SYSTEM = (
    *("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"),
    *("/bin", "/usr/bin", "/usr/local/bin", "/usr/share/zoneinfo", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"),
)


@functools.cache
def our_folders() -> tuple[str, ...]:
    """Where our own packages lie; they hold scorers, and so are hidden where they are installed beside others.

    The packages that run here may have been shipped to a node on which another version is installed.
    """
    specs = [importlib.util.find_spec(name) for name in OUR_PACKAGES]
    running = [folder for spec in specs if spec for folder in spec.submodule_search_locations or ()]
    homes = [home for home in package_folders() if any(Path(home).glob("evo_platform-*.dist-info"))]
    installed = [os.path.join(home, name) for home in homes for name in OUR_PACKAGES]
    return tuple(dict.fromkeys([*running, *filter(os.path.isdir, installed)]))


def interpreter() -> str:
    """The program that runs Python, behind all virtual environments and links."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def visible_paths() -> list[str]:
    """Files and folders that a candidate may read: libraries of system and interpreter, installed packages."""
    prefix = Path(sys.base_prefix)
    python = [prefix / "bin", prefix / "lib", prefix / "lib64", Path(interpreter()).parent]
    named = [*_SYSTEM, *map(str, python), *package_folders()]
    return list(dict.fromkeys(place for name in named for place in (name, os.path.realpath(name))))


def package_folders() -> list[str]:
    """Where packages are installed, of a virtual environment as well as of the system."""
    found = [*site.getsitepackages(), *(path for path in sys.path if path.endswith(("site-packages", "dist-packages")))]
    return [path for path in dict.fromkeys(map(os.path.abspath, found)) if os.path.isdir(path)]


def scratch_in_namespace() -> str:
    """Where candidates write in a mount namespace: /tmp, unless it would cover packages that are installed below it."""
    return "/scratch" if any(path.startswith("/tmp/") for path in visible_paths()) else "/tmp"


def lying_in(paths: Sequence[str], folder: str) -> list[str]:
    """Those of `paths` that exist below `folder`, by their names there."""
    root = os.path.realpath(folder)
    found = [os.path.realpath(path) for path in paths if os.path.exists(path)]
    return [os.path.join(folder, os.path.relpath(path, root)) for path in found if Path(root) in Path(path).parents]


def file_rules(hidden: Sequence[str], scratch: str) -> list[tuple[str, str]]:
    """The same whitelist as rules for `cluster.sandbox.confine.restrict_files`, with a folder to write in."""
    rules = [rule for path in visible_paths() for rule in _readable(path, lying_in(hidden, path))]
    return [*rules, *((path, "write") for path in (*DEVICES, scratch))]


def _readable(path: str, hidden: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Rules for a path without what is hidden in it: Landlock cannot except a part of a folder that it allows."""
    if not hidden:
        yield path, "read"
        return
    yield path, "list"
    for entry in os.scandir(path):
        if entry.path not in hidden:
            yield from _readable(entry.path, lying_in(hidden, entry.path))
