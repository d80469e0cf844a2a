"""Searches for prompts, end to end: proposals and evaluations ask models through one gateway and one ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evo.lineage import open_run
from operators.scripted import ScriptedServer
from tests.conftest import Evo
from tests.support.priced_models import priced, serving
from tests.support.runs import events, overrides, spent_usd

HERE = ("--set", "executor=evo.testing.executor:InProcessExecutor")
TASK = ("prompt_task", *HERE, "--model", "scripted", "--set", "problem.options.cases_per_evaluation=12")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving("prompt_writer_and_arithmetic", 0.005) as server:
        yield server


def paid_for(run: Path, stage: str) -> list[str]:
    """Digests of the completions of one stage."""
    completions = events(run, "completion")
    answered = (event for event in completions if event["completion"]["outcome"] != "cancelled")
    return [event["digest"] for event in answered if event["stage"] == stage]


def test_a_search_finds_the_words_that_the_task_model_needs(evo: Evo, tmp_path: Path, server: ScriptedServer) -> None:
    answer = evo("run", *TASK, *priced(server), "--set", "budget.evaluations=30", "--name", "found")
    assert answer.code == 0, answer.err
    run = tmp_path / "runs/found"
    reader = open_run(run)
    accuracy = "SELECT max(value) FROM objectives WHERE name = 'accuracy'"
    assert reader.sql(f"{accuracy} AND individual = 0").scalar() == 0
    assert reader.sql(accuracy).scalar() > 0.2
    assert reader.sql("SELECT count(DISTINCT part) FROM finals").scalar() == 2
    for stage in ("evaluation", "final"):
        digests = paid_for(run, stage)
        assert len(digests) == len(set(digests)) > 0
    assert reader.sql("SELECT sum(usd) FROM spending").scalar() == pytest.approx(spent_usd(run))
    assert reader.sql("SELECT count(*) FROM lessons").scalar() > 0
    replayed = evo("replay", run)
    assert replayed.code == 0, replayed.out


def test_a_prompt_problem_without_a_model_is_refused_in_one_sentence(evo: Evo) -> None:
    answer = evo("run", "prompt_task", *HERE)
    assert answer.code == 2
    assert "this problem's evaluations ask a language model, and the run has none" in answer.err


@pytest.mark.parametrize("deterministic", [False, True])
def test_money_that_runs_out_within_an_evaluation_loses_nothing(
    evo: Evo, tmp_path: Path, server: ScriptedServer, deterministic: bool
) -> None:
    caps = overrides("budget.calls=100", "budget.evaluations=25", f"search.deterministic={deterministic}")
    answer = evo("run", *TASK, *priced(server), *caps, "--name", "short")
    assert answer.code == 0, answer.err
    assert "might have passed its budget" in answer.out
    run = tmp_path / "runs/short"
    assert len(events(run, "completion")) <= 100
    evaluated = len(events(run, "tell"))
    assert evaluated < 25
    answer = evo("resume", run, "--set", "budget.calls=100000")
    assert answer.code == 0, answer.err
    assert len(events(run, "tell")) == 25
    for stage in ("proposal", "evaluation"):
        pairs = [(event["ask"], event["digest"]) for event in events(run, "completion") if event["stage"] == stage]
        assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize("deterministic", [False, True])
def test_money_that_runs_out_within_a_race_loses_nothing(
    evo: Evo, tmp_path: Path, server: ScriptedServer, deterministic: bool
) -> None:
    race = overrides(
        "evaluation={policy: racing, options: {batch_size: 4, share: 0.3}}", f"search.deterministic={deterministic}"
    )
    caps = ("--set", "budget.calls=90", "--set", "budget.evaluations=25")
    answer = evo("run", *TASK, *priced(server), *race, *caps, "--name", "raced")
    assert answer.code == 0, answer.err
    assert "might have passed its budget" in answer.out
    run = tmp_path / "runs/raced"
    assert len(events(run, "completion")) <= 90
    assert len(events(run, "tell")) < 25
    answer = evo("resume", run, "--set", "budget.calls=100000")
    assert answer.code == 0, answer.err
    assert len(events(run, "tell")) == 25
    digests = paid_for(run, "evaluation")
    assert len(digests) == len(set(digests))
    seen, saved, stopped = (
        open_run(run)
        .sql("SELECT sum(seen), sum(saved), sum(individuals) FILTER (outcome = 'pruned') FROM pulls")
        .rows[0]
    )
    assert stopped >= 12
    assert len(digests) <= seen < seen + saved == 25 * 12
    assert evo("replay", run).code == 0


def test_lessons_of_one_run_are_shown_in_the_next(evo: Evo, tmp_path: Path, server: ScriptedServer) -> None:
    reflect = ("--set", "search.operators={model_prompt_reflect: 1}", "--set", "budget.evaluations=6")
    assert evo("run", *TASK, *priced(server), *reflect, "--name", "first").code == 0
    first = tmp_path / "runs/first"
    lesson = open_run(first).sql("SELECT lesson FROM lessons ORDER BY ask LIMIT 1").scalar()
    rewrite = ("--set", "search.operators={model_prompt_rewrite: 1}", "--set", f"search.learn_from=[{first}]")
    answer = evo("run", *TASK, *priced(server), *rewrite, "--set", "budget.evaluations=4", "--name", "second")
    assert answer.code == 0, answer.err
    second = tmp_path / "runs/second"
    prompts = open_run(second).sql("SELECT prompt FROM completions WHERE stage = 'proposal'").rows
    assert prompts
    assert all(lesson in prompt for (prompt,) in prompts)
    assert events(second, "inherit")[0]["records"]
    assert evo("replay", second).code == 0


@pytest.mark.parametrize("calls", [400, 600])
def test_a_cap_keeps_what_measuring_the_best_at_the_end_costs(
    evo: Evo, tmp_path: Path, server: ScriptedServer, calls: int
) -> None:
    caps = ("--set", f"budget.calls={calls}", "--set", "budget.evaluations=1000")
    answer = evo("run", *TASK, *priced(server), *caps, "--name", "capped")
    assert answer.code == 0, answer.err
    assert "not measured" not in answer.out
    run = tmp_path / "runs/capped"
    assert len(events(run, "completion")) <= calls
    assert {event["part"] for event in events(run, "holdout")} == {"validation", "holdout"}
    assert not events(run, "unmeasured")


def test_a_best_that_could_not_be_measured_is_said_and_measured_by_resume(
    evo: Evo, tmp_path: Path, server: ScriptedServer
) -> None:
    # The seed alone is affordable: by then nothing is known of what evaluations cost.
    caps = ("--set", "budget.calls=14", "--set", "budget.evaluations=1", "--name", "seed")
    answer = evo("run", *TASK, *priced(server), *caps)
    assert answer.code == 0, answer.err
    run = tmp_path / "runs/seed"
    reasons = [event["reason"] for event in events(run, "unmeasured")]
    assert reasons
    assert all("the cap of 14 calls is reached" in reason for reason in reasons)
    assert "not measured on held-out and validation data: the cap of 14 calls is reached" in answer.out
    again = evo("resume", run, "--set", "budget.calls=10000")
    assert again.code == 0, again.err
    assert "not measured" not in again.out
    assert {event["part"] for event in events(run, "holdout")} == {"validation", "holdout"}
    assert evo("resume", run).code == 2, "now it is finished"


def test_a_cap_below_the_cost_of_the_seed_says_so(evo: Evo, server: ScriptedServer) -> None:
    answer = evo("run", *TASK, *priced(server), "--set", "budget.calls=3", "--name", "poor")
    assert "The cap does not even pay for the seed's evaluation" in answer.out
    answer = evo("check", *TASK, *priced(server), "--set", "budget.usd=0.000001")
    said = answer.out + answer.err
    assert "does not pay for the seed" in said or "the cap of $" in said
    answer = evo("check", *TASK, *priced(server), "--set", "budget.usd=1")
    assert answer.code == 0, answer.err
    assert "on validation and holdout at the end, which is kept from a cap" in answer.out
