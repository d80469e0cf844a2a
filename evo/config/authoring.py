"""What the author of a problem declares, checked before anything is evaluated: each slip is one sentence."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import numpy as np

from evo.errors import AuthorError, EvoError, GenomeError, author_error, written_at
from evo.genomes import Architecture, Genome, Program, Prompt, Vector
from evo.protocols import Problem
from evo.registry import make_problem
from evo.resources import Resources
from evo.values import Box, Limits, Objective, Part, Slots, Space

GENOMES = (Program, Prompt, Architecture, Vector)
METHODS = ("seeds", "evaluate")
DECLARED: Mapping[str, tuple[type, ...]] = {
    "description": (str,),
    "space": (Box, Slots, type(None)),
    "limits": (Limits,),
    "resources": (Resources,),
    "defaults": (Mapping,),
}


def declared_problem(name: str, options: Mapping[str, Any]) -> Problem:
    """A problem with its options, whose declarations are what they have to be.

    Raises:
        UnknownNameError, ConfigError: as `make_problem`.
        AuthorError: it is no problem, or declares something else than is expected.
    """
    problem = make_problem(name, options)
    lacking = [method for method in METHODS if not _defines(type(problem), method)]
    if Problem not in type(problem).__mro__ or lacking:
        missing = f"does not define {' and '.join(lacking)}" if lacking else "is no subclass of evo.Problem"
        raise AuthorError(
            f"{written_at(type(problem))}: {name} is no problem: its {type(problem).__name__} {missing}; subclass "
            "evo.Problem, and define objectives, seeds and evaluate"
        )
    for attribute, kinds in DECLARED.items():
        _check_kind(problem, attribute, kinds)
    _check_objectives(problem)
    for part in ("train", *problem.final_parts):
        _check_cases(problem, part)
    return problem


def seeds_of(problem: Problem, count: int, rng: np.random.Generator) -> Sequence[Genome]:
    """The genomes that a problem gives to start from, all of a kind and within its space.

    Raises:
        AuthorError: it fails, or gives something else.
    """
    where = written_at(type(problem).seeds)
    try:
        seeds = problem.seeds(count, rng)
    except Exception as error:
        if isinstance(error, EvoError) and not isinstance(error, GenomeError):
            raise
        raise author_error("the problem's seeds cannot be made", error) from error
    if not isinstance(seeds, Sequence) or isinstance(seeds, str | bytes) or not seeds:
        raise AuthorError(f"{where}: seeds must return a list of genomes, at least one, got {_shown(seeds)}")
    for number, seed in enumerate(seeds):
        if reason := _misfit(seed, seeds[0], problem.space):
            raise AuthorError(f"{where}: seed {number} {reason}")
    return seeds


def task_of(problem: Problem) -> str:
    """What a model is told of the task: the problem's description, or else the docstring of its class."""
    if problem.description.strip():
        return problem.description
    own = takewhile(lambda cls: cls is not Problem, type(problem).__mro__)
    return inspect.cleandoc(next((cls.__doc__ for cls in own if cls.__doc__), ""))


def _defines(kind: type, method: str) -> bool:
    """Whether a class has a method of its own; Problem's are placeholders."""
    return callable(getattr(kind, method, None)) and getattr(kind, method) is not getattr(Problem, method)


def _check_kind(problem: Problem, attribute: str, kinds: tuple[type, ...]) -> None:
    value = getattr(problem, attribute)
    if not isinstance(value, kinds):
        expected = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        raise AuthorError(f"{written_at(type(problem))}: {attribute} must be {expected}, got {_shown(value)}")


def _check_objectives(problem: Problem) -> None:
    where, objectives = written_at(type(problem)), problem.objectives
    if not isinstance(objectives, list | tuple) or not all(isinstance(each, Objective) for each in objectives):
        raise AuthorError(
            f'{where}: objectives must be a tuple of Objective, as in (Objective("error", "min"),), '
            f"got {_shown(objectives)}"
        )
    names = [objective.name for objective in objectives]
    if not names:
        raise AuthorError(f'{where}: objectives is empty; name at least one, as in (Objective("error", "min"),)')
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise AuthorError(f"{where}: two objectives have the name {twice!r}; each needs a name of its own")


def _check_cases(problem: Problem, part: Part) -> None:
    where = written_at(type(problem).case_names)
    try:
        names = problem.case_names(part)
    except Exception as error:
        raise author_error(f"the names of the cases of {part} cannot be had", error) from error
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise AuthorError(f"{where}: case_names must return a list of texts, got {_shown(names)}")
    if len(set(names)) < len(names):
        raise AuthorError(f"{where}: case_names of {part} holds a name twice")


def _misfit(seed: object, first: object, space: Space | None) -> str:
    """Why a seed cannot be one; "" where it can."""
    if not isinstance(seed, GENOMES):
        return f"must be a {', '.join(kind.__name__ for kind in GENOMES)}, got {_shown(seed)}"
    if isinstance(first, GENOMES) and seed.kind != first.kind:
        return f"is a {seed.kind}, and the first a {first.kind}; all are of one kind"
    if isinstance(seed, Vector):
        return _outside_box(seed.values, space)
    return _no_design(seed.choices, space) if isinstance(seed, Architecture) else ""


def _outside_box(values: Sequence[float], space: Space | None) -> str:
    if not isinstance(space, Box):
        return f"is a vector, so space must be a Box, got {_shown(space)}"
    if len(values) != len(space.lower):
        return f"has {len(values)} values, and the box {len(space.lower)} dimensions"
    bounds = zip(values, space.lower, space.upper, strict=True)
    outside = next((place for place, (value, low, high) in enumerate(bounds) if not low <= value <= high), None)
    if outside is None:
        return ""
    low, high = space.lower[outside], space.upper[outside]
    return f"is outside the space: value {outside} is {values[outside]:g}, not from {low:g} to {high:g}"


def _no_design(choices: Mapping[str, object], space: Space | None) -> str:
    if not isinstance(space, Slots):
        return f"is an architecture, so space must be Slots, got {_shown(space)}"
    if space.contains(choices):
        return ""
    return f"is outside the space: {dict(choices)} is no design of the slots {'; '.join(space.describe().splitlines())}"


def _shown(value: object) -> str:
    return "None" if value is None else f"{type(value).__name__} {value!r:.80}"
