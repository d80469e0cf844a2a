"""The loop and its resumption: one run, however it was cut up."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import TOY, Evo
from tests.support.made import unsealed
from tests.support.runs import events, sorted_history, spawn, wait_for_tells

ORDERED = (*TOY, "--set", "search.deterministic=true", "--set", "search.max_in_flight=8")


@pytest.mark.parametrize("workers", [2, 8, 30])
def test_told_in_the_order_of_asking_a_run_is_the_same_at_any_width(evo: Evo, tmp_path: Path, workers: int) -> None:
    for name, width in (("narrow", 1), ("wide", workers)):
        answer = evo(
            "run", *ORDERED, "--set", "budget.evaluations=90", "--set", f"executor.workers={width}", "--name", name
        )
        assert answer.code == 0, answer.err
    assert sorted_history(tmp_path / "runs/wide") == sorted_history(tmp_path / "runs/narrow")


def test_told_as_they_arrive_a_journal_still_rebuilds_its_search(evo: Evo, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "arrival"
    evo("run", *TOY, "--set", "budget.evaluations=80", "--set", "executor.workers=9", "--name", "arrival")
    tells = [event["individual"] for event in events(run) if event["event"] == "tell"]
    assert tells != sorted(tells), "the toy executor should have mixed the order up"
    answer = evo("resume", run, "--set", "budget.evaluations=120")
    assert answer.code == 0, answer.err
    assert sorted(event["individual"] for event in events(run) if event["event"] == "tell") == list(range(120))


def test_an_interrupted_run_finishes_what_is_under_way_and_goes_on_as_if_it_had_not_stopped(
    evo: Evo, tmp_path: Path
) -> None:
    sizes = ("--set", "budget.evaluations=100", "--set", "problem.options.pause_seconds=0.004")
    evo("run", *ORDERED, *sizes, "--name", "whole")
    run = tmp_path / "runs" / "stopped"
    with spawn("run", *ORDERED, *sizes, "--name", "stopped", "--run-dir", tmp_path / "runs") as process:
        wait_for_tells(run, 25)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"interrupted; what was under way is recorded" in complaint
    assert events(run)[-1]["event"] == "stop"
    started = {
        event["individual"] for event in events(run) if event["event"] == "proposal" and event["outcome"] == "ok"
    }
    assert started == {event["individual"] for event in events(run) if event["event"] == "tell"}
    assert len(started) < 100
    evo("resume", run)
    assert sorted_history(run) == sorted_history(tmp_path / "runs/whole")


def test_a_second_interruption_stops_at_once(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "stopped"
    slow = (
        "--set",
        "problem.options.pause_seconds=0.3",
        "--set",
        "executor.workers=20",
        "--set",
        "budget.evaluations=500",
    )
    with spawn("run", *TOY, *slow, "--name", "stopped", "--run-dir", tmp_path / "runs") as process:
        wait_for_tells(run, 3)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.4)
        _, complaint = process.communicate(timeout=60)
    assert b"stopped at once; every result is recorded" in complaint
    assert b"Traceback" not in complaint
    assert events(run)[-1]["event"] != "stop"
    assert process.returncode == 130


def test_the_wall_limit_counts_over_resumptions(evo: Evo, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "timed"
    slow = ("--set", "problem.options.pause_seconds=0.02", "--set", "budget.wall_seconds=1")
    answer = evo("run", *TOY, *slow, "--name", "timed")
    assert "its time is used up" in answer.out
    told = sum(event["event"] == "tell" for event in events(run))
    assert 5 < told < 60
    evo("resume", run)
    assert sum(event["event"] == "tell" for event in events(run)) <= told + 2
    evo("resume", run, "--set", "budget.wall_seconds=1.7")
    assert sum(event["event"] == "tell" for event in events(run)) > told + 2


def test_a_finished_run_says_how_to_go_further(evo: Evo, toy_run: Path) -> None:
    answer = evo("resume", toy_run)
    assert answer.code == 2
    assert "is finished: 60 evaluations made" in answer.err
    assert "--set budget.evaluations=120" in answer.err


def test_a_run_in_use_is_refused_by_the_number_of_its_process(evo: Evo, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "busy"
    slow = ("--set", "problem.options.pause_seconds=0.05", "--set", "budget.evaluations=5000")
    with spawn("run", *TOY, *slow, "--name", "busy", "--run-dir", tmp_path / "runs") as process:
        wait_for_tells(run, 1)
        answer = evo("resume", run)
        process.kill()
    assert answer.code == 2
    assert f"in use by process {process.pid} on {os.uname().nodename}" in answer.err


def test_the_search_of_a_started_run_cannot_be_changed(evo: Evo, toy_run: Path) -> None:
    answer = evo("resume", toy_run, "--set", "search.population=99", "--set", "budget.evaluations=100")
    assert answer.code == 2
    assert "[search] cannot change" in answer.err


def test_a_journal_of_another_search_is_refused(evo: Evo, toy_run: Path) -> None:
    journal = toy_run / "journal.jsonl"
    journal.write_bytes(
        unsealed(journal.read_bytes()).replace(b'"operator":"seed","parents":[]', b'"operator":"x","parents":[]', 1)
    )
    answer = evo("resume", toy_run, "--set", "budget.evaluations=100")
    assert answer.code == 2
    assert "does not fit what came before" in answer.err
