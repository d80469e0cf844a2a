"""Operator selectors: fixed weights, bandits, and a router over models that knows earlier runs.

Rewards are the gains of `evo.protocols.ArmRecord`, between 0 and 1. With `per_dollar` an arm is judged by its gain for
each dollar, as in fractional budgeted bandits (Tran-Thanh et al., AAAI 2012).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evo.errors import ConfigError
from evo.protocols import Arm, ArmRecord
from evo.values import Individual

# An arm whose asks are free would win by any gain at all; a cent buys a thousand of these.
LEAST_USD = 1e-5
INHERITED_PULLS = 50.0


@dataclass(slots=True)
class ArmTally:
    """What is known of an arm: the numbers of `ArmRecord`, and how many of its asks are under way."""

    pulls: float = 0.0
    gain: float = 0.0
    usd: float = 0.0
    pending: int = 0

    def end(self, gain: float, usd: float) -> None:
        self.pulls, self.gain, self.usd = self.pulls + 1, self.gain + gain, self.usd + usd

    def fade(self, factor: float) -> None:
        self.pulls, self.gain, self.usd = self.pulls * factor, self.gain * factor, self.usd * factor


class Weights:
    """Fixed shares, whatever their gains: the baseline."""

    def __init__(self, arms: Sequence[Arm], inherited: Sequence[ArmRecord] = ()) -> None:
        self.arms = tuple(arms)
        self.tallies = [ArmTally() for _ in arms]
        weights = np.array([arm.weight for arm in arms], dtype=float)
        self.shares = weights / weights.sum()
        ends = self.shares.cumsum()
        self._ends = (ends / ends[-1]).tolist()

    def choose(self, rng: np.random.Generator) -> int:
        return self._drawn(rng)

    def _drawn(self, rng: np.random.Generator) -> int:
        # As `rng.choice` draws with these shares, which takes 20 times as long.
        return bisect_right(self._ends, rng.random())

    def routed(self, arm: int, base: Individual, rng: np.random.Generator) -> int:
        return arm

    def asked(self, arm: int) -> None:
        self.tallies[arm].pending += 1

    def ended(self, arm: int, base: Individual, *, gain: float, usd: float) -> None:
        self.tallies[arm].pending -= 1
        self.tallies[arm].end(gain, usd)

    def record(self) -> tuple[ArmRecord, ...]:
        pairs = zip(self.arms, self.tallies, strict=True)
        return tuple(ArmRecord(arm.operator, arm.model, tally.pulls, tally.gain, tally.usd) for arm, tally in pairs)


class Bandit(Weights):
    """What bandits have in common: gains that fade, and what a gain costs."""

    def __init__(
        self,
        arms: Sequence[Arm],
        inherited: Sequence[ArmRecord] = (),
        *,
        per_dollar: bool = False,
        evaluation_usd: float = 0.0,
        half_life: float | None = None,
    ) -> None:
        """Options.

        Args:
            per_dollar: judge by gain for each dollar.
            evaluation_usd: what an evaluation costs you; added to what the completions of an ask cost.
            half_life: after how many asks a result counts half, since what helps early may not help late; None counts
                all results in full.
        """
        if evaluation_usd < 0 or (half_life is not None and half_life <= 0):
            raise ConfigError(
                f"evaluation_usd is {evaluation_usd} and half_life {half_life}; expected at least 0 and above 0"
            )
        super().__init__(arms, inherited)
        self._per_dollar = per_dollar
        self._evaluation_usd = evaluation_usd
        self._factor = 1.0 if half_life is None else 0.5 ** (1 / half_life)
        # Apart from the record, which does not fade.
        self.known = [ArmTally() for _ in arms]

    def asked(self, arm: int) -> None:
        super().asked(arm)
        self.known[arm].pending += 1

    def ended(self, arm: int, base: Individual, *, gain: float, usd: float) -> None:
        super().ended(arm, base, gain=gain, usd=usd)
        if self._factor < 1:
            for tally in self.known:
                tally.fade(self._factor)
        self.known[arm].pending -= 1
        self.known[arm].end(gain, usd)

    def prices(self, tallies: Sequence[ArmTally]) -> list[float]:
        """What an ask of each arm costs, in dollars; 1 for all where money does not count."""
        if not self._per_dollar:
            return [1.0] * len(tallies)
        mean = sum(tally.usd for tally in tallies) / max(1e-12, sum(tally.pulls for tally in tallies))
        each = [tally.usd / tally.pulls if tally.pulls > 0 else mean for tally in tallies]
        return [max(LEAST_USD, usd + self._evaluation_usd) for usd in each]


class Ucb1(Bandit):
    """Upper confidence bounds (Auer, Cesa-Bianchi and Fischer, 2002); asks under way count as tried."""

    def choose(self, rng: np.random.Generator) -> int:
        tried = [tally.pulls + tally.pending for tally in self.known]
        if 0 in tried:
            return tried.index(0)
        total = 2 * math.log(max(math.e, sum(tried)))
        # An arm without any result yet may be as good as any.
        means = [tally.gain / tally.pulls if tally.pulls > 0 else 1.0 for tally in self.known]
        bounds = [mean + math.sqrt(total / count) for mean, count in zip(means, tried, strict=True)]
        prices = self.prices(self.known)
        return max(range(len(bounds)), key=lambda arm: bounds[arm] / prices[arm])


class Thompson(Bandit):
    """Thompson sampling with a Beta posterior for each arm's gain (Chapelle and Li, NeurIPS 2011)."""

    def choose(self, rng: np.random.Generator) -> int:
        return self.sampled(self.known, rng)

    def sampled(self, tallies: Sequence[ArmTally], rng: np.random.Generator) -> int:
        """The arm that a draw from the posteriors favours."""
        prices = self.prices(tallies)
        draws = [rng.beta(1 + tally.gain, 1 + max(0.0, tally.pulls - tally.gain)) for tally in tallies]
        return max(range(len(draws)), key=lambda arm: draws[arm] / prices[arm])


class Router(Thompson):
    """Operators by weight, then the model that suits a base of this size, learnt from earlier runs and this run.

    For each (operator, model) gains are kept by the size of the base, on a binary scale; a size of which little is
    known borrows from what is known of all sizes together.
    """

    lean = 4.0

    def __init__(
        self,
        arms: Sequence[Arm],
        inherited: Sequence[ArmRecord] = (),
        *,
        per_dollar: bool = True,
        evaluation_usd: float = 0.0,
    ) -> None:
        super().__init__(arms, inherited, per_dollar=per_dollar, evaluation_usd=evaluation_usd)
        self._by_scale: Mapping[tuple[int, int], ArmTally] = defaultdict(ArmTally)
        places = {(arm.operator, arm.model): place for place, arm in enumerate(arms)}
        for record in inherited:
            if (place := places.get((record.operator, record.model))) is not None and record.scale is not None:
                _add(self._by_scale[place, record.scale], record)
                _add(self.known[place], record)
        for tally in [*self._by_scale.values(), *self.known]:
            tally.fade(min(1.0, INHERITED_PULLS / max(tally.pulls, 1e-12)))

    def choose(self, rng: np.random.Generator) -> int:
        return self._drawn(rng)

    def routed(self, arm: int, base: Individual, rng: np.random.Generator) -> int:
        models = [place for place, other in enumerate(self.arms) if other.operator == self.arms[arm].operator]
        return models[self.sampled([self._smoothed(place, scale_of(base)) for place in models], rng)]

    def ended(self, arm: int, base: Individual, *, gain: float, usd: float) -> None:
        super().ended(arm, base, gain=gain, usd=usd)
        self._by_scale[arm, scale_of(base)].end(gain, usd)

    def _smoothed(self, arm: int, scale: int) -> ArmTally:
        here, all_sizes = self._by_scale[arm, scale], self.known[arm]
        part = min(1.0, self.lean / max(all_sizes.pulls, 1e-12))
        return ArmTally(
            here.pulls + part * all_sizes.pulls, here.gain + part * all_sizes.gain, here.usd + part * all_sizes.usd
        )


def scale_of(base: Individual) -> int:
    """The size of a base on a binary scale: 0 for 1, 1 for 2 and 3, 2 for 4 to 7, ..."""
    return max(1, base.genome.size).bit_length() - 1


def _add(tally: ArmTally, record: ArmRecord) -> None:
    tally.pulls, tally.gain, tally.usd = tally.pulls + record.pulls, tally.gain + record.gain, tally.usd + record.usd
