"""Scoring: the only place where a failure of a candidate or a scorer becomes data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from evo.errors import CandidateError, ConfigError, SandboxError, place_of, written_at
from evo.genomes import Genome
from evo.models import BudgetSpentError, ModelAccessError
from evo.protocols import Problem, Runner
from evo.values import Evaluation, Part, Score, clip_text


def scored(
    problem: Problem, genome: Genome, run: Runner, part: Part, *, cases: Sequence[str] | None = None
) -> Evaluation:
    """A problem's score of a genome, checked; any failure is in the evaluation.

    Args:
        cases: those to score it on; None scores it as a whole.

    Raises:
        SandboxError: the machine cannot hold candidates.
        BudgetSpentError, ModelAccessError, ConfigError: by the model that the problem asked.
    """

    def score() -> Score:
        if cases is None:
            return problem.evaluate(genome, run, part)
        return _of_exactly(cases, problem.evaluate_cases(genome, run, part, cases))

    return _judged(problem, score)


def combined(problem: Problem, parts: Sequence[Evaluation]) -> Evaluation:
    """Successful evaluations on disjoint cases as a single evaluation; without their times and workers."""
    scores = [Score(part.objectives, part.violations, part.feedback, part.cases, part.descriptors) for part in parts]
    return _judged(problem, lambda: problem.combined(scores))


def _judged(problem: Problem, make: Callable[[], Score]) -> Evaluation:
    try:
        score = make()
        _check_form(score, problem)
        objectives = {name: _finite(name, value) for name, value in score.objectives.items()}
        violations, cases, descriptors = map(_all_finite, (score.violations, score.cases, score.descriptors))
        feedback = clip_text(score.feedback)
        return Evaluation("ok", objectives, violations, feedback, cases=cases, descriptors=descriptors)
    except CandidateError as error:
        return Evaluation(error.outcome, feedback=clip_text(error.feedback))
    except (SandboxError, BudgetSpentError, ModelAccessError, ConfigError):
        raise
    except Exception as error:  # a scorer met what it did not expect of a candidate
        place = place_of(error)
        where = f" at {place}" if place else ""
        return Evaluation("invalid", feedback=clip_text(f"the scorer failed{where}: {type(error).__name__}: {error}"))


def _check_form(score: object, problem: Problem) -> None:
    """Refuse what is no score of the problem, as a slip of its author."""
    if reason := _misfit(score, [objective.name for objective in problem.objectives]):
        raise CandidateError("invalid", f"{written_at(type(problem).evaluate)}: {reason}")


def _misfit(score: object, expected: list[str]) -> str:
    """Why it is no score with these objectives; "" where it is."""
    if not isinstance(score, Score):
        return f"evaluate must return a Score, got {_shown(score)}"
    for name in ("objectives", "violations", "cases", "descriptors"):
        if not isinstance(value := getattr(score, name), Mapping):
            return f"{name} of a Score must be a dict, got {_shown(value)}"
    if set(score.objectives) != set(expected):
        return f"expected the objectives {expected}, got {sorted(map(str, score.objectives))}"[:300]
    return "" if isinstance(score.feedback, str) else f"feedback of a Score must be text, got {_shown(score.feedback)}"


def _of_exactly(cases: Sequence[str], score: Score) -> Score:
    if set(score.cases) != set(cases):
        raise CandidateError("invalid", f"expected scores of the cases {list(cases)}, got {list(score.cases)}"[:300])
    return score


def _all_finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: _finite(name, value) for name, value in values.items()}


def _finite(name: str, value: object) -> float:
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    try:
        number = float(value) if real else math.nan  # type: ignore[arg-type]
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise CandidateError("invalid", f"{name} must be a finite real number, got {_shown(value)}")
    return number


def _shown(value: object) -> str:
    return "None" if value is None else f"{type(value).__name__} {value!r:.80}"
