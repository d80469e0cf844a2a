"""What every problem must keep. Subclass `ProblemContract` and give it a `problem` fixture."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pytest

from evo.errors import CandidateError
from evo.genomes import Architecture, Genome, Program, Prompt, Vector, genome_from_json
from evo.protocols import Function, Problem
from evo.testing.in_process import InProcessRun
from evo.testing.scripted import ScriptedModel
from evo.values import Box, Direction, Part, Score, Slots

PARTS: tuple[Part, ...] = get_args(Part)
STRANGERS: tuple[Genome, ...] = (
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


def run_of(problem: Problem) -> InProcessRun:
    """A run with a model where the problem asks one: it answers 0 to everything."""
    return InProcessRun(ScriptedModel(lambda request: "0") if problem.needs_model else None)


class ProblemContract:
    """The laws; `problem` is what a subclass must give."""

    @pytest.fixture
    def problem(self) -> Problem:
        raise NotImplementedError("a subclass gives the problem")

    @pytest.fixture(autouse=True)
    def _its_own_parts(self, request: pytest.FixtureRequest, problem: Problem) -> None:
        asked = request.node.callspec.params if hasattr(request.node, "callspec") else {}
        if asked.get("part", "train") not in ("train", *problem.final_parts):
            pytest.skip("the problem has no such part")

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

    @pytest.mark.parametrize("count", [1, 7])
    def test_it_gives_seeds_but_no_more_than_asked(self, problem: Problem, count: int) -> None:
        assert 1 <= len(problem.seeds(count, np.random.default_rng(0))) <= count

    def test_the_same_randomness_gives_the_same_seeds(self, problem: Problem) -> None:
        assert _digests(_seeds(problem)) == _digests(_seeds(problem))

    def test_a_seed_is_the_same_when_read_back(self, problem: Problem) -> None:
        read = [genome_from_json(json.loads(json.dumps(seed.to_json()))) for seed in _seeds(problem)]
        assert _digests(read) == _digests(_seeds(problem))

    def test_seeds_lie_in_the_space(self, problem: Problem) -> None:
        assert all(_lies_in(seed, problem) for seed in _seeds(problem))

    @pytest.mark.parametrize("part", PARTS)
    def test_every_seed_has_every_objective_finite_and_no_other(self, problem: Problem, part: Part) -> None:
        for seed in _seeds(problem):
            score = problem.evaluate(seed, run_of(problem), part)
            assert sorted(score.objectives) == sorted(objective.name for objective in problem.objectives)
            assert all(_is_finite(value) for value in score.objectives.values())
            assert all(_is_finite(value) for value in score.violations.values())

    @pytest.mark.parametrize("part", PARTS)
    def test_the_same_genome_scores_the_same(self, problem: Problem, part: Part) -> None:
        seed = _seeds(problem)[0]
        first, second = (problem.evaluate(seed, run_of(problem), part) for _ in range(2))
        assert isinstance(first, Score)
        assert first == second

    @pytest.mark.parametrize("part", PARTS)
    def test_cases_are_scored_alone_as_they_are_in_the_whole(self, problem: Problem, part: Part) -> None:
        names = problem.case_names(part)
        if not names:
            pytest.skip("the problem has no cases that can be scored one at a time")
        assert len(set(names)) == len(names)
        seed = _seeds(problem)[0]
        whole = problem.evaluate(seed, run_of(problem), part)
        assert list(whole.cases) == list(names)
        groups = [names[:1], names[1 : len(names) // 2], names[len(names) // 2 :]]
        scores = [problem.evaluate_cases(seed, run_of(problem), part, group) for group in groups if group]
        assert [list(one.cases) for one in scores] == [list(group) for group in groups if group]
        together = problem.combined(scores)
        assert dict(together.cases) == dict(whole.cases)
        assert dict(together.objectives) == pytest.approx(dict(whole.objectives))
        assert problem.combined(scores[:1]) == scores[0]

    @pytest.mark.parametrize("stranger", STRANGERS, ids=lambda stranger: stranger.kind)
    @pytest.mark.parametrize("part", PARTS)
    def test_a_genome_that_does_not_belong_is_invalid(self, problem: Problem, stranger: Genome, part: Part) -> None:
        if stranger.kind == _seeds(problem)[0].kind == "prompt":
            pytest.skip("any prompt belongs to a problem of prompts")
        with pytest.raises(CandidateError, match=r"invalid: .*[a-z]{3}") as caught:
            problem.evaluate(stranger, run_of(problem), part)
        assert caught.value.outcome == "invalid"

    @pytest.mark.parametrize("answer", HOSTILE_ANSWERS, ids=lambda answer: repr(answer)[:24])
    def test_what_a_process_that_was_taken_over_answers_is_no_score(self, problem: Problem, answer: Any) -> None:
        seed = _seeds(problem)[0]
        if isinstance(seed, Program):
            with pytest.raises(CandidateError, match=r"invalid: .*[a-z]{3}"):
                problem.evaluate(seed, Answering(answer=answer), "train")
        else:
            honest = problem.evaluate(seed, run_of(problem), "train")
            assert problem.evaluate(seed, Answering(run_of(problem).model, answer=answer), "train") == honest

    @pytest.mark.parametrize("part", PARTS)
    def test_baselines_are_finite_values_of_its_objectives(self, problem: Problem, part: Part) -> None:
        names = {objective.name for objective in problem.objectives}
        for baseline in problem.baselines(part).values():
            assert set(baseline) <= names
            assert all(_is_finite(value) for value in baseline.values())


@dataclass(frozen=True, slots=True)
class Answering(InProcessRun):
    """A run whose candidate answers the same to every call: what a process that was taken over could say."""

    answer: Any = None

    @contextmanager
    def __call__(self, program: Program, entry: str, *, harness: str | None = None) -> Iterator[Function]:
        yield lambda *arguments: self.answer


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
