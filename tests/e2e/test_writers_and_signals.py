"""Two writers, a clock that leaps, and signals to stop: nothing recorded is lost."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from evo.engine.holdout import FRONT_SHOWN, spread
from evo.engine.setup import prepare
from evo.errors import RunFolderError
from evo.genomes import Genome
from evo.journal.folder import SILENT_SECONDS, holder, locked
from evo.journal.replay import latest_config, replay
from evo.lineage import open_run
from evo.protocols import Job, Runner
from evo.search.search import Search
from evo.testing.executor import InProcessExecutor
from evo.testing.toys import Valley
from evo.values import Part, Score
from tests.conftest import TOY, Evo
from tests.e2e.test_file_trouble import FOREVER, made_run, refused_in_one_sentence, toy_run
from tests.support.runs import events, wait_for_tells

HERE = "tests.e2e.test_writers_and_signals"

__all__ = ["made_run", "toy_run"]


class Ending(Valley):
    """Is sent SIGTERM while the best are measured on the hold-out part.

    Args:
        signals: how many.
    """

    final_parts = ("holdout",)

    def __init__(self, signals: int = 1) -> None:
        super().__init__()
        self._signals = signals

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        score = super().evaluate(genome, run, part)
        if part == "holdout":
            for _ in range(self._signals):
                os.kill(os.getpid(), signal.SIGTERM)
            self._signals = 0
        return score


class Starting(InProcessExecutor):
    """Is sent SIGTERM while it starts."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        os.kill(os.getpid(), signal.SIGTERM)


def searched(run: Path) -> Search:
    """The search of a run, as its journal rebuilds it."""
    prepared = prepare(latest_config(run / "journal.jsonl"))
    replay(run / "journal.jsonl", prepared.search)
    return prepared.search


def test_a_lock_left_by_a_dead_process_is_taken_over(evo: Evo, toy_run: Path) -> None:
    (toy_run / "lock").write_text(f"process 999999 on {platform.node()} since 2026-01-01 00:00:00 UTC")
    assert holder(toy_run) is None
    assert evo("resume", toy_run, "--set", "budget.evaluations=70").code == 0
    assert (toy_run / "lock").read_text() == ""


def test_a_lock_of_another_host_holds_while_its_heartbeat_goes_on(evo: Evo, toy_run: Path) -> None:
    (toy_run / "lock").write_text(name := "process 7 on elsewhere since 2026-01-01 00:00:00 UTC")
    assert holder(toy_run) == name
    for command in (("resume", toy_run, "--set", "budget.evaluations=70"), ("index", toy_run)):
        refused_in_one_sentence(evo(*command), f"in use by {name}, whose last heartbeat.*or remove .*toy/lock")
    silent = time.time() - SILENT_SECONDS - 1
    os.utime(toy_run / "lock", (silent, silent))
    assert holder(toy_run) is None
    assert evo("index", toy_run).code == 0


def test_a_second_writer_learns_which_process_has_the_lock_and_since_when(evo: Evo, toy_run: Path) -> None:
    with locked(toy_run):
        for command in (("resume", toy_run, "--set", "budget.evaluations=70"), ("index", toy_run)):
            refused_in_one_sentence(
                evo(*command), rf"in use by process {os.getpid()} on {platform.node()} since [-0-9]+ [:0-9]+ UTC; wait"
            )
    with locked(toy_run):
        pass


def test_of_many_that_take_a_folder_at_the_same_moment_one_gets_it(toy_run: Path) -> None:
    start, over = threading.Barrier(8), threading.Event()
    got: list[str] = []

    def take() -> None:
        start.wait()
        try:
            with locked(toy_run):
                got.append("held")
                over.wait(30)
        except RunFolderError as error:
            got.append(str(error))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(got) < 8:
        time.sleep(0.01)
    over.set()
    for thread in threads:
        thread.join()
    assert got.count("held") == 1
    assert sum(f"in use by process {os.getpid()} on" in text for text in got) == 7


@pytest.mark.parametrize("leap_seconds", [-3600.0, 86_400.0])
def test_a_clock_that_leaps_changes_neither_budget_nor_views(
    evo: Evo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leap_seconds: float
) -> None:
    real, leap_at = time.time, time.monotonic() + 0.5
    monkeypatch.setattr(time, "time", lambda: real() + (leap_seconds if time.monotonic() > leap_at else 0.0))
    run = tmp_path / "runs" / "toy"
    timed = ("--set", "problem.options.pause_seconds=0.01", "--set", "budget.wall_seconds=0.8")
    assert "its time is used up" in evo("run", *TOY, *timed, "--name", "toy").out
    times = [event["at"] for event in events(run)]
    assert times == sorted(times)
    assert times[-1] - times[0] < 30
    monkeypatch.setattr(time, "time", lambda: real() - 2 * abs(leap_seconds))
    assert evo("resume", run, "--set", "budget.wall_seconds=1.1").code == 0
    left = replay(run / "journal.jsonl", prepare(latest_config(run / "journal.jsonl")).search)
    assert 0.9 < left.elapsed_seconds < 10
    status = evo("status", run)
    assert (status.code, "-" in status.out.partition("rate")[2].partition("\n")[0]) == (0, False)
    assert open_run(run).sql("SELECT count(*) FROM worker_timeline WHERE ended < started").scalar() == 0


def test_sigterm_during_the_start_of_the_executor_is_a_clean_stop(evo: Evo, toy_run: Path) -> None:
    answer = evo("resume", toy_run, "--set", "budget.evaluations=70", "--set", f"executor.name={HERE}:Starting")
    assert answer.code == 130
    assert "`evo resume` goes on" in answer.err
    assert evo("resume", toy_run, "--set", TOY[-1]).code == 0
    assert open_run(toy_run).sql("SELECT count(*) FROM individuals").scalar() == 70


@pytest.mark.parametrize(("signals", "last"), [(1, "stop"), (2, "tell")])
def test_sigterm_during_the_holdout_evaluation_leaves_the_rest_to_the_next_session(
    evo: Evo, tmp_path: Path, signals: int, last: str
) -> None:
    at_the_end = (f"{HERE}:Ending", *TOY[1:], "--set", "budget.evaluations=30")
    run = tmp_path / "runs" / "toy"
    answer = evo("run", *at_the_end, "--set", f"problem.options.signals={signals}", "--name", "toy")
    assert answer.code == 130, answer.err
    assert "`evo resume` goes on" in answer.err
    assert [event["event"] for event in events(run) if event["event"] != "holdout"][-1] == last
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    # Each session evaluates at least a single individual before it is stopped in its turn.
    codes = [evo("resume", run).code for _ in range(FRONT_SHOWN)]
    assert codes.index(2) > 1
    assert set(codes[: codes.index(2)]) == {130, 0}
    measured = [event["individual"] for event in events(run) if event["event"] == "holdout"]
    assert sorted(measured) == sorted({individual.id for individual in spread(searched(run), FRONT_SHOWN)})


def test_sigterm_is_a_clean_stop(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "evo", "run", *TOY, *FOREVER, "--name", "toy", "--run-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        wait_for_tells(tmp_path / "toy", 5)
        process.terminate()
        _, complaint = process.communicate(timeout=60)
    assert (process.returncode, events(tmp_path / "toy")[-1]["event"]) == (130, "stop")
    assert b"interrupted; what was under way is recorded" in complaint
    assert holder(tmp_path / "toy") is None
