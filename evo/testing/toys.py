"""Small problems and operators whose answers are known; fast enough for thousands of evaluations in a test."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from evo.errors import CandidateError
from evo.genomes import Genome, Program, Prompt, Vector
from evo.models import Message, Request
from evo.protocols import Context, Problem, Runner
from evo.resources import Resources
from evo.values import Box, Individual, Objective, Part, Proposal, Score


class Valley(Problem):
    """Two conflicting objectives over a box: distance to the origin, and to the point (1, ..., 1).

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

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        assert isinstance(genome, Vector)
        time.sleep(self._pause_seconds)
        point = np.array(genome.values)
        if point[0] > self._wall:
            raise CandidateError("invalid", f"the first value {point[0]:.2f} is beyond the wall at {self._wall}")
        return Score({"near": float(point @ point), "far": -float((point - 1) @ (point - 1))})


class Fog(Problem):
    """A hill that is measured through fog: the height is 0 at the origin and falls with the square of the distance.

    Each measurement of a point differs: the noise follows from the point and from how often this object measured it.

    Args:
        dimensions: of the box [-2, 2]^n.
        deviation: standard, of the noise.
        luck: what the first measurement of a seed adds to its height.
        crash_again: points measured again whose first value is above it fail.
    """

    description = "Stand high."
    objectives = (Objective("height", "max"),)
    defaults: ClassVar[Mapping[str, Any]] = {
        "search.operators": {"evo.testing.toys:Nudge": 1.0},
        "search.population": 10,
    }

    def __init__(
        self, dimensions: int = 2, deviation: float = 0.3, luck: float = 0.0, crash_again: float = math.inf
    ) -> None:
        self.space = Box((-2.0,) * dimensions, (2.0,) * dimensions)
        self._dimensions = dimensions
        self._deviation = deviation
        self._luck = luck
        self._crash_again = crash_again
        self._measured: Counter[str] = Counter()

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [Vector((1.5,) * self._dimensions)]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        assert isinstance(genome, Vector)
        number = self._measured[genome.digest]
        self._measured[genome.digest] += 1
        if number and genome.values[0] > self._crash_again:
            raise CandidateError("crash", "not again")
        noise = np.random.default_rng((int(genome.digest, 16), number)).normal(0.0, self._deviation)
        lucky = self._luck if not number and set(genome.values) == {1.5} else 0.0
        return Score({"height": self.truth(genome) + float(noise) + lucky})

    @staticmethod
    def truth(genome: Genome) -> float:
        """The height without noise."""
        assert isinstance(genome, Vector)
        return -math.fsum(value * value for value in genome.values)


class Nudge:
    """Adds a little noise to a parent."""

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
    """Programs that only answer a number, so that what is measured is what the platform costs.

    Args:
        mean_seconds: how long the worker sleeps beside it, lognormal around this, by the genome's digest.
        first: what the seed answers, or the first number of its sum.
        numbers: how many numbers the seed adds up; a model that changes one of many proposes few duplicates.
    """

    description = "Answer a number."
    objectives = (Objective("answer", "max"),)
    defaults: ClassVar[Mapping[str, Any]] = {
        "search.operators": {"evo.testing.toys:Count": 1.0},
        "search.population": 20,
    }

    def __init__(self, mean_seconds: float = 0.0, first: float = 0, numbers: int = 1) -> None:
        self._mean_seconds = mean_seconds
        self._sum = " + ".join(str(first + number) for number in range(numbers))

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [Program.single(f"def answer():\n    return {self._sum}\n")]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
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


class Waiting(Nothing):
    """Programs whose evaluations take 0.3 s and mostly wait, as those that ask a service do: five share a core.

    Args:
        first: what the seed answers.
    """

    resources = Resources(cpus=0.2)
    final_parts = ()
    SECONDS: ClassVar[float] = 0.3

    def __init__(self, first: float = 0) -> None:
        super().__init__(first=first)

    def pause_seconds(self, genome: Genome) -> float:
        return self.SECONDS


class Count:
    """Answers with another number than any before."""

    arity: ClassVar[int] = 1
    kind: ClassVar[str] = "program"
    weight: ClassVar[float] = 1.0

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        number = context.rng.integers(1 << 60)
        return Proposal("ok", Program.single(f"def answer():\n    return {number}\n"))


class Echo(Problem):
    """Prompts that a language model is sent with a number each time, and shall repeat.

    Args:
        questions: how many an evaluation asks, side by side.
        rounds: how often it does so, in turn.
    """

    description = "Be repeated."
    objectives = (Objective("repeated", "max"),)
    resources = Resources(cpus=0.1)
    needs_model = True
    defaults: ClassVar[Mapping[str, Any]] = {
        "search.operators": {"evo.testing.toys:Reword": 1.0},
        "search.population": 10,
    }

    def __init__(self, questions: int = 5, rounds: int = 1) -> None:
        self._questions = questions
        self._rounds = rounds

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [Prompt({"task": "Repeat this."})]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        """The share of replies that end as their question did; the feedback is all replies, a line each."""
        assert isinstance(genome, Prompt)
        text, replies = " ".join(genome.parts.values()), []
        texts = [f"{text} {part} {number}" for number in range(self._rounds * self._questions)]
        for start in range(0, len(texts), self._questions):
            asked = [
                Request("task", (Message("user", question),)) for question in texts[start : start + self._questions]
            ]
            replies += [completion.text for completion in run.ask(asked)]
        right = sum(reply.endswith(question) for reply, question in zip(replies, texts, strict=True))
        return Score({"repeated": right / len(texts)}, feedback="\n".join(replies))


class EchoByCase(Echo):
    """Each question is a case."""

    def case_names(self, part: Part) -> Sequence[str]:
        return [str(number) for number in range(5)]

    def evaluate_cases(self, genome: Genome, run: Runner, part: Part, cases: Sequence[str]) -> Score:
        texts = [f"hello {part} {name}" for name in cases]
        replies = run.ask([Request("task", (Message("user", text),)) for text in texts])
        marks = [float(reply.text.endswith(text)) for reply, text in zip(replies, texts, strict=True)]
        return Score({"repeated": sum(marks) / len(marks)}, cases=dict(zip(cases, marks, strict=True)))


class Reword:
    """Puts another number behind a prompt's first part."""

    arity: ClassVar[int] = 1
    kind: ClassVar[str] = "prompt"
    weight: ClassVar[float] = 1.0

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        base = parents[0].genome
        assert isinstance(base, Prompt)
        (name, text), *others = base.parts.items()
        words = f"{text.partition('#')[0]}#{context.rng.integers(1 << 60)}"
        return Proposal("ok", Prompt({name: words, **dict(others)}, base.demonstrations, base.format))
