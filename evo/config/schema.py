"""The sections of a configuration: every key, its type, its default and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from evo.models import FREE, Endpoint
from evo.resources import Resources
from evo.search.duplicates import DuplicateFilter
from evo.search.islands import IslandSettings
from evo.search.niches import NicheSettings
from evo.search.noise import NoiseSettings


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


def _named(endpoints: Any) -> Any:
    """Each endpoint with the name that it is listed under, and the price "free" spelt out."""
    if not isinstance(endpoints, Mapping) or not all(isinstance(each, Mapping) for each in endpoints.values()):
        return endpoints
    for name, stated in endpoints.items():
        if "name" in stated:
            raise ValueError(f"the endpoint {name} is named by its key; leave out its 'name'")
        if isinstance(price := stated.get("price"), str) and price != "free":
            raise ValueError(f"the price of {name} must be free, or input_usd and output_usd per million tokens")
    return {
        name: {**stated, "name": name, **({"price": asdict(FREE)} if stated.get("price") == "free" else {})}
        for name, stated in endpoints.items()
    }


def _unnamed(endpoints: Mapping[str, Endpoint]) -> dict[str, Any]:
    """As a configuration states them."""
    fields = {name: asdict(endpoint) for name, endpoint in endpoints.items()}
    return {name: {key: value for key, value in each.items() if key != "name"} for name, each in fields.items()}


class ModelConfig(Section):
    """Which language model proposes.

    Attributes:
        name: of the model; None searches by model-free operators.
        pool: models that propose, by name, each with its share; empty lets the model `name` propose alone.
        endpoints: by name; none means OpenAI, or the server that OPENAI_BASE_URL names. A price is "free" or dollars;
            without a price it is looked up, and a loopback address is free.
    """

    name: str | None = None
    pool: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    endpoints: Annotated[dict[str, Endpoint], BeforeValidator(_named), PlainSerializer(_unnamed)] = Field(
        default_factory=dict
    )

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
    """What selects the operator and the model of each ask.

    Attributes:
        name: "weights" (fixed shares), "ucb1", "thompson", "router", or another registered selector.
        options: its own, such as per_dollar.
    """

    name: str = "weights"
    options: dict[str, Any] = Field(default_factory=dict)


class SurvivalConfig(Section):
    """Which individuals stay in a population.

    Attributes:
        name: registered name.
        options: its own.
    """

    name: str = "rank_and_crowding"
    options: dict[str, Any] = Field(default_factory=dict)


class ParentsConfig(Section):
    """How parents are selected.

    Attributes:
        name: "tournament", "uniform", "best" (hill climbing), "seed" (best of n), "rank_proportional", "power_law",
            "pareto_per_case", "lexicase", "epsilon_lexicase", "novelty", or another registered method.
        options: its own.
    """

    name: str = "tournament"
    options: dict[str, Any] = Field(default_factory=dict)


class IslandConfig(Section):
    """What a single island does differently; what is left out is as in the search's section."""

    survival: str | SurvivalConfig | None = None
    parents: str | ParentsConfig | None = None
    operators: dict[str, float | OperatorConfig] | None = None


@dataclass(frozen=True, slots=True)
class Islands(IslandSettings):
    """The islands of a search, and what single islands do differently.

    Attributes:
        own: what islands do differently, in the order of their numbers.
    """

    own: tuple[IslandConfig, ...] = ()


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class SearchConfig(Section):
    """How the search goes on.

    Attributes:
        population: how many individuals survive, on each island.
        deterministic: tell results in the order of asking, so that a run is the same whatever the timing.
        max_in_flight: of a deterministic search, how many offspring are in flight at once.
        generation_size: how many newcomers are ranked together with the population at once; 0 ranks each as it comes.
        noise: what is done where the same genome is not always evaluated to the same.
        niches: an archive in the place of the population; None for none.
        reference: of the hypervolume, by objective, in its own direction; None takes the worst of the first 20.
        operators: operator name to weight, or to a weight and options; empty takes all that fit the genome, by their
            own weights.
        learn_from: folders of earlier runs, whose lessons and records this run begins with.
        max_stale_proposals: proposals in a row without a new genome after which to give up; None means 200 where
            proposals cost money, else 2,000.
    """

    population: int = Field(default=64, ge=2, le=1_000_000)
    deterministic: bool = False
    max_in_flight: int = Field(default=16, ge=1, le=100_000)
    survival: SurvivalConfig = SurvivalConfig()
    generation_size: int = Field(default=0, ge=0, le=1_000_000)
    noise: NoiseSettings = NoiseSettings()
    islands: Islands = Islands()
    niches: NicheSettings | None = None
    parents: ParentsConfig = ParentsConfig()
    reference: dict[str, float] | None = None
    operators: dict[str, float | OperatorConfig] = Field(default_factory=dict)
    selector: SelectorConfig = SelectorConfig()
    duplicate_filter: DuplicateFilter = DuplicateFilter()
    learn_from: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    max_stale_proposals: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _generations_fill_no_archive(self) -> SearchConfig:
        if self.generation_size and self.niches is not None:
            raise ValueError(
                "generation_size and niches exclude each other: a cell of an archive takes each newcomer as it comes"
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
    """On which of a problem's cases a candidate is scored, where they can be scored separately.

    Attributes:
        policy: "full" (as a whole), "minibatch", "cascade", "challenge", "racing", "low_rank", or another registered
            policy.
        options: its own, such as batch_size and finalists of racing.
    """

    policy: str = "full"
    options: dict[str, Any] = Field(default_factory=dict)


def _stated_resources(amounts: Any) -> Any:
    """What is stated of `evo.resources.Resources`, tried out; null is as if it were left out."""
    if not isinstance(amounts, Mapping):
        raise ValueError("must be amounts by name, as in {gpus: 1}")
    stated = {name: amount for name, amount in amounts.items() if amount is not None}
    Resources().but(stated)
    return stated


class ExecutorConfig(Section):
    """Where evaluations run.

    Attributes:
        name: "auto" (local workers, and Ray where it pays), "ray", "local", or another registered executor.
        workers: side by side at most; None takes every CPU, also of nodes that join later.
        address: of a Ray cluster; None starts Ray here.
        resources: of each evaluation, by field of `evo.resources.Resources`; what is left out is the problem's.
        stragglers: an evaluation that takes longer than this many times the 95th percentile of its peers is also given
            to an idle worker, and the first answer counts; None never.
        placement_timeout_seconds: how long a run waits for a node that has room for an evaluation at all.
    """

    name: str = "auto"
    workers: int | None = Field(default=None, ge=1)
    address: str | None = None
    resources: Annotated[dict[str, Any], BeforeValidator(_stated_resources)] = Field(default_factory=dict)
    stragglers: float | None = Field(default=4.0, gt=1)
    placement_timeout_seconds: float = Field(default=600.0, ge=0)


class SandboxConfig(Section):
    """How candidates are isolated.

    Attributes:
        require_isolation: "namespace" refuses to run where only the weaker fallback is available.
        wall_seconds: overrides the problem's limit for an evaluation.
        memory_bytes: overrides the problem's limit for an evaluation.
    """

    require_isolation: Literal["any", "namespace"] = "any"
    wall_seconds: float | None = Field(default=None, gt=0)
    memory_bytes: int | None = Field(default=None, ge=1 << 26)


class Config(Section):
    """The whole configuration."""

    problem: ProblemConfig
    seed: int = Field(default=0, ge=0)
    model: ModelConfig = ModelConfig()
    search: SearchConfig = SearchConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    budget: BudgetConfig = BudgetConfig()
    executor: ExecutorConfig = ExecutorConfig()
    sandbox: SandboxConfig = SandboxConfig()
