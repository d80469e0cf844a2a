"""Evaluations of a session: each candidate alone or with its batch; what was decided earlier comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from evo.engine.batches import Batches
from evo.engine.evaluator import Entry, Evaluator
from evo.engine.setup import Components
from evo.journal.recorder import Recorder
from evo.models import BudgetSpentError
from evo.policies.base import Verdict
from evo.search.search import Search
from evo.values import REEVALUATE_OPERATOR, SEED_OPERATOR, Ask, Candidate, Evaluation


class Evaluations:
    """Evaluates admitted candidates by the run's policy.

    Args:
        search: says what was known when a candidate was asked for.
        components: of the session.
        recorder: writes what was decided of a batch.
        verdicts: what an earlier session decided of candidates that are not told yet, by id.
    """

    def __init__(
        self, search: Search, components: Components, recorder: Recorder, verdicts: Mapping[int, Verdict]
    ) -> None:
        self._search = search
        self._recorder = recorder
        self._verdicts = verdicts
        self._models = components.evaluation_models
        self._evaluator = Evaluator(
            components.executor,
            components.problem,
            components.policy,
            seed=search.settings.seed,
            resources=components.resources,
        )
        self._batches = Batches(self._evaluator.batch_size)

    @property
    def room(self) -> int:
        """How many more offspring have to be in flight, so that a batch can gather while another is scored."""
        return self._batches.room

    @property
    def gathering(self) -> Mapping[int, Candidate]:
        """Candidates that wait for others to join their batch, by ask."""
        return self._batches.gathering

    def begin(self, group: asyncio.TaskGroup, on_budget_spent: Callable[[], None]) -> None:
        """Score batches in this group of tasks.

        Args:
            group: of the session's tasks.
            on_budget_spent: called where a batch could not be paid for.
        """
        self._group = group
        self._on_budget_spent = on_budget_spent

    async def evaluate(self, candidate: Candidate) -> Evaluation:
        """Score an admitted candidate.

        Raises:
            SandboxError, BudgetSpentError, ModelAccessError: by the executor.
        """
        await self._recorder.journal.durable()
        entry = self._entry(candidate)
        if (verdict := self._verdicts.get(candidate.id)) is not None:
            return await self._evaluator.finish(entry, verdict)
        if self._joins_batch(candidate):
            return await self._evaluator.finish(entry, await self._batches.verdict(candidate))
        return await self._evaluator.evaluate(entry, as_seed=candidate.ask.operator == SEED_OPERATOR)

    async def reevaluate(self, ask: Ask) -> Evaluation:
        """Score the individual of a re-evaluation once more.

        Raises:
            SandboxError, BudgetSpentError, ModelAccessError: by the executor.
        """
        await self._recorder.journal.durable()
        [individual] = self._search.ask_snapshot(ask).parents
        entry = self._entry(Candidate(individual.id, ask, individual.genome))
        return await self._evaluator.evaluate(entry, as_seed=True)

    def gather(self, candidate: Candidate) -> None:
        """Let an admitted candidate join its batch, in the order of admission; a batch that is full is scored."""
        if self._joins_batch(candidate):
            for batch in self._batches.join(candidate):
                self._group.create_task(self._score(batch))

    def complete_batch(self) -> None:
        """Score the batch that gathers, as it is."""
        self._group.create_task(self._score(self._batches.take()))

    def stop(self) -> None:
        """The run is stopping: lost evaluations are not tried again."""
        self._evaluator.stopping = True

    def close(self) -> None:
        """Decide nothing of batches that gather, or would gather from now on."""
        self._batches.close()

    def _entry(self, candidate: Candidate) -> Entry:
        ask = candidate.ask
        parents = self._search.ask_snapshot(ask).parents
        own = ask.operator == REEVALUATE_OPERATOR
        model = self._models.of(ask.id, self._search.spend, own=own) if self._models else None
        return Entry(candidate, model, parents[0].evaluation.cases if parents else {})

    def _joins_batch(self, candidate: Candidate) -> bool:
        """Seeds are scored alone, since there has to be something to vary."""
        decided = candidate.id in self._verdicts
        return self._batches.size > 1 and candidate.ask.operator != SEED_OPERATOR and not decided

    async def _score(self, batch: Sequence[Candidate]) -> None:
        await self._recorder.journal.durable()
        try:
            verdicts = await self._evaluator.evaluate_batch([self._entry(candidate) for candidate in batch])
        except BudgetSpentError:
            self._on_budget_spent()
            self._batches.leave(batch)
            return
        except asyncio.CancelledError:  # by a stop that gave up calls which were not sent
            self._batches.leave(batch)
            raise
        self._recorder.raced(batch, verdicts)
        await self._recorder.journal.durable()
        self._batches.decide(batch, verdicts)
