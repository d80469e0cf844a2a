"""Tables of numbers: inputs and a target, read from a CSV file or made from a law."""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evo.errors import ConfigError
from evo.protocols import FloatArray, IntArray

LEAST_ROWS = 10


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows of measurements.

    Attributes:
        columns: names of the inputs, in the order of the columns of `inputs`.
        target: name of the target.
        inputs: shape (rows, columns).
        targets: shape (rows,).
    """

    columns: tuple[str, ...]
    target: str
    inputs: FloatArray
    targets: FloatArray

    def rows(self, chosen: IntArray) -> Dataset:
        """Some of the rows."""
        return Dataset(self.columns, self.target, self.inputs[chosen], self.targets[chosen])


@dataclass(frozen=True, slots=True)
class Law:
    """A formula for the search to find.

    Attributes:
        target: what it gives.
        ranges: input name to the lowest and the highest value that it takes in training.
        formula: inputs, an array for each column, to targets.
    """

    target: str
    ranges: Mapping[str, tuple[float, float]]
    formula: Callable[..., FloatArray]

    def sample(self, rows: int, rng: np.random.Generator, stretch: float = 1.0) -> Dataset:
        """Rows drawn uniformly from the ranges, each stretched by the factor `stretch` about its centre."""
        low, high = np.array(list(self.ranges.values())).T
        middle, half = (low + high) / 2.0, stretch * (high - low) / 2.0
        inputs = rng.uniform(middle - half, middle + half, (rows, len(self.ranges)))
        return Dataset(tuple(self.ranges), self.target, inputs, self.formula(*inputs.T))


LAWS: Mapping[str, Law] = {
    "oscillator": Law(
        "acceleration",
        {"position": (-2.0, 2.0), "velocity": (-2.0, 2.0)},
        lambda position, velocity: -1.5 * position - 0.5 * position**3 - 0.2 * velocity,
    ),
    "pendulum": Law(
        "acceleration",
        {"angle": (-2.0, 2.0), "velocity": (-2.0, 2.0), "length": (1.0, 3.0)},
        lambda angle, velocity, length: -9.81 / length * np.sin(angle) - 0.1 * velocity * np.abs(velocity),
    ),
    "gas": Law(
        "pressure",
        {"volume": (1.0, 3.0), "temperature": (1.0, 2.0)},
        lambda volume, temperature: 8.0 * temperature / (3.0 * volume - 1.0) - 3.0 / volume**2,
    ),
}


def read_csv(path: str, target: str | None) -> Dataset:
    """A CSV file whose first row names the columns and whose other cells are all finite numbers.

    Args:
        target: name of the target's column; None takes the last.

    Raises:
        ConfigError: a file that is missing, empty, ragged or holds anything but numbers, or that lacks the target.
    """
    header, *body = _cells(path)
    names = [name.strip() for name in header]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ConfigError(f"{path}: the first row must name two columns or more, each once; got {', '.join(names)}")
    if len(body) < LEAST_ROWS:
        raise ConfigError(f"{path}: expected at least {LEAST_ROWS} rows of numbers below the header, got {len(body)}")
    numbers = np.array([_numbers(path, line, row, names) for line, row in enumerate(body, 2)])
    place = _place(path, names, target)
    inputs = tuple(name for number, name in enumerate(names) if number != place)
    return Dataset(inputs, names[place], np.delete(numbers, place, axis=1), numbers[:, place])


def _cells(path: str) -> list[list[str]]:
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as lines:
            rows = [row for row in csv.reader(lines) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read the table {path}: {error}") from error
    if not rows:
        raise ConfigError(f"the table {path} is empty; its first row must name the columns")
    return rows


def _numbers(path: str, line: int, row: Sequence[str], names: Sequence[str]) -> list[float]:
    if len(row) != len(names):
        raise ConfigError(f"{path}, row {line}: expected {len(names)} cells as in the header, got {len(row)}")
    return [_number(path, line, name, cell) for name, cell in zip(names, row, strict=True)]


def _number(path: str, line: int, name: str, cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{path}, row {line}, column {name!r}: expected a finite number, got {cell!r}")
    return number


def _place(path: str, names: Sequence[str], target: str | None) -> int:
    if target is None:
        return len(names) - 1
    if target not in names:
        near = difflib.get_close_matches(target, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        raise ConfigError(f"{path} has no column {target!r} for the target{hint} columns: {', '.join(names)}")
    return names.index(target)
