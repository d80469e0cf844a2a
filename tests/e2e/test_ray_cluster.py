"""A search on three real nodes: one dies, another joins; the driver is killed; two searches share."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray.cluster_utils import Cluster

from evo.lineage import LineageReader, open_run
from tests.support.runs import events, wait_for_tells

pytestmark = pytest.mark.slow

PLACES = 2
NAPPING = "tests.support.elastic_problems:Napping"


@dataclass
class Nodes:
    """A cluster on this machine; each node has two places."""

    cluster: Cluster

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def join(self) -> Any:
        return self.cluster.add_node(num_cpus=PLACES, object_store_memory=80 << 20)

    def processes(self, title: str) -> list[psutil.Process]:
        """Ray's workers that run something of this name, or did so last."""
        found = []
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if any(part.startswith(title) for part in process.cmdline()):
                    found.append(process)
        return found


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    head = {"num_cpus": PLACES, "include_dashboard": False, "object_store_memory": 80 << 20}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster(initialize_head=True, head_node_args=head)
        made = Nodes(cluster)
        try:
            made.join()
            yield made
        finally:
            cluster.shutdown()


def start(nodes: Nodes, folder: Path, problem: str, *settings: str) -> subprocess.Popen[bytes]:
    """A driver in a process of its own."""
    options = [f"executor.address={nodes.address}", *settings]
    command = [sys.executable, "-m", "evo", "run", problem, "--name", folder.name, "--run-dir", str(folder.parent)]
    command += [word for option in options for word in ("--set", option)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def wait_for(run: Path, event: str) -> None:
    deadline = time.monotonic() + 60
    while f'{{"event": "{event}"'.encode() not in (run / "journal.jsonl").read_bytes():
        assert time.monotonic() < deadline, f"no {event}"
        time.sleep(0.05)


def ended(process: subprocess.Popen[bytes], seconds: float = 180.0) -> str:
    _, said = process.communicate(timeout=seconds)
    assert process.returncode == 0, said.decode()
    return said.decode()


def left_on(nodes: Nodes) -> str:
    """What drivers left behind: their wants, and actors."""
    look = "internal_kv._internal_kv_list(b'', namespace=b'evo'), ray.util.list_named_actors(all_namespaces=True)"
    program = f"""
import ray
from ray.experimental import internal_kv
ray.init({nodes.address!r}, log_to_driver=False, logging_level="ERROR")
print(*({look}))
"""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def joined_at(reader: LineageReader) -> dict[str, float]:
    """When each node joined, in seconds, by its label."""
    rows = reader.sql("SELECT detail->>'node', epoch(happened) FROM events WHERE kind = 'node_joined'").rows
    return {str(node): float(at) for node, at in rows}


def utilisation(reader: LineageReader, surviving: dict[str, float]) -> float:
    """Share of the surviving workers' time that is evaluation.

    A node's time begins with the first evaluation of all, or when it joined, and ends when the last evaluation starts,
    since from then on there is nothing more to do. Starting its workers is part of it.

    Args:
        surviving: label to when it joined.
    """
    spans = reader.sql(
        "SELECT node, epoch(started), epoch(ended) FROM worker_timeline WHERE stage = 'train' ORDER BY started"
    ).rows
    begin, end = min(row[1] for row in spans), max(row[1] for row in spans)
    since = {node: max(begin, at) for node, at in surviving.items()}
    busy = sum(max(0.0, min(to, end) - max(since[node], at)) for node, at, to in spans if node in since)
    return float(busy / sum(PLACES * (end - at) for at in since.values()))


def test_a_run_survives_the_death_of_one_node_and_uses_another_that_joins(nodes: Nodes, tmp_path: Path) -> None:
    run = tmp_path / "elastic"
    doomed = nodes.join()
    process = start(nodes, run, NAPPING, "budget.evaluations=500", "problem.options.seconds=1.0")
    wait_for_tells(run, 100)
    nodes.cluster.remove_node(doomed, allow_graceful=False)
    wait_for(run, "node_left")  # which is when Ray misses it
    nodes.join()
    ended(process)
    evaluated = [event["individual"] for event in events(run) if event["event"] == "tell"]
    assert sorted(evaluated) == list(range(500))
    reader = open_run(run)
    assert reader.sql("SELECT outcome, count(*) FROM individuals GROUP BY ALL").rows == (("ok", 500),)
    happened = reader.sql("SELECT kind, detail->>'node' FROM events WHERE kind LIKE 'node%' ORDER BY rowid").rows
    kinds = [kind for kind, _ in happened]
    assert kinds == ["node_joined"] * 3 + ["node_left", "node_joined"]
    dead, late = happened[3][1], happened[4][1]
    assert dead in [node for _, node in happened[:3]]
    joined = joined_at(reader)
    used = utilisation(reader, {node: at for node, at in joined.items() if node != dead})
    print(f"utilisation of the surviving workers: {used:.3f}")
    assert used >= 0.9
    assert reader.sql("SELECT count(*) FROM evaluations WHERE node = ?", [late]).scalar() > 50
    order = [event for event in events(run) if event["event"] in ("tell", "node_left", "node_joined")]
    places = {event["event"]: number for number, event in enumerate(order) if event["event"].startswith("node")}
    assert 100 < places["node_left"] < places["node_joined"] < len(order) - 1


def test_a_driver_that_is_killed_leaves_nothing_and_its_run_goes_on(nodes: Nodes, tmp_path: Path) -> None:
    run = tmp_path / "killed"
    process = start(nodes, run, NAPPING, "budget.evaluations=300")
    wait_for_tells(run, 60)
    busy = nodes.processes("ray::evo:killed")
    assert len(busy) >= PLACES
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in busy):
        assert time.monotonic() < deadline, "orphaned tasks go on"
        time.sleep(0.2)
    command = [sys.executable, "-m", "evo", "resume", str(run), "--set", f"executor.address={nodes.address}"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert answer.returncode == 0, answer.stderr
    evaluated = [event["individual"] for event in events(run) if event["event"] == "tell"]
    assert Counter(evaluated) == Counter(range(300))
    asked = [event["ask"] for event in events(run) if event["event"] == "ask"]
    assert Counter(asked) == Counter(range(len(asked)))
    assert left_on(nodes) == "[] []"


def test_an_evaluation_that_hangs_is_given_to_another_worker(nodes: Nodes, tmp_path: Path) -> None:
    run, notes = tmp_path / "straggler", tmp_path / "notes"
    notes.mkdir()
    settings = ("budget.evaluations=60", f"problem.options.folder={notes}", "problem.options.slow=55")
    began = time.monotonic()
    ended(start(nodes, run, NAPPING, "problem.options.slow_seconds=100", *settings))
    assert time.monotonic() - began < 60
    evaluated = [event["individual"] for event in events(run) if event["event"] == "tell"]
    assert sorted(evaluated) == list(range(60))
    raced = [event for event in events(run) if event["event"] == "reissued"]  # on a busy machine others may be late too
    assert "second" in [event["winner"] for event in raced]
    reader = open_run(run)
    late = "SELECT i.outcome FROM events e JOIN individuals i ON i.digest = e.detail->'digests'->>0"
    assert reader.sql(f"{late} WHERE e.kind = 'reissued'").rows == (("ok",),) * len(raced)


def test_two_searches_share_a_cluster(nodes: Nodes, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    begun = start(nodes, first, NAPPING, "budget.evaluations=100000", "problem.options.seconds=0.3")
    try:
        wait_for_tells(first, 60)
        ended(start(nodes, second, NAPPING, "budget.evaluations=150", "problem.options.seconds=0.3"))
    finally:
        begun.terminate()
        begun.communicate(timeout=60)
    times = [event["at"] for event in events(second) if event["event"] == "tell"]
    since, until = times[30], times[-1]
    theirs = sum(since < event["at"] <= until for event in events(first) if event["event"] == "tell")
    print(f"while the second had {len(times) - 31} results, the first had {theirs}")
    assert 0.6 < theirs / (len(times) - 31) < 1.6


def test_what_no_node_has_is_said_and_waited_for_no_longer_than_asked(nodes: Nodes, tmp_path: Path) -> None:
    run = tmp_path / "gpus"
    process = start(nodes, run, NAPPING, "executor.resources.gpus=1", "executor.placement_timeout_seconds=3")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    reason = "no node has what an evaluation takes (1 CPU, 1 GPU); the most that a node has: 2 CPU, 0 GPU"
    assert reason in said.decode()
    assert "Traceback" not in said.decode()
    [event] = [event for event in events(run) if event["event"] == "no_room"]
    assert "waiting up to 3 s" in event["reason"]
