"""Checks that problems share: options, objectives, the kind of a genome, and the numbers that a candidate returned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from evo.errors import CandidateError, ConfigError
from evo.genomes import Genome
from evo.protocols import FloatArray
from evo.values import Objective

Kind = TypeVar("Kind", bound=Genome)


def whole_number(value: object, name: str, *, low: int, high: int) -> int:
    """`value`, if it is an integer from `low` to `high`.

    Raises:
        ConfigError: it is not.
    """
    if type(value) is not int or not low <= value <= high:
        raise ConfigError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
    return value


def one_of(value: object, name: str, options: Sequence[object]) -> None:
    """Check that `value` is among the options.

    Raises:
        ConfigError: it is not.
    """
    if not any(type(value) is type(option) and value == option for option in options):
        raise ConfigError(f"{name} must be one of {', '.join(map(str, options))}; got {value!r}")


def chosen_objectives(names: object, known: Mapping[str, Objective]) -> tuple[Objective, ...]:
    """The objectives of these names, in this order.

    Raises:
        ConfigError: no list of names, a name twice, or a name that is not known.
    """
    if not isinstance(names, list | tuple) or not names or len(set(map(str, names))) < len(names):
        raise ConfigError(f"objectives must list some of {', '.join(known)}, each once; got {names!r}")
    for name in names:
        one_of(name, "objectives", tuple(known))
    return tuple(known[name] for name in names)


def genome_of(genome: Genome, kind: type[Kind]) -> Kind:
    """`genome`, if it is of the kind that the problem evaluates.

    Raises:
        CandidateError: invalid; it is of another kind.
    """
    if not isinstance(genome, kind):
        raise CandidateError("invalid", f"expected a genome of kind {kind.kind!r}, got {genome.kind!r}")
    return genome


def finite_array(answer: Any, shape: tuple[int, ...], what: str) -> FloatArray:
    """A candidate's answer as an array of that shape.

    Args:
        answer: hostile data: an array, or lists in lists.
        shape: the shape that it must have.
        what: names the answer in messages.

    Raises:
        CandidateError: invalid; another shape, or anything in it that is not a finite real number.
    """
    _expect_numbers(answer, shape, what)
    try:
        with np.errstate(over="ignore"):
            array = np.array(answer, dtype=np.float64)
    except (OverflowError, ValueError) as error:
        raise CandidateError("invalid", f"{what} holds a number that no 64-bit float can hold") from error
    if not np.isfinite(array).all():
        place = tuple(int(index) for index in np.argwhere(~np.isfinite(array))[0])
        raise CandidateError(
            "invalid", f"{what} holds {array[place]} at index {list(place)}; every number must be finite"
        )
    return array


def _expect_numbers(answer: Any, shape: tuple[int, ...], what: str) -> None:
    # Before numpy sees it: a list of texts would become an array as wide as the longest of them.
    if isinstance(answer, np.ndarray):
        if answer.dtype.kind not in "iuf":
            raise CandidateError("invalid", f"{what} must be real numbers, got an array of {answer.dtype}")
        if answer.shape != shape:
            raise CandidateError("invalid", f"{what} must have shape {shape}, got {answer.shape}")
    elif shape:
        if not isinstance(answer, (list, tuple)):
            raise CandidateError("invalid", f"{what} must have shape {shape}, got {type(answer).__name__}")
        if len(answer) != shape[0]:
            raise CandidateError("invalid", f"{what} must have {shape[0]} entries, got {len(answer)}")
        for index, part in enumerate(answer):
            _expect_numbers(part, shape[1:], f"{what}[{index}]")
    elif isinstance(answer, bool) or not isinstance(answer, (int, float)):
        raise CandidateError("invalid", f"{what} must be a real number, got {type(answer).__name__}")
