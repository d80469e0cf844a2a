"""Evaluation policies: which (candidate, case) pairs to score, where scoring every pair would cost too much.

A `Policy` is the value that a configuration names; for each batch of candidates it starts a `Schedule`, a pure state
machine that names pulls, observes their scores, and says when it has seen enough. A schedule knows no clock, file or
network, and its randomness is an argument, so the same scores give the same pulls.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.protocols import FloatArray, IntArray
from evo.randomness import generator
from evo.values import Evaluation

BoolArray: TypeAlias = NDArray[np.bool_]

BOUND_DEVIATIONS = 1.96
VARIANCE_PULLS = 10.0


@dataclass(frozen=True, slots=True, order=True)
class Pull:
    """The score of a candidate on a case, both by index."""

    candidate: int
    case: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a candidate's mean over all cases is believed to be.

    The bounds would hold it in about 95 of 100 cases if scores did not decide what is seen next. Where they do, unlucky
    candidates are abandoned early, so the true means of the losers lie above their bounds more often than that (races:
    15 to 25 of 100), and below them hardly ever.

    Attributes:
        lower: minus infinity where nothing of the candidate was seen.
        upper: infinity where nothing of the candidate was seen.
    """

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided about a candidate once its schedule has seen enough.

    Attributes:
        evaluation: its result; of a promoted candidate, what was seen so far.
        promoted: whether it is to be scored on the rest of the cases.
    """

    evaluation: Evaluation
    promoted: bool = False


@dataclass(frozen=True, slots=True)
class CandidateBatch:
    """The candidates that are scored together, and on what.

    Attributes:
        candidates: how many, in the order of their ids.
        cases: names, in the problem's order.
        seed: of the run.
        first: id of the first candidate.
        incumbent: scores of the first candidate's base parent, by case; {} where it has none.
    """

    candidates: int
    cases: tuple[str, ...]
    seed: int = 0
    first: int = 0
    incumbent: Mapping[str, float] = field(default_factory=dict)

    @property
    def rng(self) -> np.random.Generator:
        """A different one for each batch."""
        return generator(self.seed, self.first, "policy")

    @property
    def shared_rng(self) -> np.random.Generator:
        """The same for every batch of a run."""
        return generator(self.seed, 0, "batch")


class Schedule(Protocol):
    """Decides which pulls to make for a batch, and which candidates they promote. Larger scores are better."""

    @property
    def done(self) -> bool:
        """Whether it has seen enough; until then it has pulls to make, or waits for scores of pulls under way."""
        ...

    @property
    def resources(self) -> Mapping[str, Any]:
        """What evaluations of the pulls it names now take, where it differs from the run's; by field of `Resources`."""
        ...

    def next(self, count: int) -> list[Pull]:
        """Up to `count` pulls to make now, none of them twice; fewer, or none, while it waits for scores."""
        ...

    def observe(self, pull: Pull, score: float) -> None:
        """Take in the score of a pull that `next` named.

        Raises:
            ValueError: it is not under way, or the score is not finite.
        """
        ...

    def estimates(self) -> list[Estimate]:
        """An estimate for each candidate, in their order."""
        ...

    def promoted(self, eligible: Sequence[int]) -> Sequence[int]:
        """Which of the eligible candidates go on, once it is done; failed candidates are not eligible."""
        ...


class Policy(ABC):
    """How the candidates of a run are scored. A frozen value; the arguments of __init__ are its options.

    Seeds are never in a batch of a policy that is `whole`: they are scored on all cases.

    Attributes:
        batch_size: how many candidates are scored together; 1 for each by itself.
        needs_cases: whether the problem must have cases that can be scored separately.
        whole: whether a promoted candidate is scored on the cases that it has not seen yet; otherwise what it has seen
            counts.
        reason: why a candidate is pruned, for its feedback.
    """

    batch_size: int = 1
    needs_cases: bool = True
    whole: bool = True
    reason: str = "others were more promising"

    @abstractmethod
    def start(self, batch: CandidateBatch) -> Schedule | None:
        """The schedule for a batch; None scores each candidate as a whole.

        Raises:
            ConfigError: options that do not fit the number of candidates or cases.
        """


class RoundSchedule:
    """A schedule that plans a round of pulls at a time, from all scores of the rounds before.

    So the order in which the scores of a round arrive changes nothing. A subclass says what the rounds are
    (`_round`; an empty round ends the schedule), and calls `_advance` when it is ready for the first.

    Attributes:
        scores: what was observed, 0 elsewhere, shape (candidates, cases).
        seen: where something was observed, shape (candidates, cases).

    Raises:
        ConfigError: no candidate, or no case.
    """

    def __init__(self, candidates: int, cases: int) -> None:
        if candidates < 1 or cases < 1:
            raise ConfigError(f"a policy needs candidates and cases, got {candidates} and {cases}")
        self.scores: FloatArray = np.zeros((candidates, cases))
        self.seen: BoolArray = np.zeros((candidates, cases), dtype=np.bool_)
        self._planned: deque[Pull] = deque()
        self._under_way: set[Pull] = set()

    @property
    def done(self) -> bool:
        return not self._planned and not self._under_way

    @property
    def resources(self) -> Mapping[str, Any]:
        return {}

    def next(self, count: int) -> list[Pull]:
        pulls = [self._planned.popleft() for _ in range(min(count, len(self._planned)))]
        self._under_way.update(pulls)
        return pulls

    def observe(self, pull: Pull, score: float) -> None:
        if pull not in self._under_way:
            raise ValueError(f"{pull} is not under way: observe the score of each pull that `next` named exactly once")
        if not math.isfinite(score):
            raise ValueError(f"the score of {pull} must be finite, got {score}")
        self._under_way.remove(pull)
        self.scores[pull.candidate, pull.case] = score
        self.seen[pull.candidate, pull.case] = True
        if self.done:
            self._advance()

    def estimates(self) -> list[Estimate]:
        mean, variance = sample_means(self.scores, self.seen)
        return bounded(mean, variance)

    def promoted(self, eligible: Sequence[int]) -> Sequence[int]:
        return eligible

    def _round(self) -> list[Pull]:
        raise TypeError(f"{type(self).__name__} must define _round")

    def _advance(self) -> None:
        self._planned.extend(self._round())


def grid(candidates: IntArray, cases: IntArray) -> list[Pull]:
    """All pulls of these candidates on these cases, case by case."""
    return [Pull(candidate, case) for case in cases.tolist() for candidate in candidates.tolist()]


def sample_means(scores: FloatArray, seen: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Mean score of each row and the variance of that as an estimate of the whole row's mean, both of shape (n,).

    The cases that were seen count as drawn at random without replacement, so the variance is 0 where all were; infinite
    where no case was.
    """
    counts = seen.sum(axis=1)
    mean = np.where(counts > 0, scores.sum(axis=1) / np.maximum(counts, 1), scores.sum() / max(1, seen.sum()))
    squares = (np.where(seen, scores - mean[:, None], 0.0) ** 2).sum(axis=1)
    freedom = max(1, int(seen.sum()) - int((counts > 0).sum()))
    return mean, shrinking(own_variance(squares, counts, float(squares.sum()) / freedom), counts, seen.shape[1])


def own_variance(squares: FloatArray, counts: IntArray, pooled: float) -> FloatArray:
    """Variance of a single score about its row's fit, shape (n,).

    A row's own squares say little while it has few pulls, so `VARIANCE_PULLS` more of the pooled variance are added.
    """
    return (squares + VARIANCE_PULLS * pooled) / (counts + VARIANCE_PULLS)


def shrinking(variance: FloatArray, counts: IntArray, cases: int) -> FloatArray:
    """Variance of a mean over `counts` of the `cases`, drawn without replacement, about the mean over all."""
    left = 1.0 - counts / cases
    return np.where(counts > 0, variance * left / np.maximum(counts, 1), np.inf)


def bounded(mean: FloatArray, variance: FloatArray) -> list[Estimate]:
    """Estimates with normal bounds."""
    wide = BOUND_DEVIATIONS * np.sqrt(variance)
    return [Estimate(*row) for row in zip(mean.tolist(), (mean - wide).tolist(), (mean + wide).tolist(), strict=True)]


def check_batch_size(batch_size: int, low: int) -> None:
    """Whether a batch size is a whole number from `low` up.

    Raises:
        ConfigError: it is not.
    """
    if type(batch_size) is not int or batch_size < low:
        raise ConfigError(f"batch_size must be a whole number from {low} up, got {batch_size!r}")
