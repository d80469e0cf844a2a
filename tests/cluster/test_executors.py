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
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import ray

from cluster import auto
from cluster.auto import AutoExecutor
from cluster.keys import keys_out_of_sight
from cluster.local import LocalExecutor
from cluster.ray_cluster import SOCKET, SOCKET_BYTES, connect, folder_for_sockets
from cluster.ray_tasks import RayExecutor
from evo.errors import CandidateError, EvoError, SandboxError
from evo.genomes import Program, Vector
from evo.protocols import Executor, Job
from evo.resources import Resources
from evo.testing.contracts.executor_contract import (
    ECHO,
    NOTHING,
    VALLEY,
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
from evo.values import Evaluation
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
    """One Ray for the whole test session, started with keys in the environment; executors leave it running."""
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
        before = {process.pid for process in psutil.Process().children(recursive=True)}
        self.test_many_at_once_each_get_their_own_answer(make)
        assert {process.pid for process in psutil.Process().children(recursive=True)} == before

    def test_evaluations_that_wait_for_a_model_outnumber_the_cores(self, make: MakeExecutor) -> None:
        cores = len(os.sched_getaffinity(0))
        assert make(Job(ECHO, {})).capacity == max(cores, min(64, 10 * cores))
        assert make(Job(ECHO, {}, workers=5)).capacity == 5


class TestAuto(ExecutorContract):
    @pytest.fixture
    def make(self) -> MakeExecutor:
        return AutoExecutor

    def test_a_short_run_on_one_machine_starts_no_ray(self) -> None:
        executor = AutoExecutor(Job(NOTHING, {}, workers=2))
        assert using(executor, lambda executor: executor.evaluate(answering("2"))).outcome == "ok"
        assert (executor._ray, executor._starting) == (None, None)

    @pytest.mark.usefixtures("ray_here")
    def test_where_an_evaluation_takes_more_than_cores_or_there_is_an_address_ray_evaluates(self) -> None:
        address = ray.get_runtime_context().gcs_address
        for job in (Job(ECHO, {}, address=address), Job(ECHO, {}, resources=Resources(memory_bytes=1 << 20))):
            found = using(AutoExecutor(job), lambda executor: executor.evaluate(saying("hello"), model=Parrot("polly")))
            assert (found.outcome, "/" in found.node) == ("ok", True)

    @pytest.mark.usefixtures("ray_here")
    @pytest.mark.parametrize("device", [False, True], ids=["scoring is long", "a stage takes memory"])
    def test_evaluations_go_to_ray_once_it_is_up_and_give_the_same(
        self, monkeypatch: pytest.MonkeyPatch, device: bool
    ) -> None:
        monkeypatch.setattr(auto, "PAYS_SECONDS", 1e9 if device else 1e-6)
        monkeypatch.setattr(auto, "LONG_SECONDS", 0.0)
        monkeypatch.setattr(auto, "ONE_INTERPRETER", (0.0, 1e9))
        executor, noticed = AutoExecutor(Job(VALLEY, {}, workers=2)), list[str]()
        executor.on_event = lambda event: noticed.append(event.kind)
        local, vector = executor.capacity, Vector((0.1, 0.2, 0.3))

        async def work(_: Executor) -> list[Evaluation]:
            first = [await executor.evaluate(vector) for _ in range(2)]
            if device:
                first.append(await executor.evaluate(vector, resources=Resources(memory_bytes=1 << 20)))
            await until(lambda: noticed != [])
            assert executor.capacity >= 2
            return [*first, await executor.evaluate(vector)]

        found = using(executor, work)
        assert local == 4
        assert noticed[0] == ""
        assert len({(evaluation.outcome, evaluation.objectives["near"]) for evaluation in found}) == 1
        assert ["/" in evaluation.node for evaluation in found] == [False, False, *([True] if device else []), True]


@pytest.mark.usefixtures("ray_here")
class TestRay(SandboxedExecutorContract):
    @pytest.fixture
    def make(self) -> MakeExecutor:
        return RayExecutor

    def test_short_evaluations_share_a_task(self, make: MakeExecutor) -> None:
        executor = RayExecutor(Job("evo.testing.toys:Nothing", {}, workers=2))
        alone = executor.capacity
        [queue] = executor._elastic.queues.values()
        queue.seconds = 0.001
        assert executor.capacity > 4 * alone
        queue.seconds = 2.0
        assert executor.capacity == alone

    def test_evaluations_that_ask_are_sent_alone_and_outnumber_the_cores(self) -> None:
        executor = RayExecutor(Job(ECHO, {}))
        [queue] = executor._elastic.queues.values()
        queue.seconds = 0.001
        assert (queue.places, queue.batch) == (20, 1)
        assert 20 <= executor.capacity <= 23  # a few more, for an autoscaler to see

    def test_evaluations_that_mostly_wait_share_processes_no_more_than_they_fill(self) -> None:
        job = Job("tests.support.elastic_problems:Napping", {"seconds": 0.3}, workers=8, resources=Resources(cpus=0.2))
        executor = RayExecutor(job)

        async def work(_: Executor) -> list[set[str]]:
            vectors = [Vector((number / 10, 0.0, 0.0)) for number in range(8)]
            found = [[await executor.evaluate(vectors[0]), await executor.evaluate(vectors[1])]]
            found.append(await asyncio.gather(*(executor.evaluate(vector) for vector in vectors)))
            began = time.monotonic()
            found.append(await asyncio.gather(*(executor.evaluate(vector) for vector in vectors)))
            assert time.monotonic() - began < 8 * 0.3  # side by side
            return [{evaluation.worker for evaluation in some} for some in found]

        alone, *several = using(executor, work)
        assert len(alone) == 1
        assert all(len(some) <= 2 for some in several)

    def test_a_mailbox_that_dies_fails_what_waits_and_the_next_has_another(self) -> None:
        hung = Parrot("hung", seconds=600.0)
        executor = RayExecutor(Job(ECHO, {}, workers=2))

        async def work(_: Executor) -> str:
            waiting = [asyncio.create_task(executor.evaluate(saying(f"hello {n}"), model=hung)) for n in range(3)]
            await until(lambda: hung.asked >= 10)
            assert executor._mailbox is not None
            ray.kill(executor._mailbox.mailbox)
            for asked in waiting:
                with pytest.raises(SandboxError, match="the mailbox .* has died"):
                    await asked
            return (await executor.evaluate(saying("hello"), model=Parrot("polly"))).outcome

        assert using(executor, work) == "ok"
        assert hung.given_up == hung.asked

    def test_a_worker_that_dies_while_it_waits_is_replaced_and_asks_again(self) -> None:
        slow = Parrot("slow", seconds=2.0)

        async def work(executor: Executor) -> str:
            waiting = asyncio.create_task(executor.evaluate(saying("hello"), model=slow))
            await until(lambda: slow.asked == 5)
            await until(lambda: len(worker_processes()) == 1)  # those of other executors have ended
            worker_processes()[0].kill()
            return (await waiting).outcome

        assert using(RayExecutor(Job(ECHO, {}, workers=1)), work) == "ok"
        assert slow.asked == 10

    def test_a_large_genome_lies_in_the_object_store_once_while_it_is_evaluated(self) -> None:
        executor = RayExecutor(Job("evo.testing.toys:Nothing", {}, workers=2))
        large = Program.single(f"def answer():\n    return len({'x' * 200_000!r})\n")

        async def work(_: Executor) -> list[float]:
            asked = [asyncio.create_task(executor.evaluate(program)) for program in (large, large, answering("8"))]
            await asyncio.sleep(0)
            assert list(executor._stored) == [large.digest]
            return [evaluation.objectives["answer"] for evaluation in await asyncio.gather(*asked)]

        assert using(executor, work) == [200_000, 200_000, 8]
        gc.collect()
        assert not executor._stored

    @pytest.mark.slow
    def test_a_candidate_that_kills_its_worker_is_lost_after_all_tries_and_the_others_are_evaluated(
        self, tmp_path: Path
    ) -> None:
        executor = RayExecutor(Job("tests.support.elastic_problems:Deadly", {"folder": str(tmp_path)}, workers=1))
        [queue] = executor._elastic.queues.values()
        queue.seconds = 0.001

        async def work(_: Executor) -> list[str]:
            values = (0.1, 0.2, 1.4, 0.3, 0.4)
            found = await asyncio.gather(*(executor.evaluate(Vector((value, 0.0, 0.0))) for value in values))
            assert "its worker died 4 times" in found[2].feedback
            return [evaluation.outcome for evaluation in found]

        assert using(executor, work) == ["ok", "ok", "lost", "ok", "ok"]
        tries = len(list(tmp_path.iterdir()))
        assert tries in (4, 8)  # as many again where it shared a task at first

    def test_no_process_of_the_cluster_holds_a_key(self) -> None:
        self.test_each_evaluation_asks_its_own_model(RayExecutor)
        seen = list(environments_below())
        assert sum(b"RAY_" in environment for environment in seen) >= 3  # the raylet and a worker or two at the least
        assert sum(b"no-worker-may-see" in environment for environment in seen) == 0


def worker_processes() -> list[psutil.Process]:
    """Processes of Ray that evaluate."""
    below = psutil.Process().children(recursive=True)
    return [process for process in below if "".join(process.cmdline()[:1]).startswith("ray::evo")]


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
    "kind",
    sorted({*(kind for kind in kinds_of(EvoError) if kind.__module__.startswith("evo.")), RefusalError}, key=str),
)
def test_every_error_of_ours_travels_between_processes(kind: type[EvoError]) -> None:
    error = kind("invalid", "a reason") if kind in (CandidateError, RefusalError) else kind("a reason")
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(back), str(back), vars(back)) == (kind, str(error), vars(error))


def test_a_folder_too_long_for_rays_sockets_gives_way_to_a_short_one() -> None:
    longest = "/" + "x" * (SOCKET_BYTES - len(SOCKET) - 1)
    assert folder_for_sockets(None) is None
    assert folder_for_sockets("/tmp") is None
    assert folder_for_sockets(longest) is None
    assert folder_for_sockets(longest + "x") == "/tmp/ray"
    assert folder_for_sockets("/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T") == "/tmp/ray"


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
    options = ["--set", "executor=ray", "--set", "budget.evaluations=100000", "--name", "run"]
    command = [sys.executable, "-m", "evo", "run", NOTHING, *options, "--run-dir", str(tmp_path)]
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
    ("problem", "setting"),
    [("sphere", "executor.workers=1"), ("symbolic_regression", "search.deterministic=true")],
    ids=["at width 1", "deterministic"],
)
def test_local_and_distributed_give_the_same_population(evo: Evo, tmp_path: Path, problem: str, setting: str) -> None:
    for executor in ("local", "ray"):
        answer = evo("run", problem, *SMALL, "--set", setting, "--set", f"executor={executor}", "--name", executor)
        assert answer.code == 0, answer.err
    same = sorted_history if "deterministic" in setting else history
    assert same(tmp_path / "runs/local") == same(tmp_path / "runs/ray")
