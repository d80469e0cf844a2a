"""Noisy runs through the whole engine: order, kills, the lineage, and settings that mean nothing."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from evo.lineage import open_run, rebuild
from tests.conftest import TOY, Evo
from tests.evo.engine.test_driver import events, spawn, wait_for_tells

FOG = ("evo.testing.toys:Fog", *TOY[1:], "--set", "search.noise.reevaluation_rate=0.3")


def test_told_in_the_order_of_asking_a_noisy_run_is_the_same_at_any_width(evo: Evo, tmp_path: Path) -> None:
    ordered = (
        *FOG,
        "--set",
        "search.deterministic=true",
        "--set",
        "search.max_in_flight=8",
        "--set",
        "budget.evaluations=120",
    )
    for name, width in (("narrow", 1), ("wide", 8)):
        answer = evo("run", *ordered, "--set", f"executor.workers={width}", "--name", name)
        assert answer.code == 0, answer.err
    assert told_history(tmp_path / "runs/wide") == told_history(tmp_path / "runs/narrow")
    assert any('"reevaluation"' in line for line in told_history(tmp_path / "runs/wide"))


def told_history(folder: Path) -> list[str]:
    """All that was searched, measurements included, without times and places; in any order of admissions."""
    kept = [event for event in events(folder) if event["event"] in ("ask", "proposal", "tell", "reevaluation")]
    for event in kept:
        del event["at"]
        for name in ("seconds", "started", "worker", "node", "cpu_seconds", "memory_bytes"):
            event.get("evaluation", {}).pop(name, None)
    return sorted(json.dumps(event, sort_keys=True) for event in kept)


def test_a_noisy_run_that_was_killed_goes_on_and_is_rebuilt_from_its_journal(evo: Evo, tmp_path: Path) -> None:
    slow = (*FOG, "--set", "budget.evaluations=150", "--set", "executor.workers=4")
    run = tmp_path / "runs/killed"
    command: tuple[object, ...] = ("run", *slow, "--name", "killed", "--run-dir", tmp_path / "runs")
    for tells in (5, 40):
        with spawn(*command) as process:
            wait_for_tells(run, tells)
            time.sleep(0.03)
            process.send_signal(signal.SIGKILL)
        command = ("resume", run)
    answer = evo("resume", run)
    assert answer.code in (0, 2), answer.err
    told = [event for event in events(run) if event["event"] in ("tell", "reevaluation")]
    assert [event["tell"] for event in told] == list(range(150))
    assert sum(event["event"] == "reevaluation" for event in told) > 10
    assert evo("replay", run).code == 0


@pytest.fixture
def fog_run(evo: Evo, tmp_path: Path) -> Path:
    options = json.dumps({"luck": 6.0, "crash_again": 1.0})
    # With this seed somebody is soon better than the lucky one is said to be, and is measured again.
    sizes = ("--set", "budget.evaluations=200", "--set", "seed=1")
    answer = evo("run", *FOG, "--set", f"problem.options={options}", *sizes, "--name", "fog")
    assert answer.code == 0, answer.err
    return tmp_path / "runs/fog"


def test_the_lineage_knows_every_measurement_and_what_they_come_to(fog_run: Path, evo: Evo) -> None:
    reader = open_run(fog_run)
    again = [event for event in events(fog_run) if event["event"] == "reevaluation"]
    ok = [event for event in again if event["evaluation"]["outcome"] == "ok"]
    assert reader.sql("SELECT count(*) FROM measurements WHERE number > 1").scalar() == len(ok)
    assert reader.sql("SELECT count(*) FROM evaluations WHERE attempt > 0").scalar() == len(again)
    last = {event["individual"]: event for event in ok}
    scores = {row[0]: row[1:] for row in reader.sql("SELECT individual, mean, measurements, compared FROM scores").rows}
    failed = {event["individual"] for event in again} - set(last) | {
        event["individual"] for event in again if event["evaluation"]["outcome"] == "crash"
    }
    assert failed, "the lucky seed should have failed"
    assert not failed & set(scores)
    for one in set(last) - failed:
        event = last[one]
        assert scores[one] == (event["mean"]["height"], event["measurements"], event["compared"]["height"])


def test_the_lineage_says_who_is_best_lives_and_is_in_the_front(fog_run: Path, evo: Evo) -> None:
    said = evo("replay", fog_run)
    assert said.code == 0
    reader = open_run(fog_run)
    best, value, measurements, compared = reader.sql("SELECT id, value, measurements, compared FROM best").rows[0]
    assert f"individual {best}" in said.out
    assert measurements > 1
    assert compared < value
    assert reader.sql("SELECT id FROM front").rows == ((best,),)
    assert best in {row[0] for row in reader.sql("SELECT id FROM population").rows}
    assert reader.sql("SELECT count(*) FROM population").scalar() == 10
    assert evo("top", fog_run).out.splitlines()[2].split()[0] == str(best)
    assert "measurement" in evo("show", fog_run, best).out


def test_the_lineage_of_a_noisy_run_is_rebuilt_row_for_row(fog_run: Path) -> None:
    tables = ("measurements", "leaders", "front_moves", "removals", "indicators")
    before = {table: sorted(open_run(fog_run).sql(f"FROM {table}").rows, key=str) for table in tables}
    rebuild(fog_run)
    assert before == {table: sorted(open_run(fog_run).sql(f"FROM {table}").rows, key=str) for table in tables}
    assert all(before.values())


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("reevaluation_rate=1.0", "reevaluation_rate = 1.0: input should be less than 1"),
        ("confidence=95", "confidence = 95: input should be less than 1"),
        ("compare=median", "compare = 'median': input should be 'bound' or 'mean'"),
        ("repeat=3", "unknown key in [search.noise] 'repeat'; did you mean 'repeats'?"),
    ],
)
def test_settings_that_mean_nothing_are_refused(evo: Evo, setting: str, complaint: str) -> None:
    answer = evo("run", *FOG[:-2], "--set", f"search.noise.{setting}")
    assert answer.code == 2
    assert complaint in answer.err
