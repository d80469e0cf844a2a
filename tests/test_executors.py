"""All executors obey one contract, and give the same search."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster.local import LocalExecutor
from cluster.ray_tasks import RayExecutor
from evo.protocols import Job
from evo.testing.executor import InProcessExecutor
from tests.conftest import Evo
from tests.contracts.executor_contract import ExecutorContract, MakeExecutor
from tests.test_driver import events, history, sorted_history, wait_for_tells

SMALL = ("--set", "budget.evaluations=40", "--set", "search.population=8", "--set", "seed=3")


@pytest.fixture(scope="session")
def ray_here() -> Iterator[None]:
    """One Ray for the whole test session; executors that find it use it and leave it."""
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=128 << 20)
    yield
    ray.shutdown()


class TestInProcess(ExecutorContract):
    runs_programs_apart = False

    @pytest.fixture
    def make(self) -> MakeExecutor:
        return InProcessExecutor


class TestLocal(ExecutorContract):
    @pytest.fixture
    def make(self) -> MakeExecutor:
        return LocalExecutor

    def test_closing_leaves_no_process(self, make: MakeExecutor) -> None:
        before = {one.pid for one in psutil.Process().children(recursive=True)}
        self.test_many_at_once_each_get_their_own_answer(make)
        assert {one.pid for one in psutil.Process().children(recursive=True)} == before


@pytest.mark.usefixtures("ray_here")
class TestRay(ExecutorContract):
    @pytest.fixture
    def make(self) -> MakeExecutor:
        return RayExecutor

    def test_short_evaluations_travel_together(self, make: MakeExecutor) -> None:
        executor = RayExecutor(Job("evo.testing.toys:Nothing", {}, workers=2))
        alone = executor.capacity
        executor._seconds = 0.001
        assert executor.capacity > 4 * alone
        executor._seconds = 2.0
        assert executor.capacity == alone


def test_an_interruption_from_the_terminal_reaches_the_driver_alone(tmp_path: Path) -> None:
    options = ["--set", "budget.evaluations=100000", "--name", "run", "--run-dir", str(tmp_path)]
    command = [sys.executable, "-m", "evo", "run", "evo.testing.toys:Nothing", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    wait_for_tells(tmp_path / "run", 50)
    # As a terminal does: to Ray's processes and the sandboxes as well.
    os.killpg(process.pid, signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130, complaint
    assert b"interrupted; what was under way is recorded" in complaint
    outcomes = {event["evaluation"]["outcome"] for event in events(tmp_path / "run") if event["event"] == "tell"}
    assert outcomes == {"ok"}
    assert events(tmp_path / "run")[-1]["event"] == "stop"


def test_a_cluster_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "evo", "run", "k_module", "--address", "127.0.0.1:1", "--run-dir", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 2
    assert "cannot reach a Ray cluster at 127.0.0.1:1" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize(
    "order", [("--set", "executor.workers=1"), ("--set", "search.order=ask")], ids=["width 1", "order ask"]
)
@pytest.mark.parametrize("problem", ["symbolic_regression", "sphere"])
def test_local_and_distributed_give_the_same_population(
    evo: Evo, tmp_path: Path, problem: str, order: tuple[str, str]
) -> None:
    for executor in ("local", "ray"):
        answer = evo("run", problem, *SMALL, *order, "--set", f"executor={executor}", "--name", executor)
        assert answer.code == 0, answer.err
    same = sorted_history if "order" in order[1] else history
    assert same(tmp_path / "runs/local") == same(tmp_path / "runs/ray")
