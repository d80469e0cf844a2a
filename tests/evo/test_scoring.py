"""Whatever a scorer gives that is no score becomes an evaluation that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from evo.errors import CandidateError, SandboxError
from evo.genomes import Genome, Vector
from evo.protocols import Problem, Runner
from evo.scoring import scored
from evo.testing.in_process import run_in_process
from evo.values import Objective, Part, Score


class Given(Problem):
    """Scores as it is told to."""

    objectives = (Objective("cost", "min"), Objective("gain", "max"))

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [Vector((0.0,))]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        if isinstance(self._answer, BaseException):
            raise self._answer
        if isinstance(self._answer, Bare):
            return self._answer.answer  # type: ignore[return-value]
        return self._answer if isinstance(self._answer, Score) else Score(self._answer)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Bare:
    """What evaluate returns in the place of a Score."""

    answer: object


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"cost": 1.0}, r"expected the objectives \['cost', 'gain'\], got \['cost'\]"),
        ({"cost": 1.0, "gain": 1.0, "more": 1.0}, "got .*more"),
        ({"cost": float("nan"), "gain": 1.0}, "cost must be a finite real number, got float nan"),
        ({"cost": 1.0, "gain": -np.inf}, "gain must be a finite real number"),
        ({"cost": 1 + 2j, "gain": 1.0}, "cost must be a finite real number, got complex"),
        ({"cost": "1.0", "gain": 1.0}, "cost must be a finite real number, got str"),
        ({"cost": True, "gain": 1.0}, "cost must be a finite real number, got bool"),
        ({"cost": 10**400, "gain": 1.0}, "cost must be a finite real number, got int"),
        (None, r"test_scoring.py, line \d+: objectives of a Score must be a dict, got None"),
        (Score({"cost": 1.0, "gain": 1.0}, feedback=None), "feedback of a Score must be text, got None"),  # type: ignore[arg-type]
        (Bare({"cost": 1.0}), r"test_scoring.py, line \d+: evaluate must return a Score, got dict {'cost': 1.0}"),
        (Bare(None), "evaluate must return a Score, got None"),
        (Score({"cost": 1.0, "gain": 1.0}, {"limit": float("nan")}), "limit must be a finite real number"),
        (KeyError("x"), r"the scorer failed at test_scoring.py, line \d+: KeyError: 'x'"),
        (CandidateError("invalid", "no good"), "no good"),
    ],
)
def test_what_is_no_score_is_invalid_and_says_why(answer: object, complaint: str) -> None:
    evaluation = scored(Given(answer), Vector((0.0,)), run_in_process, "train")
    assert evaluation.outcome == "invalid"
    assert evaluation.objectives == {}
    with pytest.raises(ValueError, match=complaint):
        raise ValueError(evaluation.feedback)


def test_a_good_score_comes_through_as_floats() -> None:
    evaluation = scored(Given({"cost": np.float32(0.5), "gain": 2}), Vector((0.0,)), run_in_process, "train")
    assert evaluation.outcome == "ok"
    assert evaluation.objectives == {"cost": 0.5, "gain": 2.0}
    assert {type(value) for value in evaluation.objectives.values()} == {float}


def test_a_broken_sandbox_is_no_score() -> None:
    with pytest.raises(SandboxError, match="no namespaces"):
        scored(Given(SandboxError("no namespaces")), Vector((0.0,)), run_in_process, "train")
