"""A problem whose score matrix is known: candidates of different skill on cases of different difficulty."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from evo.errors import CandidateError
from evo.genomes import Genome, Vector
from evo.protocols import Context, Problem, Runner
from evo.values import Box, Individual, Objective, Part, Proposal, Score


class Exam(Problem):
    """Vectors of a single value, the skill. The mark on a case is 1 or 0, by a chance that grows with the skill.

    Args:
        questions: how many cases there are.
        fatal: case in which a skill above `wall` crashes; none without it.
        wall: see `fatal`.
        pause_seconds: how long a case takes.
    """

    description = "Be right in as many cases as you can."
    objectives = (Objective("marks", "max"), Objective("skill", "min"))
    space = Box((0.0,), (1.0,))
    defaults: ClassVar[Mapping[str, Any]] = {
        "search.operators": {"evo.testing.exam:Guess": 1.0},
        "search.population": 10,
    }

    def __init__(
        self, questions: int = 60, fatal: str | None = None, wall: float = 0.8, pause_seconds: float = 0.0
    ) -> None:
        self._names = tuple(f"q{number}" for number in range(questions))
        self._easiness = np.random.default_rng(questions).normal(0.0, 0.2, questions)
        self._fatal = fatal
        self._wall = wall
        self._pause_seconds = pause_seconds

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [Vector((0.3,))]

    def case_names(self, part: Part) -> Sequence[str]:
        return self._names

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        return self.evaluate_cases(genome, run, part, self._names)

    def evaluate_cases(self, genome: Genome, run: Runner, part: Part, cases: Sequence[str]) -> Score:
        if not isinstance(genome, Vector):
            raise CandidateError("invalid", f"expected a vector of a single value, got a {genome.kind}")
        time.sleep(self._pause_seconds * len(cases))
        skill = genome.values[0]
        if self._fatal in cases and skill > self._wall:
            raise CandidateError("crash", f"too clever for case {self._fatal}")
        marks = self._marks(genome)
        seen = {name: float(marks[self._names.index(name)]) for name in cases}
        return Score({"marks": float(np.mean(list(seen.values()))), "skill": skill}, feedback=repr(seen), cases=seen)

    def _marks(self, genome: Vector) -> np.ndarray[Any, np.dtype[np.bool_]]:
        luck = np.random.default_rng(int(genome.digest, 16)).random(len(self._names))
        right: np.ndarray[Any, np.dtype[np.bool_]] = luck < np.clip(genome.values[0] + self._easiness, 0.0, 1.0)
        return right


class FirstCaseOnly(Exam):
    """Scores the first case whichever is asked for, which no executor may take for a score."""

    def evaluate_cases(self, genome: Genome, run: Runner, part: Part, cases: Sequence[str]) -> Score:
        return super().evaluate_cases(genome, run, part, ["q0"])


class Guess:
    """Any skill."""

    arity: ClassVar[int] = 1
    kind: ClassVar[str] = "vector"
    weight: ClassVar[float] = 1.0

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        return Proposal("ok", Vector((float(context.rng.random()),)))


class Stammer(Guess):
    """Takes a random time, and now and then proposes nothing, or the same genome as others."""

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        for _ in range(int(context.rng.integers(30))):
            await asyncio.sleep(0)
        chance = context.rng.random()
        if chance < 0.2:
            return Proposal("unparsable", thought="er")
        if chance < 0.4:
            return Proposal("ok", Vector((0.3,)))
        return await super().propose(parents, context)
