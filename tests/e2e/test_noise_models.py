"""Measuring again where evaluations ask a model: answers that were kept for the run would say the same again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from operators.scripted import Faults, ScriptedServer, find_rule
from tests.conftest import Evo
from tests.e2e.test_model_runs import KEY, events, priced
from tests.evo.engine.test_driver import spawn, wait_for_tells

ECHO = (
    *("evo.testing.toys:Echo", "--set", "executor=evo.testing.executor:InProcessExecutor", "--model", "scripted"),
    *("--set", "search.noise.reevaluation_rate=0.8", "--set", "budget.evaluations=40"),
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    one = ScriptedServer(find_rule("echo"), Faults(latency_seconds=0.002), require_key=KEY)
    with one.in_thread():
        yield one


def asked(run: Path) -> list[tuple[int, str]]:
    """Ask and digest of each answer that an evaluation of the search got."""
    answered = (one for one in events(run, "completion") if one["completion"]["outcome"] == "ok")
    return [(one["ask"], one["digest"]) for one in answered if one["stage"] == "evaluation"]


def test_a_measurement_again_has_answers_of_its_own_and_each_is_paid_for_once(
    evo: Evo, tmp_path: Path, server: ScriptedServer
) -> None:
    assert evo("run", *ECHO, *priced(server), "--name", "echo").code == 0
    run = tmp_path / "runs/echo"
    again = {event["ask"] for event in events(run, "reevaluation")}
    assert len(again) > 5
    pairs = asked(run)
    assert len(pairs) == len(set(pairs)) == 5 * 40
    first = {digest for ask, digest in pairs if ask not in again}
    assert {digest for ask, digest in pairs if ask in again} <= first
    assert len([pair for pair in pairs if pair[0] not in again]) == len(first)


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_run_that_is_killed_while_somebody_is_measured_again_pays_for_no_answer_twice(
    tmp_path: Path, evo: Evo, server: ScriptedServer, deterministic: bool
) -> None:
    run = tmp_path / "runs/killed"
    order_of = ("--set", f"search.deterministic={deterministic}", "--set", "search.max_in_flight=4")
    with spawn("run", *ECHO, *priced(server), *order_of, "--name", "killed", "--run-dir", tmp_path / "runs") as process:
        wait_for_tells(run, 12)
        process.send_signal(signal.SIGKILL)
    assert evo("resume", run).code == 0
    told = sorted(event["tell"] for kind in ("tell", "reevaluation") for event in events(run, kind))
    assert told == list(range(40))
    pairs = asked(run)
    assert len(pairs) == len(set(pairs)) == 5 * 40
    assert evo("replay", run).code == 0


@pytest.mark.parametrize("deterministic", [False, True])
def test_money_that_runs_out_while_somebody_is_measured_again_loses_nothing(
    evo: Evo, tmp_path: Path, server: ScriptedServer, deterministic: bool
) -> None:
    caps = (
        "--set",
        "budget.calls=93",
        "--set",
        f"search.deterministic={deterministic}",
        "--set",
        "search.max_in_flight=4",
    )
    assert evo("run", *ECHO, *priced(server), *caps, "--name", "short").code == 0
    run = tmp_path / "runs/short"
    assert len(asked(run)) <= 93
    assert evo("resume", run, "--set", "budget.calls=100000").code == 0
    pairs = asked(run)
    assert len(pairs) == len(set(pairs)) == 5 * 40
