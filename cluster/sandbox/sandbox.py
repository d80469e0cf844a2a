"""Calls a candidate's function like a local function, while it runs in a process of its own that can reach nothing.

    with sandbox(program, "priority") as priority:
        scores = priority(3, bins)

A warm parent (`zygote`) with the imports loaded forks a process for each `with`. Two kinds of isolation hold it:

- "bubblewrap": Linux namespaces (user, PID, network, IPC, UTS) and a mount namespace of its own.
- "process": on Linux, Landlock instead of the mounts; elsewhere (macOS) limits alone. Taken where bubblewrap is missing
  or the host refuses unprivileged namespaces, as Docker and Kubernetes do by default.

**Mounted, read-only**: system libraries and programs, the interpreter with its library, installed packages (see
`visible`), and the process's own /proc. Our packages, which hold scorers, and what a problem hides are covered, where
they lie among those. Nothing else of the disk: no home, no working folder, no run folder, no secrets of /etc or /run.
With "process" the same list is Landlock's, without /proc.

**Writable**: a scratch folder, which is also the working folder, HOME and /dev/shm: a tmpfs of 64 MiB and 4095 files,
or a temporary folder with "process"; and /dev/null, zero, full, random, urandom. A file is at most `output_bytes` long,
and of what is printed no more is kept. Where a candidate leaves a file, the warm parent ends, and the folder with it.
The machine's environment is cleared; keys are not in it.

**Shared**: memory of the warm parent, copied on writing, and the core that both are pinned to, where a core is free. No
memory, file or process outlives a `with`. Sandboxes share nothing with each other.

**Allowed**: threads, pipes, signals to itself, and with `processes` above 1 also child processes. A filter of system
calls (`seccomp`, on x86-64 and aarch64) refuses sockets, tracing, mounts, namespaces, other processes, priorities,
keys, marks on files, and the doors to much of the kernel. Capabilities are dropped, and no file that is executed gives
any. Limits: wall time and CPU time of the whole `with`, address space of each process, 256 open files, processes and
threads.

**Answers** are data, JSON and arrays of numbers (`wire`), of at most `reply_bytes`; never pickle. Past the wall limit,
or at the end of the `with`, the candidate and all its descendants are killed.

**Not protected from**: flaws of the kernel; side channels, such as timing and caches on a shared core; false answers,
since all in the candidate's process is in its hands, the problem's harness included: scorers have to check what comes;
secrets that lie inside installed packages; up to `processes` times the memory limit. With "process": files without end,
each within its limit; where the kernel has no Landlock (before 5.13, and elsewhere than on Linux) also all files that
the user may read or write. Elsewhere than on Linux also the network, other processes of the user, and children that
leave their session.
"""

from __future__ import annotations

import math
import os
import select
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, get_args

from cluster.sandbox import wire
from cluster.sandbox.candidate import OUT_OF_MEMORY_STATUS
from cluster.sandbox.cores import Core, Pin, claim_core
from cluster.sandbox.launch import Isolation, Plan, Report, WarmParent, bubblewrap_is_installed, bubblewrap_problem
from cluster.sandbox.visible import our_folders
from evo.errors import CandidateError, SandboxError
from evo.genomes import Program
from evo.values import FEEDBACK_LIMIT_BYTES, Limits, Outcome, clip_text

_DEATH_SECONDS = 0.25
_PRINTED_SHOWN_BYTES = 3000
_FAILURES = (CandidateError, TimeoutError, EOFError, BrokenPipeError, wire.WireError)
_CLAIMABLE: tuple[Outcome, ...] = ("invalid", "oom", "crash")


@dataclass(frozen=True, slots=True)
class Usage:
    """Resources that a `with` used.

    Attributes:
        cpu_seconds: of all its processes.
        memory_bytes: largest resident memory of any of them; includes what it shares with the warm parent.
    """

    cpu_seconds: float = 0.0
    memory_bytes: int = 0


class Sandbox:
    """Opens programs, each in a fresh process forked from a warm parent; implements `evo.protocols.Run`.

    Starts nothing until it is used. For a single thread at a time; the thread that starts a warm parent under
    bubblewrap must live as long as the sandbox is used.

    Args:
        imports: modules that the warm parent loads once.
        isolation: "bubblewrap" (Linux namespaces), "process" (only limits, a system call filter and Landlock), or
            "auto", the first that works here.
        hidden: files and folders that candidates shall not see beside our own packages, even where they lie among
            installed packages.

    Attributes:
        limits: of each `with`.
        usage: of the last `with`.
        wire: turns values into frames and back.

    Raises:
        SandboxError: at the first use, where the isolation cannot be had or an import fails.

    Every `with` begins with the same state of `random`, and of `numpy.random` where that is among the imports. Files
    that a candidate writes are gone after it, and each at most `output_bytes` long.
    """

    def __init__(
        self,
        limits: Limits,
        imports: Sequence[str] = ("numpy",),
        *,
        isolation: Literal["auto", "bubblewrap", "process"] = "auto",
        hidden: Sequence[str] = (),
    ) -> None:
        self.limits = limits
        self.usage = Usage()
        self.wire = wire.Wire()
        self._imports = tuple(imports)
        if isolation not in ("auto", *get_args(Isolation)):
            raise SandboxError(f"unknown isolation {isolation!r}; known: auto, {', '.join(get_args(Isolation))}")
        self._wanted = isolation
        self._hidden = tuple(hidden)
        self._idle: list[WarmParent] = []
        self._core: Core | None = None
        self._tried: Isolation | None = None

    @property
    def isolation(self) -> Isolation:
        """The isolation of candidates; found out by a trial where none has run yet."""
        if self._tried is None:
            problem = None if self._wanted == "process" else bubblewrap_problem()
            if self._wanted == "bubblewrap" and problem is not None:
                raise SandboxError(problem)
            self._tried = "process" if self._wanted == "process" or problem is not None else "bubblewrap"
        return self._tried

    @property
    def cpu(self) -> int | None:
        """The core that candidates, and the thread that calls them, stay on; None for any."""
        return self._core.cpu if self._core else None

    def __call__(self, program: Program, entry: str, *, harness: str | None = None) -> Opened:
        """A context that gives the candidate's function; see `evo.protocols.Run`."""
        return Opened(self, {"files": dict(program.files), "entry": entry, "harness": harness})

    def close(self) -> None:
        """End all processes that were started here; the next use starts others."""
        while self._idle:
            self._idle.pop().stop()
        if self._core is not None:
            self._core.release()
            self._core = None

    def lend(self, pipes: _Pipes) -> WarmParent:
        """A warm parent that has forked a candidate at the other ends of `pipes`; it must be taken back."""
        while True:
            fresh = not self._idle
            parent = self._start() if fresh else self._idle.pop()
            if parent.begin(pipes.theirs):
                pipes.start()
                return parent
            parent.stop()
            if fresh:
                raise SandboxError("the sandbox ends as soon as it has started")

    def take_back(self, parent: WarmParent, report: Report | None) -> None:
        """Keep a warm parent only if it answered in time, and no file is left for the next candidate."""
        self.usage = Usage(report.cpu_seconds, report.memory_bytes) if report else Usage()
        if report is not None and report.untouched:
            self._idle.append(parent)
        else:
            parent.stop()

    def _start(self) -> WarmParent:
        self._core = self._core or claim_core()
        if self._tried is None and self._wanted == "auto" and bubblewrap_is_installed():
            # At once: a trial before would take a tenth of a second more on each worker where bubblewrap works.
            try:
                parent = self._warm_parent("bubblewrap")
            except SandboxError:
                if bubblewrap_problem() is None:
                    raise
            else:
                self._tried = "bubblewrap"
                return parent
        return self._warm_parent(self.isolation)

    def _warm_parent(self, isolation: Isolation) -> WarmParent:
        hidden = (*our_folders(), *self._hidden)
        return WarmParent(Plan(self.limits, self._imports, isolation, cpu=self.cpu, hidden=hidden))


class Opened:
    """A program in the sandbox, for the length of a `with`; calling it calls the candidate's function.

    The first failure is the answer to all later calls.
    """

    def __init__(self, sandbox: Sandbox, order: dict[str, Any]) -> None:
        self._sandbox = sandbox
        self._limits = sandbox.limits
        self._order = order
        self._failure: tuple[Outcome, str] | None = None
        self._parent: WarmParent | None = None

    def __enter__(self) -> Opened:
        self._pipes = _Pipes(self._limits)
        try:
            self._parent = self._sandbox.lend(self._pipes)
        except BaseException:
            self._pipes.close()
            raise
        self._pin = Pin(self._sandbox.cpu)
        try:
            self._pipes.send(self._sandbox.wire.frame(wire.LOAD, self._order))
        except _FAILURES as error:
            self._fail(error)
        return self

    def __call__(self, *arguments: Any) -> Any:
        """See `evo.protocols.Function`.

        Raises:
            CandidateError: the candidate failed, now or in an earlier call.
            WireError: an argument is no data, which is the caller's mistake.
        """
        frame = self._sandbox.wire.frame(wire.CALL, arguments)
        if self._failure is None:
            try:
                self._pipes.send(frame)
                kind, answer = self._sandbox.wire.receive(
                    self._pipes.reply, limit_bytes=self._limits.reply_bytes, wait=self._pipes.wait
                )
                if kind == wire.VALUE:
                    return answer
                raise _claimed(answer)
            except _FAILURES as error:
                self._fail(error)
        assert self._failure is not None
        raise CandidateError(*self._failure)

    def allow(self, seconds: float) -> None:
        """Extend the wall limit by time that the candidate did not use; its limit of CPU time stays as it is."""
        self._pipes.allow(seconds)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end()
        finally:
            self._failure = self._failure or ("crash", "called after its process had ended")
            self._pin.release()
            self._pipes.close()

    def _fail(self, error: Exception) -> None:
        outcome, reason = self._reason(error)
        self._end()
        reason, printed = clip_text(reason, FEEDBACK_LIMIT_BYTES // 2), self._pipes.printed()
        text = f"{reason}\n--- it printed ---\n{printed}" if printed else reason
        self._failure = (outcome, clip_text(_readable(text)))

    def _reason(self, error: Exception) -> tuple[Outcome, str]:
        if isinstance(error, CandidateError):
            return error.outcome, error.feedback
        if isinstance(error, TimeoutError):
            return "timeout", f"it ran longer than {self._limits.wall_seconds:g} s and was ended"
        if isinstance(error, wire.WireError):
            return "invalid", f"its answer is refused: {error}"
        report = self._parent.wait(_DEATH_SECONDS) if self._parent else None
        if report is None:
            answered = self._end()
            return "crash", "it closed its pipe and ran on" if answered else "the sandbox ended while it ran"
        self._end(report)
        return _death(report.status)

    def _end(self, report: Report | None = None) -> bool:
        """End the candidate, once, and give the warm parent back; False where that no longer answered."""
        parent, self._parent = self._parent, None
        if parent is None:
            return True
        report = report or parent.finish()
        self._sandbox.take_back(parent, report)
        return report is not None


class _Pipes:
    """Our ends of a candidate's pipes, and the file that it prints to. Every wait ends at the deadline.

    Attributes:
        theirs: the candidate's ends: for requests, replies, input (which is at its end) and prints; empty once handed
            over.
        reply: where its answers come from.
    """

    def __init__(self, limits: Limits) -> None:
        their_request, self._request = os.pipe()
        self.reply, their_reply = os.pipe()
        self._output = _output_file()
        given, nothing = os.pipe()
        os.close(nothing)
        self.theirs: tuple[int, ...] = (their_request, their_reply, given, self._output)
        os.set_blocking(self._request, False)
        os.set_blocking(self.reply, False)
        self._writable, self._answered = select.poll(), select.poll()
        self._writable.register(self._request, select.POLLOUT)
        self._answered.register(self.reply, select.POLLIN)
        self._limits = limits
        self._deadline = math.inf

    def start(self) -> None:
        """Close our copies of the candidate's ends, which it has now; its time runs."""
        for descriptor in self.theirs[:3]:
            os.close(descriptor)
        self.theirs = ()
        self._deadline = time.monotonic() + self._limits.wall_seconds

    def allow(self, seconds: float) -> None:
        """Move the deadline."""
        self._deadline += seconds

    def send(self, frame: bytes) -> None:
        """Raises TimeoutError at the deadline, BrokenPipeError where the candidate has closed its end."""
        rest = memoryview(frame)
        while rest:
            try:
                rest = rest[os.write(self._request, rest) :]
            except BlockingIOError:
                self._wait_for(self._writable)

    def wait(self) -> None:
        """Wait until there is something to read; raises TimeoutError at the deadline."""
        self._wait_for(self._answered)

    def printed(self) -> str:
        """The end of what the candidate printed, as far as it was kept."""
        size = os.fstat(self._output).st_size
        start = max(0, size - _PRINTED_SHOWN_BYTES)
        text = os.pread(self._output, _PRINTED_SHOWN_BYTES, start).decode(errors="replace")
        before = f"... {start:,} bytes before ...\n" if start else ""
        cut = f"\n... no more than {size:,} bytes are kept ..." if size >= self._limits.output_bytes else ""
        return f"{before}{text}{cut}"

    def close(self) -> None:
        for descriptor in {self._request, self.reply, self._output, *self.theirs}:
            os.close(descriptor)

    def _wait_for(self, poll: select.poll) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError


def _claimed(answer: Any) -> CandidateError:
    """The failure that a candidate's process reports of itself. It may lie, at its own cost."""
    fields = answer if isinstance(answer, dict) else {}
    outcome, feedback = fields.get("outcome"), fields.get("feedback")
    if not isinstance(outcome, str) or outcome not in _CLAIMABLE or not isinstance(feedback, str):
        return CandidateError("crash", "its process sent something that is no answer")
    return CandidateError(outcome, feedback)


def _death(status: int) -> tuple[Outcome, str]:
    """What a wait status means."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return "timeout", "it used up its CPU time and was ended"
        if number == signal.SIGKILL:
            return "oom", "its process was killed, as happens where the machine runs out of memory"
        return "crash", f"its process died of {signal.Signals(number).name}"
    code = os.WEXITSTATUS(status)
    if code == OUT_OF_MEMORY_STATUS:
        return "oom", "it ran out of memory"
    return "crash", f"its process ended with exit status {code} instead of answering"


def _readable(text: str) -> str:
    """Control characters, which a terminal would obey, replaced."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)


def _output_file() -> int:
    """An unlinked file."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("printed")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
