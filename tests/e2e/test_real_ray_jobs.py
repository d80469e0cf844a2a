"""Runs submitted to a real Ray head on loopback, from an environment that knows nothing of the checkout."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from evo.journal.log import read_events
from tests.evo.lineage.test_lineage import contents
from tests.support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SITE = Path(pytest.__file__).parents[1]
KEY = f"sk-for-the-gateway-alone-{secrets.token_hex(8)}"
PROBLEM = '''
from pathlib import Path
import evo
from evo.genomes import Program
from evo.protocols import Problem
from evo.values import Objective, Score

TARGETS = [float(word) for word in (Path("data") / "targets.txt").read_text().split()]


class Ridge(Problem):
    """Find a function whose value at 1, 2, 3 is near 2, 4, 8."""

    objectives = (Objective("error", "min"), Objective("size", "min", "nodes"))

    def seeds(self, count, rng):
        return [Program.single("def f(x):\\n    return x\\n")]

    def evaluate(self, genome, run, part):
        with run(genome, "f") as f:
            error = sum(abs(float(f(x)) - target) for x, target in zip((1, 2, 3), TARGETS))
        return Score({"error": error, "size": genome.size}, feedback=f"{__file__} {evo.__file__}")
'''
LAB = """
problem: evo.testing.toys:Nothing
model: {name: constant, endpoints: {lab: {base_url: "http://127.0.0.1:%d/v1", key_variable: LAB_KEY, price: free}}}
search: {operators: {model_rewrite: 1}}
budget: {evaluations: 5000}
"""


@dataclass
class Head:
    """A Ray head, and a laptop's environment from which it is reached."""

    address: str
    home: Path
    temp: Path
    evo: list[str]
    place: Path
    environment: dict[str, str]

    def run(self, *words: object, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        answer = subprocess.run(**self._call(words, environment), capture_output=True, timeout=240, check=False)
        assert answer.returncode == code, answer
        assert "Traceback" not in answer.stderr, answer
        return answer

    def begin(self, *words: object, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            **self._call(words, environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )

    def _call(self, words: tuple[object, ...], environment: dict[str, str]) -> dict[str, Any]:
        command = [*self.evo, *map(str, words), "--address", self.address]
        return {"args": command, "cwd": self.place, "env": self.environment | environment, "text": True}

    def folder(self, run: str) -> Path:
        return self.home / "runs" / run

    def count_told(self, run: str) -> int:
        journal = self.folder(run) / "journal.jsonl"
        return journal.exists() and sum(event["event"] == "tell" for _, event in read_events(journal))

    def status(self, run: str) -> str:
        rows = [re.split("  +", line) for line in self.run("jobs").stdout.splitlines()]
        return next(row[2] for row in rows if row[0] == run)


def until(holds: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def environment_of(home: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYENV_ROOT") if name in os.environ}
    return {**kept, "HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0", **more}


def made_venv(place: Path) -> Path:
    """An environment with all that is installed here but our own packages, which lie in the checkout."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    [site] = place.glob("lib/python*/site-packages")
    (site / "beside.pth").write_text(f"{SITE}\n")
    return place / "bin/python"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Short, since Ray's sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="evo-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def laptop(place: Path) -> list[str]:
    """The command line out of a wheel, in an environment of its own."""
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    source = shutil.copytree(
        ROOT, place / "source", ignore=shutil.ignore_patterns(".*", "runs", "tests", "__pycache__", "dist", "build")
    )
    wheel = ["wheel", source, "--no-deps", "--no-build-isolation", "--no-index", "-w", place / "wheels"]
    subprocess.run([*pip, *wheel], check=True, capture_output=True)
    shutil.rmtree(source)
    python = made_venv(place / "laptop")
    [built] = (place / "wheels").glob("*.whl")
    subprocess.run(
        [*pip, "--python", python, "install", "--no-deps", "--no-index", built], check=True, capture_output=True
    )
    return [str(python), "-m", "evo"]


@pytest.fixture(scope="module")
def python_of_nodes(place: Path) -> Path:
    """Without our packages, which have to be sent."""
    return made_venv(place / "node")


def free_ports(count: int) -> list[str]:
    with contextmanager(_bound)(count) as ports:
        return ports


def _bound(count: int) -> Iterator[list[str]]:
    sockets = [socket.socket() for _ in range(count)]
    for listener in sockets:
        listener.bind(("127.0.0.1", 0))
    yield [str(listener.getsockname()[1]) for listener in sockets]
    for listener in sockets:
        listener.close()


@contextmanager
def ray_head(python: Path, temp: Path, home: Path, token: str, cpus: int) -> Iterator[tuple[str, str]]:
    """A head of its own ports and folder; where its jobs are submitted, and where nodes meet it."""
    dashboard, meeting, client, *others = free_ports(5)
    ports = [f"--port={meeting}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
    words = ["--head", "--dashboard-host=127.0.0.1", "--disable-usage-stats", *ports]
    with ray_node(python, temp, environment_of(home, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token), cpus, others, words):
        yield f"http://127.0.0.1:{dashboard}", f"127.0.0.1:{meeting}"


@contextmanager
def ray_node(
    python: Path, temp: Path, environment: dict[str, str], cpus: int, ports: list[str], words: list[str]
) -> Iterator[None]:
    """A node of Ray, ended with all that it started."""
    named = ("dashboard-agent-listen-port", "metrics-export-port")
    own = [f"--{name}={port}" for name, port in zip(named, ports, strict=True)]
    command = [python, "-m", "ray.scripts.scripts", "start", "--block", f"--num-cpus={cpus}", *own, *words]
    command += ["--node-ip-address=127.0.0.1", f"--temp-dir={temp}", "--object-store-memory=100000000"]
    with (temp.parent / f"{temp.name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, cwd=temp.parent, start_new_session=True
        )
        try:
            yield
        finally:
            _end(process, temp)


def _end(process: subprocess.Popen[bytes], temp: Path) -> None:
    process.kill()  # a head takes half a minute to end by itself
    process.wait()
    left = [running for running in psutil.process_iter() if _is_in(running, process.pid) or _is_of(running, temp)]
    for running in left:
        with suppress(psutil.NoSuchProcess):
            running.kill()
    psutil.wait_procs(left, timeout=10)


def _is_of(process: psutil.Process, temp: Path) -> bool:
    """Whether a process belongs to the cluster in a folder: by its command or its environment."""
    with suppress(psutil.Error, OSError):
        said = " ".join([*process.cmdline(), *map(str, process.environ().values())])
        return process.pid != os.getpid() and str(temp) in said
    return False


def _is_in(process: psutil.Process, session: int) -> bool:
    """By its session, since some of Ray's write a title of their own over command and environment."""
    with suppress(OSError):
        return os.getsid(process.pid) == session
    return False


def answering(head: Head) -> Head:
    def answers() -> bool:
        call = head._call(("jobs",), {})
        return subprocess.run(**call, capture_output=True, check=False).returncode == 0

    until(answers)
    return head


@pytest.fixture(scope="module")
def head(place: Path, laptop: list[str], python_of_nodes: Path) -> Iterator[Head]:
    home, folder = place / "home", place / "elsewhere"
    for path in (home, folder / "data"):
        path.mkdir(parents=True)
    (folder / "ridge.py").write_text(PROBLEM)
    (folder / "data/targets.txt").write_text("2 4 8")
    (folder / "ridge.yaml").write_text("problem: {name: ridge.py:Ridge}\n")
    token = secrets.token_hex(32)
    environment = environment_of(place / "laptop-home", RAY_AUTH_TOKEN=token)
    with ray_head(python_of_nodes, place / "t", home, token, cpus=2) as (address, _):
        yield answering(Head(address, home, place / "t", laptop, folder, environment))


def test_the_laptop_knows_nothing_of_the_checkout(laptop: list[str], place: Path) -> None:
    code = "import evo, cluster; print(evo.__file__, cluster.__file__)"
    said = subprocess.run([laptop[0], "-c", code], cwd=place, capture_output=True, text=True, check=True).stdout
    assert said.count(str(place / "laptop/lib")) == 2
    assert str(ROOT) not in said


def test_a_run_goes_to_its_end_and_comes_home_as_it_is(head: Head) -> None:
    answer = head.run("submit", "ridge.yaml", "--name", "ridge", "--set", "budget.evaluations=60", "--wait")
    assert "60 evaluations; its budget of evaluations is used up" in answer.stdout
    assert "evo-driver" not in answer.stdout
    assert "Running entrypoint" not in answer.stdout
    assert "evo fetch ridge" in answer.stdout
    home = head.place / "runs/ridge"
    assert head.run("fetch", "ridge", "--to", home).stdout.startswith(f"{home}: 60 individuals")
    assert (home / "journal.jsonl").read_bytes() == (head.folder("ridge") / "journal.jsonl").read_bytes()
    assert contents(home) == contents(head.folder("ridge"))
    tells = [event["evaluation"] for _, event in read_events(home / "journal.jsonl") if event["event"] == "tell"]
    fed_back = {evaluation["feedback"] for evaluation in tells if evaluation["outcome"] == "ok"}
    shipped = f"{head.temp}/session_[^/]*/runtime_resources"
    assert len(fed_back) == 1
    assert re.fullmatch(
        f"{shipped}/working_dir_files/[^/]*/ridge.py {shipped}/py_modules_files/.*/evo/__init__.py", *fed_back
    )


def test_a_name_that_is_taken_and_a_wrong_token_are_one_sentence(head: Head) -> None:
    answer = head.run("submit", "ridge.py:Ridge", "--name", "ridge", code=2)
    assert "ridge is taken" in answer.stderr
    assert "does not take your token" in head.run("jobs", code=2, RAY_AUTH_TOKEN="0" * 64).stderr
    assert "asks for a token" in head.run("jobs", code=2, RAY_AUTH_TOKEN="").stderr


@contextmanager
def scripted_model(head: Head) -> Iterator[tuple[int, int]]:
    """A model behind a key: its port, and the number of its process."""
    [port] = free_ports(1)
    command = [*head.evo, "serve-scripted", "--rule", "constant_jitter", "--port", port, "--key", KEY]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=head.place)
    try:
        until(lambda: socket.socket().connect_ex(("127.0.0.1", int(port))) == 0)
        yield int(port), process.pid
    finally:
        process.terminate()
        process.wait()


def holders_of_the_key(head: Head) -> Iterator[str]:
    """Files of the cluster and of its runs, and processes by their environment or command."""
    needle = KEY.encode()
    for folder in (head.temp, head.home):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and needle in path.read_bytes():
                yield str(path)
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            seen = [Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("environ", "cmdline")]
            if any(needle in text for text in seen):
                yield f"process {process.pid}"


def test_a_key_reaches_the_gateway_and_nothing_else_over_a_stop_and_a_resumption(head: Head) -> None:
    with scripted_model(head) as (port, model):
        (head.place / "lab.yaml").write_text(LAB % port)
        head.run("submit", "lab.yaml", "--name", "lab", "--env", "LAB_KEY", LAB_KEY=KEY)
        until(lambda: head.count_told("lab") >= 30)
        assert list(holders_of_the_key(head)) == [f"process {model}"]
        assert KEY not in head.run("jobs").stdout
        assert head.run("fetch", "lab", "--to", "runs/lab").stdout.rstrip().endswith("it is running")
        answer = head.run("stop", "lab")
        assert answer.stdout.startswith("lab stopped; `evo resume lab --address")
        stopped = head.count_told("lab")
        *_, (_, last) = read_events(head.folder("lab") / "journal.jsonl")
        assert (last["event"], last["reason"]) == ("stop", "interrupted")
        assert "--env LAB_KEY" in head.run("resume", "lab", code=2, LAB_KEY=KEY).stderr
        more = ("--set", f"budget.evaluations={stopped + 20}", "--wait")
        head.run("resume", "lab", *more, "--env", "LAB_KEY", LAB_KEY=KEY)
        assert head.count_told("lab") == stopped + 20
        assert list(holders_of_the_key(head)) == [f"process {model}"]
    head.run("fetch", "lab", "--to", "runs/lab")
    assert contents(head.place / "runs/lab") == contents(head.folder("lab"))
    completions = [
        event for _, event in read_events(head.folder("lab") / "journal.jsonl") if event["event"] == "completion"
    ]
    assert completions
    assert KEY not in json.dumps(completions)


def test_a_laptop_that_is_closed_ends_nothing(head: Head) -> None:
    budget = ("--set", "budget.evaluations=16000")
    process = head.begin("submit", "evo.testing.toys:Nothing", "--name", "closed", *budget, "--wait")
    until(lambda: head.count_told("closed") >= 20)
    process.kill()
    process.communicate()
    process = head.begin("jobs", "--log", "closed")
    assert process.stdout is not None
    assert "16000 evaluations, auto" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"closed runs on; `evo jobs --address {head.address} --log closed` shows its log again" in said
    assert "Traceback" not in said
    head.run("jobs", "--log", "closed")
    assert head.count_told("closed") == 16000
    assert head.status("closed") == "ended"


def drivers(head: Head) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter()
        if _is_of(process, head.temp) and "cluster.jobs.entrypoint" in process.cmdline()
    ]


def test_a_driver_that_is_killed_is_gone_on_with_and_loses_nothing(head: Head) -> None:
    head.run("submit", "evo.testing.toys:Nothing", "--name", "killed", "--set", "budget.evaluations=1000000")
    until(lambda: head.count_told("killed") >= 50)
    [driver] = drivers(head)
    driver.kill()
    until(lambda: head.status("killed").startswith("failed"))
    before = (head.folder("killed") / "journal.jsonl").read_bytes()
    evaluated = head.count_told("killed")
    head.run("resume", "killed", "--set", f"budget.evaluations={evaluated + 200}", "--wait")
    assert head.count_told("killed") == evaluated + 200, "more than those that were under way"
    whole = before[: before.rindex(b"\n") + 1]
    assert (head.folder("killed") / "journal.jsonl").read_bytes().startswith(whole)
    until(lambda: not drivers(head))


def test_a_full_disk_on_the_head_is_one_sentence(head: Head) -> None:
    disk = head.home / "small"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a small disk can be mounted by root alone")
    try:
        with suppress(OSError):
            (disk / "rest").write_bytes(bytes(8192))
        answer = head.run("submit", "ridge.py:Ridge", "--name", "full", "--run-dir", disk, code=2)
        assert "the driver on the head: cannot" in answer.stderr
        assert "No space left on device" in answer.stderr
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_head_without_cpus_refuses_gives_what_lies_there_and_uses_a_worker_that_joins(
    head: Head, place: Path, python_of_nodes: Path
) -> None:
    token = head.environment["RAY_AUTH_TOKEN"]
    with ray_head(python_of_nodes, place / "u", head.home, token, cpus=0) as (address, meeting):
        bare = Head(address, head.home, place / "u", head.evo, head.place, head.environment)
        answering(bare)
        assert "has a CPU for evaluations" in bare.run("submit", "ridge.py:Ridge", "--name", "new", code=2).stderr
        answer = bare.run("fetch", "nonesuch", "--to", "runs/nonesuch", code=2)
        assert "holds no run; --run-dir" in answer.stderr
        bare.run("fetch", "ridge", "--to", "runs/again")
        assert contents(head.place / "runs/again") == contents(head.folder("ridge"))
        assert bare.run("jobs").stdout.splitlines()[2:] == []
        environment = environment_of(place / "worker-home", RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token)
        words = [f"--address={meeting}"]
        with ray_node(python_of_nodes, place / "w", environment, 1, free_ports(2), words):
            until(lambda: has_cpus(address, token))
            bare.run("submit", "ridge.yaml", "--name", "away", "--set", "budget.evaluations=40", "--wait")
    tells = [
        event["evaluation"]
        for _, event in read_events(head.folder("away") / "journal.jsonl")
        if event["event"] == "tell"
    ]
    fed_back = {evaluation["feedback"] for evaluation in tells if evaluation["outcome"] == "ok"}
    assert len(fed_back) == 1
    assert fed_back.pop().startswith(f"{place}/w/"), "evaluated on the worker, whose folders lie elsewhere"


def has_cpus(address: str, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    nodes = httpx2.get(f"{address}/api/v0/nodes?detail=true", headers=headers).json()["data"]["result"]["result"]
    return any((node["resources_total"] or {}).get("CPU") for node in nodes)
