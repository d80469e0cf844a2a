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

from evo.errors import AuthorError, ConfigError, EvoError, UnknownNameError, author_error, unknown
from evo.protocols import Problem

Group = Literal["problems", "operators", "survival", "executors", "gateways", "selectors", "parents", "policies"]


def names(group: Group) -> list[str]:
    """All registered names of a group, sorted."""
    return sorted(_registered(group))


def resolve(group: Group, name: str) -> Any:
    """The object behind a name.

    Raises:
        UnknownNameError: not registered, or no such module, file or attribute.
        AuthorError: the code behind the name fails while it is imported.
    """
    if ":" in name:
        return _from_path(name)
    registered = _registered(group)
    if name not in registered:
        raise UnknownNameError(unknown(_one_of(group), name, registered))
    point = registered[name]
    try:
        return point.load()
    except Exception as error:
        raise author_error(f"{name!r} is registered as {point.value}, which cannot be loaded", error) from error


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
        AuthorError: its code fails.
    """
    factory, what = resolve(group, name), _one_of(group)
    if not callable(factory):
        raise AuthorError(f"{name} is no {what} but a value of type {type(factory).__name__}; expected a class")
    accepted = dict(list(inspect.signature(factory).parameters.items())[len(given) :])
    for option in options:
        if option not in accepted:
            raise ConfigError(unknown(f"option of {what} {name}", option, accepted))
    try:
        return factory(*given, **options)
    except (TypeError, ValueError) as error:
        if not options:
            raise author_error(f"{what} {name} cannot be made", error) from error
        raise ConfigError(f"{what} {name} does not take these options ({error}): {dict(options)}") from error
    except EvoError:
        raise
    except Exception as error:
        raise author_error(f"{what} {name} cannot be made", error) from error


def _one_of(group: Group) -> str:
    return "policy" if group == "policies" else group.removesuffix("s")


@cache
def _registered(group: Group) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"evo.{group}")}


def _from_path(name: str) -> Any:
    place, _, attribute = name.rpartition(":")
    module = _load_file(Path(place)) if place.endswith(".py") else _import(place)
    if not attribute or not hasattr(module, attribute):
        defined = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        raise UnknownNameError(unknown(f"name in {place}", attribute, defined))
    return getattr(module, attribute)


def _import(place: str) -> ModuleType:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{place}.".startswith(f"{error.name}."):
            file = Path(f"{place}.py")
            hint = f"; for the file, write {file}:NAME" if file.is_file() else ""
            raise UnknownNameError(f"cannot import {place!r}: {error}{hint}") from error
        raise author_error(f"{place} cannot be imported", error) from error
    except Exception as error:
        raise author_error(f"{place} cannot be imported", error) from error


def _load_file(path: Path) -> ModuleType:
    """The module that a file holds, which may import what lies beside it."""
    if not path.is_file():
        raise UnknownNameError(f"no file {path}")
    _import_from(path.resolve().parent)
    module_name = f"_evo_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise author_error(f"{path} cannot be loaded", error) from error
    return module


def _import_from(folder: Path) -> None:
    """Let code import what lies in its folder, behind installed modules, whatever lies in other authors' folders."""
    others = [other for other in _FOLDERS if other != folder]
    sys.path[:] = [entry for entry in sys.path if Path(entry) not in _FOLDERS]
    sys.path += map(str, (folder, *others))
    _FOLDERS[:] = [folder, *others]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and Path(file).parent in others and (folder / f"{name}.py").is_file():
            del sys.modules[name]


_FOLDERS: list[Path] = []
"""The folders of files that were loaded, the latest first."""
