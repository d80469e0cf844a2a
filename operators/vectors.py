"""Operators on vectors in a box, by pymoo where it has them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pymoo.operators.crossover.binx import mut_binomial
from pymoo.operators.crossover.dex import de_differential
from pymoo.operators.crossover.sbx import cross_sbx
from pymoo.operators.mutation.pm import mut_pm
from pymoo.operators.repair.bounds_repair import repair_random_init

from evo.genomes import Vector
from evo.protocols import Context, FloatArray
from evo.values import Box, Individual, Proposal, Space
from operators.parents import genomes_of
from operators.refusal import RefusalError


class VectorOperator(ABC):
    """Varies the first of several points; what leaves it where it was is tried again.

    Attributes:
        weight: its share where several operators are mixed.
    """

    arity: ClassVar[int] = 1
    kind: ClassVar[str] = "vector"
    weight: ClassVar[float] = 1.0

    def __init__(self, *, attempts: int = 10) -> None:
        """Options.

        Args:
            attempts: how many points are drawn before giving up.
        """
        self.attempts = attempts

    @abstractmethod
    def vary(self, points: FloatArray, box: FloatArray, rng: np.random.Generator) -> FloatArray:
        """A new point, shape (n,).

        Args:
            points: within the box, base first, shape (arity, n).
            box: lower and upper bounds, shape (2, n).
        """

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        try:
            genomes = genomes_of(parents, Vector, self.arity)
            box = _box(context.space)
            child = self._moved(genomes, box, context.rng)
        except RefusalError as refusal:
            return Proposal(refusal.outcome, thought=str(refusal))
        return Proposal("ok", child)

    def _moved(self, genomes: Sequence[Vector], box: FloatArray, rng: np.random.Generator) -> Vector:
        points = _points(genomes, box)
        for _ in range(self.attempts):
            with np.errstate(all="ignore"):
                values = np.clip(self.vary(points, box, rng), *box)
            if np.isfinite(values).all() and (child := Vector(tuple(values))).canonical != genomes[0].canonical:
                return child
        raise RefusalError("duplicate", f"{self.attempts} draws left the point where it was")


class SimulatedBinaryCrossover(VectorOperator):
    """SBX of two points, then polynomial mutation.

    Source: Deb and Agrawal 1995; Deb and Goyal 1996.
    """

    arity: ClassVar[int] = 2
    weight: ClassVar[float] = 2.0

    def __init__(self, *, attempts: int = 10, eta_crossover: float = 15.0, eta_mutation: float = 20.0) -> None:
        """Options.

        Args:
            attempts: how many points are drawn before giving up.
            eta_crossover: distribution index of SBX: larger stays nearer to the parents.
            eta_mutation: distribution index of the mutation: larger moves less.
        """
        super().__init__(attempts=attempts)
        self.eta_crossover = eta_crossover
        self.eta_mutation = eta_mutation

    def vary(self, points: FloatArray, box: FloatArray, rng: np.random.Generator) -> FloatArray:
        half, eta = np.full((1, 1), 0.5), np.full((1, 1), self.eta_crossover)
        children = cross_sbx(points[:, None, :], *box, eta, half, half, random_state=rng)
        child = children[int(rng.integers(2))]
        chance, eta_mutation = np.full(1, 1 / points.shape[1]), np.full(1, self.eta_mutation)
        mutated: FloatArray = mut_pm(child, *box, eta_mutation, chance, at_least_once=False, random_state=rng)[0]
        return mutated


class DifferentialEvolution(VectorOperator):
    """DE/rand/1/bin: the base crossed with one mate plus the scaled difference of two others.

    Source: Storn and Price 1997.
    """

    arity: ClassVar[int] = 4
    weight: ClassVar[float] = 2.0

    def __init__(self, *, attempts: int = 10, crossover: float = 0.7) -> None:
        """Options.

        Args:
            attempts: how many points are drawn before giving up.
            crossover: chance of each coordinate to come from the mates.
        """
        super().__init__(attempts=attempts)
        self.crossover = crossover

    def vary(self, points: FloatArray, box: FloatArray, rng: np.random.Generator) -> FloatArray:
        base, *mates = points
        scale = rng.uniform(0.5, 1.0)
        donor = de_differential(np.stack(mates)[:, None, :], scale, jitter=False, random_state=rng)
        donor = repair_random_init(donor, mates[0][None, :], *box, random_state=rng)
        taken = mut_binomial(1, len(base), self.crossover, at_least_once=True, random_state=rng)
        point: FloatArray = np.where(taken, donor, base)[0]
        return point


class Gaussian(VectorOperator):
    """Adds normal steps, of a scale drawn anew each time, to some coordinates."""

    def __init__(self, *, attempts: int = 10, spread: float = 0.1) -> None:
        """Options.

        Args:
            attempts: how many points are drawn before giving up.
            spread: largest standard deviation, as a share of the box's width; the smallest is a thousandth of it.
        """
        super().__init__(attempts=attempts)
        self.spread = spread

    def vary(self, points: FloatArray, box: FloatArray, rng: np.random.Generator) -> FloatArray:
        count = points.shape[1]
        taken = rng.random(count) < rng.uniform(1 / count, 1.0)
        taken[rng.integers(count)] = True
        deviation = self.spread * 10.0 ** rng.uniform(-3, 0) * (box[1] - box[0])
        point: FloatArray = points[0] + taken * deviation * rng.standard_normal(count)
        return point


class UniformVector(VectorOperator):
    """Any point of the box, wherever its parent is: random search. Weight 0: for mixtures that name it."""

    weight: ClassVar[float] = 0.0

    def vary(self, points: FloatArray, box: FloatArray, rng: np.random.Generator) -> FloatArray:
        share = rng.random(points.shape[1])
        point: FloatArray = (1 - share) * box[0] + share * box[1]  # which a wide box does not make overflow
        return point


def _box(space: Space | None) -> FloatArray:
    if not isinstance(space, Box):
        raise RefusalError("refused", f"vectors need a box as their space, got {type(space).__name__}")
    bounds = (space.lower, space.upper) if len(space.lower) == len(space.upper) else ((), ())
    box: FloatArray = np.array(bounds, dtype=np.float64)
    if not box.size or not np.isfinite(box).all() or (box[0] > box[1]).any():
        raise RefusalError("refused", "the box needs as many lower as upper bounds, finite, none above its partner")
    return box


def _points(genomes: Sequence[Vector], box: FloatArray) -> FloatArray:
    sizes = {genome.size for genome in genomes}
    if sizes != {box.shape[1]}:
        raise RefusalError("refused", f"expected vectors of {box.shape[1]} numbers, got {sorted(sizes)}")
    points: FloatArray = np.clip(np.array([genome.values for genome in genomes]), *box)
    return points
