"""The sections of a configuration: every key, its type, its default and what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from evo.values import Topology


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


def _name_of_a_variable(text: str) -> str:
    if text and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", text):
        raise ValueError("must name an environment variable in capitals, as in OPENAI_API_KEY; never the key itself")
    return text


def _without_password(url: str | None) -> str | None:
    if url is not None and "@" in urlsplit(url).netloc:
        raise ValueError("must not hold a user or a password; put the key into an environment variable")
    return url


class EndpointConfig(Section):
    """An OpenAI-compatible server; see `evo.models.Endpoint`.

    Attributes:
        key_variable: name of the environment variable that holds the key.
        price: "free" or numbers; without it prices are looked up, and a loopback address is free.
    """

    base_url: Annotated[str | None, AfterValidator(_without_password)] = None
    key_variable: Annotated[str, AfterValidator(_name_of_a_variable)] = "OPENAI_API_KEY"
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

    @model_validator(mode="before")
    @classmethod
    def _default_from_pool(cls, values: Any) -> Any:
        """The first of a pool, where none is named."""
        pool = values.get("pool") if isinstance(values, dict) else None
        if isinstance(pool, dict) and pool and values.get("name") is None:
            return {**values, "name": next(iter(pool))}
        return values

    @property
    def shares(self) -> Mapping[str, float]:
        """Models that propose, by name, with shares that add up to 1; empty without a model."""
        pool = self.pool if self.pool or self.name is None else {self.name: 1.0}
        return {name: share / sum(pool.values()) for name, share in pool.items()}


class OperatorConfig(Section):
    """An operator's share of the asks, and its own options."""

    weight: float = 1.0
    options: dict[str, Any] = Field(default_factory=dict)


class SelectorConfig(Section):
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


class ParentsConfig(Section):
    """How parents are chosen.

    Attributes:
        name: "tournament", "uniform", "best" (hill climbing), "seed" (best of n), "rank_proportional", "power_law",
            "pareto_per_case", "lexicase", "epsilon_lexicase", "novelty", or another registered one.
        options: its own.
    """

    name: str = "tournament"
    options: dict[str, Any] = Field(default_factory=dict)


class DimensionConfig(Section):
    """One side of the map of niches: bounds of a descriptor, and into how many cells they are divided."""

    low: float
    high: float
    cells: int = Field(default=10, ge=1)


class NichesConfig(Section):
    """A map of niches in place of a population; see `evo.search.niches.NicheSettings`.

    Attributes:
        dimensions: descriptor to its bounds.
    """

    dimensions: dict[str, DimensionConfig]
    kind: Literal["grid", "cvt"] = "grid"
    cells: int = Field(default=1000, ge=1)
    seed: int = Field(default=0, ge=0)
    elites_per_cell: int = Field(default=1, ge=1)
    qd_score_offset: float | None = None


class OwnConfig(Section):
    """What one island does otherwise; what is left out is as everywhere."""

    survival: str | SurvivalConfig | None = None
    parents: str | ParentsConfig | None = None
    operators: dict[str, float | OperatorConfig] | None = None


class IslandsConfig(Section):
    """Populations that know nothing of each other but for migrants; see `evo.search.islands.IslandSettings`.

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


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class DuplicateFilterConfig(Section):
    """When a proposal is turned away as a near duplicate of a living individual, before it is evaluated.

    Attributes:
        text: likeness of their texts, 0 to 1, from which it is; None does not compare.
        vectors: cosine of their embeddings from which it is; None does not compare.
        model: for embeddings; has to be named where `vectors` is given.
    """

    text: float | None = Field(default=None, gt=0, le=1)
    vectors: float | None = Field(default=None, gt=0, le=1)
    model: str | None = None


class NoiseConfig(Section):
    """What is done where the same genome is not always evaluated to the same; see `evo.search.noise.NoiseSettings`."""

    reevaluation_rate: float = Field(default=0.0, ge=0, lt=1)
    confidence: float = Field(default=0.95, gt=0, lt=1)
    compare: Literal["bound", "mean"] = "bound"
    repeats: int = Field(default=1, ge=1, le=1000)


class SearchConfig(Section):
    """How.

    Attributes:
        population: how many survive, on each island.
        deterministic: tell results in the order of asking, so that a run is the same whatever the timing.
        max_in_flight: of a deterministic search, how many offspring are in flight at once.
        generation_size: how many newcomers are ranked together with the living at once; 0 ranks each as it comes.
        noise: where evaluations are noisy: who leads, and is in doubt, is measured again.
        niches: a map that takes the population's place; None for none.
        reference: of the hypervolume, by objective, in its own direction; None takes the worst of the first 20.
        operators: operator name to weight, or to a weight and options; empty takes all that fit the genome, by their
            own weights.
        learn_from: folders of earlier runs, whose lessons and records this one begins with.
        max_stale_proposals: after how many proposals in a row that gave nothing new to give up; None means 200 where
            proposals cost money, else 2,000.
    """

    population: int = Field(default=64, ge=2, le=1_000_000)
    deterministic: bool = False
    max_in_flight: int = Field(default=16, ge=1, le=100_000)
    survival: SurvivalConfig = SurvivalConfig()
    generation_size: int = Field(default=0, ge=0, le=1_000_000)
    noise: NoiseConfig = NoiseConfig()
    islands: IslandsConfig = IslandsConfig()
    niches: NichesConfig | None = None
    parents: ParentsConfig = ParentsConfig()
    reference: dict[str, float] | None = None
    operators: dict[str, float | OperatorConfig] = Field(default_factory=dict)
    selector: SelectorConfig = SelectorConfig()
    duplicate_filter: DuplicateFilterConfig = DuplicateFilterConfig()
    learn_from: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    max_stale_proposals: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _generations_fill_no_map(self) -> SearchConfig:
        if self.generation_size and self.niches is not None:
            raise ValueError(
                "generation_size and niches exclude each other: a cell of a map takes each newcomer as it comes"
            )
        return self


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


class EvaluationConfig(Section):
    """On which of a problem's cases a candidate is scored, where it has some that can be scored one at a time.

    Attributes:
        policy: "full" (as a whole), "minibatch", "cascade", "challenge", "racing", "low_rank", or another registered
            one.
        options: its own, such as batch and finalists of racing.
    """

    policy: str = "full"
    options: dict[str, Any] = Field(default_factory=dict)


class ResourcesConfig(Section):
    """What an evaluation takes, where it is otherwise than the problem says; see `evo.resources.Resources`."""

    cpus: float | None = Field(default=None, gt=0)
    gpus: float | None = Field(default=None, ge=0)
    memory_bytes: int | None = Field(default=None, ge=0)
    custom: dict[str, Annotated[float, Field(gt=0)]] | None = None


class ExecutorConfig(Section):
    """Where evaluations run.

    Attributes:
        name: "ray", "local", or another registered one.
        workers: side by side at most; None takes every CPU there is, also of nodes that join later.
        address: of a Ray cluster; None starts one here.
        resources: of each evaluation; what is left out is the problem's.
        stragglers: an evaluation that takes longer than this many times the 95th percentile of its peers is also given
            to an idle worker, and the first answer counts; None never.
        placement_timeout_seconds: how long a run waits for a node that has room for an evaluation at all.
    """

    name: str = "ray"
    workers: int | None = Field(default=None, ge=1)
    address: str | None = None
    resources: ResourcesConfig = ResourcesConfig()
    stragglers: float | None = Field(default=4.0, gt=1)
    placement_timeout_seconds: float = Field(default=600.0, ge=0)


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
    evaluation: EvaluationConfig = EvaluationConfig()
    budget: BudgetConfig = BudgetConfig()
    executor: ExecutorConfig = ExecutorConfig()
    sandbox: SandboxConfig = SandboxConfig()
