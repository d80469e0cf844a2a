"""Small problems and operators whose answers are known; fast enough for thousands of evaluations in a test."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from evo.errors import CandidateError
from evo.genomes import Genome, Program, Vector
from evo.protocols import Context, Problem, Run
from evo.values import Box, Individual, Objective, Part, Proposal, Score


class Valley(Problem):
    """Two quarrelling objectives over a box: distance to the origin, and to the point (1, ..., 1).

    Args:
        dimensions: of the box [-2, 2]^n.
        wall: vectors whose first value is above it fail, so that failures can be tested.
        pause_seconds: how long an evaluation takes.
    """

    description = "Stay near the origin and near (1, ..., 1)."
    objectives = (Objective("near", "min"), Objective("far", "max"))
    defaults: ClassVar[Mapping[str, Any]] = {
        "search.operators": {"evo.testing.toys:Nudge": 1.0},
        "search.population": 10,
    }

    def __init__(self, dimensions: int = 3, wall: float = 1.5, pause_seconds: float = 0.0) -> None:
        self.space = Box((-2.0,) * dimensions, (2.0,) * dimensions)
        self._dimensions = dimensions
        self._wall = wall
        self._pause_seconds = pause_seconds

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [Vector(tuple(rng.uniform(-1, 1, self._dimensions))) for _ in range(count)]

    def evaluate(self, genome: Genome, run: Run, part: Part) -> Score:
        assert isinstance(genome, Vector)
        time.sleep(self._pause_seconds)
        point = np.array(genome.values)
        if point[0] > self._wall:
            raise CandidateError("invalid", f"the first value {point[0]:.2f} is beyond the wall at {self._wall}")
        return Score({"near": float(point @ point), "far": -float((point - 1) @ (point - 1))})


class Nudge:
    """Adds a little noise to one parent."""

    arity: ClassVar[int] = 1
    kind: ClassVar[str] = "vector"
    weight: ClassVar[float] = 1.0

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        base = parents[0].genome
        assert isinstance(base, Vector)
        assert isinstance(context.space, Box)
        moved = np.array(base.values) + context.rng.normal(0, 0.3, base.size)
        return Proposal("ok", Vector(tuple(np.clip(moved, context.space.lower, context.space.upper))))


class Nothing(Problem):
    """Programs of which nothing is asked but to answer; what is left is what the platform costs.

    Args:
        mean_seconds: how long the worker sleeps beside it, lognormal around this, by the genome's digest.
    """

    description = "Answer a number."
    objectives = (Objective("answer", "max"),)
    defaults: ClassVar[Mapping[str, Any]] = {
        "search.operators": {"evo.testing.toys:Count": 1.0},
        "search.population": 20,
    }

    def __init__(self, mean_seconds: float = 0.0) -> None:
        self._mean_seconds = mean_seconds

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [Program.single("def answer():\n    return 0\n")]

    def evaluate(self, genome: Genome, run: Run, part: Part) -> Score:
        assert isinstance(genome, Program)
        time.sleep(self.pause_seconds(genome))
        with run(genome, "answer") as answer:
            return Score({"answer": float(answer())})

    def pause_seconds(self, genome: Genome) -> float:
        """How long the worker sleeps for this genome."""
        if not self._mean_seconds:
            return 0.0
        rng = np.random.default_rng(int(genome.digest, 16))
        return float(self._mean_seconds * rng.lognormal(-0.32, 0.8))


class Count:
    """Answers with another number than any before."""

    arity: ClassVar[int] = 1
    kind: ClassVar[str] = "program"
    weight: ClassVar[float] = 1.0

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        number = context.rng.integers(1 << 60)
        return Proposal("ok", Program.single(f"def answer():\n    return {number}\n"))
