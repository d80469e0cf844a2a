"""From a configuration to what a run talks to: the gateway with its endpoints and caps, and the executor."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from evo.config.authoring import declared_problem
from evo.config.loading import Loaded
from evo.config.schema import Config
from evo.errors import ConfigError
from evo.journal.log import read_events
from evo.ledger import Charge, Ledger
from evo.models import Caps, Completion, Endpoint
from evo.protocols import Executor, Gateway, Job, Problem
from evo.registry import portable, resolve
from evo.resources import Resources
from evo.values import Limits

LOG = logging.getLogger(__name__)

KEY_VARIABLE = "OPENAI_API_KEY"
URL_VARIABLE = "OPENAI_BASE_URL"


def with_access(loaded: Loaded, environment: Mapping[str, str]) -> Loaded:
    """The configuration, without its model where there is neither an endpoint nor a key; that is logged."""
    config = loaded.config
    reachable = config.model.endpoints or environment.get(KEY_VARIABLE) or environment.get(URL_VARIABLE)
    if reachable or config.model.name is None:
        return loaded
    problem = loaded.problem or declared_problem(config.problem.name, config.problem.options)
    if problem.needs_model:
        raise ConfigError(f"this problem's evaluations ask a model, and there is no {KEY_VARIABLE} and no endpoint")
    LOG.warning(
        "no %s, no %s and no endpoint: searching without %s, by model-free operators",
        KEY_VARIABLE,
        URL_VARIABLE,
        config.model.name,
    )
    without = config.model.model_copy(update={"name": None, "pool": {}})
    return replace(loaded, config=config.model_copy(update={"model": without}), problem=problem)


def make_gateway(config: Config, environment: Mapping[str, str], spent: Charge) -> Gateway | None:
    """The gateway that a configuration describes; None where it names no model.

    Args:
        spent: what earlier sessions of the run used of its caps.

    Raises:
        UserError: a model without a price, an endpoint without a key.
    """
    if config.model.name is None:
        return None
    budget = config.budget
    ledger = Ledger(Caps(budget.usd, budget.tokens, budget.calls), spent)
    factory = resolve("gateways", "openai")
    asked: dict[str, str] = dict.fromkeys(config.model.shares, "text")
    if config.search.duplicate_filter.model:
        asked[config.search.duplicate_filter.model] = "vector"
    gateway: Gateway = factory(endpoints_of(config), config.model.name, ledger, environment=environment, asked=asked)
    return gateway


def endpoints_of(config: Config) -> list[Endpoint]:
    """The endpoints of a configuration; without any, what the environment describes."""
    return list(config.model.endpoints.values()) or [Endpoint("openai")]


async def check_access(config: Config, environment: Mapping[str, str]) -> None:
    """Find out before a run begins what `make_gateway` would refuse."""
    gateway = make_gateway(config, environment, Charge())
    if gateway:
        await gateway.close()


def concurrent_calls(config: Config) -> int:
    """How many offspring may wait for a model at once; 0 without a model."""
    return sum(endpoint.concurrency for endpoint in endpoints_of(config)) if config.model.name else 0


def reusable_from(journal: Path) -> Callable[[str], Completion | None]:
    """The completions of another run, by the request's digest; each costs nothing when it is used again."""
    events = (event for _, event in read_events(journal) if event["event"] == "completion")
    known = {event["digest"]: Completion.from_json({**event["completion"], "cost_usd": 0.0}) for event in events}
    return known.get


def make_executor(config: Config, problem: Problem, run: str = "") -> Executor:
    """The executor that a configuration names, started.

    Args:
        run: the run's name.
    """
    limits = limits_of(config, problem)
    namespace = config.sandbox.require_isolation == "namespace"
    where = config.executor
    keys = tuple(endpoint.key_variable for endpoint in endpoints_of(config))
    job = Job(
        *(portable(config.problem.name), config.problem.options, where.workers, where.address, limits, namespace),
        key_variables=keys,
        run=run,
        resources=resources_of(config, problem),
        stragglers=where.stragglers,
        placement_timeout_seconds=where.placement_timeout_seconds,
    )
    executor: Executor = resolve("executors", where.name)(job)
    return executor


def limits_of(config: Config, problem: Problem) -> Limits:
    """The problem's limits, with the configuration's over them."""
    sandbox = config.sandbox
    return replace(
        problem.limits,
        wall_seconds=sandbox.wall_seconds or problem.limits.wall_seconds,
        memory_bytes=sandbox.memory_bytes or problem.limits.memory_bytes,
    )


def resources_of(config: Config, problem: Problem) -> Resources:
    """What an evaluation takes: as the problem says, with the configuration's over it."""
    return problem.resources.but(config.executor.resources)
