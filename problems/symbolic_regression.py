"""Symbolic regression: find the formula behind a table of numbers."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence

import numpy as np

from evo.errors import CandidateError, ConfigError
from evo.genomes import Genome, Program
from evo.protocols import FloatArray, Problem, Runner
from evo.values import Limits, Objective, Part, Score
from problems.checks import finite_array, genome_of, one_of
from problems.tables import LAWS, Dataset, read_csv

FRAME = '''\
"""A formula for {target} from columns of numbers. law(x) takes the columns side by side, shape (rows, columns)."""

import numpy as np


# EVOLVE-BLOCK-START
def formula({names}):
    return {expression}
# EVOLVE-BLOCK-END


def law(x):
    return np.zeros(len(x)) + formula(*x.T)
'''
DEFAULT_LAW = "oscillator"
SPLIT_SEED = 0
HOLDOUT_SHARE = 0.2
LAW_ROWS = 200
STRETCH = 1.5


class SymbolicRegression(Problem):
    """Normalised mean squared error of a formula, and its size. The targets stay with the scorer.

    Args:
        data: path of a CSV file with a header (see `read_csv`); a fixed, shuffled fifth of its rows is the hold-out.
        target: name of the target's column; None takes the last.
        law: where there is no file, the built-in formula to find; None takes "oscillator". Half of its hold-out is
            drawn from ranges 1.5 times as long as in training, which tells the right law from a mere good fit.

    Raises:
        ConfigError: a file that is not a table of numbers, a target that it lacks or that never varies, or options
            that exclude each other.
    """

    objectives = (Objective("error", "min"), Objective("size", "min", "nodes"))
    limits = Limits(wall_seconds=10.0)

    def __init__(self, *, data: str | None = None, target: str | None = None, law: str | None = None) -> None:
        if data is not None and law is not None:
            raise ConfigError(f"symbolic_regression takes data or law, not both; got data {data!r} and law {law!r}")
        if data is None and target is not None:
            raise ConfigError(f"target {target!r} names a column of a file; say which with data")
        law = DEFAULT_LAW if law is None else law
        self._tables = _split(read_csv(data, target)) if data is not None else _sampled(law)
        _expect_variation(self._tables, law if data is None else data)
        self._names = identifiers(self._tables["train"].columns)
        self._target = self._tables["train"].target
        self.description = (
            f"Symbolic regression. Write formula({', '.join(self._names)}), which takes a float array for each column "
            f"and returns {self._target!r} for every row. Minimise the mean squared error over the variance of the "
            "target (0 is exact, 1 is no better than the mean), and keep the formula small; rows outside the range of "
            "the training rows will be tried later. numpy is there as np."
        )

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [self._program(np.ones(len(self._names)), 0.0)]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        program, table = genome_of(genome, Program), self._tables[part]
        with run(program, "law") as law:
            answer = law(table.inputs)
        predicted = finite_array(answer, table.targets.shape, "law(x)")
        objectives = {"error": normalised_error(predicted, table.targets), "size": float(program.size)}
        if not np.isfinite(objectives["error"]):
            raise CandidateError(
                "invalid", f"law(x) is as large as {np.abs(predicted).max():.3g}: its square overflows"
            )
        return Score(objectives, feedback=_feedback(predicted, table, self._names))

    def baselines(self, part: Part) -> Mapping[str, Mapping[str, float]]:
        train, table = self._tables["train"], self._tables[part]
        *slopes, offset = np.linalg.lstsq(_with_ones(train.inputs), train.targets, rcond=None)[0]
        predicted = table.inputs @ np.array(slopes) + offset
        size = float(self._program(np.array(slopes), float(offset)).size)
        return {"linear fit": {"error": normalised_error(predicted, table.targets), "size": size}}

    def _program(self, slopes: FloatArray, offset: float) -> Program:
        terms = [f"{float(slope)!r} * {name}" for slope, name in zip(slopes, self._names, strict=True)]
        expression = " + ".join([*terms, repr(float(offset))])
        return Program.single(
            FRAME.format(target=identifiers([self._target])[0], names=", ".join(self._names), expression=expression)
        )


def normalised_error(predicted: FloatArray, targets: FloatArray) -> float:
    """Mean squared error over the variance of the targets; infinite where a square overflows."""
    with np.errstate(over="ignore"):
        return float(np.mean((predicted - targets) ** 2) / np.var(targets))


def identifiers(columns: Sequence[str]) -> tuple[str, ...]:
    """A distinct Python name for each column, as close to the column's own as possible."""
    names: list[str] = []
    for column in columns:
        name = re.sub(r"\W+", "_", column, flags=re.ASCII).strip("_").lower() or "x"
        name = f"x_{name}" if name[0].isdigit() or keyword.iskeyword(name) or name == "np" else name
        while name in names:
            name += "_"
        names.append(name)
    return tuple(names)


def _split(table: Dataset) -> dict[Part, Dataset]:
    order = np.random.default_rng(SPLIT_SEED).permutation(len(table.targets))
    held_out = max(2, round(HOLDOUT_SHARE * len(order)))
    return {"train": table.rows(order[held_out:]), "holdout": table.rows(order[:held_out])}


def _sampled(name: str) -> dict[Part, Dataset]:
    one_of(name, "law", tuple(LAWS))
    law, rng = LAWS[name], np.random.default_rng(SPLIT_SEED)
    train, near, far = (law.sample(LAW_ROWS, rng, stretch) for stretch in (1.0, 1.0, STRETCH))
    inputs, targets = np.vstack([near.inputs, far.inputs]), np.concatenate([near.targets, far.targets])
    return {"train": train, "holdout": Dataset(train.columns, train.target, inputs, targets)}


def _expect_variation(tables: Mapping[Part, Dataset], source: str) -> None:
    for part, table in tables.items():
        with np.errstate(over="ignore", invalid="ignore"):
            variance = float(np.var(table.targets))
        if not 0.0 < variance < np.inf:
            raise ConfigError(
                f"{source}: the target {table.target!r} must vary; its {part} part has variance {variance}"
            )


def _with_ones(inputs: FloatArray) -> FloatArray:
    return np.column_stack([inputs, np.ones(len(inputs))])


def _feedback(predicted: FloatArray, table: Dataset, names: Sequence[str]) -> str:
    """The rows with the largest errors, as feedback for the next proposal."""
    missed = predicted - table.targets
    lines = []
    for row in np.argsort(-np.abs(missed))[:5]:
        place = ", ".join(f"{name}={value:.4g}" for name, value in zip(names, table.inputs[row], strict=True))
        lines.append(f"at {place}: {predicted[row]:.4g}, should be {table.targets[row]:.4g}")
    return f"Mean error {missed.mean():.4g}, largest {np.abs(missed).max():.4g}. Worst rows:\n" + "\n".join(lines)
