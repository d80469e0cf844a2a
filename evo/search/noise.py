"""Noisy evaluations in a search: which individual to re-evaluate, and what several evaluations of it come to.

The statistics of a single objective are in `evo.policies.noise`. Here they are applied to individuals with several
objectives, each in its own direction, and with constraints.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import moocore
import numpy as np
from annotated_types import Interval

from evo.policies.noise import challenger_of, estimate, pooled_variance, variance_of
from evo.protocols import FloatArray
from evo.search.population import LARGEST
from evo.values import Evaluation, Individual, Objective, Repeats

TRUSTED_AFTER = 20
"""Successful re-evaluations after which the variance found so far is trusted, also where it is 0."""


@dataclass(frozen=True, slots=True)
class NoiseSettings:
    """What is done where the same genome is not always evaluated to the same: the section search.noise.

    Attributes:
        reevaluation_rate: share of the asks after the seeds that re-evaluate an individual of the population, where it
            is uncertain which is better.
        confidence: of the bound.
        compare: individuals by a bound of the mean on its bad side, or by the mean alone.
        repeats: how often each individual of the population is evaluated at least, before anything else is asked for on
            its island.
    """

    reevaluation_rate: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    confidence: Annotated[float, Interval(gt=0, lt=1)] = 0.95
    compare: Literal["bound", "mean"] = "bound"
    repeats: Annotated[int, Interval(ge=1, le=1000)] = 1

    @property
    def reevaluates(self) -> bool:
        """Whether any individual is ever evaluated more than once."""
        return self.reevaluation_rate > 0 or self.repeats > 1


@dataclass(frozen=True, slots=True)
class Noise:
    """What is known of the noise of a search.

    Attributes:
        variances: of a single measurement, by objective; {} until something was measured twice.
        repeated: how many successful evaluations were not the first of an individual.
    """

    settings: NoiseSettings
    objectives: tuple[Objective, ...]
    variances: Mapping[str, float] = field(default_factory=dict)
    repeated: int = 0

    @property
    def silent(self) -> bool:
        """Whether all re-evaluations gave the same values so far."""
        return not any(self.variances.values())

    @property
    def _trusted(self) -> bool:
        return self.repeated >= TRUSTED_AFTER

    def learnt(self, known: Collection[Individual], *, ok: bool = True) -> Noise:
        """After a re-evaluation, with variances from these individuals; as before where none was measured twice.

        Args:
            ok: whether the re-evaluation succeeded; a failed one says nothing of whether values vary.
        """
        pooled = {
            objective.name: pooled_variance([member.repeats[objective.name] for member in known if member.repeats])
            for objective in self.objectives
        }
        found = {name: min(variance, LARGEST) for name, variance in pooled.items() if variance is not None}
        return replace(self, variances={**self.variances, **found}, repeated=self.repeated + ok)

    def appraised(self, individual: Individual) -> Individual:
        """With the values by which it is compared; unchanged until something was measured twice."""
        if not self.variances:
            return individual
        values = {
            objective.name: self._value(objective, repeats_of(individual, objective)) for objective in self.objectives
        }
        return individual if values == individual.appraised else replace(individual, appraised=values)

    def too_few_evaluations(self, members: Iterable[Individual], busy: Collection[int]) -> Individual | None:
        """The first member with fewer evaluations than `repeats`; busy members are being evaluated already."""
        if self.settings.repeats == 1:
            return None
        return next(
            (member for member in members if member.measurements < self.settings.repeats and member.id not in busy),
            None,
        )

    def most_uncertain(self, members: Iterable[Individual], busy: Collection[int]) -> Individual | None:
        """Which member to re-evaluate: a leader or its challenger, whichever is known less well; None without doubt.

        Leaders are feasible members that no other dominates by its means; the least known leader comes first. All of
        them are uncertain until there were `TRUSTED_AFTER` successful re-evaluations; where all of those agreed, none
        is afterwards.

        Args:
            busy: ids of members that are being re-evaluated.
        """
        pool = [member for member in members if member.evaluation.violation <= 0]
        if len(pool) < 2 or (self.silent and self._trusted):
            return None
        pairs = self._uncertain_pairs(pool)
        return next((pool[place] for pair in pairs for place in pair if pool[place].id not in busy), None)

    def _uncertain_pairs(self, pool: Sequence[Individual]) -> Iterator[tuple[int, int]]:
        """Positions of leader and challenger, the less known first; the pair of the least known leader first."""
        means, variances = self._means(pool), self._variances(pool)
        scale = np.array([self._variance(objective.name) or 1.0 for objective in self.objectives])
        unsure: FloatArray = (variances / scale).sum(axis=1)
        leaders = np.flatnonzero(moocore.is_nondominated(means, keep_weakly=False))
        for leader in leaders[np.argsort(-unsure[leaders], kind="stable")].tolist():
            challenger = None if self.silent else challenger_of(leader, means, variances)
            if challenger is None and not self._trusted:
                challenger = leader
            if challenger is not None:
                yield (challenger, leader) if unsure[challenger] > unsure[leader] else (leader, challenger)

    def _value(self, objective: Objective, repeats: Repeats) -> float:
        if self.settings.compare == "mean":
            return repeats.mean
        bounds = estimate(repeats, self.variances[objective.name], self.settings.confidence)
        return float(np.clip(bounds.upper if objective.direction == "min" else bounds.lower, -LARGEST, LARGEST))

    def _means(self, pool: Sequence[Individual]) -> FloatArray:
        means = [
            [objective.sign * member.evaluation.objectives[objective.name] for objective in self.objectives]
            for member in pool
        ]
        clipped: FloatArray = np.clip(np.array(means), -LARGEST, LARGEST)
        return clipped

    def _variances(self, pool: Sequence[Individual]) -> FloatArray:
        """Variances of the means, shape (n, m)."""
        return np.array(
            [
                [self._variance_of_mean(repeats_of(member, objective), objective.name) for objective in self.objectives]
                for member in pool
            ]
        )

    def _variance_of_mean(self, repeats: Repeats, name: str) -> float:
        return variance_of(repeats, self._variance(name)) / repeats.count

    def _variance(self, name: str) -> float:
        return 1.0 if self.silent else self.variances[name]


def repeats_of(individual: Individual, objective: Objective) -> Repeats:
    """All measurements of an individual in an objective."""
    if individual.repeats:
        return individual.repeats[objective.name]
    return Repeats(1, _bounded(individual.evaluation.objectives[objective.name]))


def reevaluated_individual(
    individual: Individual, evaluation: Evaluation, objectives: Sequence[Objective]
) -> Individual:
    """An individual with a further evaluation: its values are the means over all.

    Args:
        evaluation: with outcome ok.
    """
    repeats = {
        objective.name: repeats_of(individual, objective).with_value(_bounded(evaluation.objectives[objective.name]))
        for objective in objectives
    }
    before, count = individual.evaluation, individual.measurements + 1
    means = replace(
        before,
        objectives={name: measured.mean for name, measured in repeats.items()},
        violations=_averaged(before.violations, evaluation.violations, count),
        cases={**evaluation.cases, **before.cases, **_averaged_cases(before.cases, evaluation.cases, count)},
    )
    return replace(individual, evaluation=means, repeats=repeats)


def _averaged(before: Mapping[str, float], now: Mapping[str, float], count: int) -> dict[str, float]:
    """Mean violations after `count` measurements; a missing violation counts as 0."""
    pairs = {name: (before.get(name, 0.0), now.get(name, 0.0)) for name in [*before, *now]}
    return {name: _bounded(old) + (_bounded(new) - _bounded(old)) / count for name, (old, new) in pairs.items()}


def _averaged_cases(before: Mapping[str, float], now: Mapping[str, float], count: int) -> dict[str, float]:
    """Mean scores after `count` measurements, of the cases that were scored this time and before."""
    return _averaged(
        {name: score for name, score in before.items() if name in now},
        {name: score for name, score in now.items() if name in before},
        count,
    )


def _bounded(value: float) -> float:
    """A value whose sums and differences are finite."""
    return min(max(value, -LARGEST), LARGEST)
