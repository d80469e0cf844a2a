"""Evaluates candidates by the run's policy: which cases an executor scores them on, and what the scores come to."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from evo.config.schema import Config
from evo.errors import ConfigError, UserError
from evo.models import Model
from evo.policies.base import CandidateBatch, Policy, Pull, Schedule, Verdict
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
        model: for problems whose evaluations ask a language model.
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
        for part in parts:
            if not self.failed:
                self.parts.append(part)
                self.scores |= part.cases


class Evaluator:
    """Scores candidates by a policy. The same policy, candidates and scores give the same evaluations, at any width.

    Attributes:
        stopping: whether the run is; lost evaluations are not tried again then.

    Args:
        seed: of the run.
        resources: of an evaluation, where the run's are not the problem's.
    """

    def __init__(
        self, executor: Executor, problem: Problem, policy: Policy, *, seed: int, resources: Resources | None = None
    ) -> None:
        self._executor = executor
        self._problem = problem
        self._policy = policy
        self._seed = seed
        self._resources = resources or problem.resources
        self._cases = tuple(problem.case_names("train")) if policy.needs_cases else ()
        self.stopping = False

    @property
    def batch_size(self) -> int:
        """How many candidates are scored together."""
        return self._policy.batch_size

    async def evaluate(self, entry: Entry, *, as_seed: bool = False) -> Evaluation:
        """Score a candidate by itself.

        Args:
            as_seed: score it on all cases that any candidate is scored on, whatever the policy would prune.

        Raises:
            SandboxError, BudgetSpentError, ModelAccessError: by the executor.
        """
        schedule = None if as_seed and self._policy.whole else self._started([entry])
        if schedule is None:
            return await self._tried(entry, None)
        [verdict] = await self._decided([entry], schedule)
        return await self.finish(entry, verdict)

    async def evaluate_batch(self, entries: Sequence[Entry]) -> list[Verdict]:
        """Score several candidates together, until it is decided which of them are promoted.

        Raises:
            SandboxError, BudgetSpentError, ModelAccessError: by the executor.
        """
        schedule = self._started(entries)
        if schedule is None:
            return [Verdict(await self._tried(entry, None)) for entry in entries]
        return await self._decided(entries, schedule)

    async def finish(self, entry: Entry, verdict: Verdict) -> Evaluation:
        """The candidate's result: of a promoted candidate, on all cases.

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

    def _started(self, entries: Sequence[Entry]) -> Schedule | None:
        first = entries[0]
        return self._policy.start(
            CandidateBatch(len(entries), self._cases, self._seed, first.candidate.id, incumbent=first.incumbent)
        )

    async def _decided(self, entries: Sequence[Entry], schedule: Schedule) -> list[Verdict]:
        seen = [_Seen(entry) for entry in entries]
        while not schedule.done:
            pulls = schedule.next(PULLS_AT_ONCE)
            if not pulls:
                raise UserError(f"the schedule {type(schedule).__name__} names no pull, and is not done")
            takes = schedule.resources
            await self._pull(pulls, seen, self._resources.but(takes) if takes else None)
            # The schedule knows no failures: a failed candidate gets the lowest score, so that it is abandoned.
            lowest = min((score for each in seen for score in each.scores.values()), default=0.0)
            for pull in pulls:
                schedule.observe(pull, seen[pull.candidate].scores.get(self._cases[pull.case], lowest))
        promoted = set(schedule.promoted([place for place, each in enumerate(seen) if not each.failed]))
        return [self._verdict(each, promoted=place in promoted) for place, each in enumerate(seen)]

    def _verdict(self, seen: _Seen, *, promoted: bool) -> Verdict:
        if not promoted and not seen.failed:
            return Verdict(self._pruned(seen))
        evaluation = self._together(seen)
        return Verdict(evaluation, promoted and self._policy.whole and evaluation.outcome == "ok")

    async def _pull(self, pulls: Sequence[Pull], seen: Sequence[_Seen], resources: Resources | None) -> None:
        wanted: dict[int, list[str]] = {}
        for pull in pulls:
            if not seen[pull.candidate].failed:
                wanted.setdefault(pull.candidate, []).append(self._cases[pull.case])
        found = await _all(*(self._on(seen[place].entry, names, resources) for place, names in wanted.items()))
        for place, parts in zip(wanted, found, strict=True):
            seen[place].add(parts)

    async def _on(self, entry: Entry, cases: Sequence[str], resources: Resources | None = None) -> list[Evaluation]:
        """Evaluations on these cases, side by side; how they are divided depends on their number alone."""
        groups = [cases[start : start + CASES_AT_ONCE] for start in range(0, len(cases), CASES_AT_ONCE)]
        return await _all(*(self._tried(entry, group, resources) for group in groups))

    async def _tried(self, entry: Entry, cases: Sequence[str] | None, resources: Resources | None = None) -> Evaluation:
        """An evaluation; questions that a model left open are asked again, those it answered are not."""
        for _ in range(TRIES):
            evaluation = await self._executor.evaluate(
                entry.candidate.genome, cases=cases, model=entry.model, resources=resources
            )
            if entry.model is None or evaluation.outcome != "lost" or self.stopping:
                break
        return evaluation

    def _together(self, seen: _Seen) -> Evaluation:
        """All parts as a single evaluation; a failure where a part failed."""
        if not seen.parts:
            return Evaluation("ok" if self._policy.whole else "invalid", feedback="none of its cases was scored")
        if seen.failed:
            failure = seen.parts[-1]
            return _used(Evaluation(failure.outcome, feedback=failure.feedback, cases=seen.scores), seen.parts)
        return _used(combined(self._problem, seen.parts), seen.parts)

    def _pruned(self, seen: _Seen) -> Evaluation:
        count, total = len(seen.scores), len(self._cases)
        mean = f", mean score {sum(seen.scores.values()) / count:.4g}" if count else ""
        summary = f"pruned after {count} of {total} cases{mean}: {self._policy.reason}"
        feedback = combined(self._problem, seen.parts).feedback if count else ""
        text = clip_text(f"{summary}\n\n{feedback}".rstrip())
        return _used(Evaluation("pruned", feedback=text, cases=seen.scores), seen.parts)


def make_policy(config: Config, problem: Problem) -> Policy:
    """The evaluation policy that a configuration names, tried on the problem's cases.

    Raises:
        UserError: no such policy, an option that does not fit, or a problem without cases.
    """
    name = config.evaluation.policy
    policy: Policy = make("policies", name, config.evaluation.options)
    cases = tuple(problem.case_names("train"))
    if policy.needs_cases and not cases:
        raise ConfigError(
            f"evaluation.policy {name} scores cases one at a time, and {config.problem.name} has none that can be;"
            " leave it at full"
        )
    for count in sorted({1, policy.batch_size}) if policy.needs_cases else ():
        try:
            policy.start(CandidateBatch(count, cases, incumbent=dict.fromkeys(cases, 0.0)))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"evaluation.options do not suit policy {name}: {error}") from error
    return policy


def _used(evaluation: Evaluation, parts: Sequence[Evaluation]) -> Evaluation:
    """What several evaluations used together."""
    if not parts:
        return evaluation
    isolations = {part.isolation for part in parts}
    return replace(
        evaluation,
        seconds=sum(part.seconds for part in parts),
        cpu_seconds=sum(part.cpu_seconds for part in parts),
        memory_bytes=max(part.memory_bytes for part in parts),
        # The weakest isolation counts.
        isolation=next((name for name in ("process", "bubblewrap") if name in isolations), parts[-1].isolation),
        worker=parts[-1].worker,
        node=parts[-1].node,
        started=min(part.started for part in parts),
    )


Answer = TypeVar("Answer")


async def _all(*asked: Coroutine[None, None, Answer]) -> list[Answer]:
    """All answers, side by side; where any raises, the others are awaited first."""
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]
