"""One sitting at a run: from its folder and configuration to a driver that runs, a hold-out, and a stop event."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from evo.config import Config, config_from_json, overridden
from evo.driver import Driver, Watch, Workshop
from evo.endpoints import make_gateway, model_calls
from evo.errors import ConfigError, StoppedError, UserError
from evo.genomes import Genome
from evo.journal import Journal, cut_torn_line, latest_event
from evo.lineage.live import LiveLineage
from evo.models import Completion
from evo.protocols import Context, Executor, Gateway, Job, Operator, Problem
from evo.recorder import Recorder
from evo.registry import make_problem, names, portable, resolve
from evo.replay import Replayed, first_event, replay
from evo.run_folder import JOURNAL, existing_run_folder, held
from evo.search import OperatorShare, Search, SearchSettings
from evo.values import Evaluation, Individual, Limits

FRONT_SHOWN = 10
RESUMABLE_SECTIONS = ("budget", "executor", "sandbox")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a session ended.

    Attributes:
        reason: budget, wall, spent, exhausted or interrupted.
        held_out: id to its evaluation on the hold-out part.
    """

    folder: Path
    problem: Problem
    search: Search
    reason: str
    held_out: Mapping[int, Evaluation]


@dataclass(slots=True)
class Prepared:
    """All that a driver needs, made from a configuration."""

    config: Config
    problem: Problem
    operators: Mapping[str, Operator]
    seeds: Sequence[Genome]
    search: Search
    left: Replayed = field(default_factory=Replayed)
    reusable: Callable[[str], Completion | None] = lambda digest: None


def prepare(config: Config) -> Prepared:
    """Make the problem, its seeds, the operators and a fresh search.

    Raises:
        UserError: a name or a value that means nothing.
    """
    problem = make_problem(config.problem.name, config.problem.options)
    seeds = problem.seeds(config.search.population, np.random.default_rng(config.seed))
    operators = make_operators(config, seeds[0].kind)
    shares = [OperatorShare(name, one.arity, weight) for name, (one, weight) in operators.items()]
    settings = SearchSettings(
        seed=config.seed,
        population=config.search.population,
        evaluations=config.budget.evaluations,
        seeds=len(seeds),
        order=config.search.order,
        lag=config.search.lag,
    )
    survival = resolve("survival", config.search.survival)()
    search = Search(settings, problem.objectives, operators=shares, survival=survival)
    # Written out, so that a run goes on with its own mixture even where other operators are installed by then.
    mixture = {name: weight for name, (_, weight) in operators.items()}
    told = config.model_copy(update={"search": config.search.model_copy(update={"operators": mixture})})
    return Prepared(told, problem, {name: one for name, (one, _) in operators.items()}, seeds, search)


def make_operators(config: Config, kind: str) -> dict[str, tuple[Operator, float]]:
    """Operators with their weights; without weights, all that vary this kind of genome: by model where there is one.

    Raises:
        ConfigError: an operator for another kind, one that needs a model where there is none, or a bad weight.
    """
    weights = config.search.operators
    chosen = weights or dict.fromkeys(names("operators"), -1.0)
    operators: dict[str, tuple[Operator, float]] = {}
    for name, weight in chosen.items():
        operator: Operator = resolve("operators", name)()
        problem = _unfit(operator, kind, config)
        if problem and weights:
            raise ConfigError(f"operator {name!r} {problem}")
        if not problem and (weights or needs_model(operator) == (config.model.name is not None)):
            operators[name] = operator, weight if weights else operator.weight
    if not operators:
        how = f"asks a model and varies a {kind}; leave --model out" if config.model.name else f"varies a {kind}"
        raise ConfigError(f"no registered operator {how}, or name others in search.operators")
    given = [weight for _, weight in operators.values()]
    if not any(given) or min(given) < 0:
        raise ConfigError(
            f"search.operators needs a positive weight and none below 0, got {dict(weights)} for a {kind}"
        )
    return operators


def needs_model(operator: Operator) -> bool:
    """Whether an operator asks a language model."""
    return bool(getattr(operator, "needs_model", False))


def _unfit(operator: Operator, kind: str, config: Config) -> str | None:
    if operator.kind != kind:
        return f"varies a {operator.kind}, but this problem's genome is a {kind}"
    if needs_model(operator) and config.model.name is None:
        return "needs a language model; name one with --model NAME"
    return None


def make_executor(config: Config, problem: Problem) -> Executor:
    """The executor that a configuration names, started."""
    limits = limits_of(config, problem)
    namespace = config.sandbox.require_isolation == "namespace"
    where = config.executor
    job = Job(portable(config.problem.name), config.problem.options, where.workers, where.address, limits, namespace)
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


def start(prepared: Prepared, folder: Path, *, watch: Watch) -> Ended:
    """Run a search in a new folder to its end."""
    problem, config = prepared.problem, prepared.config
    with held(folder), _recording(folder) as recorder:
        recorder.started(folder.name, config.model_dump(), problem.description, problem.objectives)
        return _run(_sit(prepared, folder, recorder, watch))


@contextmanager
def reopened(folder: Path, overrides: Sequence[str]) -> Iterator[Prepared]:
    """Hold a run's folder, with its search brought to where the journal ends.

    Args:
        overrides: KEY=VALUE; only budget, executor and sandbox may change.

    Raises:
        UserError: no run there, in use, corrupt, or nothing left to do.
    """
    journal = existing_run_folder(folder) / JOURNAL
    with held(folder):
        cut_torn_line(journal)
        before = latest_config(journal)
        config = overridden(before, overrides)
        _refuse_changes(before, config)
        prepared = prepare(config)
        prepared.left = replay(journal, prepared.search)
        _refuse_finished(prepared, folder)
        yield prepared


def go_on(prepared: Prepared, folder: Path, *, watch: Watch) -> Ended:
    """Continue a run that was reopened."""
    with _recording(folder) as recorder:
        recorder.resumed(prepared.config.model_dump())
        return _run(_sit(prepared, folder, recorder, watch))


def _run(sitting: Coroutine[None, None, Ended]) -> Ended:
    try:
        return asyncio.run(sitting)
    except asyncio.CancelledError:  # by the second signal
        raise StoppedError("stopped at once; all that was told is recorded, and `evo resume` goes on") from None


def latest_config(journal: Path) -> Config:
    """The configuration of the run's latest session."""
    event = latest_event(journal, "resume") or first_event(journal)
    return config_from_json(event["config"])


def _refuse_changes(old: Config, new: Config) -> None:
    before, after = old.model_dump(), new.model_dump()
    for section in before:
        if section not in RESUMABLE_SECTIONS and before[section] != after[section]:
            raise ConfigError(
                f"[{section}] cannot change in a run that was started; only {', '.join(RESUMABLE_SECTIONS)} can"
            )


def _refuse_finished(prepared: Prepared, folder: Path) -> None:
    budget, search = prepared.config.budget, prepared.search
    done = search.told >= budget.evaluations or search.exhausted
    if prepared.left.stopped in ("budget", "exhausted") and done:
        raise UserError(
            f"{folder} is finished: {search.told} evaluations told; "
            f"`evo resume {folder} --set budget.evaluations={2 * search.told}` goes further"
        )


@contextmanager
def _recording(folder: Path) -> Iterator[Recorder]:
    journal = Journal(folder / JOURNAL)
    lineage = LiveLineage(folder)
    try:
        yield Recorder(journal)
    finally:
        try:
            journal.close()
        finally:
            lineage.close()


async def _sit(prepared: Prepared, folder: Path, recorder: Recorder, watch: Watch) -> Ended:
    problem, search = prepared.problem, prepared.search
    await recorder.journal.durable()
    async with _executor(prepared) as executor, _gateway(prepared, recorder) as gateway:
        context = Context(np.random.default_rng(0), problem.space, problem.objectives, problem.description, gateway)
        calls = model_calls(prepared.config)
        workshop = Workshop(prepared.operators, executor, prepared.seeds, context, calls, prepared.reusable)
        driver = Driver(search, workshop, recorder, left=prepared.left, watch=watch)
        reason = await _drive(driver, prepared)
        held_out = await _hold_out(executor, recorder, prepared)
    recorder.stopped(reason)
    return Ended(folder, problem, search, reason, held_out)


@asynccontextmanager
async def _executor(prepared: Prepared) -> AsyncIterator[Executor]:
    executor = make_executor(prepared.config, prepared.problem)
    try:
        yield executor
    finally:
        await executor.close()


@asynccontextmanager
async def _gateway(prepared: Prepared, recorder: Recorder) -> AsyncIterator[Gateway | None]:
    gateway = make_gateway(prepared.config, os.environ, prepared.left.used)
    if gateway:
        recorder.priced(gateway.prices)
    try:
        yield gateway
    finally:
        if gateway:
            await gateway.close()


async def _drive(driver: Driver, prepared: Prepared) -> str:
    stops: list[str] = []

    def stop(reason: str) -> None:
        stops.append(reason)
        driver.stop()

    loop = asyncio.get_running_loop()
    wall = prepared.config.budget.wall_seconds
    timer = loop.call_later(max(0.0, wall - prepared.left.elapsed_seconds), stop, "wall") if wall else None
    with _interruptible(lambda: stop("interrupted")):
        await driver.run()
    if timer:
        timer.cancel()
    if stops or driver.spent:
        return stops[0] if stops else "spent"
    return "exhausted" if driver.search.exhausted else "budget"


@contextmanager
def _interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM stops cleanly; the second cancels what is under way."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    interrupted = False

    def on_signal() -> None:
        nonlocal interrupted
        if interrupted and task:
            task.cancel()
        interrupted = True
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _hold_out(executor: Executor, recorder: Recorder, prepared: Prepared) -> dict[int, Evaluation]:
    """Measure the best and a spread of the front on instances that the search never saw."""
    held_out = dict(prepared.left.held_out)
    chosen = [one for one in spread(prepared.search, FRONT_SHOWN) if one.id not in held_out]
    evaluations = await asyncio.gather(*(executor.evaluate(one.genome, "holdout") for one in chosen))
    for individual, evaluation in zip(chosen, evaluations, strict=True):
        recorder.held_out(individual.id, evaluation)
        held_out[individual.id] = evaluation
    return held_out


def spread(search: Search, count: int) -> list[Individual]:
    """At most `count` members of the front, best by the first objective first, evenly over the rest."""
    first = search.objectives[0]
    front = sorted(search.front, key=lambda one: first.sign * one.evaluation.objectives[first.name])
    if len(front) <= count:
        return front
    return [front[round(step * (len(front) - 1) / (count - 1))] for step in range(count)]


def failed_seed(search: Search) -> Evaluation | None:
    """The first failure where every seed failed; None where one succeeded."""
    return search.first_failure if search.told and not len(search.population) else None
