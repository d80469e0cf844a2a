"""The laws of every problem. Subclass `ProblemContract` and say which problems to test in `problems`."""

from __future__ import annotations

import importlib
import inspect
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, get_args

import numpy as np
import pytest

from evo.errors import CandidateError
from evo.genomes import Architecture, Genome, Program, Prompt, Vector, genome_from_json
from evo.protocols import Function, Problem
from evo.testing.in_process import InProcessRun
from evo.testing.scripted import ScriptedModel
from evo.values import Box, Direction, Part, Score, Slots

PARTS: tuple[Part, ...] = get_args(Part)
FOREIGN_GENOMES: tuple[Genome, ...] = (
    Program.single("answer = 42\n"),
    Prompt({"instruction": "Think."}),
    Architecture({"colour": "green"}),
    Vector((0.5,)),
)
HOSTILE_ANSWERS: tuple[Any, ...] = (
    None,
    True,
    7,
    -1,
    10**400,
    math.nan,
    math.inf,
    "priority",
    {},
    {"objectives": {"excess": -1.0}},
    [],
    [None],
    [math.nan] * 5,
    [1e308] * 5,
    [[[[]]]],
    ["0.5"] * 26,
    np.zeros(0),
    np.full((26, 3), np.nan),
    np.zeros(5, dtype=complex),
    [np.zeros((26, 2)), np.full(26, np.inf)],
    [[1.0], "x" * 1000],
)


MakeProblem = Callable[[], Problem]


def run_of(problem: Problem) -> InProcessRun:
    """A run with a model where the problem asks a model: it answers 0 to everything."""
    return InProcessRun(ScriptedModel(lambda request: "0") if problem.needs_model else None)


class ProblemContract:
    """The laws of problems: each test runs for every problem, and for every part, case or answer that applies to it.

    A class defines `problems`:

        class TestMine(ProblemContract):
            problems = {"mine": Mine, "mine, small": lambda: Mine(size=2)}

    Attributes:
        problems: name in the report to what makes the problem; called once, when the tests are collected.
    """

    problems: ClassVar[Mapping[str, MakeProblem]] = {}

    def __init_subclass__(cls) -> None:
        """Leave out the laws that are about nothing that the problems have, which would else be skipped tests."""
        super().__init_subclass__()
        for name in [name for name in dir(cls) if name.startswith("test_")]:
            arguments = _arguments_of(getattr(cls, name))
            if cls.problems and arguments and not cls._rows(arguments):
                setattr(cls, name, None)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrize a test by its arguments, leaving out what a problem does not have."""
        if arguments := _arguments_of(metafunc.function):
            metafunc.parametrize(arguments, self._rows(arguments))

    @classmethod
    def _rows(cls, arguments: Sequence[str]) -> list[Any]:
        return [
            pytest.param(*(values[argument] for argument in arguments), id="-".join([name, *labels]))
            for name, make in cls.problems.items()
            for labels, values in _applicable(_made(make), arguments)
        ]

    def test_it_says_what_is_wanted(self, problem: Problem) -> None:
        assert len(problem.description.split()) >= 5

    def test_it_declares_objectives_with_direction_and_unit(self, problem: Problem) -> None:
        names = [objective.name for objective in problem.objectives]
        assert names
        assert len(set(names)) == len(names)
        assert all(objective.direction in get_args(Direction) for objective in problem.objectives)
        assert all(objective.unit == objective.unit.strip() for objective in problem.objectives)

    def test_its_limits_leave_something(self, problem: Problem) -> None:
        limits = problem.limits
        assert limits.wall_seconds > 0
        assert min(limits.memory_bytes, limits.output_bytes, limits.reply_bytes, limits.processes) > 0

    def test_its_imports_exist(self, problem: Problem) -> None:
        assert all(importlib.import_module(name).__name__ == name for name in problem.imports)

    def test_it_gives_seeds_but_no_more_than_asked(self, problem: Problem) -> None:
        for count in (1, 7):
            assert 1 <= len(problem.seeds(count, np.random.default_rng(0))) <= count

    def test_the_same_randomness_gives_the_same_seeds(self, problem: Problem) -> None:
        assert _digests(_seeds(problem)) == _digests(_seeds(problem))

    def test_a_seed_is_the_same_when_read_back(self, problem: Problem) -> None:
        read = [genome_from_json(json.loads(json.dumps(seed.to_json()))) for seed in _seeds(problem)]
        assert _digests(read) == _digests(_seeds(problem))

    def test_seeds_lie_in_the_space(self, problem: Problem) -> None:
        assert all(_lies_in(seed, problem) for seed in _seeds(problem))

    def test_every_seed_has_every_objective_finite_and_no_other(self, problem: Problem, part: Part) -> None:
        for seed in _seeds(problem):
            score = problem.evaluate(seed, run_of(problem), part)
            assert sorted(score.objectives) == sorted(objective.name for objective in problem.objectives)
            assert all(_is_finite(value) for value in score.objectives.values())
            assert all(_is_finite(value) for value in score.violations.values())

    def test_the_same_genome_scores_the_same(self, problem: Problem, part: Part) -> None:
        seed = _seeds(problem)[0]
        first, second = (problem.evaluate(seed, run_of(problem), part) for _ in range(2))
        assert isinstance(first, Score)
        assert first == second

    def test_cases_are_scored_alone_as_they_are_in_the_whole(self, problem: Problem, part_with_cases: Part) -> None:
        part = part_with_cases
        names = problem.case_names(part)
        assert len(set(names)) == len(names)
        seed = _seeds(problem)[0]
        whole = problem.evaluate(seed, run_of(problem), part)
        assert list(whole.cases) == list(names)
        groups = [names[:1], names[1 : len(names) // 2], names[len(names) // 2 :]]
        scores = [problem.evaluate_cases(seed, run_of(problem), part, group) for group in groups if group]
        assert [list(score.cases) for score in scores] == [list(group) for group in groups if group]
        together = problem.combined(scores)
        assert dict(together.cases) == dict(whole.cases)
        assert dict(together.objectives) == pytest.approx(dict(whole.objectives))
        assert problem.combined(scores[:1]) == scores[0]

    def test_a_genome_that_does_not_belong_is_invalid(
        self, problem: Problem, foreign_genome: Genome, part: Part
    ) -> None:
        with pytest.raises(CandidateError, match=r"invalid: .*[a-z]{3}") as caught:
            problem.evaluate(foreign_genome, run_of(problem), part)
        assert caught.value.outcome == "invalid"

    def test_a_hostile_answer_of_a_candidate_is_no_score(self, problem: Problem, hostile_answer: Any) -> None:
        with pytest.raises(CandidateError, match=r"invalid: .*[a-z]{3}"):
            problem.evaluate(_seeds(problem)[0], Answering(answer=hostile_answer), "train")

    def test_no_answer_of_a_candidate_changes_the_score_of_a_genome_that_is_no_program(
        self, problem_without_programs: Problem
    ) -> None:
        problem = problem_without_programs
        seed, run = _seeds(problem)[0], run_of(problem)
        honest = problem.evaluate(seed, run, "train")
        assert problem.evaluate(seed, Answering(run.model, answer=1e308), "train") == honest

    def test_baselines_are_finite_values_of_its_objectives(self, problem: Problem, part: Part) -> None:
        names = {objective.name for objective in problem.objectives}
        for baseline in problem.baselines(part).values():
            assert set(baseline) <= names
            assert all(_is_finite(value) for value in baseline.values())


@dataclass(frozen=True, slots=True)
class Answering(InProcessRun):
    """A run whose candidate gives the same answer to every call, as a process that was taken over could."""

    answer: Any = None

    @contextmanager
    def __call__(self, program: Program, entry: str, *, harness: str | None = None) -> Iterator[Function]:
        yield lambda *arguments: self.answer


ARGUMENTS = ("problem", "problem_without_programs", "part", "part_with_cases", "foreign_genome", "hostile_answer")
Case = tuple[list[str], dict[str, Any]]


def _arguments_of(test: Callable[..., object] | None) -> list[str]:
    given = inspect.signature(test).parameters if test else {}
    return [argument for argument in ARGUMENTS if argument in given]


@cache
def _made(make: MakeProblem) -> Problem:
    return make()


def _applicable(problem: Problem, arguments: Sequence[str]) -> Iterator[Case]:
    """Labels and values of the arguments for each time that a test runs on a problem."""
    cases: list[Case] = [([], {})]
    for argument in arguments:
        offered = _values(problem, argument)
        cases = [([*labels, *label], {**row, argument: value}) for labels, row in cases for label, value in offered]
    yield from cases


def _values(problem: Problem, argument: str) -> list[tuple[list[str], Any]]:
    """What an argument can be for a problem, each with its label; empty where the problem has no such thing."""
    parts: tuple[Part, ...] = ("train", *problem.final_parts)
    kind = _seeds(problem)[0].kind
    match argument:
        case "problem":
            return [([], problem)]
        case "problem_without_programs":
            return [([], problem)] if kind != "program" else []
        case "part":
            return [([part], part) for part in parts]
        case "part_with_cases":
            return [([part], part) for part in parts if problem.case_names(part)]
        case "foreign_genome":
            # Any prompt belongs to a problem of prompts.
            return [([other.kind], other) for other in FOREIGN_GENOMES if not other.kind == kind == "prompt"]
        case "hostile_answer":
            return [([repr(answer)[:24]], answer) for answer in HOSTILE_ANSWERS] if kind == "program" else []
    raise ValueError(f"no values are known for the argument {argument!r}")


def _seeds(problem: Problem) -> Sequence[Genome]:
    return problem.seeds(3, np.random.default_rng(11))


def _digests(genomes: Sequence[Genome]) -> list[str]:
    return [genome.digest for genome in genomes]


def _is_finite(value: object) -> bool:
    return type(value) is float and math.isfinite(value)


def _lies_in(genome: Genome, problem: Problem) -> bool:
    match problem.space, genome:
        case Box(lower, upper), Vector(values):
            return all(low <= value <= high for low, value, high in zip(lower, values, upper, strict=True))
        case Slots() as space, Architecture(choices):
            return space.contains(choices)
    return problem.space is None and isinstance(genome, Program | Prompt)
