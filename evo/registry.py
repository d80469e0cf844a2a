"""Finding problems, operators, executors and the like by name: entry points, or "module:Name", or "file.py:Name"."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast

from evo.errors import ConfigError, UnknownNameError, unknown
from evo.protocols import Problem

Group = Literal["problems", "operators", "survival", "executors", "gateways", "selectors", "parents", "policies"]


def names(group: Group) -> list[str]:
    """All registered names of a group, sorted."""
    return sorted(_registered(group))


def resolve(group: Group, name: str) -> Any:
    """The object behind a name.

    Raises:
        UnknownNameError: not registered, or no such module, file or attribute.
    """
    if ":" in name:
        return _from_path(name)
    registered = _registered(group)
    if name not in registered:
        raise UnknownNameError(unknown(_one_of(group), name, registered))
    point = registered[name]
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise UnknownNameError(f"{name!r} is registered as {point.value}, which cannot be loaded: {error}") from error


SHIPPED = "EVO_SHIPPED"
"""Set where every worker begins in a copy of this process's working folder, which may lie elsewhere on its machine."""


def portable(name: str) -> str:
    """The name as a worker needs it: files by their full path, unless the working folder was shipped along."""
    place, colon, attribute = name.rpartition(":")
    is_file = colon and place.endswith(".py") and SHIPPED not in os.environ
    return f"{Path(place).resolve()}:{attribute}" if is_file else name


def make_problem(name: str, options: Mapping[str, Any]) -> Problem:
    """A problem with its options.

    Raises:
        UnknownNameError: no such problem.
        ConfigError: an option that it does not take.
    """
    return cast(Problem, make("problems", name, options))


def make(group: Group, name: str, options: Mapping[str, Any], *given: Any) -> Any:
    """The object that a name stands for, called with its fixed arguments and with the user's options.

    Args:
        given: positional arguments that every object of the group takes.

    Raises:
        UnknownNameError: no such name.
        ConfigError: an option that it does not take.
    """
    factory, what = resolve(group, name), _one_of(group)
    accepted = dict(list(inspect.signature(factory).parameters.items())[len(given) :])
    for option in options:
        if option not in accepted:
            raise ConfigError(unknown(f"option of {what} {name}", option, accepted))
    try:
        return factory(*given, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what} {name} does not take these options ({error}): {dict(options)}") from error


def _one_of(group: Group) -> str:
    return "policy" if group == "policies" else group.removesuffix("s")


@cache
def _registered(group: Group) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"evo.{group}")}


def _from_path(name: str) -> Any:
    place, _, attribute = name.rpartition(":")
    module = _load_file(Path(place)) if place.endswith(".py") else _import(place, name)
    if not hasattr(module, attribute):
        raise UnknownNameError(f"{place} has no {attribute!r}")
    return getattr(module, attribute)


def _import(place: str, name: str) -> ModuleType:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise UnknownNameError(f"cannot import {place!r} for {name!r}: {error}") from error


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UnknownNameError(f"no file {path}")
    module_name = f"_evo_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module
