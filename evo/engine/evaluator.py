"""Between the driver and the executor: which cases a candidate is scored on, by a plan, and what that comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from evo.config.schema import Config
from evo.errors import ConfigError, UserError
from evo.models import Model
from evo.policies.base import Policy, Pull, Verdict
from evo.policies.plans import Contest, Plan
from evo.protocols import Executor, Problem
from evo.registry import make
from evo.resources import Resources
from evo.scoring import combined
from evo.values import Candidate, Evaluation, clip_text

CASES_AT_ONCE = 16
PULLS_AT_ONCE = 4096
TRIES = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """A candidate that is to be scored.

    Attributes:
        model: for problems whose evaluations ask one.
        incumbent: case scores of its base parent; {} where it has none.
    """

    candidate: Candidate
    model: Model | None = None
    incumbent: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Seen:
    """What was seen of a candidate.

    Attributes:
        parts: evaluations on different cases, in the order of asking for them; the first failure ends them.
        scores: by case.
    """

    entry: Entry
    parts: list[Evaluation] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return bool(self.parts) and self.parts[-1].outcome != "ok"

    def add(self, parts: Sequence[Evaluation]) -> None:
        for one in parts:
            if not self.failed:
                self.parts.append(one)
                self.scores |= one.cases


class Measuring:
    """Scores candidates by a plan. The same plan, candidates and scores give the same evaluations, at any width.

    Attributes:
        stopping: whether the run is; what got lost is not tried again then.

    Args:
        seed: of the run.
        resources: of an evaluation, where the run's are not the problem's.
    """

    def __init__(
        self, executor: Executor, problem: Problem, plan: Plan, *, seed: int, resources: Resources | None = None
    ) -> None:
        self._executor = executor
        self._problem = problem
        self._plan = plan
        self._seed = seed
        self._resources = resources or problem.resources
        self._cases = tuple(problem.case_names("train")) if plan.needs_cases else ()
        self.stopping = False

    @property
    def batch_size(self) -> int:
        """How many candidates are scored together."""
        return self._plan.batch_size

    async def alone(self, entry: Entry, *, founds: bool = False) -> Evaluation:
        """Score one by itself.

        Args:
            founds: whether it is a seed, which has to be scored on all cases that anyone is.

        Raises:
            SandboxError, BudgetSpentError, ModelAccessError: by the executor.
        """
        if founds and self._plan.whole:
            return await self._tried(entry, None)
        contest = Contest(1, self._cases, self._seed, entry.candidate.id, entry.incumbent)
        policy = self._plan.policy(contest)
        if policy is None:
            return await self._tried(entry, None)
        [verdict] = await self._decided([entry], policy)
        return await self.finished(entry, verdict)

    async def race(self, entries: Sequence[Entry]) -> list[Verdict]:
        """Score several together, until it is decided who goes on.

        Raises:
            SandboxError, BudgetSpentError, ModelAccessError: by the executor.
        """
        contest = Contest(
            len(entries), self._cases, self._seed, entries[0].candidate.id, incumbent=entries[0].incumbent
        )
        policy = self._plan.policy(contest)
        if policy is None:
            return [Verdict(await self._tried(one, None)) for one in entries]
        return await self._decided(entries, policy)

    async def finished(self, entry: Entry, verdict: Verdict) -> Evaluation:
        """The evaluation to tell: of one that goes on, on all cases.

        Raises:
            SandboxError, BudgetSpentError, ModelAccessError: by the executor.
        """
        before = verdict.evaluation
        seen = _Seen(entry, [before] if before.cases else [], dict(before.cases))
        rest = [name for name in self._cases if name not in seen.scores]
        if not verdict.promoted or not rest:
            return before
        seen.add(await self._on(entry, rest))
        return self._together(seen)

    async def _decided(self, entries: Sequence[Entry], policy: Policy) -> list[Verdict]:
        seen = [_Seen(one) for one in entries]
        while not policy.done:
            pulls = policy.next(PULLS_AT_ONCE)
            if not pulls:
                raise UserError(f"the policy {type(policy).__name__} wants no case scored, and is not done")
            takes = self._plan.takes(policy)
            await self._pull(pulls, seen, self._resources.but(takes) if takes else None)
            # Who failed is out, and the policy, which knows no failures, must give it up as well.
            lowest = min((score for one in seen for score in one.scores.values()), default=0.0)
            for pull in pulls:
                policy.observe(pull, seen[pull.candidate].scores.get(self._cases[pull.case], lowest))
        promoted = set(self._plan.promoted(policy, [place for place, one in enumerate(seen) if not one.failed]))
        return [self._verdict(one, promoted=place in promoted) for place, one in enumerate(seen)]

    def _verdict(self, seen: _Seen, *, promoted: bool) -> Verdict:
        if not promoted and not seen.failed:
            return Verdict(self._stopped(seen))
        evaluation = self._together(seen)
        return Verdict(evaluation, promoted and self._plan.whole and evaluation.outcome == "ok")

    async def _pull(self, pulls: Sequence[Pull], seen: Sequence[_Seen], resources: Resources | None) -> None:
        wanted: dict[int, list[str]] = {}
        for pull in pulls:
            if not seen[pull.candidate].failed:
                wanted.setdefault(pull.candidate, []).append(self._cases[pull.case])
        found = await _all(*(self._on(seen[place].entry, names, resources) for place, names in wanted.items()))
        for place, parts in zip(wanted, found, strict=True):
            seen[place].add(parts)

    async def _on(self, entry: Entry, cases: Sequence[str], resources: Resources | None = None) -> list[Evaluation]:
        """Evaluations on these cases, side by side; how they are divided depends on nothing but their number."""
        groups = [cases[start : start + CASES_AT_ONCE] for start in range(0, len(cases), CASES_AT_ONCE)]
        return await _all(*(self._tried(entry, group, resources) for group in groups))

    async def _tried(self, entry: Entry, cases: Sequence[str] | None, resources: Resources | None = None) -> Evaluation:
        """An evaluation; where a model left questions open they are asked again, and what was answered is not."""
        for _ in range(TRIES):
            evaluation = await self._executor.evaluate(
                entry.candidate.genome, cases=cases, model=entry.model, resources=resources
            )
            if entry.model is None or evaluation.outcome != "lost" or self.stopping:
                break
        return evaluation

    def _together(self, seen: _Seen) -> Evaluation:
        """All parts as one evaluation; a failure where there is one."""
        if not seen.parts:
            return Evaluation("ok" if self._plan.whole else "invalid", feedback="none of its cases was scored")
        if seen.failed:
            failure = seen.parts[-1]
            return _used(Evaluation(failure.outcome, feedback=failure.feedback, cases=seen.scores), seen.parts)
        return _used(combined(self._problem, seen.parts), seen.parts)

    def _stopped(self, seen: _Seen) -> Evaluation:
        count, total = len(seen.scores), len(self._cases)
        mean = f", mean score {sum(seen.scores.values()) / count:.4g}" if count else ""
        said = f"stopped after {count} of {total} cases{mean}: {self._plan.reason}"
        feedback = combined(self._problem, seen.parts).feedback if count else ""
        told = clip_text(f"{said}\n\n{feedback}".rstrip())
        return _used(Evaluation("pruned", feedback=told, cases=seen.scores), seen.parts)


def make_plan(config: Config, problem: Problem) -> Plan:
    """The plan that a configuration names, tried on the problem's cases.

    Raises:
        UserError: no such policy, an option that does not fit, or a problem without cases.
    """
    name = config.evaluation.policy
    plan: Plan = make("policies", name, config.evaluation.options)
    cases = tuple(problem.case_names("train"))
    if plan.needs_cases and not cases:
        raise ConfigError(
            f"evaluation.policy {name} scores cases one at a time, and {config.problem.name} has none that can be;"
            " leave it at full"
        )
    for count in sorted({1, plan.batch_size}) if plan.needs_cases else ():
        try:
            plan.policy(Contest(count, cases, incumbent=dict.fromkeys(cases, 0.0)))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"evaluation.options do not suit policy {name}: {error}") from error
    return plan


def _used(evaluation: Evaluation, parts: Sequence[Evaluation]) -> Evaluation:
    """What several evaluations used together."""
    if not parts:
        return evaluation
    held = {one.isolation for one in parts}
    return replace(
        evaluation,
        seconds=sum(one.seconds for one in parts),
        cpu_seconds=sum(one.cpu_seconds for one in parts),
        memory_bytes=max(one.memory_bytes for one in parts),
        # The weakest counts.
        isolation=next((one for one in ("process", "bubblewrap") if one in held), parts[-1].isolation),
        worker=parts[-1].worker,
        node=parts[-1].node,
        started=min(one.started for one in parts),
    )


Answer = TypeVar("Answer")


async def _all(*asked: Coroutine[None, None, Answer]) -> list[Answer]:
    """All answers, side by side; where one raises, the others are awaited first."""
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]
