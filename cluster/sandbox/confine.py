"""Takes rights from a process for good, on Linux: dumps, privileges, system calls, files. Elsewhere it does nothing."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from typing import Any, Literal

Access = Literal["list", "read", "write"]

LINUX = sys.platform == "linux"

_PDEATHSIG, _DUMPABLE, _SECCOMP, _DROP_FOR_GOOD, _SUBREAPER, _NO_NEW_PRIVS = 1, 4, 22, 24, 36, 38
_SECCOMP_FILTER = 2
_CAPABILITY_VERSION, _CAPABILITIES = 0x20080522, 64
_REMOUNT = 32 | 2 | 4  # and still without set-user-id programs and devices

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_BENEATH_PATH = 1
_READ, _LIST = 0b101, 0b1000
_ON_FILES = 0b111
_EVERY_ACCESS = ((1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1)
_ALL_TCP, _SIGNALS_AND_SOCKETS = 0b11, 0b11


class ConfinementError(OSError):
    """The kernel would not take a privilege away."""


def forbid_looking_in() -> None:
    """Let no other process of the same user read or write the memory of this process; its children inherit that."""
    _prctl(_DUMPABLE, 0)


def die_with_parent(signal: int) -> None:
    """Send `signal` to this process when its parent ends."""
    _prctl(_PDEATHSIG, signal)


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own."""
    _prctl(_SUBREAPER, 1)


def forgo_privileges() -> None:
    """Gain no privilege by executing a file, and drop all capabilities, those that could be had again as well."""
    _prctl(_NO_NEW_PRIVS, 1)
    if LINUX:
        for capability in range(_CAPABILITIES):
            _LIBC.prctl(*_padded(_DROP_FOR_GOOD, capability))  # refused where there is none to drop
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
        _check("capset", _LIBC.capset(header, (ctypes.c_uint32 * 6)()))


def limit_file_count(folder: str, most: int) -> bool:
    """Let the tmpfs at `folder` hold at most so many files, itself included; False where the kernel refuses.

    It needs CAP_SYS_ADMIN in the namespace that mounted it.
    """
    options = f"nr_inodes={most}".encode()
    return LINUX and _LIBC.mount(b"tmpfs", folder.encode(), b"tmpfs", ctypes.c_ulong(_REMOUNT), options) == 0


class SystemCallFilter:
    """A filter program (see cluster.sandbox.seccomp) ready to be put on; None is no filter.

    Made before a fork, because every page that a child touches for the first time costs it a copy.

    Args:
        program: its instructions.
        pid_mark: a 32-bit constant in it that stands for the process's own id.
    """

    def __init__(self, program: bytes | None, *, pid_mark: int | None = None) -> None:
        self._content = ctypes.create_string_buffer(program or b"", len(program or b""))
        self._words = memoryview(self._content).cast("B").cast("I")
        self._marks = [place for place, word in enumerate(self._words) if word == pid_mark]
        header = _FilterProgram(len(program or b"") // 8, ctypes.addressof(self._content))
        self._arguments = _padded(_SECCOMP, _SECCOMP_FILTER, ctypes.byref(header))

    def put_on(self, pid: int) -> None:
        """Let the kernel run it on every system call of this process and its children from now on."""
        for place in self._marks:
            self._words[place] = pid
        if LINUX and self._words:
            _check("seccomp", _LIBC.prctl(*self._arguments))


def landlock_version() -> int:
    """Of the kernel's Landlock, which keeps files from a process without privileges; 0 where there is none."""
    return max(0, _LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)) if LINUX else 0


def restrict_files(allowed: Sequence[tuple[str, Access]]) -> bool:
    """Restrict this process, with Landlock, to these paths and all below them; no file elsewhere, no process outside.

    False where the kernel has no Landlock.
    """
    version = landlock_version()
    if version == 0:
        return False
    every = _EVERY_ACCESS[min(version, len(_EVERY_ACCESS)) - 1]
    attributes = (ctypes.c_uint64 * 3)(
        every, _ALL_TCP if version >= 4 else 0, _SIGNALS_AND_SOCKETS if version >= 6 else 0
    )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = _check("landlock", _LIBC.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0))
    meaning = {"list": _LIST, "read": _LIST | _READ, "write": every}
    for path, access in allowed:
        if os.path.exists(path):
            _add_rule(rules, path, meaning[access] if os.path.isdir(path) else meaning[access] & _ON_FILES)
    _check("landlock", _LIBC.syscall(_RESTRICT_SELF, rules, 0))
    os.close(rules)
    return True


def _add_rule(rules: int, path: str, access: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathRule(access, parent)
        _check(f"landlock {path}", _LIBC.syscall(_ADD_RULE, rules, _BENEATH_PATH, ctypes.byref(rule), 0))
    finally:
        os.close(parent)


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def _prctl(option: int, value: int) -> None:
    if LINUX:
        _check(f"prctl {option}", _LIBC.prctl(*_padded(option, value)))


def _padded(option: int, *arguments: Any) -> list[Any]:
    """prctl takes five words, and reads all of them for some options."""
    words = [ctypes.c_ulong(word) if isinstance(word, int) else word for word in arguments]
    return [option, *words, *[ctypes.c_ulong(0)] * (4 - len(words))]


def _check(what: str, result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise ConfinementError(code, f"{what}: {os.strerror(code)}")
    return result


_LIBC = ctypes.CDLL(None, use_errno=True)
