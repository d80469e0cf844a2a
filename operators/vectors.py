"""Operators on vectors in a box, by pymoo where it has them."""

from __future__ import annotations

import math
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
from evo.values import Box, Individual, Objective, Proposal, Space
from operators.parent_genomes import genomes_of
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
            attempts: how many points are sampled before giving up.
        """
        self.attempts = attempts

    @abstractmethod
    def vary(self, points: FloatArray, box: FloatArray, rng: np.random.Generator) -> FloatArray:
        """A new point, shape (n,).

        Args:
            points: within the box, base first unless `arranged` says otherwise, shape (arity, n).
            box: lower and upper bounds, shape (2, n).
        """

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        try:
            base = genomes_of(parents, Vector, self.arity)[0]
            box = box_of(context.space)
            ordered = self.arranged(parents[: self.arity], context.objectives)
            child = self._moved(base, points_of(genomes_of(ordered, Vector, self.arity), box), box, context.rng)
        except RefusalError as refusal:
            return Proposal(refusal.outcome, thought=str(refusal))
        return Proposal("ok", child)

    def arranged(self, parents: Sequence[Individual], objectives: Sequence[Objective]) -> Sequence[Individual]:
        """The parents in the order in which `vary` takes their points."""
        return parents

    def _moved(self, base: Vector, points: FloatArray, box: FloatArray, rng: np.random.Generator) -> Vector:
        for _ in range(self.attempts):
            with np.errstate(all="ignore"):
                values = np.clip(self.vary(points, box, rng), *box)
            if np.isfinite(values).all() and (child := Vector(tuple(values))).canonical != base.canonical:
                return child
        raise RefusalError("duplicate", f"{self.attempts} samples left the point where it was")


class SimulatedBinaryCrossover(VectorOperator):
    """SBX of two points, then polynomial mutation.

    Source: Deb and Agrawal 1995; Deb and Goyal 1996.
    """

    arity: ClassVar[int] = 2
    weight: ClassVar[float] = 4.0

    def __init__(self, *, attempts: int = 10, eta_crossover: float = 15.0, eta_mutation: float = 20.0) -> None:
        """Options.

        Args:
            attempts: how many points are sampled before giving up.
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
    """DE/rand/1/bin: the base crossed with a mate plus the scaled difference of two others.

    The scale is sampled for each child, between 0.5 and 1. Survival decides what a child competes with; in DE itself
    that is its base alone.

    Source: Storn and Price 1997.
    """

    arity: ClassVar[int] = 4

    def __init__(self, *, attempts: int = 10, crossover: float = 0.7) -> None:
        """Options.

        Args:
            attempts: how many points are sampled before giving up.
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


class GaussianModel(VectorOperator):
    """Samples a normal distribution that is fitted to its parents, so that steps follow the slope of the valley.

    The centre is the mean of the better half of the parents by the first objective, weighted as in CMA-ES; the
    covariance is that of all parents about their own mean, enlarged, since what selection keeps is narrower than where
    the search has to go. It knows nothing but its parents: no paths and no step size that adapts, so it is not CMA-ES.
    Wants a population of about 50 and more, and gets nowhere before it has different parents.

    Source: after the crossover AREX, Akimoto et al., "Proposal and evaluation of adaptive real-coded crossover AREX",
    2009; weights by Hansen and Ostermeier 2001.
    """

    arity: ClassVar[int] = 20
    # Twenty parents of a small population, or with many objectives, say little: for mixtures that name it.
    weight: ClassVar[float] = 0.0

    def __init__(self, *, attempts: int = 10, enlarge: float = 1.25) -> None:
        """Options.

        Args:
            attempts: how many points are sampled before giving up.
            enlarge: standard deviation over that of the parents: smaller converges sooner, and stagnates sooner.
        """
        super().__init__(attempts=attempts)
        self.enlarge = enlarge

    def arranged(self, parents: Sequence[Individual], objectives: Sequence[Objective]) -> Sequence[Individual]:
        """The best first: feasible before infeasible, then by the first objective; as they came without objectives."""

        def merit(parent: Individual) -> tuple[float, float]:
            cost = objectives[0].sign * parent.evaluation.objectives[objectives[0].name] if parent.ok else math.inf
            return parent.evaluation.violation, cost

        return sorted(parents, key=merit) if objectives else parents

    def vary(self, points: FloatArray, box: FloatArray, rng: np.random.Generator) -> FloatArray:
        best = len(points) // 2
        weights = math.log(best + 0.5) - np.log(np.arange(1, best + 1))
        centre = weights @ points[:best] / weights.sum()
        # A sum of the parents' own deviations has their covariance, and needs no matrix of it.
        shares = rng.standard_normal(len(points)) / math.sqrt(len(points) - 1)
        point: FloatArray = centre + self.enlarge * shares @ (points - points.mean(axis=0))
        return point


class IsoLine(VectorOperator):
    """Isotropic noise and a step along the line to a mate (Iso+LineDD): for niches, whose elites lie near each other.

    Source: Vassiliades and Mouret, "Discovering the elite hypervolume by leveraging interspecies correlation", 2018.
    """

    arity: ClassVar[int] = 2
    weight: ClassVar[float] = 0.0

    def __init__(self, *, attempts: int = 10, iso: float = 0.01, line: float = 0.2) -> None:
        """Options.

        Args:
            attempts: how many points are sampled before giving up.
            iso: standard deviation of the small step, as a share of the box's width.
            line: standard deviation of the step to the mate, as a share of the way there.
        """
        super().__init__(attempts=attempts)
        self.iso = iso
        self.line = line

    def vary(self, points: FloatArray, box: FloatArray, rng: np.random.Generator) -> FloatArray:
        base, mate = points
        anywhere = self.iso * (box[1] - box[0]) * rng.standard_normal(len(base))
        point: FloatArray = base + anywhere + self.line * rng.standard_normal() * (mate - base)
        return point


class PolynomialMutation(VectorOperator):
    """Moves a coordinate, on average, by pymoo's polynomial mutation: NSGA-II's mutation without its crossover.

    Weight 0: for mixtures that name it.

    Source: Deb and Goyal 1996.
    """

    weight: ClassVar[float] = 0.0

    def __init__(self, *, attempts: int = 10, eta: float = 20.0) -> None:
        """Options.

        Args:
            attempts: how many points are sampled before giving up.
            eta: distribution index: larger moves less.
        """
        super().__init__(attempts=attempts)
        self.eta = eta

    def vary(self, points: FloatArray, box: FloatArray, rng: np.random.Generator) -> FloatArray:
        chance, eta = np.full(1, 1 / points.shape[1]), np.full(1, self.eta)
        point: FloatArray = mut_pm(points[:1], *box, eta, chance, at_least_once=True, random_state=rng)[0]
        return point


class Gaussian(VectorOperator):
    """Adds normal steps, of a scale sampled for each child, to some coordinates."""

    def __init__(self, *, attempts: int = 10, spread: float = 0.1) -> None:
        """Options.

        Args:
            attempts: how many points are sampled before giving up.
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


def box_of(space: Space | None) -> FloatArray:
    """Lower and upper bounds, shape (2, n).

    Raises:
        RefusalError: no box, or an empty box.
    """
    if not isinstance(space, Box):
        raise RefusalError("refused", f"vectors need a box as their space, got {type(space).__name__}")
    bounds = (space.lower, space.upper) if len(space.lower) == len(space.upper) else ((), ())
    box: FloatArray = np.array(bounds, dtype=np.float64)
    if not box.size or not np.isfinite(box).all() or (box[0] > box[1]).any():
        raise RefusalError("refused", "the box needs as many lower as upper bounds, finite, none above its partner")
    return box


def points_of(genomes: Sequence[Vector], box: FloatArray) -> FloatArray:
    """Their coordinates, clipped to the box; shape (len(genomes), n).

    Raises:
        RefusalError: the number of dimensions is not the box's.
    """
    sizes = {genome.size for genome in genomes}
    if sizes != {box.shape[1]}:
        raise RefusalError("refused", f"expected vectors of {box.shape[1]} numbers, got {sorted(sizes)}")
    points: FloatArray = np.clip(np.array([genome.values for genome in genomes]), *box)
    return points
