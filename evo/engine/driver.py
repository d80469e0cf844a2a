"""The loop: ask, propose, admit, evaluate, tell, record; as many offspring in flight as the executor can use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from evo.engine.evaluations import Evaluations
from evo.engine.metering import ProposalModel
from evo.engine.ordering import AsCompleted, DeterministicOrder, Ordering
from evo.engine.setup import Components
from evo.errors import UserError, place_of
from evo.journal.recorder import Recorder
from evo.journal.replay import Replayed
from evo.models import BudgetSpentError, Message, ModelAccessError, Request
from evo.protocols import ClusterEvent, Context, OnEvent
from evo.randomness import generator
from evo.search.duplicates import vector_of
from evo.search.search import ReevaluationResult, Search, TellResult
from evo.values import REEVALUATE_OPERATOR, SEED_OPERATOR, Ask, Candidate, Evaluation, Proposal, clip_text

EMBEDDED_BYTES = 16_000

OnTell: TypeAlias = Callable[[TellResult | ReevaluationResult], None]


class Driver:
    """Drives a search until its budget is used up, or until it is stopped.

    Attributes:
        spent: whether a call was refused because it might have passed a cap.

    Args:
        search: brought to where the journal ends.
        components: of this session.
        recorder: writes the run's journal.
        replayed: what an earlier session left to be done.
        on_tell: called after each tell that is on the disk.
    """

    def __init__(
        self,
        search: Search,
        components: Components,
        recorder: Recorder,
        *,
        replayed: Replayed | None = None,
        on_tell: OnTell,
    ) -> None:
        self.search = search
        self.spent = False
        self._components = components
        self._recorder = recorder
        self._replayed = replayed or Replayed()
        self._on_tell = on_tell
        self._stopping = False
        self._unfollowed = False
        self._proposing: set[int] = set()
        self._evaluations = Evaluations(search, components, recorder, self._replayed.verdicts)
        deterministic = search.settings.deterministic
        self._admissions: Ordering = DeterministicOrder() if deterministic else AsCompleted()
        self._tells: Ordering = DeterministicOrder() if deterministic else AsCompleted()

    def stop(self) -> None:
        """Follow no further ask; what is in flight is finished and recorded, but for calls that wait to be sent."""
        self._stopping = True
        self._evaluations.stop()
        if self._components.client:
            self._components.client.model.release()

    async def run(self) -> None:
        """Until nothing is in flight any more.

        Raises:
            SandboxError, JournalError: the machine failed, not a candidate.
        """
        executor, on_event = self._components.executor, self._components.executor.on_event
        try:
            async with asyncio.TaskGroup() as self._group:
                executor.on_event = partial(self._on_event, on_event)
                self._evaluations.begin(self._group, self._stop_for_money)
                self._continue_replayed()
                self._fill()
        except ExceptionGroup as failures:  # 3.11.2 wraps what except* raises
            raise failures.exceptions[0] from None
        finally:
            executor.on_event = on_event

    async def _offspring(self, ask: Ask, candidate: Candidate | None = None) -> None:
        """An offspring: propose, admit, evaluate, tell, record; from where an earlier session left it."""
        if candidate is None:
            proposal = await self._propose(ask)
            admitted = await self._admit(ask, proposal)
            if isinstance(admitted, str):
                await self._drop(ask, proposal, admitted)
                return
            candidate = admitted
        evaluation = await self._evaluations.evaluate(candidate)
        _check_lost_seed(candidate, evaluation)
        async with self._tells.turn(ask.id):
            result = self.search.tell(candidate, evaluation)
            self._recorder.result(result, self.search)
            self._fill()
        await self._recorder.journal.durable()
        self._on_tell(result)

    async def _reevaluation(self, ask: Ask) -> None:
        """Another evaluation of an individual: evaluate, tell, record."""
        evaluation = await self._evaluations.reevaluate(ask)
        async with self._tells.turn(ask.id):
            result = self.search.reevaluated(ask, evaluation)
            self._recorder.reevaluated(ask, result, self.search)
            self._fill()
        await self._recorder.journal.durable()
        self._on_tell(result)

    def _fill(self) -> None:
        """Ask for as many offspring as may be in flight."""
        while self._has_room() and (ask := self.search.ask()):
            self._recorder.asked(ask)
            self._tells.take(ask.id)
            if self._stopping:
                self._unfollowed = True
            else:
                self._start(ask)
        self._complete_batch()

    def _has_room(self) -> bool:
        # A deterministic run that is stopping goes on asking without following: the next session follows, and the
        # search has gone as it would have without the stop.
        if self.search.settings.deterministic:
            return True
        executor, calls = self._components.executor, self._components.concurrent_calls
        most = executor.capacity + calls + self._evaluations.room
        return not self._stopping and len(self.search.under_way) < most

    def _start(self, ask: Ask) -> None:
        if ask.operator == REEVALUATE_OPERATOR:
            self._spawn(self._reevaluation(ask))
            return
        self._admissions.take(ask.id)
        self._proposing.add(ask.id)
        self._spawn(self._offspring(ask))

    def _continue_replayed(self) -> None:
        """Take up what an earlier session left in flight."""
        admitted = {candidate.ask.id: candidate for candidate in self._replayed.candidates.values()}
        for number, ask in sorted(self.search.under_way.items()):
            self._tells.take(number)
            if number in admitted:
                self._spawn(self._offspring(ask, admitted[number]))
            else:
                self._start(ask)
        for _, candidate in sorted(self._replayed.candidates.items()):
            self._evaluations.gather(candidate)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self._group.create_task(self._guarded(work))

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        """Where the money ends, or the work is given up, the next session goes on with it."""
        try:
            await work
        except BudgetSpentError:
            self._stop_for_money()
            self._leave_to_next_session()
        except asyncio.CancelledError:
            self._leave_to_next_session()
            raise

    async def _propose(self, ask: Ask) -> Proposal:
        if ask.operator == SEED_OPERATOR:
            return Proposal("ok", self._components.seeds[ask.id])
        try:
            parents = self.search.ask_snapshot(ask).parents
            return await self._components.operators[ask.operator].propose(parents, self._context(ask))
        except BudgetSpentError as error:
            self._stop_for_money()
            return Proposal("error", thought=str(error))
        except ModelAccessError:
            raise
        except Exception as error:  # an operator may be anyone's code; its failure is recorded as a proposal's
            place = f" at {found}" if (found := place_of(error)) else ""
            return Proposal("error", thought=f"{type(error).__name__}{place}: {error}")

    async def _admit(self, ask: Ask, proposal: Proposal) -> Candidate | str:
        """The candidate, or why there is none; no reason where the proposal says it itself."""
        vector = await self._vector(ask, proposal)
        async with self._admissions.turn(ask.id):
            candidate = self.search.admit(ask, proposal, vector) if proposal.genome is not None else ""
            self._proposing.discard(ask.id)
            if isinstance(candidate, Candidate):
                self._recorder.admitted(candidate, proposal.lessons)
                self._evaluations.gather(candidate)
            self._complete_batch()
            return candidate

    async def _drop(self, ask: Ask, proposal: Proposal, duplicate: str) -> None:
        async with self._tells.turn(ask.id):
            self.search.drop(ask, proposal.lessons, proposal.outcome)
            self._recorder.dropped(ask, proposal, duplicate)
            self._fill()
        await asyncio.sleep(0)

    def _context(self, ask: Ask) -> Context:
        snapshot = self.search.ask_snapshot(ask)
        return replace(
            self._components.context,
            rng=generator(self.search.settings.seed, ask.id, "proposal"),
            model=self._model(ask),
            lessons=snapshot.lessons,
            record=snapshot.record,
            memory=snapshot.memory,
        )

    def _model(self, ask: Ask) -> ProposalModel | None:
        client = self._components.client
        return ProposalModel(ask, client, self.search.spend) if client else None

    async def _vector(self, ask: Ask, proposal: Proposal) -> tuple[float, ...]:
        """The embedding of a proposed genome; () where none is asked for, can be had, or can be paid for."""
        name = self._components.embedding
        if name is None or proposal.genome is None or (model := self._model(ask)) is None:
            return ()
        text = clip_text(proposal.genome.canonical, EMBEDDED_BYTES)
        try:
            completion = await model.complete(Request("embed", (Message("user", text),), name, output="vector"))
        except BudgetSpentError:
            self._stop_for_money()
            return ()
        return vector_of(completion.text) if completion.outcome == "ok" else ()

    def _complete_batch(self) -> None:
        """Score a batch that is not full where no further candidate can join it."""
        under_way, gathering = self.search.under_way, self._evaluations.gathering
        if not gathering:
            return
        if self.search.settings.deterministic:
            # All that is behind the first of these in the order of asking waits for it.
            last = next(iter(under_way)) in gathering and not self._proposing
        else:
            last = len(gathering) == len(under_way)
        if last and self._unfollowed:
            self._leave_to_next_session()  # in which those that were not followed join this batch
        elif last:
            self._evaluations.complete_batch()

    def _leave_to_next_session(self) -> None:
        # In a deterministic search nothing that was asked for later can be told before it, and its batch waits for it.
        self._evaluations.close()
        self._admissions.close()
        self._tells.close()

    def _stop_for_money(self) -> None:
        self.spent = True
        self.stop()

    def _on_event(self, on_event: OnEvent, event: ClusterEvent) -> None:
        """Pass a cluster event on; after it there may be room for more."""
        on_event(event)
        if not self.search.settings.deterministic and self.search.under_way:
            self._fill()


def _check_lost_seed(candidate: Candidate, evaluation: Evaluation) -> None:
    """Nothing can be evolved from it, and that is no verdict: it is not told, so that resuming tries again."""
    if candidate.ask.operator == SEED_OPERATOR and evaluation.outcome == "lost":
        raise UserError(f"the seed could not be evaluated: {evaluation.feedback}; `evo resume` tries again")
