"""Laws of what is said of a run before its best is believed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evo.engine.run import run
from evo.errors import CandidateError
from evo.genomes import Genome, Vector
from evo.lineage import open_run
from evo.lineage.queries import top
from evo.lineage.remarks import remarks
from evo.protocols import Problem, Runner
from evo.values import Box, Objective, Part, Score


class Hill(Problem):
    """The closer to the origin, the better; what is allowed and what fails is a matter of options.

    Args:
        start: both values of the seed.
        violation: of everything, beside the first value's distance from 0.
        wall: all but the seed fail.
    """

    objectives = (Objective("height", "max"),)
    space = Box((-1.0, -1.0), (1.0, 1.0))

    def __init__(self, start: float = 0.5, violation: float = 0.0, *, wall: bool = False) -> None:
        self._start, self._violation, self._wall = start, violation, wall

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [Vector((self._start, self._start))]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        assert isinstance(genome, Vector)
        if self._wall and set(genome.values) != {self._start}:
            raise CandidateError("crash", "Traceback\n  somewhere\nValueError: beyond the wall\n")
        violations = {"bound": self._violation + abs(genome.values[0])} if self._violation else {}
        return Score({"height": -float(np.abs(genome.values).sum())}, violations)


def made(folder: Path, **options: Any) -> Path:
    problem = {"name": f"{__name__}:Hill", "options": options}
    executor = "evo.testing.executor:InProcessExecutor"
    return run("sphere", folder / "run", problem=problem, executor=executor, budget={"evaluations": 40}).folder


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, []),
        ({"violation": 1.0}, ["none of 40 measured candidates is feasible; the least infeasible is individual"]),
        ({"start": 0.0}, ["none of 39 measured offspring is better than the seed"]),
        ({"wall": True}, ["39 of 40 evaluations failed: 39 crash; most often: ValueError: beyond the wall"]),
    ],
)
def test_what_is_said_of_a_run(tmp_path: Path, options: dict[str, Any], said: list[str]) -> None:
    with open_run(made(tmp_path, **options)).at_once() as reader:
        remarked = remarks(reader)
    assert len(remarked) == len(said)
    assert all(sentence.startswith(expected) for sentence, expected in zip(remarked, said, strict=True))


def test_where_none_is_feasible_the_least_infeasible_come_first(tmp_path: Path) -> None:
    with open_run(made(tmp_path, violation=1.0)).at_once() as reader:
        table = top(reader, 40)
        sentence = remarks(reader)[0]
    violations = [row[table.columns.index("violation")] for row in table.rows]
    assert violations == sorted(violations)
    assert violations[0] < violations[-1]
    assert f"is individual {table.rows[0][0]}, whose violations add up to {violations[0]:.4g}" in sentence
