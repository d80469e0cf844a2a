"""A candidate inherits the same, whatever the candidate before it did; and what a problem allows it works."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psutil
import pytest

from cluster.sandbox.launch import bubblewrap_problem
from cluster.sandbox.sandbox import Sandbox
from evo.errors import CandidateError
from evo.genomes import Program
from evo.values import Limits

# Two warm parents and 4096 files take seconds on a machine that does other things as well.
LIMITS = Limits(wall_seconds=30.0, memory_bytes=1 << 30, processes=8)
FILES = 4096

LIBRARY = """
import ctypes, multiprocessing, os, resource, signal, sys, time
LIBC = ctypes.CDLL(None, use_errno=True)
IOPRIO_SET, IOPRIO_GET, PRLIMIT = {"x86_64": (251, 252, 302), "aarch64": (30, 31, 261)}[os.uname().machine]
LIMITS = sorted(getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_"))
OF_THE_MOMENT = (resource.RLIMIT_CPU, resource.RLIMIT_NPROC)
OWN = [kind for kind in LIMITS if kind not in (resource.RLIMIT_CPU, resource.RLIMIT_AS)]  # and it goes on
NUMBERS = sorted(set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP})
# timer slack, dumpable, capabilities kept, name, parent death signal, subreaper, no new privileges, large pages, bits
STATE = {"slack": 30, "dumpable": 3, "kept": 7, "death": 2, "subreaper": 37, "no new": 39, "pages": 42, "bits": 27}

def prctl(option):
    word = ctypes.c_int(-1)
    said = LIBC.prctl(option, ctypes.byref(word) if option in (2, 37) else 0, 0, 0, 0)
    return [said, word.value]

def read(path):
    try:
        return open(path).read()
    except OSError as error:
        return type(error).__name__

def descriptors():
    found = []
    for number in range(256):
        try:
            found.append([number, os.fstat(number).st_mode, os.lseek(number, 0, 1) if number < 3 else 0])
        except OSError as error:
            if error.errno != 9:
                found.append([number, os.fstat(number).st_mode, error.errno])
    return found

def inherited():
    return {
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "affinity": sorted(os.sched_getaffinity(0)),
        "policy": [os.sched_getscheduler(0), os.sched_getparam(0).sched_priority],
        "disk": LIBC.syscall(IOPRIO_GET, 1, 0),
        # Without what follows from the time and the tasks that are left at that moment.
        "limits": [list(map(str, resource.getrlimit(kind))) for kind in LIMITS if kind not in OF_THE_MOMENT],
        "umask": os.umask(0),
        "folder": os.getcwd() == os.environ["HOME"],
        "files": [os.listdir("."), os.stat(".").st_nlink],
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "handlers": [str(signal.getsignal(number)) for number in NUMBERS],
        "timer": list(signal.getitimer(signal.ITIMER_REAL)),
        "environment": [[name, text.replace(os.getcwd(), "~")] for name, text in sorted(os.environ.items())],
        "descriptors": descriptors(),
        "out of memory": read("/proc/self/oom_score_adj"),
        "session": [os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid(), os.getsid(0) == 1, os.getpgrp() == 1],
        "personality": read("/proc/self/personality"),
        "parent": [os.getpriority(os.PRIO_PROCESS, os.getppid()), LIBC.syscall(IOPRIO_GET, 1, os.getppid())],
        "capabilities": [line for line in read("/proc/self/status").splitlines() if line.startswith("Cap")],
        "path": sys.path,
        "modules": sorted(sys.modules),
        **{name: prctl(option) for name, option in STATE.items()},
    }
"""

HONEST = LIBRARY + "def f():\n    return inherited()\n"

HOSTILE = (
    LIBRARY
    + """
def attempts():
    parent, group, zero = os.getppid(), os.getpgrp(), (ctypes.c_uint64 * 2)()
    for who in (parent, -group, 0):
        kind = os.PRIO_PGRP if who < 0 else os.PRIO_PROCESS
        yield lambda: os.setpriority(kind, abs(who), 19)
        yield lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19)
        yield lambda: os.sched_setaffinity(abs(who), {max(os.sched_getaffinity(0))})
        yield lambda: os.sched_setscheduler(abs(who), os.SCHED_IDLE, os.sched_param(0))
        yield lambda: os.sched_setscheduler(abs(who), os.SCHED_BATCH, os.sched_param(0))
        yield lambda: LIBC.syscall(IOPRIO_SET, 2 if who < 0 else 1, abs(who), 3 << 13)
        for kind in (LIMITS if who else OWN):
            yield lambda: LIBC.syscall(PRLIMIT, abs(who), kind, zero, None)
    for name in ("oom_score_adj", "timerslack_ns", "autogroup", "coredump_filter", "comm"):
        for pid in ("self", parent):
            yield lambda: open(f"/proc/{pid}/{name}", "w").write("1000")
    for option, word in ((29, 10**9), (4, 1), (8, 1), (1, 9), (36, 1), (41, 1), (28, 1)):
        yield lambda: LIBC.prctl(option, word, 0, 0, 0)
    yield lambda: LIBC.personality(0x0040000)
    yield os.setsid
    yield lambda: os.setpgid(parent, 0)
    yield lambda: os.umask(0o777)
    yield lambda: os.chdir("/usr")
    yield lambda: os.environ.update(PATH="/nowhere", EVIL="1")
    yield lambda: signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    for number in NUMBERS:
        yield lambda: signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGUSR1):
        yield lambda: os.kill(parent, number)
    yield lambda: signal.setitimer(signal.ITIMER_REAL, 1000)
    yield lambda: [os.lseek(number, 99, 0) for number in range(3)]
    yield lambda: [os.dup2(1, number) for number in range(100, 200)]
    yield lambda: sys.path.clear() or sys.modules.clear()

def f():
    leave_a_file()
    for attempt in attempts():
        try:
            attempt()
        except BaseException:
            pass
    return 1
"""
)

LEAVE_A_FILE = '    open("left", "w")\n    os.unlink("left")\n'
"""After which the warm parent ends."""


@pytest.fixture(scope="module", params=["bubblewrap", "process"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    if request.param == "bubblewrap" and (problem := bubblewrap_problem()):
        pytest.skip(problem)
    with closing(Sandbox(LIMITS, isolation=request.param)) as sandbox:
        yield sandbox


def answer(sandbox: Sandbox, source: str) -> Any:
    with sandbox(Program.single(textwrap.dedent(source)), "f") as f:
        return f()


def processes() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


@pytest.mark.parametrize("parent", ["the same warm parent", "the next warm parent"])
def test_nothing_that_a_candidate_inherits_was_changed_by_the_one_before(sandbox: Sandbox, parent: str) -> None:
    same = parent == "the same warm parent"
    hostile = HOSTILE.replace("    leave_a_file()\n", "" if same else LEAVE_A_FILE)
    before, running = answer(sandbox, HONEST), processes()
    for _ in range(2):
        assert answer(sandbox, hostile) == 1
        if same:
            assert processes() == running
        after = answer(sandbox, HONEST)
        assert {name: value for name, value in after.items() if value != before[name]} == {}
    assert len(before) == 28
    assert before["no new"] == [1, -1]
    assert before["dumpable"] == [0, -1]


def test_no_candidate_has_or_can_gain_a_capability(sandbox: Sandbox) -> None:
    """Not even by executing a file; the warm parent limited the scratch folder with one."""
    if sandbox.isolation == "process":
        pytest.skip("/proc cannot be read there")
    sets = """
        import subprocess
        def f():
            command = ["/bin/grep", "^Cap", "/proc/self/status"]
            return open("/proc/self/status").read() + subprocess.run(command, capture_output=True, text=True).stdout
    """
    found = [line.split()[1] for line in answer(sandbox, sets).splitlines() if line.startswith("Cap")]
    assert set(found) == {"0" * 16}
    assert len(found) == 10


def test_a_scratch_folder_has_room_for_so_many_files_and_the_next_is_clean(sandbox: Sandbox) -> None:
    if sandbox.isolation == "process":
        pytest.skip("a folder on the disk has no limit of its own")
    flood = """
        import os
        def f():
            made = 0
            for place in (".", os.environ["TMPDIR"], "/dev/shm"):
                try:
                    for number in range(200_000):
                        os.mkdir(f"{place}/{number} of {len(place)}")
                        made += 1
                except OSError as error:
                    why = error.errno
            return [made, why]
    """
    assert answer(sandbox, flood) == [FILES - 1, 28]
    assert answer(sandbox, "import os\ndef f():\n    return os.listdir('.') + os.listdir('/dev/shm')\n") == []


def test_a_pool_of_processes_works_where_the_problem_allows_processes(sandbox: Sandbox) -> None:
    if sandbox.isolation == "process":
        pytest.skip("semaphores lie in /dev/shm, which would be the machine's own")
    pool = """
        from multiprocessing import Pool, Process, Queue, Value
        def square(x):
            return x * x
        def put(queue, total):
            with total.get_lock():
                total.value += 1
            queue.put("here")
        def f():
            with Pool(2) as pool:
                squares = pool.map(square, range(5))
            queue, total = Queue(), Value("i", 0)
            others = [Process(target=put, args=(queue, total)) for _ in range(3)]
            for other in others:
                other.start()
            said = [queue.get() for _ in others]
            for other in others:
                other.join()
            return [squares, said, total.value]
    """
    for _ in range(2):
        assert answer(sandbox, pool) == [[0, 1, 4, 9, 16], ["here"] * 3, 3]


def test_printing_beyond_the_limit_is_cut_and_costs_no_score(sandbox: Sandbox) -> None:
    limit = sandbox.limits.output_bytes
    flood = """
        import os, sys, warnings
        def f():
            for _ in range(3000):
                print("x" * 999)
            print("y" * 3_000_000, file=sys.stderr)
            warnings.warn("more of it")
            sys.stdout.flush()
            return os.fstat(1).st_size
    """
    assert answer(sandbox, flood) == limit
    with pytest.raises(CandidateError, match=f"x\n... no more than {limit:,} bytes are kept ...$"):
        answer(sandbox, flood.replace("return", "raise ValueError  #"))
    few = "def f():\n    print('few')\n    raise ValueError\n"
    with pytest.raises(CandidateError, match=r"printed ---\nfew\n$"):
        answer(sandbox, few)
