"""CMA-ES: points from a normal distribution that is learnt from successful steps.

Source of all formulas: Hansen, "The CMA evolution strategy: a tutorial", 2016, with positive weights only; restarts
with growing samples are IPOP (Auger and Hansen, 2005); long steps are shortened as in Hansen, "Injecting external
solutions into CMA-ES", 2011, since a sample may stem from before the distribution moved on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.genomes import Vector
from evo.protocols import Context, FloatArray
from evo.values import SEED_OPERATOR, Individual, Objective, Proposal, Space
from operators.parent_genomes import genomes_of
from operators.refusal import RefusalError
from operators.vectors import box_of, points_of

FIRST_STEP = 0.3
NARROWEST = 1e-11
MOST_STRETCHED = 1e7


@dataclass(frozen=True, slots=True)
class Normal:
    """A normal distribution over the unit box.

    Attributes:
        mean: shape (n,).
        step: overall standard deviation.
        root: symmetric; root @ root is the covariance, apart from the step; shape (n, n).
    """

    mean: FloatArray
    step: float
    root: FloatArray

    def draw(self, rng: np.random.Generator) -> FloatArray:
        """A point in the unit box, shape (n,); reflected at a bound that it passes."""
        point = self.mean + self.step * (self.root @ rng.standard_normal(len(self.mean)))
        folded: FloatArray = np.abs((point + 1.0) % 2.0 - 1.0)
        return folded


@dataclass(frozen=True, slots=True)
class Rates:
    """What the tutorial's table 1 says for `n` dimensions and samples of `size`."""

    n: int
    size: int
    weights: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        raw = math.log((self.size + 1) / 2) - np.log(np.arange(1, self.size // 2 + 1))
        object.__setattr__(self, "weights", raw / raw.sum())

    @property
    def mass(self) -> float:
        return float(1.0 / (self.weights**2).sum())

    @property
    def step_memory(self) -> float:
        return (self.mass + 2) / (self.n + self.mass + 5)

    @property
    def damping(self) -> float:
        return 1 + 2 * max(0.0, math.sqrt((self.mass - 1) / (self.n + 1)) - 1) + self.step_memory

    @property
    def path_memory(self) -> float:
        return (4 + self.mass / self.n) / (self.n + 4 + 2 * self.mass / self.n)

    @property
    def rank_one(self) -> float:
        return 2 / ((self.n + 1.3) ** 2 + self.mass)

    @property
    def rank_mu(self) -> float:
        most = 1 - self.rank_one
        return min(most, 2 * (self.mass - 2 + 1 / self.mass) / ((self.n + 2) ** 2 + self.mass))

    @property
    def usual_length(self) -> float:
        """Expected length of a standard normal vector."""
        return math.sqrt(self.n) * (1 - 1 / (4 * self.n) + 1 / (21 * self.n**2))


@dataclass(frozen=True, slots=True)
class Evolution:
    """The distribution with its two evolution paths after a number of generations."""

    normal: Normal
    covariance: FloatArray
    step_path: FloatArray
    path: FloatArray
    generation: int = 0

    @classmethod
    def around(cls, mean: FloatArray) -> Evolution:
        """The initial distribution: isotropic, its standard deviation `FIRST_STEP` of the box."""
        nothing, round_ = np.zeros(len(mean)), np.eye(len(mean))
        return cls(Normal(mean, FIRST_STEP, round_), round_, nothing, nothing)

    def after(self, points: FloatArray, rates: Rates) -> Evolution:
        """The next generation, from the points of a sample, best first, shape (size, n)."""
        root, step = self.normal.root, self.normal.step
        best = points[: len(rates.weights)]
        whitened = _shortened(np.linalg.solve(root, ((best - self.normal.mean) / step).T))
        steps = whitened @ root
        move, memory = rates.weights @ steps, rates.step_memory
        drift = math.sqrt(memory * (2 - memory) * rates.mass) * (rates.weights @ whitened)
        step_path = (1 - memory) * self.step_path + drift
        length = float(np.linalg.norm(step_path))
        settled = length / math.sqrt(1 - (1 - memory) ** (2 * (self.generation + 1)))
        moving = settled < (1.4 + 2 / (rates.n + 1)) * rates.usual_length
        kept = rates.path_memory
        path = (1 - kept) * self.path + moving * math.sqrt(kept * (2 - kept) * rates.mass) * move
        covariance = self._covariance(rates, path, steps, moving=moving)
        step *= math.exp(min(1.0, memory / rates.damping * (length / rates.usual_length - 1)))
        normal = Normal(self.normal.mean + self.normal.step * move, step, _root(covariance))
        return Evolution(normal, covariance, step_path, path, self.generation + 1)

    @property
    def is_spent(self) -> bool:
        """Whether it is too narrow or too stretched to find anything more."""
        widths = np.linalg.eigvalsh(self.normal.root)
        return bool(self.normal.step * widths.max() < NARROWEST or widths.max() > MOST_STRETCHED * widths.min())

    def _covariance(self, rates: Rates, path: FloatArray, steps: FloatArray, *, moving: bool) -> FloatArray:
        made_up = 0.0 if moving else rates.path_memory * (2 - rates.path_memory)
        kept = 1 + rates.rank_one * made_up - rates.rank_one - rates.rank_mu
        spread = (rates.weights[:, None] * steps).T @ steps
        grown: FloatArray = kept * self.covariance + rates.rank_one * np.outer(path, path) + rates.rank_mu * spread
        return (grown + grown.T) / 2


class Learning:
    """What CMA-ES has learnt on an island: an `evo.protocols.Memory`.

    Until its first offspring is observed, its mean is the best seed; a seed outside the box counts at its bound. A
    sample may hold points from earlier distributions, since no proposal waits for a whole generation.
    """

    def __init__(self, box: FloatArray, objective: Objective, sample: int | None) -> None:
        self._box = box
        self._objective = objective
        n = box.shape[1]
        self._rates = Rates(n, sample or 4 + int(3 * math.log(n)))
        self._evolution = Evolution.around(np.full(n, 0.5))
        self._start: tuple[float, float] = (math.inf, math.inf)
        self._sample: list[tuple[tuple[float, float], FloatArray]] = []
        self._restarts = 0

    def view(self) -> Normal:
        return self._evolution.normal

    def observe(self, individual: Individual) -> None:
        if not isinstance(individual.genome, Vector) or individual.genome.size != self._rates.n:
            return
        point, cost = _unit(individual.genome, self._box), _cost(individual, self._objective)
        if individual.ask.operator == SEED_OPERATOR:
            self._begin(point, cost)
            return
        self._start = (-math.inf, -math.inf)
        self._sample.append((cost, point))
        if len(self._sample) == self._rates.size:
            ordered = sorted(self._sample, key=lambda pair: pair[0])
            self._sample = []
            self._evolution = self._evolution.after(np.array([point for _, point in ordered]), self._rates)
            if self._evolution.is_spent:
                self._restart()

    def _begin(self, point: FloatArray, cost: tuple[float, float]) -> None:
        if cost < self._start:
            self._start = cost
            self._evolution = Evolution.around(point)

    def _restart(self) -> None:
        self._restarts += 1
        n = self._rates.n
        self._rates = Rates(n, 2 * self._rates.size)
        self._evolution = Evolution.around(np.random.default_rng(self._restarts).random((n,)))


class CmaEs:
    """Samples a distribution that it learns from its own offspring on an island; its parents take no part.

    For a single objective; of several it minimises or maximises the first. Constraints count by their violation first.
    """

    arity: ClassVar[int] = 1
    kind: ClassVar[str] = "vector"
    weight: ClassVar[float] = 0.0

    def __init__(self, *, sample: int | None = None) -> None:
        """Options.

        Args:
            sample: how many results make a generation; 4 + 3 ln n without it. Restarts double it.

        Raises:
            ConfigError: a sample of less than 4.
        """
        if sample is not None and (isinstance(sample, bool) or not isinstance(sample, int) or sample < 4):
            raise ConfigError(f"cma_es needs a sample of 4 or more, got {sample!r}")
        self.sample = sample

    def memory(self, space: Space | None, objectives: Sequence[Objective]) -> Learning:
        """What it knows of an island before any result.

        Raises:
            ConfigError: no box, or an empty box.
        """
        try:
            return Learning(box_of(space), objectives[0], self.sample)
        except RefusalError as refusal:
            raise ConfigError(f"cma_es: {refusal}") from refusal

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        try:
            box = box_of(context.space)
            points_of(genomes_of(parents, Vector, self.arity), box)
        except RefusalError as refusal:
            return Proposal(refusal.outcome, thought=str(refusal))
        if not isinstance(context.memory, Normal):
            return Proposal("refused", thought="cma_es was not given what it has learnt")
        share = context.memory.draw(context.rng)
        point = (1 - share) * box[0] + share * box[1]  # which a wide box does not make overflow
        return Proposal("ok", Vector(tuple(np.clip(point, *box).tolist())))


def _shortened(whitened: NDArray[Any]) -> FloatArray:
    """Steps, given as columns; as rows, none much longer than expected, shape (k, n)."""
    n = len(whitened)
    lengths = np.maximum(np.linalg.norm(whitened, axis=0), 1e-300)
    most = math.sqrt(n) + 2 * n / (n + 2)
    shortened: FloatArray = (whitened * np.minimum(1.0, most / lengths)).T
    return shortened


def _root(covariance: FloatArray) -> FloatArray:
    squares, axes = np.linalg.eigh(covariance)
    root: FloatArray = (axes * np.sqrt(np.maximum(squares, 1e-300))) @ axes.T
    return root


def _unit(genome: Vector, box: FloatArray) -> FloatArray:
    """Where a point lies between the bounds; a side of length 0 counts as 1, and a wide side does not overflow."""
    low, high = box / 2
    width = np.where(high > low, high - low, 1.0)
    unit: FloatArray = np.clip((np.array(genome.values) / 2 - low) / width, 0.0, 1.0)
    return unit


def _cost(individual: Individual, objective: Objective) -> tuple[float, float]:
    """Violation and value, to be minimised; a failure is worse than all."""
    evaluation = individual.evaluation
    if not individual.ok:
        return math.inf, math.inf
    return evaluation.violation, objective.sign * evaluation.objectives[objective.name]
