"""Re-evaluation where evaluations ask a model: answers that were kept for the run would only repeat themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from operators.scripted import ScriptedServer
from tests.conftest import Evo
from tests.support.priced_models import priced, serving
from tests.support.runs import events, overrides

ECHO = (
    "evo.testing.toys:Echo",
    "--model",
    "scripted",
    *overrides(
        "executor=evo.testing.executor:InProcessExecutor",
        "search.noise.reevaluation_rate=0.8",
        "budget.evaluations=40",
    ),
)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving("echo", 0.002) as server:
        yield server


def asked(run: Path) -> list[tuple[int, str]]:
    """Ask and digest of each answer that an evaluation of the search got."""
    answered = (event for event in events(run, "completion") if event["completion"]["outcome"] == "ok")
    return [(event["ask"], event["digest"]) for event in answered if event["stage"] == "evaluation"]


def test_a_re_evaluation_has_answers_of_its_own_and_each_is_paid_for_once(
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
def test_money_that_runs_out_during_a_re_evaluation_loses_nothing(
    evo: Evo, tmp_path: Path, server: ScriptedServer, deterministic: bool
) -> None:
    caps = overrides("budget.calls=93", f"search.deterministic={deterministic}", "search.max_in_flight=4")
    assert evo("run", *ECHO, *priced(server), *caps, "--name", "short").code == 0
    run = tmp_path / "runs/short"
    assert len(asked(run)) <= 93
    assert evo("resume", run, "--set", "budget.calls=100000").code == 0
    pairs = asked(run)
    assert len(pairs) == len(set(pairs)) == 5 * 40
