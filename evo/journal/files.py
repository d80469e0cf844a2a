"""Opens files of a run folder by name: a stranger may have made it, so regular files only, and no link is followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

_KINDS: Mapping[str, Callable[[int], bool]] = {
    "a symbolic link": stat.S_ISLNK,
    "a folder": stat.S_ISDIR,
    "a named pipe": stat.S_ISFIFO,
    "a socket": stat.S_ISSOCK,
}


def open_file(path: Path, flags: int) -> int:
    """Open a regular file, which never waits, and follows no link in the last part of the path.

    Args:
        flags: as of `os.open`. To be written, the file may have no other name, nor lie under another's control.

    Returns:
        A descriptor, which programs that are executed do not inherit.

    Raises:
        OSError: there is none, it may not be opened, or it is something else, whose content stays as it is.
    """
    writing = bool(flags & (os.O_WRONLY | os.O_RDWR))
    check_file(path, writing=writing)  # before it is opened: opening a device may have effects
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    try:
        _check(os.fstat(file), path, writing=writing)
    except BaseException:
        os.close(file)
        raise
    return file


def check_file(path: Path, *, writing: bool = False) -> None:
    """Check that there is a regular file, or nothing.

    Raises:
        OSError: there is something else, which its strerror says; or the folder cannot be read.
    """
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # of a path with a null byte
        return
    _check(found, path, writing=writing)


def _check(found: os.stat_result, path: Path, *, writing: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((kind for kind, is_kind in _KINDS.items() if is_kind(found.st_mode)), "a device")
        raise OSError(errno.EINVAL, f"it is {kind} where a run has a file of its own; take it away")
    if writing and found.st_nlink > 1:
        raise OSError(errno.EINVAL, "it is a hard link, and its other names would change with it; put a copy there")
    if writing and not _is_ours(found, path.parent):
        raise OSError(errno.EINVAL, "in a folder where anyone may write, it belongs to another user; take it away")


def _is_ours(found: os.stat_result, folder: Path) -> bool:
    """Whether a file is this user's or the folder's owner's; in a folder that a group shares it need not be."""
    above = folder.stat()
    return not above.st_mode & stat.S_IWOTH or found.st_uid in (os.geteuid(), above.st_uid)
