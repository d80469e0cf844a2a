"""The loop: ask, propose, evaluate, tell, record; as many offspring under way at once as the executor can use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from evo.engine.batches import Batches
from evo.engine.evaluator import Entry, Evaluator
from evo.engine.metering import AskModel, ModelClient, TaskModels
from evo.engine.ordering import AsCompleted, DeterministicOrder, Ordering
from evo.errors import UserError
from evo.genomes import Genome
from evo.journal.recorder import Recorder
from evo.journal.replay import Replayed
from evo.models import BudgetSpentError, Message, ModelAccessError, Request
from evo.policies.base import Policy
from evo.protocols import ClusterEvent, Context, Executor, OnEvent, Operator, Problem
from evo.randomness import generator
from evo.resources import Resources
from evo.search.duplicates import vector_of
from evo.search.search import ReevaluationResult, Search, TellResult
from evo.values import REEVALUATE_OPERATOR, SEED_OPERATOR, Ask, Candidate, Evaluation, Proposal, clip_text

EMBEDDED_BYTES = 16_000

Watch = Callable[[TellResult | ReevaluationResult], None]


@dataclass(frozen=True, slots=True)
class Components:
    """What turns asks into individuals.

    Attributes:
        policy: which cases of the problem a candidate is scored on.
        seeds: genomes that the first asks take, in order.
        context: what operators may know; each ask gets it with randomness, a record and a model of its own.
        client: where models are paid; None in a run without one.
        model_calls: how many offspring may wait for a model beside those that the executor holds; 0 without a model.
        task_models: for problems whose evaluations ask a model; None for the others.
        embedding: model whose vectors tell near duplicates; None without.
        resources: of an evaluation; None takes what the problem says.
    """

    operators: Mapping[str, Operator]
    problem: Problem
    executor: Executor
    policy: Policy
    seeds: Sequence[Genome]
    context: Context
    client: ModelClient | None = None
    model_calls: int = 0
    task_models: TaskModels | None = None
    embedding: str | None = None
    resources: Resources | None = None


class Driver:
    """Drives a search until its budget is used up, or until it is told to stop.

    Attributes:
        spent: whether a call was refused because it might have passed a cap.

    Args:
        left: what an earlier session left to be done.
        watch: called after each tell that is on the disk.
    """

    def __init__(
        self, search: Search, components: Components, recorder: Recorder, *, left: Replayed | None = None, watch: Watch
    ) -> None:
        self.search = search
        self._components = components
        self._recorder = recorder
        self._left = left or Replayed()
        self._watch = watch
        self._stopping = False
        self.spent = False
        seed = search.settings.seed
        self._evaluator = Evaluator(
            components.executor, components.problem, components.policy, seed=seed, resources=components.resources
        )
        self._batches = Batches(self._evaluator.batch_size)
        self._proposing: set[int] = set()
        self._left_unfollowed = False
        in_order = search.settings.deterministic
        self._admissions: Ordering = DeterministicOrder() if in_order else AsCompleted()
        self._tells: Ordering = DeterministicOrder() if in_order else AsCompleted()

    def stop(self) -> None:
        """Follow no further ask; what is under way is finished and recorded, but for calls that wait to be sent."""
        self._stopping = self._evaluator.stopping = True
        if self._components.client:
            self._components.client.model.release()

    async def run(self) -> None:
        """Until nothing is under way any more.

        Raises:
            SandboxError, JournalError: the machine failed, not a candidate.
        """
        executor, on_event = self._components.executor, self._components.executor.on_event
        try:
            async with asyncio.TaskGroup() as self._group:
                executor.on_event = partial(self._noticed, on_event)
                self._take_up_what_was_left()
                self._fill()
        except* Exception as failures:
            raise failures.exceptions[0] from None
        finally:
            executor.on_event = on_event

    def _noticed(self, on_event: OnEvent, event: ClusterEvent) -> None:
        """It is recorded; then, there may be room for more."""
        on_event(event)
        if not self.search.settings.deterministic and self.search.under_way:
            self._fill()

    def _take_up_what_was_left(self) -> None:
        admitted = {candidate.ask.id: candidate for candidate in self._left.candidates.values()}
        for number, ask in sorted(self.search.under_way.items()):
            self._tells.take(number)
            if number in admitted:
                self._group.create_task(self._measure(admitted[number]))
            else:
                self._start(ask)
        for _, candidate in sorted(self._left.candidates.items()):
            self._gather(candidate)

    def _start(self, ask: Ask) -> None:
        if ask.operator == REEVALUATE_OPERATOR:
            self._group.create_task(self._measure_again(ask))
            return
        self._admissions.take(ask.id)
        self._proposing.add(ask.id)
        self._group.create_task(self._follow(ask))

    def _fill(self) -> None:
        """Ask for as many offspring as may be under way."""
        while self._room() and (ask := self.search.ask()):
            self._recorder.asked(ask)
            self._tells.take(ask.id)
            if self._stopping:
                self._left_unfollowed = True
            else:
                self._start(ask)
        self._race_where_nobody_else_can_come()

    def _room(self) -> bool:
        # In the order of asking, a run that is stopping goes on asking without following: the next session follows, and
        # the search has gone as it would have without the stop.
        if self.search.settings.deterministic:
            return True
        most = self._components.executor.capacity + self._components.model_calls + self._batches.room
        return not self._stopping and len(self.search.under_way) < most

    async def _follow(self, ask: Ask) -> None:
        """One offspring, from ask to record."""
        try:
            proposal = await self._propose(ask)
            candidate = await self._admit(ask, proposal)
        except asyncio.CancelledError:
            self._leave_for_the_next_session()
            raise
        if isinstance(candidate, str):
            await self._drop(ask, proposal, candidate)
        else:
            await self._measure(candidate)

    async def _measure(self, candidate: Candidate) -> None:
        evaluation = await self._while_there_is_money(self._evaluated(candidate))
        if evaluation is None:
            return
        self._check_lost_seed(candidate, evaluation)
        told = await self._tell(candidate, evaluation)
        await self._recorder.journal.durable()
        self._watch(told)

    async def _measure_again(self, ask: Ask) -> None:
        evaluation = await self._while_there_is_money(self._evaluated_again(ask))
        if evaluation is None:
            return
        async with self._tells.turn(ask.id):
            told = self.search.reevaluated(ask, evaluation)
            self._recorder.reevaluated(ask, told, self.search)
            self._fill()
        await self._recorder.journal.durable()
        self._watch(told)

    async def _while_there_is_money(self, evaluated: Awaitable[Evaluation]) -> Evaluation | None:
        """An evaluation; None where the money for it ran out."""
        try:
            return await evaluated
        except BudgetSpentError:
            self._out_of_money()
            self._leave_for_the_next_session()
            return None
        except asyncio.CancelledError:
            self._leave_for_the_next_session()
            raise

    async def _evaluated(self, candidate: Candidate) -> Evaluation:
        await self._recorder.journal.durable()
        entry = self._entry(candidate)
        if (verdict := self._left.verdicts.get(candidate.id)) is not None:
            return await self._evaluator.finish(entry, verdict)
        if self._gathers(candidate):
            return await self._evaluator.finish(entry, await self._batches.verdict(candidate))
        return await self._evaluator.evaluate(entry, as_seed=candidate.ask.operator == SEED_OPERATOR)

    async def _evaluated_again(self, ask: Ask) -> Evaluation:
        await self._recorder.journal.durable()
        [one] = self.search.ask_snapshot(ask).parents
        return await self._evaluator.evaluate(self._entry(Candidate(one.id, ask, one.genome)), as_seed=True)

    def _entry(self, candidate: Candidate) -> Entry:
        ask, models = candidate.ask, self._components.task_models
        parents = self.search.ask_snapshot(ask).parents
        model = models.of(ask.id, self.search.spend, own=ask.operator == REEVALUATE_OPERATOR) if models else None
        return Entry(candidate, model, parents[0].evaluation.cases if parents else {})

    def _gathers(self, candidate: Candidate) -> bool:
        """Whether it is to be scored together with others; seeds are not, since there has to be something to vary."""
        decided = candidate.id in self._left.verdicts
        return self._batches.size > 1 and candidate.ask.operator != SEED_OPERATOR and not decided

    def _gather(self, candidate: Candidate) -> None:
        if self._gathers(candidate):
            for batch in self._batches.join(candidate):
                self._group.create_task(self._race(batch))

    def _race_where_nobody_else_can_come(self) -> None:
        gathering, under_way = self._batches.gathering, self.search.under_way
        if not gathering:
            return
        if not self.search.settings.deterministic:
            alone = len(gathering) == len(under_way)
        else:
            # All that is behind the first of these in the order of asking waits for it.
            alone = next(iter(under_way)) in gathering and not self._proposing
        if alone and self._left_unfollowed:
            self._leave_for_the_next_session()  # in which those that were not followed are of this batch
        elif alone:
            self._group.create_task(self._race(self._batches.take()))

    async def _race(self, batch: Sequence[Candidate]) -> None:
        await self._recorder.journal.durable()
        try:
            verdicts = await self._evaluator.evaluate_batch([self._entry(one) for one in batch])
        except BudgetSpentError:
            self._out_of_money()
            self._batches.leave(batch)
            return
        except asyncio.CancelledError:  # by a stop that gave up calls which were not sent
            self._batches.leave(batch)
            raise
        self._recorder.raced(batch, verdicts)
        await self._recorder.journal.durable()
        self._batches.decide(batch, verdicts)

    @staticmethod
    def _check_lost_seed(candidate: Candidate, evaluation: Evaluation) -> None:
        """Nothing can be evolved from it, and that is no verdict: it is not told, so that resuming tries again."""
        if candidate.ask.operator == SEED_OPERATOR and evaluation.outcome == "lost":
            raise UserError(f"the seed could not be evaluated: {evaluation.feedback}; `evo resume` tries again")

    def _leave_for_the_next_session(self) -> None:
        # In the order of asking nothing behind this one can be told before it; and who gathers would wait for it.
        self._batches.close()
        self._admissions.close()
        self._tells.close()

    async def _propose(self, ask: Ask) -> Proposal:
        if ask.operator == SEED_OPERATOR:
            return Proposal("ok", self._components.seeds[ask.id])
        try:
            parents = self.search.ask_snapshot(ask).parents
            return await self._components.operators[ask.operator].propose(parents, self._context(ask))
        except BudgetSpentError as error:
            self._out_of_money()
            return Proposal("error", thought=str(error))
        except ModelAccessError:
            raise
        except Exception as error:  # an operator may be anyone's code; its failure is recorded as a proposal's
            return Proposal("error", thought=f"{type(error).__name__}: {error}")

    def _context(self, ask: Ask) -> Context:
        ask_snapshot = self.search.ask_snapshot(ask)
        rng = generator(self.search.settings.seed, ask.id, "proposal")
        model = self._model(ask)
        return replace(
            self._components.context,
            rng=rng,
            model=model,
            lessons=ask_snapshot.lessons,
            record=ask_snapshot.record,
            memory=ask_snapshot.memory,
        )

    def _model(self, ask: Ask) -> AskModel | None:
        return AskModel(ask, self._components.client, self.search.spend) if self._components.client else None

    def _out_of_money(self) -> None:
        self.spent = True
        self.stop()

    async def _admit(self, ask: Ask, proposal: Proposal) -> Candidate | str:
        """The candidate, or why there is none; no reason where the proposal has one of its own."""
        vector = await self._vector(ask, proposal)
        async with self._admissions.turn(ask.id):
            candidate = self.search.admit(ask, proposal, vector) if proposal.genome is not None else ""
            self._proposing.discard(ask.id)
            if isinstance(candidate, Candidate):
                self._recorder.admitted(candidate, proposal.lessons)
                self._gather(candidate)
            self._race_where_nobody_else_can_come()
            return candidate

    async def _vector(self, ask: Ask, proposal: Proposal) -> tuple[float, ...]:
        """The embedding of a proposed genome; () where none is asked for, can be had, or can be paid for."""
        model, name = self._model(ask), self._components.embedding
        if model is None or name is None or proposal.genome is None:
            return ()
        text = clip_text(proposal.genome.canonical, EMBEDDED_BYTES)
        try:
            completion = await model.complete(Request("embed", (Message("user", text),), name, output="vector"))
        except BudgetSpentError:
            self._out_of_money()
            return ()
        return vector_of(completion.text) if completion.outcome == "ok" else ()

    async def _drop(self, ask: Ask, proposal: Proposal, twin: str) -> None:
        async with self._tells.turn(ask.id):
            self.search.drop(ask, proposal.lessons)
            self._recorder.dropped(ask, proposal, twin)
            self._fill()
        await asyncio.sleep(0)

    async def _tell(self, candidate: Candidate, evaluation: Evaluation) -> TellResult:
        async with self._tells.turn(candidate.ask.id):
            told = self.search.tell(candidate, evaluation)
            self._recorder.result(told, self.search)
            self._fill()
        return told
