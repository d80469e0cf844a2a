"""Configuration: strict YAML, `--set a.b=c`, and where each value came from.

Layers, each over the layer before: the defaults of the schema, the problem's own defaults, the file, the command line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import BaseModel, ValidationError

from evo.config.authoring import declared_problem
from evo.config.old_keys import RENAMED, renamed
from evo.config.problem_files import noted_files
from evo.config.schema import Config, ProblemConfig
from evo.errors import ConfigError, unknown
from evo.protocols import Problem

NEAR_ELSEWHERE = 0.75
"""How alike a key of another section has to be to be meant."""
NAMED_SECTIONS = ("problem", "executor", "model", "search.selector", "search.survival", "search.parents")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and, for each dotted key, the layer that its value came from.

    Attributes:
        problem: the configuration's, made; None where it was not made yet.
        files: that were read to make it.
    """

    config: Config
    sources: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None
    files: frozenset[Path] = frozenset()

    def values(self) -> Iterator[tuple[str, Any, str]]:
        """Dotted key, value and source, in the order of declaration."""
        for key, value in _leaves(self.config.model_dump()):
            yield (
                key,
                value,
                next((self.sources[prefix] for prefix in _prefixes(key) if prefix in self.sources), "default"),
            )


def load_config(target: str, overrides: Sequence[str] = ()) -> Loaded:
    """The configuration for a YAML file or for a problem's name, with `--set` overrides.

    Raises:
        ConfigError: unreadable, an unknown key, or a value that does not fit.
        UnknownNameError: no such problem.
    """
    layers = [_target_layer(target), ("--set", _normalised(renamed(_parse_overrides(overrides))))]
    stated = _merge(layers)
    _check_keys(stated, Config)
    problem = _problem_section(stated.get("problem"))
    with noted_files() as files:
        made = declared_problem(problem.name, problem.options)
    defaults = made.defaults
    layers.insert(0, (f"problem {problem.name}", _suited(_normalised(_nest(defaults)), stated)))
    sources = {key: source for source, values in layers for key, _ in _leaves(values)}
    return Loaded(_validated(_merge(layers)), sources, made, frozenset(files))


def _suited(defaults: dict[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """A problem's defaults, without its mixture of operators where the user states a mixture."""
    if "operators" not in (stated.get("search") or {}) or "search" not in defaults:
        return defaults
    rest = {key: value for key, value in defaults["search"].items() if key != "operators"}
    return {**defaults, "search": rest}


def overridden(config: Config, overrides: Sequence[str]) -> Config:
    """A configuration with `--set` values over it.

    Raises:
        ConfigError: an unknown key, or a value that does not fit.
    """
    changes = _normalised(renamed(_parse_overrides(overrides)))
    _check_keys(changes, Config)
    return _validated(_merge([("before", config.model_dump()), ("--set", changes)]))


def config_from_json(values: Mapping[str, Any]) -> Config:
    """The configuration that a journal recorded."""
    return _validated(renamed(values, say=lambda sentence: None))


def _target_layer(target: str) -> tuple[str, dict[str, Any]]:
    path = Path(target)
    if path.suffix in (".yaml", ".yml"):
        return target, _normalised(renamed(_read_yaml(path)))
    return "command line", {"problem": {"name": target}}


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must be a mapping of keys to values, got {type(values).__name__}")
    return values


def _normalised(values: dict[str, Any]) -> dict[str, Any]:
    """With sections that are written as a bare name spelt out."""
    short = {key: {"name": value} for key in NAMED_SECTIONS if isinstance(value := _found(values, key), str)}
    return _merge([("", values), ("", _nest(short))])


def _found(values: Mapping[str, Any], key: str) -> Any:
    section, dot, rest = key.partition(".")
    inner = values.get(section)
    return _found(inner, rest) if dot and isinstance(inner, Mapping) else None if dot else inner


def _parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set {override!r}: expected KEY=VALUE, as in --set budget.evaluations=500")
        parsed = _parse_value(override, value)
        flat[key.strip() if isinstance(parsed, Mapping) else _spelt_out(key.strip())] = parsed
    return _nest(flat)


def _spelt_out(key: str) -> str:
    return f"{key}.name" if key in NAMED_SECTIONS else key


def _parse_value(override: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is no YAML: {' '.join(str(error).split())}") from error


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, last = key.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise ConfigError(f"key {key!r}: {section!r} is a value, not a section")
        place[last] = value
    return nested


def _merge(layers: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for _, values in layers:
        for key, value in values.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
            merged[key] = _merge([("", merged[key]), ("", value)]) if both else value
    return merged


def _check_keys(values: Mapping[str, Any], section: type, where: str = "") -> None:
    known = _annotations(section)
    for key, value in values.items():
        if key not in known:
            raise ConfigError(_unknown_key(str(key), where, known))
        _check_value(value, known[key], f"{where}.{key}" if where else key)


def _unknown_key(key: str, where: str, known: Mapping[str, Any]) -> str:
    """The sentence for an unknown key, with the nearest key of its section, or of the whole tree if that is nearer."""
    here = f"key in [{where}]" if where else "key"
    by_name = {dotted.rpartition(".")[2]: dotted for dotted in (*reversed(list(_dotted(Config))), *RENAMED)}
    near = difflib.get_close_matches(key, by_name, 1, cutoff=NEAR_ELSEWHERE)
    if not near or difflib.get_close_matches(key, known, 1, cutoff=_likeness(key, near[0])):
        return unknown(here, key, known)
    return f"unknown {here} {key!r}; did you mean {RENAMED.get(by_name[near[0]], by_name[near[0]])!r}?"


def _likeness(key: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other, key).ratio()


def _dotted(section: type, prefix: str = "") -> Iterator[str]:
    """All keys below a section."""
    for key, annotation in _annotations(section).items():
        yield f"{prefix}{key}"
        for inner in filter(_is_section, (annotation, *get_args(annotation))):
            yield from _dotted(inner, f"{prefix}{key}.")


def _check_value(value: Any, annotation: Any, where: str) -> None:
    """Check the keys of whatever sections the value of a key is made of."""
    if _is_section(annotation):
        if value is not None and not isinstance(value, Mapping):
            keys = ", ".join(_annotations(annotation))
            raise ConfigError(f"[{where.rpartition('.')[2]}] must be a section with keys {keys}; got {value!r}")
        _check_keys(value or {}, annotation, where)
    elif get_origin(annotation) in (Union, UnionType) and isinstance(value, Mapping):
        for kind in filter(_is_section, get_args(annotation)):
            _check_keys(value, kind, where)
    elif get_origin(annotation) in (dict, Mapping) and isinstance(value, Mapping):
        for name, each in value.items():
            _check_value(each, get_args(annotation)[1], f"{where}.{name}")
    elif get_origin(annotation) is tuple and isinstance(value, list | tuple):
        for place, each in enumerate(value):
            _check_value(each, get_args(annotation)[0], f"{where}.{place}")


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation))


def _annotations(section: Any) -> dict[str, Any]:
    """The keys of a section with their types, in the order of declaration."""
    names = section.model_fields if issubclass(section, BaseModel) else section.__dataclass_fields__
    hints = get_type_hints(section)
    return {name: hints[name] for name in names}


def _problem_section(values: Any) -> ProblemConfig:
    if not values:
        raise ConfigError("the configuration names no problem; add 'problem: NAME' (see `evo list problems`)")
    try:
        return ProblemConfig(**values)
    except ValidationError as error:
        raise ConfigError(_sentence(error, "problem.")) from error


def _validated(values: dict[str, Any]) -> Config:
    try:
        return Config(**values)
    except ValidationError as error:
        raise ConfigError(_sentence(error)) from error


def _sentence(error: ValidationError, prefix: str = "") -> str:
    parts = []
    for detail in error.errors():
        key = prefix + ".".join(str(place) for place in detail["loc"])
        # Where the name of a variable is expected, or the key is unknown, the value may be a secret.
        unknown_key = detail["type"] in ("extra_forbidden", "unexpected_keyword_argument")
        private = unknown_key or key.startswith("model.endpoints")
        value = "" if private else f" = {detail['input']!r}"
        said = detail["msg"].removeprefix("Value error, ")
        parts.append(f"{key}{value}: {said[0].lower()}{said[1:]}")
    return "; ".join(parts)


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _prefixes(key: str) -> Iterator[str]:
    while key:
        yield key
        key = key.rpartition(".")[0]
