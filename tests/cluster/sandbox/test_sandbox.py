"""A candidate's function behaves like a function that is here, and everything else about it stays where it is."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from cluster.evaluation import evaluate
from cluster.sandbox.confine import landlock_version
from cluster.sandbox.cores import claim_core
from cluster.sandbox.launch import bubblewrap_problem
from cluster.sandbox.sandbox import Sandbox
from cluster.sandbox.wire import WireError
from evo.errors import CandidateError, SandboxError
from evo.genomes import Genome, Program, Vector
from evo.models import Completion, Message, Request
from evo.protocols import Problem, Runner
from evo.testing.scripted import completed
from evo.values import Limits, Objective, Part, Score

LIMITS = Limits(wall_seconds=1.0, memory_bytes=1 << 30)


def program(source: str) -> Program:
    return Program.single(textwrap.dedent(source))


ECHO = program("def echo(*values):\n    return values[0] if len(values) == 1 else list(values)\n")
WARM_PARENT = program("import os\ndef pid():\n    return os.getppid()\n")


@pytest.fixture(scope="module", params=["bubblewrap", "process"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    if request.param == "bubblewrap" and (problem := bubblewrap_problem()):
        pytest.skip(problem)
    with closing(Sandbox(LIMITS, isolation=request.param)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def whichever() -> Iterator[Sandbox]:
    """For what does not depend on the isolation, since this side decides it."""
    with closing(Sandbox(LIMITS)) as sandbox:
        yield sandbox


@pytest.fixture
def fresh(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox of the same isolation that no other test has used."""
    with closing(Sandbox(LIMITS, isolation=sandbox.isolation)) as fresh:
        yield fresh


def test_values_come_back_as_they_went(sandbox: Sandbox) -> None:
    values = [None, True, -7, 10**300, 0.1, float("inf"), "grüße\n\0", [1, [2.5, "x"]], {"a": {"b": []}}]
    with sandbox(ECHO, "echo") as echo:
        assert [echo(value) for value in values] == values
        assert echo(*values) == values
        assert np.isnan(echo(float("nan")))


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i4", "i8", "f2", "f4", "f8", ">f8"])
def test_arrays_keep_their_type_and_shape(sandbox: Sandbox, dtype: str) -> None:
    array = (np.arange(24).reshape(2, 3, 4) % 5).astype(dtype)
    with sandbox(ECHO, "echo") as echo:
        for sent in (array, array.T, array[:, ::2], array[:0], np.array(array[1, 1, 1])):
            back = echo(sent)
            np.testing.assert_array_equal(back, sent)
            assert (back.dtype, back.shape) == (sent.dtype.newbyteorder("="), sent.shape)


def test_arrays_may_be_written_on_both_sides(sandbox: Sandbox) -> None:
    with sandbox(program("def f(x):\n    x[0] += 1\n    return {'x': [x, x * 2]}\n"), "f") as f:
        first, second = f(np.zeros(3))["x"]
        second[1] = 5.0
        np.testing.assert_array_equal([first, second], [[1, 0, 0], [2, 5, 0]])


def test_large_values_go_through_pipes_in_pieces(sandbox: Sandbox) -> None:
    array = np.random.default_rng(0).random(1 << 20)
    with sandbox(ECHO, "echo") as echo:
        np.testing.assert_array_equal(echo(array), array)


@pytest.mark.parametrize(
    "value", [1j, b"x", {1, 2}, pytest.param(object(), id="object()"), np.array([1j]), np.array(["a"])], ids=repr
)
def test_an_argument_that_is_no_data_is_the_callers_mistake(sandbox: Sandbox, value: object) -> None:
    with sandbox(ECHO, "echo") as echo:
        with pytest.raises(WireError, match="no data"):
            echo(value)
        assert echo(1) == 1


def test_a_program_keeps_its_state_within_a_with_and_never_beyond(sandbox: Sandbox) -> None:
    counter = program("count = 0\ndef step():\n    global count\n    count += 1\n    return count\n")
    for _ in range(2):
        with sandbox(counter, "step") as step:
            assert [step(), step(), step()] == [1, 2, 3]


def test_two_programs_run_side_by_side(sandbox: Sandbox) -> None:
    patient = replace(LIMITS, wall_seconds=30.0)  # two warm parents start while the first program's time runs
    with (
        closing(Sandbox(patient, isolation=sandbox.isolation)) as several,
        several(ECHO, "echo") as first,
        several(WARM_PARENT, "pid") as second,
        several(ECHO, "echo") as third,
    ):
        assert (first("a"), second() > 0, third("b")) == ("a", True, "b")


def test_files_of_a_program_import_each_other(sandbox: Sandbox) -> None:
    files = {
        "main.py": "import helper\nfrom tools.inner.deep import twice\ndef f(x):\n    return twice(helper.next(x))\n",
        "helper.py": "def next(x):\n    return x + 1\n",
        "tools/__init__.py": "",
        "tools/inner/deep.py": "from tools.inner import other\ndef twice(x):\n    return other.times * x\n",
        "tools/inner/other.py": "times = 2\n",
    }
    with sandbox(Program(files), "f") as f:
        assert f(4) == 10


def test_a_traceback_shows_the_candidates_own_lines_only(sandbox: Sandbox) -> None:
    files = {
        "main.py": "import helper\ndef f(x):\n    return helper.invert(x)\n",
        "helper.py": "import numpy as np\ndef invert(x):\n    return np.linalg.inv(x)  # here\n",
    }
    with sandbox(Program(files), "f") as f, pytest.raises(CandidateError, match="Singular matrix") as caught:
        f(np.zeros((2, 2)))
    assert caught.value.outcome == "crash"
    lines = caught.value.feedback.splitlines()
    assert [line for line in lines if ", line " in line] == [
        "  main.py, line 3, in f",
        "  helper.py, line 3, in invert",
    ]
    assert "    return np.linalg.inv(x)  # here" in lines
    assert lines[-1] == "LinAlgError: Singular matrix"


def test_feedback_ends_with_the_last_of_what_was_printed(sandbox: Sandbox) -> None:
    talker = program("""
        def f():
            for i in range(10000):
                print("line", i)
            print("no newline", end="")
            raise KeyError("k")
    """)
    with sandbox(talker, "f") as f, pytest.raises(CandidateError, match="KeyError: 'k'") as caught:
        f()
    assert caught.value.feedback.endswith("line 9999\nno newline")
    assert "line 1\n" not in caught.value.feedback


def test_what_a_hanging_candidate_printed_is_in_the_feedback(fresh: Sandbox) -> None:
    hanging = program("import time\ndef f():\n    print('before')\n    time.sleep(60)\n")
    began = time.monotonic()
    with fresh(hanging, "f") as f, pytest.raises(CandidateError, match=r"longer than 1 s.*\n.*\nbefore"):
        f()
    assert time.monotonic() - began < LIMITS.wall_seconds + 20


def test_the_wall_limit_covers_all_calls_together(whichever: Sandbox) -> None:
    napping = program("import time\ndef nap():\n    time.sleep(0.3)\n")
    with whichever(napping, "nap") as nap:
        for _ in range(3):
            nap()
        with pytest.raises(CandidateError, match="timeout: it ran longer than 1 s"):
            nap()


def test_a_program_that_does_not_load_fails_at_its_first_call_and_ever_after(sandbox: Sandbox) -> None:
    with sandbox(program("1 / 0\n"), "f"):
        pass
    with sandbox(program("1 / 0\n"), "f") as f:
        failures = []
        for _ in range(3):
            with pytest.raises(CandidateError, match="ZeroDivisionError") as caught:
                f()
            failures.append((caught.value.outcome, caught.value.feedback))
    assert len(set(failures)) == 1


def test_a_candidate_that_failed_once_stays_failed(sandbox: Sandbox) -> None:
    with sandbox(program("def f(x):\n    return 1 / x\n"), "f") as f:
        assert f(2) == 0.5
        for x in (0, 2):
            with pytest.raises(CandidateError, match="division by zero"):
                f(x)


def test_a_harness_runs_beside_the_candidate(sandbox: Sandbox) -> None:
    harness = "def wrap(entry):\n    def all_of(xs):\n        return [entry(x) for x in xs]\n    return all_of\n"
    with sandbox(program("def square(x):\n    return x * x\n"), "square", harness=harness) as square:
        assert square([1, 2, 3]) == [1, 4, 9]


@pytest.mark.parametrize(
    ("harness", "said"),
    [("", "defines no function wrap"), ("def wrap(entry): return 1", "not a function"), ("def (", "harness, line 1")],
)
def test_a_harness_that_cannot_wrap_is_reported(sandbox: Sandbox, harness: str, said: str) -> None:
    with sandbox(ECHO, "echo", harness=harness) as echo, pytest.raises(CandidateError, match=said):
        echo(1)


def test_usage_is_what_the_candidate_used(sandbox: Sandbox) -> None:
    greedy = "import time\ndef f():\n    a = b'x' * (200 << 20)\n    while time.process_time() < 0.3: pass\n"
    sandbox.limits = replace(LIMITS, wall_seconds=30.0)
    with sandbox(program(greedy), "f") as f:
        f()
    sandbox.limits = LIMITS
    assert 0.25 < sandbox.usage.cpu_seconds < 1.5
    assert 200 << 20 < sandbox.usage.memory_bytes < 400 << 20
    with sandbox(ECHO, "echo"):
        pass
    assert sandbox.usage.cpu_seconds < 0.2


def test_unseeded_randomness_is_the_same_everywhere(sandbox: Sandbox, fresh: Sandbox) -> None:
    dice = program("import random\ndef roll():\n    return [random.random(), hash('text')]\n")
    rolled = []
    for box in (sandbox, sandbox, fresh):
        with box(dice, "roll") as roll:
            rolled.append(roll())
    assert rolled[0] == rolled[1] == rolled[2]
    assert random.random() != rolled[0][0]


def test_the_calling_thread_is_pinned_for_a_with_and_free_after_it(sandbox: Sandbox) -> None:
    before = os.sched_getaffinity(0)
    with sandbox(program("import os\ndef cores():\n    return list(os.sched_getaffinity(0))\n"), "cores") as cores:
        assert cores() == [sandbox.cpu] if sandbox.cpu is not None else sorted(before)
        assert os.sched_getaffinity(0) == ({sandbox.cpu} if sandbox.cpu is not None else before)
    assert os.sched_getaffinity(0) == before


def test_a_core_belongs_to_one_sandbox_at_a_time() -> None:
    claims = []
    while (claim := claim_core()) is not None:
        claims.append(claim)
    if not claims:
        pytest.skip("other sandboxes of this machine have every core")
    assert len({claim.cpu for claim in claims}) == len(claims) <= len(os.sched_getaffinity(0))
    with closing(Sandbox(LIMITS, isolation="process")) as sandbox, sandbox(ECHO, "echo") as echo:
        assert (echo(1), sandbox.cpu) == (1, None)
    claims[0].release()
    again = claim_core()
    assert again is not None
    assert again.cpu == claims[0].cpu
    for claim in (*claims[1:], again):
        claim.release()


def test_a_sandbox_outlives_the_thread_that_started_it(fresh: Sandbox) -> None:
    answers = []

    def call() -> None:
        with fresh(ECHO, "echo") as echo:
            answers.append(echo("here"))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    time.sleep(0.1)
    call()
    assert answers == ["here", "here"]


def test_a_sandbox_can_be_used_again_after_close(fresh: Sandbox) -> None:
    for _ in range(2):
        with fresh(ECHO, "echo") as echo:
            assert echo(1) == 1
        fresh.close()


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_close_leaves_no_process(fresh: Sandbox) -> None:
    before = set(descendants())
    with fresh(ECHO, "echo") as first, fresh(ECHO, "echo") as second:
        assert (first(1), second(2)) == (1, 2)
    assert set(descendants()) - before
    fresh.close()
    _, left = psutil.wait_procs([process for process in descendants() if process not in before], timeout=5)
    assert not left


def test_the_scratch_folder_is_removed_without_close_too(tmp_path: Path) -> None:
    code = OWNER.replace("    f(1)\n", "").format(path=sys.path, isolation="process")
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.PIPE)
    assert list(tmp_path.iterdir()) == []


def kill_all(processes: set[psutil.Process]) -> None:
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=5)


def test_a_warm_parent_that_dies_is_replaced(fresh: Sandbox) -> None:
    before = set(descendants())
    with fresh(ECHO, "echo") as echo:
        assert echo(1) == 1
    kill_all(set(descendants()) - before)
    with fresh(ECHO, "echo") as echo:
        assert echo(2) == 2
        kill_all(set(descendants()) - before)
        with pytest.raises(CandidateError, match="crash|oom"):
            echo(3)
    with fresh(ECHO, "echo") as echo:
        assert echo(4) == 4


OWNER = """
import sys, time
sys.path[:] = {path!r}
from cluster.sandbox.sandbox import Sandbox
from evo.genomes import Program
from evo.values import Limits
sandbox = Sandbox(Limits(wall_seconds=60), isolation={isolation!r})
with sandbox(Program.single("import time\\ndef f(x):\\n    if x: time.sleep(60)\\n"), "f") as f:
    f(0)
    print("running", flush=True)
    f(1)
"""


def test_a_sandbox_ends_when_its_owner_is_killed(sandbox: Sandbox, tmp_path: Path) -> None:
    code = OWNER.format(path=sys.path, isolation=sandbox.isolation)
    environment = os.environ | {"TMPDIR": str(tmp_path)}  # where what a killed owner cannot remove is not in the way
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"running\n"
        below = psutil.Process(owner.pid).children(recursive=True)
        assert len(below) >= 2
        owner.send_signal(signal.SIGKILL)
    _, left = psutil.wait_procs(below, timeout=5)
    assert not left


def test_the_limit_of_processes_is_the_candidates_own(sandbox: Sandbox) -> None:
    daemon = program("""
        import os, time
        def f():
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    time.sleep(60)
                os._exit(0)
            return os.wait()[1]
    """)
    limits = Limits(wall_seconds=5.0, memory_bytes=1 << 30, processes=4)
    before = set(descendants())
    with closing(Sandbox(limits, isolation=sandbox.isolation)) as several:
        with several(daemon, "f") as f:
            assert f() == 0
            candidates = len(set(descendants()) - before)
        assert len(set(descendants()) - before) == candidates - 2
        with several(ECHO, "echo") as echo:
            assert echo(1) == 1
    with sandbox(daemon, "f") as f, pytest.raises(CandidateError, match="PermissionError"):
        f()


def test_imports_are_loaded_once_and_named_where_they_fail(sandbox: Sandbox) -> None:
    loaded = program("import sys\nbefore = set(sys.modules)\ndef has(name):\n    return name in before\n")
    with (
        closing(Sandbox(LIMITS, ("numpy", "decimal"), isolation=sandbox.isolation)) as wide,
        wide(loaded, "has") as has,
    ):
        assert has("decimal")
    broken = Sandbox(LIMITS, ("numpy", "no_such_module"), isolation=sandbox.isolation)
    with pytest.raises(SandboxError, match="cannot import 'no_such_module'"), broken(ECHO, "echo"):
        pass


def test_a_limit_below_what_python_takes_is_reported(sandbox: Sandbox) -> None:
    small = Sandbox(Limits(memory_bytes=10 << 20), isolation=sandbox.isolation)
    with pytest.raises(SandboxError, match="memory_bytes=10,485,760 is less than"), small(ECHO, "echo"):
        pass


def test_bubblewrap_that_cannot_be_had_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bubblewrap_problem.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match="apt-get install bubblewrap"):
        Sandbox(LIMITS, isolation="bubblewrap")(ECHO, "echo").__enter__()
    assert Sandbox(LIMITS).isolation == "process"
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho no namespaces for you >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    bubblewrap_problem.cache_clear()
    with pytest.raises(SandboxError, match=r"refused here \(no namespaces for you\)"):
        Sandbox(LIMITS, isolation="bubblewrap")(ECHO, "echo").__enter__()
    bubblewrap_problem.cache_clear()


def test_an_unknown_isolation_is_refused() -> None:
    with pytest.raises(SandboxError, match="unknown isolation 'docker'; known: auto, bubblewrap, process"):
        Sandbox(LIMITS, isolation="docker")  # type: ignore[arg-type]


def test_installed_packages_are_seen_but_hidden_ones_and_our_own_are_not(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    need_file_rules(sandbox)
    installed = tmp_path / "lib" / "site-packages"
    for name in ("seen", "keys", "evo"):
        (installed / name).mkdir(parents=True)
        (installed / name / "__init__.py").write_text(f"text = 'of {name}'\n")
    (installed / "answers.txt").write_text("42")
    (tmp_path / "secret.txt").write_text("42")
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setattr("cluster.sandbox.sandbox.our_folders", lambda: (str(installed / "evo"),))
    reader = program("import seen\ndef read(path):\n    return open(path).read()\n")
    hidden = (str(installed / "keys"), str(installed / "answers.txt"))
    with closing(Sandbox(LIMITS, ("numpy", "seen"), isolation=sandbox.isolation, hidden=hidden)) as careful:
        with careful(reader, "read") as read:
            assert read(str(installed / "seen" / "__init__.py")) == "text = 'of seen'\n"
        for path in ("keys/__init__.py", "evo/__init__.py", "../../secret.txt"):
            with careful(reader, "read") as read, pytest.raises(CandidateError, match="No such file|Permission denied"):
                read(str(installed / path))
        with careful(reader, "read") as read, suppress(CandidateError):
            assert read(str(installed / "answers.txt")) == ""


def test_packages_installed_below_tmp_leave_no_way_to_the_next_candidate(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    need_file_rules(sandbox)
    installed = tmp_path / "site-packages"
    installed.mkdir()
    monkeypatch.syspath_prepend(str(installed))
    writer = program("""
        import os
        def leave(folder):
            while folder != "/":
                try:
                    open(folder + "/left", "w")
                    return folder
                except OSError:
                    folder = os.path.dirname(folder)
            return None
    """)
    with closing(Sandbox(LIMITS, isolation=sandbox.isolation)) as careful, careful(writer, "leave") as leave:
        assert leave(str(installed)) is None


def test_the_empty_folder_in_place_of_a_hidden_one_cannot_be_written(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    need_file_rules(sandbox)
    hidden = tmp_path / "lib" / "site-packages" / "keys"
    hidden.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(hidden.parent))
    writer = program("def leave(path):\n    open(path, 'w').write('for the next')\n")
    with (
        closing(Sandbox(LIMITS, isolation=sandbox.isolation, hidden=(str(hidden),))) as careful,
        careful(writer, "leave") as leave,
        pytest.raises(CandidateError, match="Read-only|Permission denied"),
    ):
        leave(str(hidden / "left"))


def need_file_rules(sandbox: Sandbox) -> None:
    if sandbox.isolation == "process" and not landlock_version():
        pytest.skip("this kernel has no Landlock")


class Halving(Problem):
    """Uses the sandbox for programs only, twice; an odd seed makes the scorer itself fail."""

    objectives = (Objective("half", "min"),)

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [ECHO]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        if isinstance(genome, Vector):
            return Score({"half": genome.values[0] / 2})
        assert isinstance(genome, Program)
        for _ in range(2):
            with run(genome, "echo") as echo:
                half = echo(4) / 2
        return Score({"half": half})


def test_an_evaluation_records_what_it_used_where_and_its_isolation(sandbox: Sandbox) -> None:
    evaluation = evaluate(Halving(), (ECHO, None), "train", sandbox)
    once = sandbox.usage
    assert (evaluation.outcome, evaluation.objectives) == ("ok", {"half": 2.0})
    assert evaluation.isolation == sandbox.isolation
    assert evaluation.cpu_seconds > once.cpu_seconds > 0
    assert evaluation.memory_bytes >= once.memory_bytes > 0
    assert evaluation.worker == f"{evaluation.node}:{os.getpid()}"
    assert 0 < evaluation.seconds < 2
    assert abs(evaluation.started - time.time()) < 5


def test_an_evaluation_without_a_candidates_code_has_no_isolation(fresh: Sandbox) -> None:
    evaluation = evaluate(Halving(), (Vector((3.0,)), None), "train", fresh)
    assert (evaluation.outcome, evaluation.objectives) == ("ok", {"half": 1.5})
    assert (evaluation.isolation, evaluation.cpu_seconds, evaluation.memory_bytes) == ("none", 0.0, 0)


class Consulting(Problem):
    """Asks a model between two calls of a candidate."""

    objectives = (Objective("length", "max"),)

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [ECHO]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        assert isinstance(genome, Program)
        with run(genome, "echo") as echo:
            [answer] = run.ask([Request("task", (Message("user", echo("question")),))])
            return Score({"length": len(echo(answer.text))})


def test_waiting_for_a_model_is_not_the_candidates_time(whichever: Sandbox) -> None:
    def ask(requests: Sequence[Request]) -> list[Completion]:
        time.sleep(1.5 * LIMITS.wall_seconds)
        return [completed(request, request.messages[0].text) for request in requests]

    evaluation = evaluate(Consulting(), (ECHO, None), "train", whichever, ask=ask)
    assert (evaluation.outcome, evaluation.objectives) == ("ok", {"length": 8})
    assert evaluation.seconds > 1.5 * LIMITS.wall_seconds


def test_a_candidate_that_hangs_after_a_model_was_asked_has_its_own_time_only(whichever: Sandbox) -> None:
    def ask(requests: Sequence[Request]) -> list[Completion]:
        time.sleep(0.5 * LIMITS.wall_seconds)
        return [completed(request, "answer") for request in requests]

    hangs = program("def echo(x):\n    while x == 'answer': pass\n    return x\n")
    evaluation = evaluate(Consulting(), (hangs, None), "train", whichever, ask=ask)
    assert evaluation.outcome == "timeout"
    assert 1.5 * LIMITS.wall_seconds <= evaluation.seconds < LIMITS.wall_seconds + 20


def test_a_cancelled_evaluation_leaves_no_candidate(fresh: Sandbox) -> None:
    def ask(requests: Sequence[Request]) -> list[Completion]:
        raise asyncio.CancelledError("not wanted")

    with fresh(ECHO, "echo") as echo:
        assert echo(1) == 1
    before = set(descendants())
    with pytest.raises(asyncio.CancelledError, match="not wanted"):
        evaluate(Consulting(), (ECHO, None), "train", fresh, ask=ask)
    assert set(descendants()) == before


def test_a_scorer_that_fails_is_invalid_and_a_broken_sandbox_is_raised(fresh: Sandbox) -> None:
    talker = program("def echo(x):\n    return 'text'\n")
    evaluation = evaluate(Halving(), (talker, None), "train", fresh)
    assert evaluation.outcome == "invalid"
    assert re.match(r"the scorer failed at test_sandbox.py, line \d+: TypeError: unsupported op", evaluation.feedback)
    with pytest.raises(SandboxError, match="no_such_module"):
        evaluate(Halving(), (ECHO, None), "train", Sandbox(LIMITS, ("no_such_module",), isolation=fresh.isolation))
