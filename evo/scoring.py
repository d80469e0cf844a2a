"""Scoring: the only place where a failure of a candidate or a scorer becomes data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from evo.errors import CandidateError, ConfigError, SandboxError
from evo.genomes import Genome
from evo.models import BudgetSpentError, ModelAccessError
from evo.protocols import Problem, Runner
from evo.values import Evaluation, Objective, Part, Score, clip_text


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
        objectives = _checked(score.objectives, problem.objectives)
        violations, cases, descriptors = map(_all_finite, (score.violations, score.cases, score.descriptors))
        feedback = clip_text(score.feedback)
        return Evaluation("ok", objectives, violations, feedback, cases=cases, descriptors=descriptors)
    except CandidateError as error:
        return Evaluation(error.outcome, feedback=clip_text(error.feedback))
    except (SandboxError, BudgetSpentError, ModelAccessError, ConfigError):
        raise
    except Exception as error:  # a scorer met what it did not expect of a candidate
        return Evaluation("invalid", feedback=clip_text(f"the scorer failed: {type(error).__name__}: {error}"))


def _of_exactly(cases: Sequence[str], score: Score) -> Score:
    if set(score.cases) != set(cases):
        raise CandidateError("invalid", f"expected scores of the cases {list(cases)}, got {list(score.cases)}"[:300])
    return score


def _checked(values: object, objectives: Sequence[Objective]) -> dict[str, float]:
    expected = [objective.name for objective in objectives]
    if not isinstance(values, dict) or set(values) != set(expected):
        got = sorted(map(str, values)) if isinstance(values, dict) else values
        raise CandidateError("invalid", f"expected the objectives {expected}, got {got!r}"[:300])
    return {name: _finite(name, values[name]) for name in expected}


def _all_finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: _finite(name, value) for name, value in values.items()}


def _finite(name: str, value: object) -> float:
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    try:
        number = float(value) if real else math.nan  # type: ignore[arg-type]
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise CandidateError(
            "invalid", f"{name} must be a finite real number, got {type(value).__name__} {value!r:.80}"
        )
    return number
