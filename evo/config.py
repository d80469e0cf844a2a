"""Configuration: strict YAML, `--set a.b=c`, and where each value came from.

Layers, each over the one before: the defaults here, the problem's own defaults, the file, the command line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evo.errors import ConfigError
from evo.islands import Topology
from evo.parents import ParentChoice
from evo.registry import make_problem, unknown

NAMED_SECTIONS = ("problem", "executor", "model", "search.choice", "search.survival")


class Section(BaseModel):
    """A part of the configuration; immutable, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProblemConfig(Section):
    """What is searched.

    Attributes:
        name: registered name, "module:Name" or "file.py:Name".
        options: the problem's own.
    """

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class PriceConfig(Section):
    """Dollars per million tokens."""

    input_usd: float = Field(ge=0)
    output_usd: float = Field(ge=0)
    cached_usd: float | None = Field(default=None, ge=0)


class EndpointConfig(Section):
    """An OpenAI-compatible server; see `evo.models.Endpoint`.

    Attributes:
        key_variable: name of the environment variable that holds the key.
        price: "free" or numbers; without it prices are looked up, and a loopback address is free.
    """

    base_url: str | None = None
    key_variable: str = "OPENAI_API_KEY"
    models: tuple[str, ...] = ()
    concurrency: int = Field(default=16, ge=1, le=10_000)
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    timeout_seconds: float = Field(default=120.0, gt=0)
    retries: int = Field(default=3, ge=0, le=20)
    price: Literal["free"] | PriceConfig | None = None
    api: Literal["chat", "responses"] = "chat"


class ModelConfig(Section):
    """Which language model proposes.

    Attributes:
        name: of the model; None searches by model-free operators.
        pool: models that propose, by name, each with its share; empty lets the one that is named propose alone.
        endpoints: by name; none means OpenAI, or the server that OPENAI_BASE_URL names.
    """

    name: str | None = None
    pool: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    endpoints: dict[str, EndpointConfig] = Field(default_factory=dict)

    @property
    def shares(self) -> Mapping[str, float]:
        """Models that propose, by name, with shares that add up to 1; empty without a model."""
        pool = self.pool if self.pool or self.name is None else {self.name: 1.0}
        return {name: share / sum(pool.values()) for name, share in pool.items()}


class OperatorConfig(Section):
    """An operator's share of the asks, and its own options."""

    weight: float = 1.0
    options: dict[str, Any] = Field(default_factory=dict)


class ChoiceConfig(Section):
    """Who chooses the operator and the model of each ask.

    Attributes:
        name: "weights" (fixed shares), "ucb1", "thompson", "router", or another registered one.
        options: its own, such as per_dollar.
    """

    name: str = "weights"
    options: dict[str, Any] = Field(default_factory=dict)


class SurvivalConfig(Section):
    """Who stays.

    Attributes:
        name: registered name.
        options: its own.
    """

    name: str = "rank_and_crowding"
    options: dict[str, Any] = Field(default_factory=dict)


class OwnConfig(Section):
    """What one island does otherwise; what is left out is as everywhere."""

    survival: str | SurvivalConfig | None = None
    parents: ParentChoice | None = None
    operators: dict[str, float | OperatorConfig] | None = None


class IslandsConfig(Section):
    """Populations that know nothing of each other but for migrants; see `evo.islands.IslandSettings`.

    Attributes:
        own: what islands do otherwise than the search's section says, in the order of their numbers.
    """

    count: int = Field(default=1, ge=1, le=10_000)
    topology: Topology = "ring"
    every: int | None = Field(default=None, ge=1)
    stagnation: int | None = Field(default=None, ge=1)
    migrants: int = Field(default=1, ge=1)
    reset_every: int | None = Field(default=None, ge=1)
    birth_after: int | None = Field(default=None, ge=1)
    most: int = Field(default=16, ge=1, le=10_000)
    own: tuple[OwnConfig, ...] = ()


class AlikeConfig(Section):
    """When a proposal is turned away as a near duplicate of a living individual, before it is evaluated.

    Attributes:
        text: likeness of their texts, 0 to 1, from which it is; None does not compare.
        vectors: cosine of their embeddings from which it is; None does not compare.
        model: for embeddings; has to be named where `vectors` is given.
    """

    text: float | None = Field(default=None, gt=0, le=1)
    vectors: float | None = Field(default=None, gt=0, le=1)
    model: str | None = None


class SearchConfig(Section):
    """How.

    Attributes:
        population: how many survive, on each island.
        order: "arrival", or "ask" for the same result whatever the timing.
        lag: with order "ask", how many offspring are under way at once.
        parents: how they are chosen: "tournament", "uniform", "best" (hill climbing) or "seed" (best of n).
        operators: operator name to weight, or to a weight and options; empty takes all that fit the genome, by their
            own weights.
        learn_from: folders of earlier runs, whose lessons and records this one begins with.
        fruitless: after how many proposals in a row that gave nothing new to give up; None means 200 where proposals
            cost money, else 2,000.
    """

    population: int = Field(default=64, ge=2, le=1_000_000)
    order: Literal["arrival", "ask"] = "arrival"
    lag: int = Field(default=16, ge=1, le=100_000)
    survival: SurvivalConfig = SurvivalConfig()
    islands: IslandsConfig = IslandsConfig()
    parents: ParentChoice = "tournament"
    operators: dict[str, float | OperatorConfig] = Field(default_factory=dict)
    choice: ChoiceConfig = ChoiceConfig()
    alike: AlikeConfig = AlikeConfig()
    learn_from: tuple[str, ...] = ()
    fruitless: int | None = Field(default=None, ge=1)


class BudgetConfig(Section):
    """When to stop: whichever comes first.

    Attributes:
        evaluations: how many genomes are evaluated.
        wall_seconds: running time, added up over resumptions.
        usd: what completions may cost; reserved before a call, so it is never passed.
        tokens: prompt and reply tokens of all completions.
        calls: completions.
    """

    evaluations: int = Field(default=1000, ge=1)
    wall_seconds: float | None = Field(default=None, gt=0)
    usd: float | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    calls: int | None = Field(default=None, ge=0)


class ExecutorConfig(Section):
    """Where evaluations run.

    Attributes:
        name: "ray", "local", or another registered one.
        workers: side by side; None takes every CPU there is.
        address: of a Ray cluster; None starts one here.
    """

    name: str = "ray"
    workers: int | None = Field(default=None, ge=1)
    address: str | None = None


class SandboxConfig(Section):
    """How candidates are held.

    Attributes:
        require_isolation: "namespace" refuses to run where only the weaker fallback can be had.
        wall_seconds: overrides the problem's limit for one evaluation.
        memory_bytes: overrides the problem's limit for one evaluation.
    """

    require_isolation: Literal["any", "namespace"] = "any"
    wall_seconds: float | None = Field(default=None, gt=0)
    memory_bytes: int | None = Field(default=None, ge=1 << 26)


class Config(Section):
    """All of it."""

    problem: ProblemConfig
    seed: int = Field(default=0, ge=0)
    model: ModelConfig = ModelConfig()
    search: SearchConfig = SearchConfig()
    budget: BudgetConfig = BudgetConfig()
    executor: ExecutorConfig = ExecutorConfig()
    sandbox: SandboxConfig = SandboxConfig()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and, for each dotted key, the layer that its value came from."""

    config: Config
    sources: Mapping[str, str] = field(default_factory=dict)

    def values(self) -> Iterator[tuple[str, Any, str]]:
        """Dotted key, value and source, in the order of declaration."""
        for key, value in _leaves(self.config.model_dump()):
            yield key, value, next((self.sources[one] for one in _prefixes(key) if one in self.sources), "default")


def load_config(target: str, overrides: Sequence[str] = ()) -> Loaded:
    """The configuration for a YAML file or for a problem's name, with `--set` overrides.

    Raises:
        ConfigError: unreadable, an unknown key, or a value that does not fit.
        UnknownNameError: no such problem.
    """
    layers = [_target_layer(target), ("--set", _parse_overrides(overrides))]
    stated = _merge(layers)
    _check_keys(stated, Config)
    problem = _problem_section(stated.get("problem"))
    defaults = make_problem(problem.name, problem.options).defaults
    layers.insert(0, (f"problem {problem.name}", _suited(_normalised(_nest(defaults)), stated)))
    sources = {key: source for source, values in layers for key, _ in _leaves(values)}
    return Loaded(_validated(_merge(layers)), sources)


def _suited(defaults: dict[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """A problem's defaults, without its mixture of operators where another is stated: mixtures do not add up."""
    if "operators" not in (stated.get("search") or {}) or "search" not in defaults:
        return defaults
    rest = {key: value for key, value in defaults["search"].items() if key != "operators"}
    return {**defaults, "search": rest}


def overridden(config: Config, overrides: Sequence[str]) -> Config:
    """A configuration with `--set` values over it.

    Raises:
        ConfigError: an unknown key, or a value that does not fit.
    """
    changes = _parse_overrides(overrides)
    _check_keys(changes, Config)
    return _validated(_merge([("before", config.model_dump()), ("--set", changes)]))


def config_from_json(values: Mapping[str, Any]) -> Config:
    """The configuration that a journal recorded."""
    return _validated(dict(values))


def _target_layer(target: str) -> tuple[str, dict[str, Any]]:
    path = Path(target)
    if path.suffix in (".yaml", ".yml"):
        return target, _normalised(_read_yaml(path))
    return "command line", {"problem": {"name": target}}


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must be a mapping of keys to values, got {type(values).__name__}")
    return values


def _normalised(values: dict[str, Any]) -> dict[str, Any]:
    """Sections that are written as a bare name, spelt out."""
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
        flat[_spelt_out(key.strip())] = _parse_value(override, value)
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


def _check_keys(values: Mapping[str, Any], model: type[BaseModel], where: str = "") -> None:
    known = model.model_fields
    for key, value in values.items():
        if key not in known:
            raise ConfigError(unknown(f"key in [{where}]" if where else "key", str(key), known))
        section = known[key].annotation
        if isinstance(section, type) and issubclass(section, BaseModel) and value is not None:
            if not isinstance(value, Mapping):
                raise ConfigError(
                    f"[{key}] must be a section with keys {', '.join(section.model_fields)}; got {value!r}"
                )
            _check_keys(value, section, f"{where}.{key}" if where else key)


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
    for one in error.errors():
        key = prefix + ".".join(str(place) for place in one["loc"])
        parts.append(f"{key} = {one['input']!r}: {one['msg'][0].lower()}{one['msg'][1:]}")
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
