"""Baselines: simpler searches to compare with, each a change of the user's own configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from evo.config.authoring import declared_problem, seeds_of
from evo.config.schema import Config, OperatorConfig, ParentsConfig, SearchConfig, SurvivalConfig
from evo.engine.mixture import make_mixture, needs_model
from evo.errors import ConfigError, UnknownNameError, unknown
from evo.protocols import Problem
from evo.registry import resolve
from evo.search.duplicates import DuplicateFilter
from evo.values import Box, Slots

Operators = Mapping[str, float | OperatorConfig]

REWRITES: Mapping[str, str] = {
    "program": "model_rewrite",
    "prompt": "model_prompt_rewrite",
    "architecture": "model_architecture",
}
UNIFORM: Mapping[type, str] = {Box: "uniform_vector", Slots: "uniform_slots"}


def best_of_n(config: Config, problem: Problem) -> Config:
    """Makes every proposal from a seed; nothing that it finds is built upon."""
    return _searching(config, parents=ParentsConfig(name="seed"), operators=_of_one_parent(config, problem))


def greedy(config: Config, problem: Problem) -> Config:
    """Hill climbing: makes every proposal from the best by the first objective."""
    return _searching(
        config,
        parents=ParentsConfig(name="best"),
        population=2,
        generation_size=0,
        niches=None,
        survival=SurvivalConfig(name="lexicographic"),
    )


def random(config: Config, problem: Problem) -> Config:
    """Selects nothing: any of the newest is a parent; in a box or slots, every proposal is a uniformly random point."""
    uniform = UNIFORM.get(type(problem.space))
    operators = {uniform: 1.0} if uniform else config.search.operators
    return _searching(
        config,
        parents=ParentsConfig(name="uniform"),
        generation_size=0,
        niches=None,
        survival=SurvivalConfig(name="newest"),
        operators=operators,
    )


def model_free(config: Config, problem: Problem) -> Config:
    """The same search by the problem's model-free operators; evaluations that ask a model go on asking it."""
    model = config.model.model_copy(update={"name": None, "pool": {}})
    duplicate_filter = DuplicateFilter(config.search.duplicate_filter.text)
    default = SearchConfig(operators=problem.defaults.get("search.operators", {})).operators
    free = {name: stated for name, stated in default.items() if not needs_model(resolve("operators", name))}
    changed = _searching(config.model_copy(update={"model": model}), duplicate_filter=duplicate_filter, operators=free)
    # Stated in full: what is left empty takes the operators that ask a model, where evaluations still have a model.
    stated = make_mixture(changed, _kind(changed, problem)).stated
    kept = config.model if problem.needs_model else model
    return _searching(changed, operators=stated).model_copy(update={"model": kept})


BASELINES: Mapping[str, Callable[[Config, Problem], Config]] = {
    "best_of_n": best_of_n,
    "greedy": greedy,
    "random": random,
    "model_free": model_free,
}


def with_baseline(config: Config, name: str, problem: Problem | None = None) -> Config:
    """A user's configuration, changed into a baseline for it; the budget stays.

    Raises:
        UnknownNameError: no such baseline.
        ConfigError: it has no operator for this problem.
    """
    if name not in BASELINES:
        raise UnknownNameError(unknown("baseline", name, BASELINES))
    return BASELINES[name](config, problem or declared_problem(config.problem.name, config.problem.options))


def _searching(config: Config, **changes: Any) -> Config:
    return config.model_copy(update={"search": config.search.model_copy(update=changes)})


def _of_one_parent(config: Config, problem: Problem) -> Operators:
    """Operators that vary a single seed: of the user's mixture, by model where it has them; else a plain rewrite."""
    kind = _kind(config, problem)
    mixture = make_mixture(config, kind)
    single = [arm.operator for arm in mixture.arms if arm.arity == 1 and bool(arm.model) == mixture.asks_models]
    if mixture.asks_models and kind in REWRITES and not (single and config.search.operators):
        return {REWRITES[kind]: 1.0}
    if not single:
        raise ConfigError(
            f"best_of_n varies a single seed, but each of {', '.join(mixture.operators)} takes several parents; "
            "add an operator of a single parent to search.operators"
        )
    return {name: mixture.stated[name] for name in single}


def _kind(config: Config, problem: Problem) -> str:
    return seeds_of(problem, config.search.population, np.random.default_rng(config.seed))[0].kind
