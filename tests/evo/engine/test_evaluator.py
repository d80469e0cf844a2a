"""Laws of the evaluator, with every evaluation policy that is registered."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.engine.evaluator import Entry, Evaluator
from evo.errors import UserError
from evo.genomes import Genome, Vector
from evo.models import BudgetSpentError, Model
from evo.policies.base import CandidateBatch, Policy
from evo.policies.minibatch import Minibatch
from evo.policies.racing import Race, Racing
from evo.pooling import pooled
from evo.protocols import Job
from evo.registry import make, make_problem, names
from evo.resources import Resources
from evo.testing.executor import InProcessExecutor
from evo.testing.scripted import ScriptedModel
from evo.values import Ask, Candidate, Evaluation, Part, Score
from tests.conftest import Evo

EXAM = "evo.testing.exam:Exam"
OPTIONS: dict[str, dict[str, Any]] = {"cascade": {"stages": [{"share": 0.3, "threshold": 0.5}]}}
SILENT = ScriptedModel(lambda request: "")


class Forgetful(InProcessExecutor):
    """Loses some evaluations of cases.

    Attributes:
        losses: how many more it loses.
        seen: cases that were scored, those of lost evaluations left out.
    """

    def __init__(self, losses: int) -> None:
        super().__init__(Job(EXAM, {"questions": 40}, workers=3))
        self.losses = losses
        self.seen: list[str] = []

    async def evaluate(
        self,
        genome: Genome,
        part: Part = "train",
        *,
        cases: Sequence[str] | None = None,
        model: Model | None = None,
        resources: Resources | None = None,
    ) -> Evaluation:
        if self.losses > 0:
            self.losses -= 1
            return Evaluation("lost", feedback="gone")
        self.seen += cases or ()
        return await super().evaluate(genome, part, cases=cases)


class Penniless(Forgetful):
    """Has no money left."""

    async def evaluate(
        self,
        genome: Genome,
        part: Part = "train",
        *,
        cases: Sequence[str] | None = None,
        model: Model | None = None,
        resources: Resources | None = None,
    ) -> Evaluation:
        raise BudgetSpentError("not a cent is left")


class Idle(Racing):
    """Its schedule names no pull, for ever."""

    def start(self, batch: CandidateBatch) -> Race:
        schedule = super().start(batch)
        schedule.next(10_000)
        return schedule


def entries(count: int, model: Model | None = None) -> list[Entry]:
    skills = [Vector((0.1 + 0.8 * number / count,)) for number in range(count)]
    return [Entry(Candidate(number, Ask(number, "guess"), skill), model) for number, skill in enumerate(skills)]


def evaluator(executor: InProcessExecutor, policy: Policy) -> Evaluator:
    return Evaluator(executor, make_problem(EXAM, {"questions": 40}), policy, seed=0)


@pytest.mark.parametrize("name", names("policies"))
@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_policy_prunes_or_promotes_each_candidate_and_scores_no_case_twice(name: str, count: int) -> None:
    policy: Policy = make("policies", name, OPTIONS.get(name, {}))
    executor = Forgetful(0)
    scoring = evaluator(executor, policy)

    async def go() -> list[tuple[str, int]]:
        batch = entries(count)
        if policy.batch_size == 1:
            results = [await scoring.evaluate(entry) for entry in batch]
        else:
            verdicts = await scoring.evaluate_batch(batch)
            results = [await scoring.finish(entry, verdict) for entry, verdict in zip(batch, verdicts, strict=True)]
        return [(evaluation.outcome, len(evaluation.cases)) for evaluation in results]

    found = asyncio.run(go())
    whole = 40 if policy.whole else 32
    assert all(seen == whole if outcome == "ok" else 0 < seen < whole for outcome, seen in found)
    assert {outcome for outcome, _ in found} <= {"ok", "pruned"}
    if policy.needs_cases and executor.seen:
        assert len(executor.seen) == sum(seen for _, seen in found)


@pytest.mark.parametrize("model", [None, SILENT], ids=["without a model", "with a model"])
@pytest.mark.parametrize("stopping", [False, True])
def test_what_a_model_left_open_is_asked_again_as_long_as_the_run_goes_on(model: Model | None, stopping: bool) -> None:
    scoring = evaluator(Forgetful(2), Minibatch(8))
    scoring.stopping = stopping
    found = asyncio.run(scoring.evaluate(entries(1, model)[0]))
    again = model is not None and not stopping
    assert (found.outcome, len(found.cases)) == (("ok", 8) if again else ("lost", 0))


def test_what_is_lost_for_good_is_lost_and_the_others_race_on() -> None:
    scoring = evaluator(Forgetful(1), Racing(batch_size=4, share=0.5))
    verdicts = asyncio.run(scoring.evaluate_batch(entries(4)))
    assert [verdict.evaluation.outcome for verdict in verdicts].count("lost") == 1
    assert sum(verdict.promoted for verdict in verdicts) == 1


def test_money_that_runs_out_comes_through_as_it_is() -> None:
    with pytest.raises(BudgetSpentError, match="not a cent is left"):
        asyncio.run(evaluator(Penniless(0), Racing(batch_size=4)).evaluate_batch(entries(4)))


def test_a_schedule_that_names_no_pull_and_is_not_done_is_an_error() -> None:
    with pytest.raises(UserError, match="the schedule RacingSchedule names no pull, and is not done"):
        asyncio.run(evaluator(Forgetful(0), Idle(batch_size=4)).evaluate_batch(entries(4)))


def test_the_same_candidates_race_the_same_whatever_the_order_of_their_scores() -> None:
    found = []
    for workers in (1, 9):
        executor = InProcessExecutor(Job(EXAM, {"questions": 40}, workers=workers))
        found.append(asyncio.run(evaluator(executor, Racing(batch_size=8, share=0.4)).evaluate_batch(entries(8))))
    assert found[0] == found[1]


def test_what_several_parts_used_is_added_up() -> None:
    class Timed(Forgetful):
        async def evaluate(self, genome: Genome, part: Part = "train", **more: Any) -> Evaluation:
            evaluation = await super().evaluate(genome, part, cases=more["cases"])
            used = {"seconds": 2.0, "cpu_seconds": 1.0, "memory_bytes": 10 * len(evaluation.cases)}
            fields = (
                evaluation.to_json() | used | {"isolation": "process" if len(evaluation.cases) < 16 else "bubblewrap"}
            )
            return Evaluation.from_json(fields)

    found = asyncio.run(evaluator(Timed(0), Minibatch(40)).evaluate(entries(1)[0]))
    assert (found.seconds, found.cpu_seconds, found.memory_bytes, found.isolation) == (6.0, 3.0, 160, "process")


groups = st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), min_size=1, max_size=6)


@given(groups)
def test_pooled_means_are_those_of_all_cases_together(marks: list[list[float]]) -> None:
    scores = [
        Score(
            {"mean": math.fsum(group) / len(group)},
            {"worst": max(group)},
            cases={f"{place}.{number}": mark for number, mark in enumerate(group)},
        )
        for place, group in enumerate(marks)
    ]
    everything = [mark for group in marks for mark in group]
    together = pooled(scores)
    assert together.objectives["mean"] == pytest.approx(math.fsum(everything) / len(everything), abs=1e-6)
    assert together.violations["worst"] == max(everything)
    assert list(together.cases.values()) == everything


def test_scores_without_cases_cannot_be_pooled() -> None:
    with pytest.raises(ValueError, match="have no weights"):
        pooled([Score({"x": 1.0}), Score({"x": 2.0})])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("policy: racin", "unknown policy 'racin'; did you mean 'racing'"),
        (
            "policy: racing, options: {batch_sizes: 8}",
            "unknown option of policy racing 'batch_sizes'; did you mean 'batch_size'",
        ),
        ("policy: racing, options: {batch_size: 1}", "batch_size must be a whole number from 2 up, got 1"),
        ("policy: racing, options: {batch_size: '9'}", "batch_size must be a whole number from 2 up, got '9'"),
        ("policy: racing, options: {finalists: 16}", "finalists must be from 1 to below the batch of 16, got 16"),
        ("policy: racing, options: {share: 0.01}", "needs a share in .* that gives each at least one pull"),
        ("policy: racing, options: {share: much}", "do not suit policy racing: .*"),
        ("policy: low_rank, options: {rank: 1.5}", "do not suit policy low_rank: .*"),
        ("policy: minibatch, options: {size: 0}", "a minibatch needs at least one case, got size 0"),
        ("policy: cascade", "policy cascade prunes no candidate: give a stage a threshold"),
        (
            "policy: cascade, options: {stages: [{share: 0.5, thresh: 1}]}",
            "policy cascade does not take these options",
        ),
        ("policy: challenge, options: {limit: 0.7}", r"a limit in \[0, 0.5\)"),
        ("policie: full", "unknown key in .evaluation. 'policie'; did you mean 'policy'"),
    ],
)
def test_a_policy_that_means_nothing_is_refused_in_one_sentence(evo: Evo, options: str, message: str) -> None:
    answer = evo("check", EXAM, "--set", f"evaluation={{{options}}}")
    assert answer.code == 2
    [sentence] = answer.err.strip().splitlines()
    assert re.search(message, sentence)


def test_a_policy_for_cases_is_refused_where_there_are_none(evo: Evo) -> None:
    answer = evo("run", "sphere", "--set", "evaluation.policy=racing")
    assert answer.code == 2
    assert "evaluation.policy racing scores cases one at a time, and sphere has none" in answer.err


def test_a_policy_of_ones_own_goes_through_the_same_door(evo: Evo, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from evo.policies.base import Policy\n"
        "from evo.policies.cascade import CascadeSchedule, Stage\n\n\n"
        "@dataclass(frozen=True)\n"
        "class Half(Policy):\n"
        "    batch_size: int = 4\n\n"
        "    def start(self, batch):\n"
        "        stages = [Stage(0.2, keep=0.5)]\n"
        "        return CascadeSchedule(batch.candidates, len(batch.cases), stages=stages, rng=batch.rng)\n"
    )
    here = ("--set", "executor=evo.testing.executor:InProcessExecutor", "--set", "budget.evaluations=33")
    answer = evo("run", EXAM, *here, "--set", "evaluation={policy: 'mine.py:Half', options: {batch_size: 8}}")
    assert answer.code == 0, answer.err
    assert "15 were pruned" in answer.out


def test_check_says_what_a_policy_will_do(evo: Evo) -> None:
    answer = evo("check", EXAM, "--set", "evaluation.policy=racing")
    assert answer.code == 0, answer.err
    assert "policy racing over 60 cases, candidates 16 together; promoted candidates are scored on all" in answer.out
