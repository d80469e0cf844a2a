"""A session of a run: opens executor and models, drives the search, evaluates the best on the holdout."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal, TypeAlias

from evo.engine.driver import Driver, OnTell
from evo.engine.factories import make_executor, make_gateway
from evo.engine.holdout import HoldoutEvaluation, expected_charge
from evo.engine.metering import EvaluationModels, ModelClient
from evo.engine.setup import Components, Setup, components_of
from evo.engine.signals import Interruption, interruptible
from evo.errors import StoppedError
from evo.journal.collection import rarely_collected
from evo.journal.log import Journal
from evo.journal.recorder import Recorder
from evo.ledger import Charge
from evo.protocols import ClusterEvent, Executor
from evo.search.search import ReevaluationResult, TellResult

StopReason: TypeAlias = Literal["budget", "wall", "spent", "exhausted", "interrupted"]
"""Why a session ended: its evaluations or its time are used up, a cap is reached, the operators propose nothing new any
more, or a signal came."""


class Session:
    """A session, from its first event after the start to its stop event.

    Args:
        setup: brought to where the journal ends.
        folder: of the run.
        recorder: writes the run's journal.
        on_tell: called with each tell result that is on the disk.
    """

    def __init__(self, setup: Setup, folder: Path, recorder: Recorder, on_tell: OnTell) -> None:
        self._setup = setup
        self._folder = folder
        self._recorder = recorder
        self._on_tell = on_tell
        self._evaluation_models: EvaluationModels | None = None

    async def run(self) -> StopReason:
        """Search until there is a reason to stop.

        Raises:
            StoppedError: a signal came before the search had begun.
            SandboxError, JournalError: the machine failed, not a candidate.
        """
        with interruptible() as interruption:
            await self._recorder.journal.durable()
            async with AsyncExitStack() as opened:
                components = await self._open(opened)
                self._evaluation_models = components.evaluation_models
                driver = Driver(
                    self._setup.search,
                    components,
                    self._recorder,
                    replayed=self._setup.replayed,
                    on_tell=self._result_recorded,
                )
                reason = await self._drive(driver, interruption)
                if reason != "interrupted" and await self._holdout_interrupted(components, interruption):
                    reason = "interrupted"
        self._recorder.stopped(reason)
        return reason

    def _result_recorded(self, result: TellResult | ReevaluationResult) -> None:
        """Keep what evaluating the best at the end will cost, as it is known now."""
        if self._evaluation_models and self._setup.gateway:
            self._setup.gateway.ledger.keep(expected_charge(self._setup, self._evaluation_models.bought.charge))
        self._on_tell(result)

    async def _open(self, opened: AsyncExitStack) -> Components:
        """Executor, gateway and models of the session, closed in reverse."""
        setup = self._setup
        executor = await opened.enter_async_context(self._executor())
        client = await opened.enter_async_context(self._client())
        models = await opened.enter_async_context(_evaluation_models(setup, client))
        await opened.enter_async_context(_cancelled_on_failure(self._recorder.journal))
        return components_of(setup, executor, client, models)

    async def _drive(self, driver: Driver, interruption: Interruption) -> StopReason:
        reasons: list[StopReason] = []

        def stop(reason: StopReason) -> None:
            reasons.append(reason)
            driver.stop()

        wall = self._setup.config.budget.wall_seconds
        left = wall - self._setup.replayed.elapsed_seconds if wall else 0.0
        timer = asyncio.get_running_loop().call_later(max(0.0, left), stop, "wall") if wall else None
        interruption.stops(lambda: stop("interrupted"))
        with rarely_collected():
            await driver.run()
        if timer:
            timer.cancel()
        if interruption.asked and (reasons or driver.spent):
            return "interrupted"
        if reasons or driver.spent:
            return reasons[0] if reasons else "spent"
        return "exhausted" if driver.search.exhausted else "budget"

    async def _holdout_interrupted(self, components: Components, interruption: Interruption) -> bool:
        """Evaluate the best on the final parts; whether that was interrupted, so that the next session goes on."""
        if self._setup.gateway:
            self._setup.gateway.ledger.keep(Charge())
        holdout = HoldoutEvaluation(components.executor, self._recorder, components.evaluation_models)
        evaluating = asyncio.ensure_future(holdout.evaluate_best(self._setup))
        try:
            interruption.stops(evaluating.cancel)
            await evaluating
        except (asyncio.CancelledError, StoppedError):
            evaluating.cancel()
            if not interruption.asked or (task := asyncio.current_task()) is None or task.cancelling():
                raise
            return True
        return False

    @asynccontextmanager
    async def _executor(self) -> AsyncIterator[Executor]:
        setup = self._setup
        executor = make_executor(setup.config, setup.problem, self._folder.resolve().name)

        def on_event(event: ClusterEvent) -> None:
            if event.kind:
                self._recorder.cluster_event(event)
            if event.kind in ("no_room", "room"):
                setup.trouble = event.detail.get("reason", "")

        executor.on_event = on_event
        try:
            yield executor
        finally:
            await executor.close()

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[ModelClient | None]:
        setup, replayed = self._setup, self._setup.replayed
        setup.gateway = gateway = make_gateway(setup.config, os.environ, replayed.used)
        if gateway is None:
            yield None
            return
        self._recorder.priced(gateway.prices)
        default = setup.config.model.name or ""
        try:
            yield ModelClient(gateway, default, self._recorder, replayed.completions, replayed.answers, setup.reusable)
        finally:
            await gateway.close()


@asynccontextmanager
async def _evaluation_models(setup: Setup, client: ModelClient | None) -> AsyncIterator[EvaluationModels | None]:
    if client is None or not setup.problem.needs_model:
        yield None
        return
    models = EvaluationModels(client)
    try:
        yield models
    finally:
        await models.close()


@asynccontextmanager
async def _cancelled_on_failure(journal: Journal) -> AsyncIterator[None]:
    """Give up what is under way as soon as it could not be recorded any more."""
    try:
        async with asyncio.TaskGroup() as group:
            guard = group.create_task(journal.until_failure())
            yield
            guard.cancel()
    except ExceptionGroup as failures:  # 3.11.2 wraps what except* raises
        raise failures.exceptions[0] from None
