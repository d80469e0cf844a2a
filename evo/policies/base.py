"""Which (candidate, case) pairs to score next, when a whole score matrix would cost too much.

A policy is a pure state machine: it names pulls, is told their scores, and says when it has seen enough. It knows no
clock, file or network, and its randomness is an argument, so the same scores give the same pulls.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.protocols import FloatArray, IntArray
from evo.values import Evaluation

BoolArray: TypeAlias = NDArray[np.bool_]

BOUND_DEVIATIONS = 1.96
VARIANCE_PULLS = 10.0


@dataclass(frozen=True, slots=True, order=True)
class Pull:
    """One candidate's score on one case, both by index."""

    candidate: int
    case: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a candidate's mean over all cases is believed to be.

    The bounds would hold it in about 95 of 100 cases if scores did not decide what is seen next. Where they do, those
    with whom luck was against are left early, so the truths of the beaten lie above their bounds more often than that
    (races: 15 to 25 of 100), and below them hardly ever.

    Attributes:
        lower: minus infinity where nothing of the candidate was seen.
        upper: infinity where nothing of the candidate was seen.
    """

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided of a candidate once its policy has seen enough.

    Attributes:
        evaluation: what it is told as, or what was seen so far of one that goes on.
        promoted: whether it is to be scored on the rest of the cases.
    """

    evaluation: Evaluation
    promoted: bool = False


class Policy(Protocol):
    """Decides which pulls to make. Larger scores are better."""

    @property
    def done(self) -> bool:
        """Whether it has seen enough; until then it has pulls to make, or waits for scores of pulls under way."""
        ...

    @property
    def best(self) -> int:
        """The candidate that is best by what was told so far; the first of equals."""
        ...

    def next(self, count: int) -> list[Pull]:
        """Up to `count` pulls to make now, none of them twice; fewer, or none, while scores have to be waited for."""
        ...

    def observe(self, pull: Pull, score: float) -> None:
        """Take in the score of a pull that `next` named.

        Raises:
            ValueError: it is not under way, or the score is not finite.
        """
        ...

    def estimates(self) -> list[Estimate]:
        """One for each candidate, in their order."""
        ...


class Rounds:
    """A policy that plans a round of pulls at a time, from all scores of the rounds before.

    So the order in which the scores of a round are told changes nothing. A subclass says what the rounds are
    (`_round`, an empty one ends it), and calls `_advance` when it is ready for the first.

    Attributes:
        scores: what was told, 0 elsewhere, shape (candidates, cases).
        seen: where something was told, shape (candidates, cases).

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
    def best(self) -> int:
        return int(np.argmax([one.mean if one.lower > -math.inf else -math.inf for one in self.estimates()]))

    def next(self, count: int) -> list[Pull]:
        pulls = [self._planned.popleft() for _ in range(min(count, len(self._planned)))]
        self._under_way.update(pulls)
        return pulls

    def observe(self, pull: Pull, score: float) -> None:
        if pull not in self._under_way:
            raise ValueError(f"{pull} is not under way: tell the score of each pull that `next` named exactly once")
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
    where none was.
    """
    counts = seen.sum(axis=1)
    mean = np.where(counts > 0, scores.sum(axis=1) / np.maximum(counts, 1), scores.sum() / max(1, seen.sum()))
    squares = (np.where(seen, scores - mean[:, None], 0.0) ** 2).sum(axis=1)
    freedom = max(1, int(seen.sum()) - int((counts > 0).sum()))
    return mean, shrinking(own_variance(squares, counts, float(squares.sum()) / freedom), counts, seen.shape[1])


def own_variance(squares: FloatArray, counts: IntArray, pooled: float) -> FloatArray:
    """Variance of one score about its row's fit, shape (n,).

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
