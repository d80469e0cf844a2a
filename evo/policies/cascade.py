"""The policy `cascade`: stages, cheap first; a candidate that falls short of a stage is not scored on the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from evo.errors import ConfigError
from evo.policies.base import CandidateBatch, Policy, Pull, RoundSchedule, check_batch_size, grid
from evo.protocols import IntArray
from evo.resources import Resources


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the cases, and which candidates pass it.

    Attributes:
        share: of all cases, those of the stages before included; in (0, 1].
        threshold: mean score so far below which a candidate is pruned; None for no threshold.
        keep: fraction of the candidates of this stage that pass it, the best by mean; at least 1 passes.
        resources: what its evaluations take, where it differs from the problem's, by field of `Resources`.

    Raises:
        ConfigError: a share or a fraction outside (0, 1], or resources that cannot be.
    """

    share: float
    threshold: float | None = None
    keep: float = 1.0
    resources: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("share", "keep"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} of a stage lies in (0, 1], got {getattr(self, name)}")
        Resources().but(self.resources)


@dataclass(frozen=True, slots=True)
class Cascade(Policy):
    """Stages, cheap first: a candidate that falls short of a stage is pruned.

    Attributes:
        stages: share, threshold, keep and resources of each, see `Stage`.
        batch_size: where stages keep a fraction; 1 where thresholds alone decide.
        in_order: whether the cases come in the problem's order, the cheap ones first, instead of an order drawn for the
            run.

    Raises:
        ConfigError: stages that prune no candidate.
    """

    stages: Sequence[Mapping[str, Any]] = ()
    batch_size: int = 1
    in_order: bool = False

    reason = "it fell short of a stage"

    def __post_init__(self) -> None:
        check_batch_size(self.batch_size, 1)
        if not any(stage.threshold is not None or (stage.keep < 1 and self.batch_size > 1) for stage in self._made()):
            raise ConfigError(
                "policy cascade prunes no candidate: give a stage a threshold, as in"
                " stages: [{share: 0.1, threshold: 0.3}], or a fraction to keep and a batch_size above 1"
            )

    def start(self, batch: CandidateBatch) -> CascadeSchedule:
        count, order = len(batch.cases), range(len(batch.cases)) if self.in_order else None
        return CascadeSchedule(batch.candidates, count, stages=self._made(), rng=batch.shared_rng, order=order)

    def _made(self) -> list[Stage]:
        return [Stage(**stage) for stage in self.stages]


class CascadeSchedule(RoundSchedule):
    """Candidates pass from stage to stage, up to the first where they fall short.

    Attributes:
        live: candidates that have not fallen short, shape (k,); may be empty where thresholds decide.

    Args:
        stages: with growing shares.
        rng: puts the cases in order.
        order: of the cases instead, the cheap ones first.

    Raises:
        ConfigError: no stage, shares that do not grow, or an order that is no permutation of the cases.
    """

    def __init__(
        self,
        candidates: int,
        cases: int,
        *,
        stages: Sequence[Stage],
        rng: np.random.Generator,
        order: Sequence[int] | None = None,
    ) -> None:
        super().__init__(candidates, cases)
        _check(stages, order, cases)
        self.live: IntArray = np.arange(candidates)
        self._stages = tuple(stages)
        self._stage = -1
        self._order: IntArray = rng.permutation(cases) if order is None else np.asarray(order, dtype=np.intp)
        self._advance()

    @property
    def resources(self) -> Mapping[str, Any]:
        return self._stages[min(max(0, self._stage), len(self._stages) - 1)].resources

    def promoted(self, eligible: Sequence[int]) -> Sequence[int]:
        live = set(self.live.tolist())
        return [candidate for candidate in eligible if candidate in live]

    def _round(self) -> list[Pull]:
        while True:
            if self._stage >= 0:
                self.live = self._survivors(self._stages[self._stage])
            self._stage += 1
            if self._stage == len(self._stages) or not len(self.live):
                self._stage = len(self._stages)
                return []
            begin, end = self._ends(self._stage - 1), self._ends(self._stage)
            if pulls := grid(self.live, self._order[begin:end]):
                return pulls

    def _ends(self, stage: int) -> int:
        return math.ceil(self._stages[stage].share * len(self._order)) if stage >= 0 else 0

    def _survivors(self, stage: Stage) -> IntArray:
        means = np.array([estimate.mean for estimate in self.estimates()])[self.live]
        kept = np.sort(np.argsort(-means, kind="stable")[: max(1, math.ceil(stage.keep * len(self.live)))])
        if stage.threshold is not None:
            kept = kept[means[kept] >= stage.threshold]
        survivors: IntArray = self.live[kept]
        return survivors


def _check(stages: Sequence[Stage], order: Sequence[int] | None, cases: int) -> None:
    if not stages or any(later.share <= earlier.share for earlier, later in pairwise(stages)):
        raise ConfigError(f"a cascade needs stages with growing shares, got {[stage.share for stage in stages]}")
    if order is not None and sorted(order) != list(range(cases)):
        raise ConfigError(f"the order of a cascade names each of the {cases} cases once")
