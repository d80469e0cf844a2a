"""Where a run's evaluations are made: the executor that its configuration names, and what it is told."""

from __future__ import annotations

from dataclasses import replace

from evo.endpoints import endpoints_of
from evo.protocols import Executor, Job, Problem
from evo.registry import portable, resolve
from evo.resources import Resources
from evo.sections import Config
from evo.values import Limits


def make_executor(config: Config, problem: Problem, run: str = "") -> Executor:
    """The executor that a configuration names, started.

    Args:
        run: the run's name.
    """
    limits = limits_of(config, problem)
    namespace = config.sandbox.require_isolation == "namespace"
    where = config.executor
    keys = tuple(one.key_variable for one in endpoints_of(config))
    job = Job(
        *(portable(config.problem.name), config.problem.options, where.workers, where.address, limits, namespace),
        key_variables=keys,
        run=run,
        resources=resources_of(config, problem),
        stragglers=where.stragglers,
        patience_seconds=where.patience_seconds,
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
    return problem.resources.but(config.executor.resources.model_dump(exclude_none=True))
