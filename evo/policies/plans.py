"""Evaluation policies as a run has them: which policy scores a batch of candidates, and who of it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from evo.errors import ConfigError
from evo.policies.base import Policy
from evo.policies.cascade import Cascade, Stage
from evo.policies.low_rank import LowRank
from evo.policies.minibatch import Minibatch
from evo.policies.racing import Challenge, Racing
from evo.randomness import generator


@dataclass(frozen=True, slots=True)
class Contest:
    """Who is to be scored on what.

    Attributes:
        candidates: how many, in the order of their ids.
        cases: names, in the problem's order.
        seed: of the run.
        number: id of the first candidate.
        incumbent: scores of the first candidate's base parent, by case; {} where it has none.
    """

    candidates: int
    cases: tuple[str, ...]
    seed: int = 0
    number: int = 0
    incumbent: Mapping[str, float] = field(default_factory=dict)

    @property
    def rng(self) -> np.random.Generator:
        """Another one for each contest."""
        return generator(self.seed, self.number, "policy")

    @property
    def shared_rng(self) -> np.random.Generator:
        """The same in every contest of a run."""
        return generator(self.seed, 0, "batch")


class Plan(Protocol):
    """How the candidates of a run are scored. A value; the arguments of __init__ are its options in a configuration.

    Subclass it to have the defaults. Seeds are in no contest of a plan that is `whole`: they are scored on all cases.

    Attributes:
        batch_size: how many candidates are in a contest together; 1 for each by itself.
        needs_cases: whether the problem must have cases that can be scored one at a time.
        whole: whether who goes on is scored on the cases that it has not seen yet; otherwise what it has seen counts.
        reason: why those are stopped that do not go on, for their feedback.
    """

    batch_size: int = 1
    needs_cases: bool = True
    whole: bool = True
    reason: str = "others were more promising"

    def policy(self, contest: Contest) -> Policy | None:
        """What decides which cases are seen, and in which order; None scores each candidate as a whole.

        Raises:
            ConfigError: options that do not fit the number of candidates or cases.
        """
        ...

    def promoted(self, policy: Policy, eligible: Sequence[int]) -> Sequence[int]:
        """Which of these candidates go on, now that the policy is done; those that failed are not among them."""
        ...

    def takes(self, policy: Policy) -> Mapping[str, Any]:
        """What the evaluations that the policy asks for now take otherwise than the run's, by field of `Resources`."""
        return {}


@dataclass(frozen=True, slots=True)
class Everything(Plan):
    """Every candidate as a whole."""

    needs_cases = False

    def policy(self, contest: Contest) -> Policy | None:
        return None

    def promoted(self, policy: Policy, eligible: Sequence[int]) -> Sequence[int]:
        return eligible


@dataclass(frozen=True, slots=True)
class OneBatch(Plan):
    """Every candidate on the same part of the cases, and on no other; the batch is the run's.

    Attributes:
        size: of the batch.
    """

    size: int = 32

    whole = False

    def policy(self, contest: Contest) -> Policy | None:
        return Minibatch(contest.candidates, len(contest.cases), rng=contest.shared_rng, size=self.size)

    def promoted(self, policy: Policy, eligible: Sequence[int]) -> Sequence[int]:
        return eligible


@dataclass(frozen=True, slots=True)
class Stages(Plan):
    """Stages, cheap first: who falls short of one is stopped.

    Attributes:
        stages: share, threshold, keep and resources of each, see `Stage`.
        batch_size: where stages keep a fraction; 1 where thresholds alone decide.
        in_order: whether the cases come in the problem's order, the cheap ones first, instead of one drawn for the run.

    Raises:
        ConfigError: stages that stop nobody.
    """

    stages: Sequence[Mapping[str, Any]] = ()
    batch_size: int = 1
    in_order: bool = False

    reason = "it fell short of a stage"

    def __post_init__(self) -> None:
        _check_batch_size(self.batch_size, 1)
        stages = self._made()
        if not any(one.threshold is not None or (one.keep < 1 and self.batch_size > 1) for one in stages):
            raise ConfigError(
                "policy cascade stops nobody: give a stage a threshold, as in stages: [{share: 0.1, threshold: 0.3}],"
                " or a fraction to keep and a batch above 1"
            )

    def policy(self, contest: Contest) -> Policy | None:
        count, order = len(contest.cases), range(len(contest.cases)) if self.in_order else None
        return Cascade(contest.candidates, count, stages=self._made(), rng=contest.shared_rng, order=order)

    def promoted(self, policy: Policy, eligible: Sequence[int]) -> Sequence[int]:
        assert isinstance(policy, Cascade)
        live = set(policy.live.tolist())
        return [one for one in eligible if one in live]

    def takes(self, policy: Policy) -> Mapping[str, Any]:
        assert isinstance(policy, Cascade)
        return policy.stage.resources

    def _made(self) -> list[Stage]:
        return [Stage(**one) for one in self.stages]


@dataclass(frozen=True, slots=True)
class Duel(Plan):
    """Each candidate against its base parent, stopped once it hardly can be better any more.

    A candidate without a parent that was scored on all cases is scored as a whole.

    Attributes:
        limit: the chance to win below which it is stopped.
        step: how many cases it takes between two looks at the chance; they are scored side by side.
    """

    limit: float = 0.01
    step: int = 8

    reason = "by now it would hardly be better than its parent"

    def policy(self, contest: Contest) -> Policy | None:
        if any(name not in contest.incumbent for name in contest.cases):
            return None
        known = [contest.incumbent[name] for name in contest.cases]
        return Challenge(known, rng=contest.rng, limit=self.limit, step=self.step)

    def promoted(self, policy: Policy, eligible: Sequence[int]) -> Sequence[int]:
        assert isinstance(policy, Challenge)
        return eligible if policy.seen.all() else []


@dataclass(frozen=True, slots=True)
class Races(Plan):
    """The candidates of a batch race, and the best go on.

    Attributes:
        batch_size: how many race.
        finalists: how many go on.
        share: of all (candidate, case) pairs of a batch, those that the race may see.
        error: see `Race`.
    """

    batch_size: int = 16
    finalists: int = 1
    share: float = 0.15
    error: float = 0.01

    reason = "others of its batch did better"

    def __post_init__(self) -> None:
        _check_batch_size(self.batch_size, 2)
        if type(self.finalists) is not int or not 1 <= self.finalists < self.batch_size:
            raise ConfigError(
                f"finalists must be from 1 to below the batch of {self.batch_size}, got {self.finalists!r}"
            )

    def policy(self, contest: Contest) -> Policy | None:
        shape = contest.candidates, len(contest.cases)
        return Racing(*shape, rng=contest.rng, share=self.share, error=self.error)

    def promoted(self, policy: Policy, eligible: Sequence[int]) -> Sequence[int]:
        means = [one.mean for one in policy.estimates()]
        return sorted(eligible, key=lambda one: (-means[one], one))[: self.finalists]


@dataclass(frozen=True, slots=True)
class LowRankRaces(Races):
    """Races that guess the scores not seen, by factors; see `LowRank`.

    Attributes:
        rank: factors beyond the two levels.
        members: of the ensemble.
    """

    rank: int = 2
    members: int = 4

    def policy(self, contest: Contest) -> Policy | None:
        shape = contest.candidates, len(contest.cases)
        fitted = {"rank": self.rank, "members": self.members}
        return LowRank(*shape, rng=contest.rng, share=self.share, error=self.error, **fitted)


def _check_batch_size(batch_size: int, low: int) -> None:
    if type(batch_size) is not int or batch_size < low:
        raise ConfigError(f"batch_size must be a whole number from {low} up, got {batch_size!r}")
