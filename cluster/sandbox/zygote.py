"""The warm parent: a process of a single thread with the imports loaded, which forks a candidate for each evaluation.

It reads only from its control socket, which candidates never have: no byte of theirs reaches it. Its sources are sent
by the trusted side, so that none of our packages need be visible where it runs.

    trusted side -> zygote   START with four descriptors (requests, replies, input, output), FINISH
    zygote -> trusted side   first a line of JSON, {} or what failed; then a REPORT after each evaluation
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import math
import multiprocessing
import os
import random
import re
import resource
import select
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np

from cluster.sandbox import candidate, confine, seccomp, wire

START, FINISH = b"S", b"F"
REPORT = struct.Struct("<i?xxxdQ")
"""Wait status, whether the scratch folder is untouched, CPU seconds, peak bytes."""

_DESCRIPTORS = struct.Struct("4i")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_DESCRIPTORS.size)

_THREADS = 256
"""How many threads a candidate may have where the kernel can count them apart from the user's other processes."""

_FILES = 4096
"""How many files and folders an evaluation may have in its scratch folder at the same time, in a namespace."""

_TASKS_TO_COME = 1000
_OPEN_FILES = 256
_MOST_DESCRIPTORS = 1 << 20 if confine.LINUX else 1 << 12
_REHEARSALS = 10
_POLL_MILLISECONDS = 5
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
_PID_MARK = 0x7FEDCBA9


def main(control: socket.socket, job: Mapping[str, Any]) -> None:
    """Load what the job names, report that, then serve evaluations until the trusted side closes the control socket."""
    try:
        zygote = Zygote(control, job)
    except Exception as error:
        control.sendall(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        return
    control.sendall(b"{}\n")
    try:
        zygote.serve()
    finally:
        os._exit(0)


class Zygote:
    """See the module.

    Args:
        control: connected to the trusted side.
        job: `imports`, `cpu` (or None), `namespaces` (whether it is the first process in its own), `scratch` (the
            folder that candidates may write), `file_rules` (for `confine.restrict_files`, where no namespace hides
            files), and the limits `wall_seconds`, `memory_bytes`, `output_bytes`, `processes`.
    """

    def __init__(self, control: socket.socket, job: Mapping[str, Any]) -> None:
        self._control = control
        self._scratch: str = job["scratch"]
        self._namespaces: bool = job["namespaces"]
        if job["cpu"] is not None:
            os.sched_setaffinity(0, {job["cpu"]})
        if self._namespaces:
            confine.limit_file_count(self._scratch, _FILES)
            confine.forgo_privileges()  # before any code that is not ours
        if job["processes"] > 1:
            multiprocessing.set_start_method("fork")  # the others need sockets, or programs to start
        _import_all(job["imports"])
        candidate.cut_output()
        _seed_all()
        self._children = None if self._namespaces else _children_file()
        self._limits = _limit(job)
        self._filter = _confine(job)
        _rehearse()
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._untouched = os.stat(self._scratch).st_ctime_ns
        gc.collect()
        gc.freeze()

    def serve(self) -> None:
        """Fork candidates and reap them, an evaluation at a time, until the control socket closes."""
        while True:
            message, ancillary, _, _ = self._control.recvmsg(1, _ANCILLARY_BYTES)
            if not message:
                return
            # A FINISH that crossed the report of a candidate that had ended by itself means nothing any more.
            if message == START:
                self._control.send(self._evaluate(_DESCRIPTORS.unpack(ancillary[0][2])))

    def _evaluate(self, descriptors: tuple[int, ...]) -> bytes:
        pid = _fork()
        if pid == 0:
            self._become_candidate(*descriptors)
        if pid < 0:
            raise OSError("no process can be started")
        for descriptor in descriptors:
            os.close(descriptor)
        ended = _Ended(pid)
        self._wait(ended)
        _kill(-1 if self._namespaces else pid)
        while ended.reap() != 0:
            if not self._namespaces:
                self._kill_children(pid)
        untouched = os.stat(self._scratch).st_ctime_ns == self._untouched
        return REPORT.pack(ended.status, untouched, ended.cpu_seconds, ended.memory_bytes)

    def _become_candidate(self, request: int, reply: int, given: int, printed: int) -> None:
        """Does not return. Nothing that outlives the candidate stays open in it."""
        try:
            os.dup2(given, 0)
            os.dup2(printed, 1)
            os.dup2(printed, 2)
            if not self._namespaces:
                os.setsid()
                confine.die_with_parent(signal.SIGKILL)
            _close_all_but(request, reply)
            for kind, values in self._limits:
                resource.setrlimit(kind, values)
            self._filter.put_on(os.getpid())
            candidate.serve(request, reply)
        finally:
            os._exit(1)

    def _wait(self, ended: _Ended) -> None:
        """Wait until the candidate ends, or the trusted side wants it ended."""
        if not hasattr(os, "pidfd_open"):
            return self._wait_by_polling(ended)
        watch = os.pidfd_open(ended.pid)
        self._poll.register(watch, select.POLLIN)
        ready = [descriptor for descriptor, _ in self._poll.poll()]
        self._poll.unregister(watch)
        os.close(watch)
        if self._control.fileno() in ready:
            self._control.recv(1)
        return None

    def _wait_by_polling(self, ended: _Ended) -> None:
        while not self._poll.poll(_POLL_MILLISECONDS):
            if ended.reap(os.WNOHANG) == ended.pid:
                return
        self._control.recv(1)

    def _kill_children(self, session: int) -> None:
        """Kill the children that this process has now, adopted orphans included; or else the candidate's session."""
        if self._children is not None:
            self._children.seek(0)
            for pid in self._children.read().split():
                _kill(int(pid))
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(session, signal.SIGKILL)


class _Ended:
    """How the processes of an evaluation ended.

    Attributes:
        status: wait status of the candidate itself.
        cpu_seconds: of all processes together.
        memory_bytes: the largest peak of any of them.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status = 0
        self.cpu_seconds = 0.0
        self.memory_bytes = 0

    def reap(self, flags: int = 0) -> int:
        """The id of a process that has ended, 0 where there is none."""
        try:
            pid, status, usage = os.wait4(-1, flags)
        except ChildProcessError:
            return 0
        if pid == self.pid:
            self.status = status
        self.cpu_seconds += usage.ru_utime + usage.ru_stime
        self.memory_bytes = max(self.memory_bytes, usage.ru_maxrss * _MAXRSS_BYTES)
        return pid


# The C library's fork, without what Python does after it for threads and to reseed `random`: this process has a
# single thread, and an evaluation shall not depend on chance. It saves 0.15 to 0.4 ms an evaluation.
_fork = ctypes.PyDLL(None).fork if confine.LINUX else os.fork


def _import_all(names: Sequence[str]) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:
            raise ImportError(f"cannot import {name!r}: {type(error).__name__}: {error}") from error


def _seed_all() -> None:
    """Seed the shared generators, so that evaluations that do not seed them are the same on every worker."""
    random.seed(0)
    if "numpy.random" in sys.modules:
        np.random.seed(0)


def _children_file() -> IO[bytes] | None:
    """Where the kernel lists the children of this process; to be opened before files are out of reach."""
    try:
        return open(f"/proc/self/task/{os.getpid()}/children", "rb", buffering=0)
    except OSError:
        return None


def _confine(job: Mapping[str, Any]) -> confine.SystemCallFilter:
    """Give up what neither this process nor its children need; the filter for the children alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    confine.forbid_looking_in()
    confine.forgo_privileges()
    if not job["namespaces"]:
        confine.adopt_orphans()
        confine.restrict_files(job["file_rules"])
    machine, several = os.uname().machine, job["processes"] > 1
    confine.SystemCallFilter(seccomp.base_filter(machine)).put_on(os.getpid())
    program = seccomp.candidate_filter(machine, _PID_MARK, forks=several, signals=several and job["namespaces"])
    return confine.SystemCallFilter(program, pid_mark=_PID_MARK)


def _limit(job: Mapping[str, Any]) -> list[tuple[int, tuple[int, int]]]:
    """Set the limits that this process can share with its children; those left, to be set in each child."""
    if (needed := _address_space()) > job["memory_bytes"]:
        raise ValueError(
            f"memory_bytes={job['memory_bytes']:,} is less than the {needed:,} that its imports take alone"
        )
    seconds = math.ceil(job["wall_seconds"]) + 1
    shared = {
        resource.RLIMIT_AS: job["memory_bytes"],
        resource.RLIMIT_FSIZE: job["output_bytes"],
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    left = [(resource.RLIMIT_CPU, _within((seconds, seconds + 1), resource.RLIMIT_CPU))]
    if (tasks := _task_limit(job)) is not None:
        left.append((resource.RLIMIT_NPROC, _within((tasks, tasks), resource.RLIMIT_NPROC)))
    for kind, most in shared.items():
        resource.setrlimit(kind, _within((most, most), kind))
    return left


def _within(values: tuple[int, int], kind: int) -> tuple[int, int]:
    """`values`, but never above what this process may have itself."""
    most = resource.getrlimit(kind)[1]
    return values if most == resource.RLIM_INFINITY else (min(values[0], most), min(values[1], most))


def _address_space() -> int:
    if not confine.LINUX:
        return 0
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _task_limit(job: Mapping[str, Any]) -> int | None:
    """Processes and threads that the user may have. From Linux 5.14 on a namespace counts its own, else the machine."""
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    if not confine.LINUX or (job["namespaces"] and release < (5, 14)):
        return None
    others = 1 if job["namespaces"] else _tasks_of_user() + _TASKS_TO_COME
    return others + int(job["processes"]) + _THREADS


def _tasks_of_user() -> int:
    count = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}").st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return count


def _rehearse() -> None:
    """Run a program here as a child would: what is first touched before a fork need not be copied after it."""
    modules, finders = set(sys.modules), list(sys.meta_path)
    source = "def f(x):\n    return x\n"
    frames = wire.Wire()
    for _ in range(_REHEARSALS):
        request, reply = os.pipe(), os.pipe()
        order = {"files": {"rehearsal.py": source}, "entry": "f", "harness": None}
        calls = [frames.frame(wire.CALL, [value]) for value in (3, np.zeros(3), "text")]
        os.write(request[1], b"".join([frames.frame(wire.LOAD, order), *calls]))
        os.close(request[1])
        with contextlib.suppress(EOFError):
            candidate.serve(request[0], reply[1])
        for descriptor in (request[0], *reply):
            os.close(descriptor)
    sys.meta_path[:] = finders
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def _close_all_but(first: int, second: int) -> None:
    low, high = (first, second) if first < second else (second, first)
    os.closerange(3, low)
    os.closerange(low + 1, high)
    os.closerange(high + 1, _MOST_DESCRIPTORS)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
