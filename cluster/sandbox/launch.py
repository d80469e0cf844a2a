"""Start and end warm parents: the command around them, and the messages on their control socket."""

from __future__ import annotations

import contextlib
import functools
import importlib.resources
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal

from cluster.sandbox import visible
from cluster.sandbox.zygote import FINISH, REPORT, START
from evo.errors import SandboxError
from evo.values import Limits

Isolation = Literal["bubblewrap", "process"]

_SOURCES = ("wire", "confine", "seccomp", "candidate", "zygote")
_SCRATCH_BYTES = 64 << 20
_START_SECONDS = 120.0
_ANSWER_SECONDS = 2.0
_END_SECONDS = 0.5

_NAMESPACES = (
    *("--unshare-user", "--unshare-pid", "--as-pid-1", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
    *("--hostname", "sandbox", "--new-session", "--die-with-parent", "--clearenv"),
    *("--cap-drop", "ALL"),
)
# For the warm parent to limit the number of files, which bubblewrap cannot; it drops both at once, for good.
_TO_LIMIT_FILES = ("--cap-add", "CAP_SYS_ADMIN", "--cap-add", "CAP_SETPCAP")

# -S: no site, so that no .pth file of an installation runs; the paths come with the job.
_PYTHON_OPTIONS = ("-s", "-S", "-P", "-B")
_BOOT = """
import json, os, socket, sys, types
control = socket.socket(fileno=os.dup(0))
job = json.loads(control.makefile("rb").readline())
sys.path += job["path"]
sys.modules["cluster"] = types.ModuleType("cluster")
package = sys.modules["cluster.sandbox"] = types.ModuleType("cluster.sandbox")
for name, source in job["sources"].items():
    module = types.ModuleType("cluster.sandbox." + name)
    sys.modules[module.__name__] = module
    exec(compile(source, f"<{name}>", "exec"), module.__dict__)
    setattr(package, name, module)
for name in ("cluster", "cluster.sandbox", *("cluster.sandbox." + name for name in job["sources"])):
    del sys.modules[name]
package.zygote.main(control, job)
"""
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONIOENCODING": "utf-8:backslashreplace",
    # The order of a set of texts is then the same in every worker.
    "PYTHONHASHSEED": "0",
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"),
    # Symbols are bound before the forks, not again in each of them.
    "LD_BIND_NOW": "1",
}


@dataclass(frozen=True, slots=True)
class Report:
    """How an evaluation's processes ended.

    Attributes:
        status: wait status of the candidate's process.
        untouched: whether the scratch folder is as it was.
        cpu_seconds: of all its processes.
        memory_bytes: largest peak of any of them.
    """

    status: int
    untouched: bool
    cpu_seconds: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a warm parent is started with.

    Attributes:
        limits: of each evaluation.
        imports: modules to load once.
        isolation: see `cluster.sandbox.sandbox`.
        cpu: the core that it and its children are pinned to, None for any.
        hidden: files and folders that candidates shall not see, even inside what they see.
    """

    limits: Limits
    imports: tuple[str, ...]
    isolation: Isolation
    cpu: int | None = None
    hidden: tuple[str, ...] = ()


class WarmParent:
    """A running warm parent, for an evaluation at a time.

    It ends when `stop` is called, or when the process that started it ends, or (bubblewrap) the thread.

    Raises:
        SandboxError: it does not start; an import that fails is named.
    """

    def __init__(self, plan: Plan) -> None:
        self._scratch = tempfile.mkdtemp(prefix="evo-scratch-") if plan.isolation == "process" else None
        # Without a call of `stop` too, when this object or the interpreter ends.
        self._tidy = weakref.finalize(self, _remove, self._scratch)
        self._process: subprocess.Popen[bytes] | None = None
        self._control, theirs = socket.socketpair()
        try:
            with theirs, tempfile.TemporaryFile() as log:
                self._process = _started(plan, self._scratch or "/", theirs, log)
                theirs.close()
                self._hand_over(_job(plan, self._scratch), log)
        except BaseException:
            self.stop()
            raise

    def begin(self, descriptors: Sequence[int]) -> bool:
        """Fork a candidate with these descriptors for requests, replies, input and output; False where that fails."""
        try:
            socket.send_fds(self._control, [START], descriptors)
        except OSError:
            return False
        return True

    def wait(self, seconds: float) -> Report | None:
        """The report of a candidate that ends by itself within `seconds`."""
        self._control.settimeout(seconds)
        try:
            content = self._control.recv(REPORT.size, socket.MSG_WAITALL)
        except OSError:
            return None
        return Report(*REPORT.unpack(content)) if len(content) == REPORT.size else None

    def finish(self) -> Report | None:
        """End the candidate; None where the warm parent does not answer in time, and so is of no more use."""
        try:
            self._control.send(FINISH)
        except OSError:
            return None
        return self.wait(_ANSWER_SECONDS)

    def stop(self) -> None:
        """End it and all below it: it ends its children when the control socket closes, or else is killed."""
        self._control.close()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
            self._process.kill()
            self._process.wait()
        self._tidy()

    def _hand_over(self, job: Mapping[str, Any], log: IO[bytes]) -> None:
        self._control.settimeout(_START_SECONDS)
        try:
            self._control.sendall(json.dumps(job).encode() + b"\n")
            with self._control.makefile("rb") as answers:
                answer = answers.readline()
        except OSError as error:
            raise SandboxError(f"the sandbox does not start: {error}; {_tail(log)}") from error
        if not answer:
            raise SandboxError(f"the sandbox does not start; {_tail(log) or 'it said nothing'}")
        if failed := json.loads(answer).get("failed"):
            raise SandboxError(f"the sandbox does not start: {failed}")


def bubblewrap_is_installed() -> bool:
    """Whether it may be tried."""
    return sys.platform.startswith("linux") and shutil.which("bwrap") is not None


@functools.cache
def bubblewrap_problem() -> str | None:
    """Why bubblewrap cannot hold a warm parent here, None where it can; tried for real, once a process."""
    if not sys.platform.startswith("linux"):
        return "bubblewrap needs Linux"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed; install it with 'apt-get install bubblewrap' or 'dnf install bubblewrap'"
    command = [*_bubblewrap(()), visible.interpreter(), *_PYTHON_OPTIONS, "-c", ""]
    try:
        tried = subprocess.run(command, env=_ENVIRONMENT, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not run: {error}"
    if tried.returncode == 0:
        return None
    said = tried.stderr.decode(errors="replace").strip()[-300:]
    return f"bubblewrap is installed but refused here ({said}); allow unprivileged user namespaces to have it"


def _started(plan: Plan, scratch: str, control: socket.socket, log: IO[bytes]) -> subprocess.Popen[bytes]:
    holder = _bubblewrap(plan.hidden) if plan.isolation == "bubblewrap" else []
    try:
        return subprocess.Popen(
            [*holder, visible.interpreter(), *_PYTHON_OPTIONS, "-c", _BOOT],
            stdin=control.fileno(),
            stdout=log,
            stderr=log,
            env=_environment(scratch),
            cwd=scratch,
            # Ctrl-C reaches the driver, which finishes what is under way; not the warm parents.
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxError(f"the sandbox does not start: {error}") from error


def _job(plan: Plan, scratch: str | None) -> dict[str, Any]:
    limits = plan.limits
    return {
        "sources": {
            name: importlib.resources.files("cluster.sandbox").joinpath(f"{name}.py").read_text("utf-8")
            for name in _SOURCES
        },
        "path": visible.package_folders(),
        "imports": plan.imports,
        "cpu": plan.cpu,
        "namespaces": plan.isolation == "bubblewrap",
        "scratch": scratch or visible.scratch_in_namespace(),
        "file_rules": [] if scratch is None else visible.file_rules(plan.hidden, scratch),
        "wall_seconds": limits.wall_seconds,
        "memory_bytes": limits.memory_bytes,
        "output_bytes": limits.output_bytes,
        "processes": limits.processes,
    }


def _bubblewrap(hidden: Sequence[str]) -> list[str]:
    """The command that puts another command into namespaces."""
    scratch, paths = visible.scratch_in_namespace(), visible.visible_paths()
    program = shutil.which("bwrap") or "bwrap"
    options = [program, *_NAMESPACES, *(() if _is_setuid(program) else _TO_LIMIT_FILES)]
    for name, value in _environment(scratch).items():
        options += ["--setenv", name, value]
    for path in paths:
        options += ["--ro-bind-try", path, path]
    for inside in (inside for path in paths for inside in visible.lying_in(hidden, path)):
        empty = ["--tmpfs", inside, "--remount-ro", inside]
        options += empty if os.path.isdir(inside) else ["--ro-bind", "/dev/null", inside]
    for device in visible.DEVICES:
        options += ["--dev-bind-try", device, device]
    options += ["--symlink", scratch, "/dev/shm"]  # where the C library makes semaphores and shared memory
    # Root inside is root outside where we run as root: a /proc to write in would let it set the machine's own switches.
    options += ["--proc", "/proc", "--remount-ro", "/proc"]
    return [*options, "--size", str(_SCRATCH_BYTES), "--tmpfs", scratch, "--remount-ro", "/", "--chdir", scratch]


def _is_setuid(program: str) -> bool:
    """Whether it is run as root for users without user namespaces, to whom it then gives no capability."""
    return os.geteuid() != 0 and os.path.exists(program) and bool(os.stat(program).st_mode & stat.S_ISUID)


def _environment(scratch: str) -> dict[str, str]:
    return _ENVIRONMENT | {"HOME": scratch, "TMPDIR": scratch}


def _remove(scratch: str | None) -> None:
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)


def _tail(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - 1000))
    return log.read().decode(errors="replace").strip()
