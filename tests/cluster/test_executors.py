"""All executors obey one contract, and give the same search."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import ray

from cluster.keys import keys_out_of_sight
from cluster.local import LocalExecutor
from cluster.ray_cluster import connect
from cluster.ray_tasks import RayExecutor
from evo.errors import CandidateError, EvoError, SandboxError
from evo.genomes import Program, Vector
from evo.protocols import Executor, Job
from evo.testing.contracts.executor_contract import (
    ECHO,
    ExecutorContract,
    MakeExecutor,
    Parrot,
    SandboxedExecutorContract,
    answering,
    saying,
    until,
    using,
)
from evo.testing.executor import InProcessExecutor
from operators.refusal import RefusalError
from tests.conftest import Evo
from tests.support.runs import events, history, sorted_history, wait_for_tells

SMALL = ("--set", "budget.evaluations=40", "--set", "search.population=8", "--set", "seed=3")


KEYS = {"OPENAI_API_KEY": "sk-no-worker-may-see", "team_Token": "tk-no-worker-may-see"}


@pytest.fixture(scope="session")
def ray_folder() -> Iterator[Path]:
    """Where Ray keeps its logs while the tests last: short, since its sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="evo-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def ray_here(ray_folder: Path) -> Iterator[None]:
    """One Ray for the whole test session, started where keys are about; executors that find it use it and leave it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", str(ray_folder))
        for name, key in KEYS.items():
            patch.setenv(name, key)
        assert connect(Job(ECHO, {}, workers=2), cpus=1.0)
        assert {name: os.environ.get(name) for name in KEYS} == KEYS
        yield
    ray.shutdown()


class TestInProcess(ExecutorContract):
    @pytest.fixture
    def make(self) -> MakeExecutor:
        return InProcessExecutor


class TestLocal(SandboxedExecutorContract):
    @pytest.fixture
    def make(self) -> MakeExecutor:
        return LocalExecutor

    def test_closing_leaves_no_process(self, make: MakeExecutor) -> None:
        before = {one.pid for one in psutil.Process().children(recursive=True)}
        self.test_many_at_once_each_get_their_own_answer(make)
        assert {one.pid for one in psutil.Process().children(recursive=True)} == before

    def test_more_go_side_by_side_than_there_are_cores_where_they_wait_for_a_model(self, make: MakeExecutor) -> None:
        cores = len(os.sched_getaffinity(0))
        assert make(Job(ECHO, {})).capacity == max(cores, min(64, 10 * cores))
        assert make(Job(ECHO, {}, workers=5)).capacity == 5


@pytest.mark.usefixtures("ray_here")
class TestRay(SandboxedExecutorContract):
    @pytest.fixture
    def make(self) -> MakeExecutor:
        return RayExecutor

    def test_short_evaluations_travel_together(self, make: MakeExecutor) -> None:
        executor = RayExecutor(Job("evo.testing.toys:Nothing", {}, workers=2))
        alone = executor.capacity
        [lane] = executor._elastic.queues.values()
        lane.seconds = 0.001
        assert executor.capacity > 4 * alone
        lane.seconds = 2.0
        assert executor.capacity == alone

    def test_those_that_ask_travel_alone_and_more_go_side_by_side_than_there_are_cores(self) -> None:
        executor = RayExecutor(Job(ECHO, {}))
        [lane] = executor._elastic.queues.values()
        lane.seconds = 0.001
        assert (lane.places, lane.batch) == (20, 1)
        assert 20 <= executor.capacity <= 23  # a few more, for an autoscaler to see

    def test_a_mailbox_that_dies_fails_what_waits_and_the_next_has_another(self) -> None:
        hung = Parrot("hung", seconds=600.0)
        executor = RayExecutor(Job(ECHO, {}, workers=2))

        async def work(_: Executor) -> str:
            waiting = [asyncio.create_task(executor.evaluate(saying(f"hello {n}"), model=hung)) for n in range(3)]
            await until(lambda: hung.asked >= 10)
            assert executor._post is not None
            ray.kill(executor._post.mailbox)
            for one in waiting:
                with pytest.raises(SandboxError, match="the mailbox .* has died"):
                    await one
            return (await executor.evaluate(saying("hello"), model=Parrot("polly"))).outcome

        assert using(executor, work) == "ok"
        assert hung.given_up == hung.asked

    def test_a_worker_that_dies_while_it_waits_is_replaced_and_asks_again(self) -> None:
        slow = Parrot("slow", seconds=1.0)

        async def work(executor: Executor) -> str:
            waiting = asyncio.create_task(executor.evaluate(saying("hello"), model=slow))
            await until(lambda: slow.asked == 5)
            [worker] = [one for one in psutil.Process().children(recursive=True) if "ray::evo" in one.cmdline()]
            worker.kill()
            return (await waiting).outcome

        assert using(RayExecutor(Job(ECHO, {}, workers=1)), work) == "ok"
        assert slow.asked == 10

    def test_a_large_genome_lies_in_the_object_store_once_while_it_is_evaluated(self) -> None:
        executor = RayExecutor(Job("evo.testing.toys:Nothing", {}, workers=2))
        large = Program.single(f"def answer():\n    return len({'x' * 200_000!r})\n")

        async def work(_: Executor) -> list[float]:
            asked = [asyncio.create_task(executor.evaluate(one)) for one in (large, large, answering("8"))]
            await asyncio.sleep(0)
            assert list(executor._stored) == [large.digest]
            return [one.objectives["answer"] for one in await asyncio.gather(*asked)]

        assert using(executor, work) == [200_000, 200_000, 8]
        gc.collect()
        assert not executor._stored

    @pytest.mark.slow
    def test_who_kills_its_worker_is_lost_after_all_tries_and_takes_nobody_along(self, tmp_path: Path) -> None:
        executor = RayExecutor(Job("tests.support.elastic_problems:Deadly", {"folder": str(tmp_path)}, workers=1))
        [lane] = executor._elastic.queues.values()
        lane.seconds = 0.001

        async def work(_: Executor) -> list[str]:
            values = (0.1, 0.2, 1.4, 0.3, 0.4)
            found = await asyncio.gather(*(executor.evaluate(Vector((one, 0.0, 0.0))) for one in values))
            assert "its worker died 4 times" in found[2].feedback
            return [one.outcome for one in found]

        assert using(executor, work) == ["ok", "ok", "lost", "ok", "ok"]
        tries = len(list(tmp_path.iterdir()))
        assert tries in (4, 8)  # as many again where it travelled with others first

    def test_no_process_of_the_cluster_holds_a_key(self) -> None:
        self.test_each_evaluation_asks_its_own_model(RayExecutor)
        seen = list(environments_below())
        assert sum(b"RAY_" in one for one in seen) >= 3  # the raylet and a worker or two at the least
        assert sum(b"no-worker-may-see" in one for one in seen) == 0


def environments_below() -> Iterator[bytes]:
    """What each process that descends from this one was started with."""
    for process in psutil.Process().children(recursive=True):
        with suppress(FileNotFoundError, ProcessLookupError):
            yield Path(f"/proc/{process.pid}/environ").read_bytes()


def kinds_of(kind: type[EvoError]) -> Iterator[type[EvoError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from kinds_of(below)


@pytest.mark.parametrize(
    "kind", sorted({*(one for one in kinds_of(EvoError) if one.__module__.startswith("evo.")), RefusalError}, key=str)
)
def test_every_error_of_ours_travels_between_processes(kind: type[EvoError]) -> None:
    error = kind("invalid", "a reason") if kind in (CandidateError, RefusalError) else kind("a reason")
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(back), str(back), vars(back)) == (kind, str(error), vars(error))


def test_what_looks_like_a_key_is_out_of_sight_and_back_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "OPENAI_API_KEY",
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "db_password",
        "KEYBOARD",
        "RAY_AUTH_TOKEN",
        "MY_PASS",
    ):
        monkeypatch.setenv(name, "text")
    before = dict(os.environ)
    with keys_out_of_sight(["MY_PASS", "NOT_SET"]):
        gone = set(before) - set(os.environ)
        assert {"MY_PASS", "OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "db_password"} <= gone
        assert not {"KEYBOARD", "RAY_AUTH_TOKEN", "PATH"} & gone
    assert dict(os.environ) == before


def test_an_interruption_from_the_terminal_reaches_the_driver_alone(tmp_path: Path, ray_folder: Path) -> None:
    options = ["--set", "budget.evaluations=100000", "--name", "run", "--run-dir", str(tmp_path)]
    command = [sys.executable, "-m", "evo", "run", "evo.testing.toys:Nothing", *options]
    process = subprocess.Popen(
        command,
        env=os.environ | {"RAY_TMPDIR": str(ray_folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
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
    "order", [("--set", "executor.workers=1"), ("--set", "search.deterministic=true")], ids=["width 1", "order ask"]
)
@pytest.mark.parametrize("problem", ["symbolic_regression", "sphere"])
def test_local_and_distributed_give_the_same_population(
    evo: Evo, tmp_path: Path, problem: str, order: tuple[str, str]
) -> None:
    for executor in ("local", "ray"):
        answer = evo("run", problem, *SMALL, *order, "--set", f"executor={executor}", "--name", executor)
        assert answer.code == 0, answer.err
    same = sorted_history if "deterministic" in order[1] else history
    assert same(tmp_path / "runs/local") == same(tmp_path / "runs/ray")
