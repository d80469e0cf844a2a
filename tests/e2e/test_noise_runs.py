"""Noisy runs through the whole engine: order, the lineage, and settings that mean nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evo.lineage import open_run, rebuild
from tests.conftest import TOY, Evo
from tests.support.runs import events, overrides, sorted_history

FOG = ("evo.testing.toys:Fog", *TOY[1:], "--set", "search.noise.reevaluation_rate=0.3")


def test_a_deterministic_noisy_run_is_the_same_at_any_width(evo: Evo, tmp_path: Path) -> None:
    ordered = (
        *FOG,
        *overrides("search.deterministic=true", "search.max_in_flight=8", "budget.evaluations=120"),
    )
    for name, width in (("narrow", 1), ("wide", 8)):
        answer = evo("run", *ordered, "--set", f"executor.workers={width}", "--name", name)
        assert answer.code == 0, answer.err
    assert sorted_history(tmp_path / "runs/wide") == sorted_history(tmp_path / "runs/narrow")
    assert any('"reevaluation"' in line for line in sorted_history(tmp_path / "runs/wide"))


@pytest.fixture
def fog_run(evo: Evo, tmp_path: Path) -> Path:
    options = json.dumps({"luck": 6.0, "crash_again": 1.0})
    # With this seed an individual is soon better than the lucky seed seems to be, and is evaluated again.
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
    for individual in set(last) - failed:
        event = last[individual]
        assert scores[individual] == (event["mean"]["height"], event["measurements"], event["compared"]["height"])


def test_the_lineage_knows_the_best_the_population_and_the_front(fog_run: Path, evo: Evo) -> None:
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
