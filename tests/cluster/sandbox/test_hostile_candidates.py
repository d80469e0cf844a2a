"""Each hostile candidate gets the outcome it deserves, and a good candidate after it, in the same sandbox, a score."""

from __future__ import annotations

import os
import platform
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from cluster.evaluation import evaluate
from cluster.sandbox import seccomp
from cluster.sandbox.confine import landlock_version
from cluster.sandbox.launch import Isolation, bubblewrap_problem
from cluster.sandbox.sandbox import Sandbox
from evo.errors import CandidateError
from evo.genomes import Genome, Program
from evo.protocols import Problem, Runner
from evo.values import Evaluation, Limits, Objective, Part, Score
from tests.support.hostile import CORPUS, Hostile

KEY = "sk-a-key-that-no-candidate-may-see"
SECRET = "the answer is 42, and no candidate may see it"
LIMITS = Limits(wall_seconds=0.5, memory_bytes=1 << 30, output_bytes=1 << 20, reply_bytes=32 << 20)
# For those that are to end by themselves, since how long that takes depends on what else the machine does.
PATIENT = replace(LIMITS, wall_seconds=5.0)
GOOD = "def double(x):\n    return x * 2\n"


class Doubling(Problem):
    """How far a candidate's `double` is from doubling; the sum of absolute errors of two calls."""

    objectives = (Objective("error", "min"),)
    limits = LIMITS

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [Program.single(GOOD)]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        assert isinstance(genome, Program)
        error = 0.0
        with run(genome, "double") as double:
            for x in (np.arange(5.0), np.linspace(-1.0, 1.0, 7)):
                answer = double(x)
                if not isinstance(answer, np.ndarray) or answer.shape != x.shape:
                    raise CandidateError("invalid", f"expected an array of shape {x.shape}, got {str(answer)[:80]}")
                error += float(np.abs(answer - 2 * x).sum())
        return Score({"error": error})


@dataclass
class Arena:
    """A sandbox, and what its candidates are after."""

    isolation: Isolation
    folder: Path
    listener: socket.socket
    sandbox: Sandbox = field(init=False)
    patient: Sandbox = field(init=False)
    others: set[psutil.Process] = field(default_factory=lambda: set(psutil.Process().children()))

    def __post_init__(self) -> None:
        self.sandbox = Sandbox(LIMITS, isolation=self.isolation)
        self.patient = Sandbox(PATIENT, isolation=self.isolation)
        (self.folder / "secret").write_text(SECRET)

    def filled_in(self, source: str) -> str:
        column = seccomp.MACHINES.get(platform.machine(), 0)
        calls = [(name, numbers[column]) for name, numbers in seccomp.DENIED.items() if numbers[column] is not None]
        words = {
            "@SECRET_FILE@": str(self.folder / "secret"),
            "@SCORER_FILE@": __file__,
            "@FOLDER@": str(self.folder),
            "@PORT@": str(self.listener.getsockname()[1]),
            "@CALLS@": str(calls),
        }
        for word, meaning in words.items():
            source = source.replace(word, meaning)
        return source

    def evaluate(self, source: str, *, patiently: bool = False) -> Evaluation:
        sandbox = self.patient if patiently else self.sandbox
        return evaluate(Doubling(), (Program.single(self.filled_in(source)), None), "train", sandbox)


@pytest.fixture(scope="module", params=["bubblewrap", "process"])
def arena(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    if request.param == "bubblewrap" and (problem := bubblewrap_problem()):
        pytest.skip(problem)
    os.environ["OPENAI_API_KEY"] = KEY
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        arena = Arena(request.param, tmp_path_factory.mktemp("arena"), listener)
        with closing(arena.sandbox), closing(arena.patient):
            yield arena
    del os.environ["OPENAI_API_KEY"]


@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile.name)
def test_a_hostile_candidate_harms_only_itself(arena: Arena, hostile: Hostile) -> None:
    if arena.isolation == "process" and (hostile.needs == "namespaces" or (hostile.needs and not landlock_version())):
        pytest.skip(f"needs {hostile.needs}")
    patiently = "timeout" not in hostile.outcomes
    began = time.monotonic()
    evaluation = arena.evaluate(hostile.source, patiently=patiently)
    seconds = time.monotonic() - began
    assert evaluation.outcome in hostile.outcomes, evaluation.feedback
    assert seconds < LIMITS.wall_seconds + 20
    assert_nothing_leaked(arena, evaluation)
    good = arena.evaluate(GOOD, patiently=patiently)
    assert (good.outcome, dict(good.objectives)) == ("ok", {"error": 0.0}), good.feedback


def assert_nothing_leaked(arena: Arena, evaluation: Evaluation) -> None:
    feedback = evaluation.feedback
    assert KEY not in feedback
    assert SECRET not in feedback
    assert "class Doubling" not in feedback
    assert "root:" not in feedback
    assert "I have won" not in feedback, feedback
    assert "\x1b" not in feedback
    assert len(feedback.encode()) <= 8192
    assert not (arena.folder / "hostile").exists()
    assert stat.S_IMODE(os.stat("/dev/null").st_mode) == 0o666
    with pytest.raises(BlockingIOError, match="unavailable"):
        arena.listener.accept()


def family(top: psutil.Process) -> list[psutil.Process]:
    """A process and all below it."""
    return [top, *top.children(recursive=True)]


def test_after_all_of_them_no_process_is_left_but_the_warm_parent(arena: Arena) -> None:
    arena.patient.close()
    arena.evaluate("import time\ndef double(x):\n    time.sleep(60)\n")
    arena.evaluate(GOOD)
    started_here = [process for top in set(psutil.Process().children()) - arena.others for process in family(top)]
    # bubblewrap itself and the warm parent in it, or the warm parent alone.
    assert len(started_here) <= (2 if arena.isolation == "bubblewrap" else 1), started_here
    arena.sandbox.close()
    with suppress(psutil.NoSuchProcess):
        psutil.wait_procs(started_here, timeout=5)
    assert not [process for process in started_here if process.is_running()]
