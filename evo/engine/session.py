"""One sitting at a run: from its folder and configuration to a driver that runs, a hold-out, and a stop event."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evo.config.loading import overridden
from evo.config.schema import Config
from evo.engine.driver import Components, Driver, Watch
from evo.engine.evaluator import make_plan
from evo.engine.factories import make_executor, make_gateway, model_calls, resources_of
from evo.engine.holdout import HoldoutEvaluation
from evo.engine.metering import ModelClient, TaskModels
from evo.engine.mixture import IslandMaker, make_mixture
from evo.engine.signals import STOPPED, Interruption, interruptible
from evo.errors import ConfigError, StoppedError, UserError
from evo.genomes import Genome
from evo.journal.collection import rarely_collected
from evo.journal.folder import JOURNAL, check_begun, existing_run_folder, locked
from evo.journal.inheritance import Inheritance, inherited_by, learnt_from
from evo.journal.log import Journal, cut_torn_line
from evo.journal.recorder import Recorder
from evo.journal.replay import Replayed, latest_config, replay
from evo.lineage.live import LiveLineage
from evo.models import NO_MODEL, Completion
from evo.policies.plans import Everything, Plan
from evo.protocols import ClusterEvent, Context, Executor, Gateway, Operator, Problem
from evo.registry import make_problem
from evo.search.duplicates import DuplicateFilter
from evo.search.islands import IslandSettings
from evo.search.noise import NoiseSettings
from evo.search.search import Search, SearchSettings
from evo.values import Evaluation, Part

MAX_STALE_PROPOSALS_FREE, MAX_STALE_PROPOSALS_PAID = 2000, 200
RESUMABLE_SECTIONS = ("budget", "executor", "sandbox")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a session ended.

    Attributes:
        reason: budget, wall, spent, exhausted or interrupted.
        held_out: id and final part to the evaluation there.
    """

    folder: Path
    problem: Problem
    search: Search
    reason: str
    held_out: Mapping[tuple[int, Part], Evaluation]


@dataclass(slots=True)
class Prepared:
    """All that a driver needs, made from a configuration.

    Attributes:
        left: what earlier sessions left to be done.
        reusable: completions of another run, by digest.
        gateway: while a session runs, and for those who watch it.
        trouble: why no evaluation can run at the moment, for those who watch; "" while they can.
    """

    config: Config
    problem: Problem
    operators: Mapping[str, Operator]
    seeds: Sequence[Genome]
    search: Search
    inheritance: Inheritance = field(default_factory=Inheritance)
    plan: Plan = field(default_factory=Everything)
    left: Replayed = field(default_factory=Replayed)
    reusable: Callable[[str], Completion | None] = lambda digest: None
    gateway: Gateway | None = None
    trouble: str = ""


def prepare(config: Config, inheritance: Inheritance | None = None) -> Prepared:
    """Make the problem, its seeds, the operators and a fresh search.

    Args:
        inheritance: what the run took over when it was started; None takes over what the configuration names.

    Raises:
        UserError: a name or a value that means nothing.
    """
    problem = make_problem(config.problem.name, config.problem.options)
    if problem.needs_model and config.model.name is None:
        raise ConfigError(NO_MODEL)
    plan = make_plan(config, problem)
    seeds = problem.seeds(config.search.population, np.random.default_rng(config.seed))
    mixture = make_mixture(config, seeds[0].kind)
    if inheritance is None:
        journals = [existing_run_folder(Path(one)) / JOURNAL for one in config.search.learn_from]
        inheritance = learnt_from(journals, seeds[0].kind)
    make_island = IslandMaker(config, problem, seeds[0].kind, inherited=inheritance.records)
    settings = _settings(config, len(seeds), asks_models=mixture.asks_models)
    search = Search(settings, problem.objectives, island=make_island)
    search.inherit(inheritance.lessons)
    told = config.model_copy(update={"search": config.search.model_copy(update={"operators": mixture.stated})})
    return Prepared(told, problem, mixture.operators, seeds, search, inheritance, plan)


def _settings(config: Config, seeds: int, *, asks_models: bool) -> SearchSettings:
    how = config.search
    if how.duplicate_filter.vectors is not None and (how.duplicate_filter.model is None or config.model.name is None):
        raise ConfigError(
            "search.duplicate_filter.vectors compares embeddings; name their model in search.duplicate_filter.model"
        )
    return SearchSettings(
        seed=config.seed,
        evaluations=config.budget.evaluations,
        seeds=seeds,
        deterministic=how.deterministic,
        max_in_flight=how.max_in_flight,
        reference=how.reference,
        islands=IslandSettings(**how.islands.model_dump(exclude={"own"})),
        duplicate_filter=DuplicateFilter(how.duplicate_filter.text, how.duplicate_filter.vectors),
        noise=NoiseSettings(**how.noise.model_dump()),
        max_stale_proposals=how.max_stale_proposals
        or (MAX_STALE_PROPOSALS_PAID if asks_models else MAX_STALE_PROPOSALS_FREE),
    )


def start(prepared: Prepared, folder: Path, *, watch: Watch) -> Ended:
    """Run a search in a new folder to its end."""
    problem, config = prepared.problem, prepared.config
    with locked(folder):
        check_begun(folder)
        with _recording(folder) as recorder:
            recorder.started(folder.name, config.model_dump(), problem)
            _inherit(prepared, recorder)
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
    with locked(folder):
        cut_torn_line(journal)
        before = latest_config(journal)
        config = overridden(before, overrides)
        _check_changes(before, config)
        prepared = prepare(config, inherited_by(journal))
        prepared.left = replay(journal, prepared.search)
        _check_finished(prepared, folder)
        yield prepared


def go_on(prepared: Prepared, folder: Path, *, watch: Watch) -> Ended:
    """Continue a run that was reopened."""
    unsaid = inherited_by(folder / JOURNAL) is None
    with _recording(folder) as recorder:
        if unsaid:
            _inherit(prepared, recorder)
        recorder.resumed(prepared.config.model_dump(), prepared.search)
        _count_lost_calls(prepared, recorder)
        return _run(_sit(prepared, folder, recorder, watch))


def _inherit(prepared: Prepared, recorder: Recorder) -> None:
    if prepared.config.search.learn_from:
        recorder.inherited(prepared.inheritance)


def _count_lost_calls(prepared: Prepared, recorder: Recorder) -> None:
    """Calls that were under way when the last session died may have been billed."""
    left = prepared.left
    for (ask, digest, stage), charges in left.sent.items():
        for worst in charges:
            recorder.lost(ask, digest, worst, stage=stage)
            left.used += worst
            if stage != "final" and ask in prepared.search.under_way:
                prepared.search.spend(ask, worst.usd)


def _run(sitting: Coroutine[None, None, Ended]) -> Ended:
    try:
        return asyncio.run(sitting)
    except asyncio.CancelledError:  # by the second signal
        raise StoppedError(STOPPED) from None


def _check_changes(old: Config, new: Config) -> None:
    before, after = old.model_dump(), new.model_dump()
    for section in before:
        if section not in RESUMABLE_SECTIONS and before[section] != after[section]:
            raise ConfigError(
                f"[{section}] cannot change in a run that was started; only {', '.join(RESUMABLE_SECTIONS)} can"
            )


def _check_finished(prepared: Prepared, folder: Path) -> None:
    budget, search = prepared.config.budget, prepared.search
    done = search.count_told >= budget.evaluations or search.exhausted
    if prepared.left.stopped in ("budget", "exhausted") and done:
        LiveLineage(folder).close()  # which a kill, a second signal or a full disk may have cut short at the end
        raise UserError(
            f"{folder} is finished: {search.count_told} evaluations told; "
            f"`evo resume {folder} --set budget.evaluations={2 * search.count_told}` goes further"
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
    with interruptible() as interruption:
        await recorder.journal.durable()
        async with (
            _executor(prepared, folder, recorder) as executor,
            _client(prepared, recorder) as client,
            _task_models(prepared, client) as models,
            _guarded(recorder.journal),
        ):
            components = _components(prepared, executor, client, models)
            driver = Driver(prepared.search, components, recorder, left=prepared.left, watch=watch)
            reason = await _drive(driver, prepared, interruption)
            if reason != "interrupted":
                reason = (
                    await _measure_best(HoldoutEvaluation(executor, recorder, models), prepared, interruption) or reason
                )
    recorder.stopped(reason)
    return Ended(folder, prepared.problem, prepared.search, reason, prepared.left.held_out)


@asynccontextmanager
async def _guarded(journal: Journal) -> AsyncIterator[None]:
    """Give up what is under way as soon as it could not be recorded any more."""
    try:
        async with asyncio.TaskGroup() as group:
            guard = group.create_task(journal.until_failure())
            yield
            guard.cancel()
    except* Exception as failures:
        raise failures.exceptions[0] from None


async def _measure_best(holdout: HoldoutEvaluation, prepared: Prepared, interruption: Interruption) -> str | None:
    """The hold-out; "interrupted" where that stopped it, and the next session goes on."""
    measuring = asyncio.ensure_future(holdout.measure(prepared))
    try:
        interruption.stops(measuring.cancel)
        await measuring
    except (asyncio.CancelledError, StoppedError):
        measuring.cancel()
        if not interruption.asked or (task := asyncio.current_task()) is None or task.cancelling():
            raise
        return "interrupted"
    return None


def _components(
    prepared: Prepared, executor: Executor, client: ModelClient | None, models: TaskModels | None
) -> Components:
    problem, config = prepared.problem, prepared.config
    return Components(
        prepared.operators,
        problem,
        executor,
        prepared.plan,
        prepared.seeds,
        Context(np.random.default_rng(0), problem.space, problem.objectives, problem.description),
        client=client,
        model_calls=model_calls(config),
        task_models=models,
        embedding=config.search.duplicate_filter.model,
        resources=resources_of(config, problem),
    )


@asynccontextmanager
async def _executor(prepared: Prepared, folder: Path, recorder: Recorder) -> AsyncIterator[Executor]:
    executor = make_executor(prepared.config, prepared.problem, folder.resolve().name)

    def on_event(event: ClusterEvent) -> None:
        if event.kind:
            recorder.cluster_event(event)
        if event.kind in ("no_room", "room"):
            prepared.trouble = event.detail.get("reason", "")

    executor.on_event = on_event
    try:
        yield executor
    finally:
        await executor.close()


@asynccontextmanager
async def _client(prepared: Prepared, recorder: Recorder) -> AsyncIterator[ModelClient | None]:
    prepared.gateway = gateway = make_gateway(prepared.config, os.environ, prepared.left.used)
    if gateway is None:
        yield None
        return
    recorder.priced(gateway.prices)
    left, default = prepared.left, prepared.config.model.name or ""
    try:
        yield ModelClient(gateway, default, recorder, left.completions, left.answers, prepared.reusable)
    finally:
        await gateway.close()


@asynccontextmanager
async def _task_models(prepared: Prepared, client: ModelClient | None) -> AsyncIterator[TaskModels | None]:
    if client is None or not prepared.problem.needs_model:
        yield None
        return
    models = TaskModels(client)
    try:
        yield models
    finally:
        await models.close()


async def _drive(driver: Driver, prepared: Prepared, interruption: Interruption) -> str:
    stops: list[str] = []

    def stop(reason: str) -> None:
        stops.append(reason)
        driver.stop()

    loop = asyncio.get_running_loop()
    wall = prepared.config.budget.wall_seconds
    timer = loop.call_later(max(0.0, wall - prepared.left.elapsed_seconds), stop, "wall") if wall else None
    interruption.stops(lambda: stop("interrupted"))
    with rarely_collected():
        await driver.run()
    if timer:
        timer.cancel()
    if stops or driver.spent:
        return "interrupted" if interruption.asked else stops[0] if stops else "spent"
    return "exhausted" if driver.search.exhausted else "budget"


def failed_seed(search: Search) -> Evaluation | None:
    """The first failure where every seed failed; None where one succeeded."""
    return search.first_failure if search.count_told and not len(search.population) else None
