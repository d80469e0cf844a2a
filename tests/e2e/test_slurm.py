"""The Slurm script, run here: commands that stand in for Slurm's run what they are given on this host."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from evo.journal.folder import JOURNAL, LOCK, SILENT_SECONDS, locked
from evo.journal.log import read_events
from evo.lineage import open_run
from tests.conftest import TOY
from tests.support.paths import ROOT
from tests.support.runs import wait_for_tells

SCRIPT = ROOT / "docs/deploy/slurm.sbatch"
OR_RESUME = ROOT / "docs/deploy/run_or_resume.sh"

STAND_INS = {
    # Knows the options that the script uses and no others; the first node is this host, the second is only a name.
    "srun": """
        while [[ ${1-} == --* ]]; do
            case $1 in
                --overlap | --no-kill | --kill-on-bad-exit=[01] | --wait=[0-9]* | --cpus-per-task=[0-9]*) ;;
                --nodes=[0-9]* | --ntasks=[0-9]*) ;;
                --nodelist=?* | --exclude=?*) echo "$1 $$" >> "$LAB/srun" ;;
                *) echo "srun: unrecognized option '$1'" >&2; exit 1 ;;
            esac
            shift
        done
        exec "$@"
    """,
    "scontrol": """
        echo "$*" >> "$LAB/scontrol"
        case "$1 ${2-}" in
            "show hostnames") printf '127.0.0.1\\nnode-2\\n' ;;
            "show job") echo "JobId=$3 JobState=$JOB_STATE Reason=None" ;;
        esac
    """,
    "ray": """
        echo "$*" >> "$LAB/ray"
        env > "$LAB/environment-of-ray"
        [ "$1" = start ] || exit 0
        for word; do [[ $word == --port=* ]] && port=${word#*=}; done
        [[ $* == *--head* && -z ${HEAD_NEVER_ANSWERS-} ]] || exec sleep 60
        exec "$PYTHON" -c 'import signal, socket, sys
opened = socket.create_server(("127.0.0.1", int(sys.argv[1])))
signal.pause()' "$port"
    """,
    # Ends at the TERM of that number, or where it is 0 once all nodes of the job have begun.
    "evo": """
        terms=0
        trap 'terms=$((terms + 1)); echo TERM >> "$LAB/evo"; [ "$terms" -lt "$ENDS_AT" ] || exit "$ENDS_WITH"' TERM
        env > "$LAB/environment-of-evo"
        echo "$*" >> "$LAB/evo"
        if [ "$ENDS_AT" -eq 0 ]; then
            begun() { cat "$LAB/ray" 2> /dev/null | grep -c ^start; }
            while [ "$(begun)" -lt "${SLURM_JOB_NUM_NODES-0}" ]; do sleep 0.02; done
            exit "$ENDS_WITH"
        fi
        while :; do sleep 0.02; done
    """,
}


def installed(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{text}\n", "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@dataclass
class Slurm:
    """A job on two nodes."""

    lab: Path
    job: int

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        known = {
            "SLURM_JOB_ID": str(self.job),
            "SLURM_JOB_NAME": "evo",
            "SLURM_JOB_NODELIST": "node-[1-2]",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_CPUS_PER_TASK": "4",
            "SLURM_SUBMIT_DIR": str(self.lab),
            "DEPLOY": str(OR_RESUME.parent),
            "LAB": str(self.lab),
            "PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "PATH": f"{self.lab}/bin:{os.environ['PATH']}",
            "HOME": str(self.lab),
            "JOB_STATE": "RUNNING",
            "ENDS_AT": "0",
            "ENDS_WITH": "0",
            "TIMEOUT_SECONDS": "5",
        }
        return subprocess.Popen(
            ["bash", str(SCRIPT), *arguments],
            cwd=self.lab,
            env=os.environ | known | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def noted(self, what: str) -> list[str]:
        path = self.lab / what
        return path.read_text("utf-8").splitlines() if path.exists() else []

    @property
    def port(self) -> int:
        return 20_000 + self.job % 10_000

    @property
    def requeued(self) -> int:
        return self.noted("scontrol").count(f"requeue {self.job}")

    def still_running(self) -> list[int]:
        steps = [int(line.split()[1]) for line in self.noted("srun")]
        return [
            process.pid
            for process in psutil.process_iter(["status"])
            if process.pid in steps and process.info["status"] != "zombie"
        ]

    def wait_until(self, true: Callable[[], bool], *, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, {path.name: self.noted(path.name) for path in self.lab.glob("[a-z]*")}
            time.sleep(0.01)


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    (tmp_path / "bin").mkdir()
    for name, text in STAND_INS.items():
        installed(tmp_path / "bin", name, text)
    return Slurm(tmp_path, job=free_job())


def free_job() -> int:
    """A job whose port is free."""
    for job in range(os.getpid(), os.getpid() + 5000):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", 20_000 + job % 10_000)):
                return job
    raise AssertionError("no free port")


def ended(job: subprocess.Popen[str], timeout: float = 30.0) -> tuple[int, str]:
    try:
        said, _ = job.communicate(timeout=timeout)
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
    return job.returncode, said


def test_the_head_starts_on_the_first_node_and_workers_on_all_others_and_evo_joins_them(slurm: Slurm) -> None:
    assert ended(slurm.start("sphere", "--set", "seed=3")) == (0, "")
    head, workers = (line for line in slurm.noted("ray") if line.startswith("start"))
    assert "--head" in head
    assert f"--port={slurm.port}" in head
    assert "--num-cpus=3" in head, "one core is the driver's"
    assert f"--address=127.0.0.1:{slurm.port}" in workers
    assert "--num-cpus=4" in workers
    assert [line.split()[0] for line in slurm.noted("srun")] == ["--nodelist=127.0.0.1", "--exclude=127.0.0.1"]
    address = f"--set executor.address=127.0.0.1:{slurm.port}"
    assert slurm.noted("evo") == [f"run sphere --set seed=3 {address} --name evo-{slurm.job} --run-dir runs"]
    assert not slurm.requeued


def test_the_nodes_get_no_keys_and_a_token_is_asked_for(slurm: Slurm) -> None:
    secrets = {"OPENAI_API_KEY": "one", "LAB_KEY": "two", "hf_token": "three", "PLAIN": "four"}
    assert ended(slurm.start("sphere", **secrets))[0] == 0
    assert {f"{name}={value}" for name, value in secrets.items()} <= set(slurm.noted("environment-of-evo"))
    nodes = slurm.noted("environment-of-ray")
    assert "PLAIN=four" in nodes
    assert not [line for line in nodes if line.partition("=")[0] in secrets and "PLAIN" not in line]
    assert "RAY_AUTH_MODE=token" in nodes
    assert slurm.noted("ray")[0] == "get-auth-token --generate"


def test_nothing_is_left_running(slurm: Slurm) -> None:
    assert ended(slurm.start("sphere"))[0] == 0
    slurm.wait_until(lambda: not slurm.still_running())


@pytest.mark.parametrize(("ends_with", "times"), [("130", 1), ("143", 1), ("0", 0), ("2", 0)])
def test_who_was_interrupted_is_queued_again_once_and_nobody_else(slurm: Slurm, ends_with: str, times: int) -> None:
    job = slurm.start("sphere", ENDS_AT="1", ENDS_WITH=ends_with)
    slurm.wait_until(lambda: bool(slurm.noted("evo")))
    os.kill(job.pid, signal.SIGTERM)
    assert ended(job)[0] == int(ends_with)
    assert slurm.noted("evo")[1:] == ["TERM"]
    assert slurm.requeued == times


@pytest.mark.parametrize("state", ["CANCELLED", "PREEMPTED"])
def test_what_its_owner_cancelled_or_slurm_queues_again_itself_is_not_queued_by_the_script(
    slurm: Slurm, state: str
) -> None:
    job = slurm.start("sphere", ENDS_AT="1", ENDS_WITH="130", JOB_STATE=state)
    slurm.wait_until(lambda: bool(slurm.noted("evo")))
    os.kill(job.pid, signal.SIGTERM)
    assert ended(job)[0] == 130
    assert not slurm.requeued


def test_who_does_not_stop_in_time_is_told_once_more(slurm: Slurm) -> None:
    job = slurm.start("sphere", ENDS_AT="2", ENDS_WITH="130", TIMEOUT_SECONDS="0.2")
    slurm.wait_until(lambda: bool(slurm.noted("evo")))
    os.kill(job.pid, signal.SIGTERM)
    assert ended(job)[0] == 130
    assert slurm.noted("evo")[1:] == ["TERM", "TERM"]
    assert slurm.requeued == 1


def test_a_job_that_does_not_stop_is_killed_and_queued_again(slurm: Slurm) -> None:
    job = slurm.start("sphere", ENDS_AT="9", ENDS_WITH="0", TIMEOUT_SECONDS="0.2")
    slurm.wait_until(lambda: bool(slurm.noted("evo")))
    os.kill(job.pid, signal.SIGTERM)
    assert ended(job)[0] == 137
    assert slurm.requeued == 1


def test_a_job_that_is_told_to_stop_before_the_head_answers_starts_no_run_and_is_queued_again(slurm: Slurm) -> None:
    job = slurm.start("sphere", HEAD_NEVER_ANSWERS="1")
    slurm.wait_until(lambda: len(slurm.noted("ray")) == 2)
    os.kill(job.pid, signal.SIGTERM)
    assert ended(job)[0] == 143
    assert not slurm.noted("evo")
    assert slurm.requeued == 1


def test_a_failure_is_passed_on_and_not_tried_again(slurm: Slurm) -> None:
    assert ended(slurm.start("sphere", ENDS_WITH="2"))[0] == 2
    assert not slurm.requeued


def test_a_job_without_a_target_says_how_it_is_used(slurm: Slurm) -> None:
    code, said = ended(slurm.start())
    assert code == 2
    assert said == "usage: sbatch slurm.sbatch CONFIG|PROBLEM [--set KEY=VALUE ...]\n"
    assert not slurm.noted("ray")


def test_a_job_that_is_interrupted_and_queued_again_ends_as_if_it_had_not_been(slurm: Slurm) -> None:
    installed(slurm.lab / "bin", "evo", 'exec "$PYTHON" -m evo "$@"')
    settings = (*TOY, "--set", "problem.options.pause_seconds=0.01", "--set", "budget.evaluations=100")
    first = slurm.start(*settings)
    folder = slurm.lab / f"runs/evo-{slurm.job}"
    wait_for_tells(folder, 5)
    os.kill(first.pid, signal.SIGTERM)
    code, said = ended(first)
    assert (code, slurm.requeued) == (130, 1), said
    code, said = ended(slurm.start(*settings))
    assert (code, slurm.requeued) == (0, 1), said
    assert open_run(folder).sql("SELECT count(*), count(DISTINCT id) FROM individuals").rows == ((100, 100),)
    assert [event["event"] for _, event in read_events(folder / JOURNAL)].count("resume") == 1


@pytest.mark.slow
def test_on_a_real_ray_a_job_that_is_interrupted_and_queued_again_ends_as_if_it_had_not_been(slurm: Slurm) -> None:
    installed(slurm.lab / "bin", "evo", 'exec "$PYTHON" -m evo "$@"')
    real = "import sys; from ray.scripts.scripts import main; sys.exit(main())"
    installed(slurm.lab / "bin", "ray", f'exec "$PYTHON" -c "{real}" "$@"')
    settings = (TOY[0], "--set", "problem.options.pause_seconds=0.05", "--set", "budget.evaluations=100")
    folder = slurm.lab / f"runs/evo-{slurm.job}"
    try:
        first = slurm.start(*settings, SLURM_CPUS_PER_TASK="2")
        slurm.wait_until(lambda: (folder / JOURNAL).exists(), seconds=60)
        wait_for_tells(folder, 5)
        os.kill(first.pid, signal.SIGTERM)
        code, said = ended(first, timeout=90)
        assert (code, slurm.requeued) == (130, 1), said
        assert stat.S_IMODE((slurm.lab / ".ray/auth_token").stat().st_mode) == 0o600
        slurm.wait_until(lambda: not slurm.still_running(), seconds=60)
        code, said = ended(slurm.start(*settings, SLURM_CPUS_PER_TASK="2"), timeout=120)
        assert (code, slurm.requeued) == (0, 1), said
        assert open_run(folder).sql("SELECT count(*), count(DISTINCT id) FROM individuals").rows == ((100, 100),)
        slurm.wait_until(lambda: not slurm.still_running(), seconds=60)
    finally:
        for step in map(psutil.Process, slurm.still_running()):
            for process in (*step.children(recursive=True), step):
                process.kill()
        shutil.rmtree(f"/tmp/ray-{slurm.job}", ignore_errors=True)


def test_what_could_not_be_said_again_when_a_run_is_resumed_is_refused_at_once(slurm: Slurm) -> None:
    asked = [str(OR_RESUME), "runs/mine", "sphere", "--set", "seed=1", "--model", "large"]
    refused = subprocess.run(asked, cwd=slurm.lab, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "expected --set KEY=VALUE, as in --set model.name=NAME, got --model" in refused.stderr


def or_resume(slurm: Slurm, *arguments: str) -> str:
    environment = os.environ | {
        "LAB": str(slurm.lab),
        "ENDS_AT": "0",
        "ENDS_WITH": "0",
        "PATH": f"{slurm.lab}/bin:{os.environ['PATH']}",
    }
    subprocess.run([str(OR_RESUME), *arguments], cwd=slurm.lab, env=environment, check=True, timeout=30)
    return slurm.noted("evo")[-1]


def test_a_run_is_resumed_from_its_first_whole_line_on(slurm: Slurm) -> None:
    folder = slurm.lab / "runs/mine"
    begun = "run sphere --set seed=1 --name mine --run-dir runs"
    assert or_resume(slurm, "runs/mine", "sphere", "--set", "seed=1") == begun
    folder.mkdir(parents=True)
    for torn in ("", '{"event": "sta'):
        (folder / JOURNAL).write_text(torn)
        assert or_resume(slurm, "runs/mine", "sphere", "--set", "seed=1") == begun
    (folder / JOURNAL).write_text('{"event": "start"}\n')
    assert or_resume(slurm, "runs/mine", "sphere", "--set", "seed=1") == "resume runs/mine --set seed=1"


@pytest.mark.parametrize("host", ["elsewhere", os.uname().nodename])
def test_a_dead_holder_on_another_host_is_waited_for_until_it_was_silent_long_enough(slurm: Slurm, host: str) -> None:
    folder = slurm.lab / "runs/mine"
    folder.mkdir(parents=True)
    (folder / JOURNAL).write_text('{"event": "start"}\n')
    with locked(folder):
        holder = (folder / LOCK).read_text()
    (folder / LOCK).write_text(holder.replace(f" on {os.uname().nodename} ", f" on {host} "))
    remaining = 1.0 if host == "elsewhere" else 0.0
    silent_since = time.time() - SILENT_SECONDS + (remaining or SILENT_SECONDS)
    os.utime(folder / LOCK, (silent_since, silent_since))
    began = time.monotonic()
    assert or_resume(slurm, "runs/mine", "sphere") == "resume runs/mine"
    assert remaining <= time.monotonic() - began < remaining + 30
