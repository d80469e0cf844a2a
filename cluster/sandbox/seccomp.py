"""A table of the system calls that a candidate may not make, and the filter program that the kernel runs on each call.

Two filters: `base_filter` for the warm parent and all below it, `candidate_filter` on top of it for each candidate; the
kernel takes the stricter answer. A processor that is not in MACHINES has no filter.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable

Instruction = tuple[int, int, int, int]
"""Operation, how far to jump when true, how far when false, constant."""

# name: (x86_64, aarch64), None where the processor has no such call.
DENIED: dict[str, tuple[int | None, int | None]] = {
    # Reaching into other processes.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "tkill": (200, 130),
    "kcmp": (312, 272),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    # Slowing down another process, such as the warm parent, whose next child would inherit it.
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    # Namespaces and mounts.
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # Network. An end of a socketpair, which is allowed, may not be bound or connected to anything else.
    "socket": (41, 198),
    "bind": (49, 200),
    "connect": (42, 203),
    "listen": (50, 201),
    # Things that outlive a process: keys, System V and POSIX queues and shared memory.
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # Marks on files. /dev/null and its like are the machine's own, and open to change where we run as root.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "file_setattr": (469, 469),
    "mknod": (133, None),
    "mknodat": (259, 33),
    # Entries to large parts of the kernel.
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "lookup_dcookie": (212, 18),
    "syslog": (103, 116),
    "personality": (135, 92),
    # The machine itself; only root without namespaces could.
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
}

# Starting another process or program; denied where a candidate may have a single process.
STARTS: dict[str, tuple[int | None, int | None]] = {
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
}

# Signals: allowed only to the candidate itself, which is the first argument.
SIGNALS: dict[str, tuple[int | None, int | None]] = {
    "kill": (62, 129),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
}

# Allowed with 0, which means oneself, as first argument.
OWN_LIMITS: dict[str, tuple[int | None, int | None]] = {"prlimit64": (302, 261)}

# Refused by their second argument: to have the kernel signal another process, and to hold up whoever opens a file.
COMMANDS: dict[str, tuple[tuple[int, int], tuple[int, ...]]] = {
    "fcntl": ((72, 25), (8, 15, 1024)),  # F_SETOWN, F_SETOWN_EX, F_SETLEASE
    "ioctl": ((16, 29), (0x8901, 0x8902)),  # FIOSETOWN, SIOCSPGRP
}

CLONE: tuple[int, int] = (56, 220)
CLONE3 = 435
MACHINES = {"x86_64": 0, "aarch64": 1}
ARCHITECTURES = (0xC000003E, 0xC00000B7)
X32_BIT = 0x40000000

_CLONE_THREAD = 0x00010000
_CLONE_NEW = 0x7E020000

_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ALLOW = 0x80000000, 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_UNKNOWN = 0x00050000 | errno.ENOSYS


def base_filter(machine: str) -> bytes | None:
    """Denies what no candidate ever needs, and what the table does not number: other processor modes, clone3.

    Args:
        machine: as `os.uname().machine` says it.
    """
    if machine not in MACHINES:
        return None
    column = MACHINES[machine]
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, ARCHITECTURES[column]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        *_when(_AT_LEAST, X32_BIT, _REFUSE),
        *_refused(DENIED, column),
        # The C library then falls back to clone, whose flags a filter can see.
        *_when(_EQUAL, CLONE3, _UNKNOWN),
        *_on_argument(CLONE[column], [*_when(_ANY_BIT, _CLONE_NEW, _REFUSE), (_RETURN, 0, 0, _ALLOW)]),
        *_only_on(OWN_LIMITS, column, (0,)),
        *_without_commands(column),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return _assembled(program)


def candidate_filter(machine: str, pid: int, *, forks: bool, signals: bool) -> bytes | None:
    """Denies a candidate, unless allowed, other processes and signals to any but itself; goes on top of `base_filter`.

    Args:
        pid: the candidate's own, as it sees it.
    """
    if machine not in MACHINES:
        return None
    column = MACHINES[machine]
    program: list[Instruction] = [(_LOAD, 0, 0, _NUMBER)]
    if not forks:
        program += _refused(STARTS, column)
        thread_only = [*_when(_ANY_BIT, _CLONE_THREAD, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
        program += _on_argument(CLONE[column], thread_only)
    if not signals:
        program += _only_on(SIGNALS, column, (0, pid))
    return _assembled([*program, (_RETURN, 0, 0, _ALLOW)])


def _refused(table: dict[str, tuple[int | None, int | None]], column: int) -> list[Instruction]:
    return [step for number in _numbers(table, column) for step in _when(_EQUAL, number, _REFUSE)]


def _only_on(table: dict[str, tuple[int | None, int | None]], column: int, allowed: Iterable[int]) -> list[Instruction]:
    """The calls of `table` pass only where their first argument is among `allowed`."""
    verdict = [step for pid in allowed for step in _when(_EQUAL, pid, _ALLOW)]
    verdict.append((_RETURN, 0, 0, _REFUSE))
    return [step for number in _numbers(table, column) for step in _on_argument(number, verdict)]


def _without_commands(column: int) -> list[Instruction]:
    program: list[Instruction] = []
    for numbers, commands in COMMANDS.values():
        verdict = [step for command in commands for step in _when(_EQUAL, command, _REFUSE)]
        program += _on_argument(numbers[column], [*verdict, (_RETURN, 0, 0, _ALLOW)], _SECOND_ARGUMENT)
    return program


def _numbers(table: dict[str, tuple[int | None, int | None]], column: int) -> list[int]:
    return [number for numbers in table.values() if (number := numbers[column]) is not None]


def _when(test: int, constant: int, verdict: int) -> list[Instruction]:
    return [(test, 0, 1, constant), (_RETURN, 0, 0, verdict)]


def _on_argument(number: int, verdict: list[Instruction], place: int = _FIRST_ARGUMENT) -> list[Instruction]:
    """For system call `number`, `verdict` on the low half of an argument; it must end in a return."""
    return [(_EQUAL, 0, 1 + len(verdict), number), (_LOAD, 0, 0, place), *verdict]


def _assembled(program: list[Instruction]) -> bytes:
    return b"".join(struct.pack("<HBBI", *step) for step in program)
