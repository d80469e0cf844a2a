"""Between the search and the model: every completion is on the disk before it is used, and none is paid for twice."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from evo.models import Completion, ModelAccessError, Request
from evo.protocols import Gateway
from evo.recorder import Recorder, Stage
from evo.values import Ask

ANSWERED = frozenset({"ok", "truncated", "refused", "empty"})

Spend = Callable[[int, float], None]


@dataclass(slots=True)
class Recorded:
    """Completions of earlier sessions, by the ask that they were for and the request's digest.

    A request that was made twice for one ask has two completions, which are handed out in the order of recording.
    """

    by_ask: dict[int, dict[str, deque[Completion]]] = field(default_factory=dict)

    def add(self, ask: int, digest: str, completion: Completion) -> None:
        self.by_ask.setdefault(ask, defaultdict(deque))[digest].append(completion)

    def take(self, ask: int, digest: str) -> Completion | None:
        """The next recorded completion of this request, once."""
        waiting = self.by_ask.get(ask, {}).get(digest)
        return waiting.popleft() if waiting else None

    def forget(self, ask: int) -> None:
        """Drop what was for an ask that has its proposal."""
        self.by_ask.pop(ask, None)


@dataclass(frozen=True, slots=True)
class Till:
    """What all requests of a session share.

    Attributes:
        default_model: for requests that name none, where the ask names none either.
        past: completions for proposals that were paid for already, and are used first.
        answers: completions for evaluations by `answer_key`; each is paid for once a run.
        reusable: completions of another run by digest; used without a charge, and recorded as free.
    """

    model: Gateway
    default_model: str
    recorder: Recorder
    past: Recorded = field(default_factory=Recorded)
    answers: dict[str, Completion] = field(default_factory=dict)
    reusable: Callable[[str], Completion | None] = lambda digest: None

    async def buy(self, request: Request, ask: int, stage: Stage, *, fresh: bool = False) -> Completion:
        """A completion, reused or new, recorded; where it has to be fresh, a new one."""
        if not fresh and (known := self.reusable(request.digest)) is not None:
            self.recorder.completed(ask, request, known, stage=stage)
            return known
        worst = self.model.worst(request)
        self.recorder.sending(ask, request, worst, stage=stage)
        await self.recorder.journal.durable()
        try:
            completion = await self.model.complete(request)
        except asyncio.CancelledError as error:
            self._gave_up(request, ask, stage, error)
            raise
        except ModelAccessError as error:
            self.recorder.completed(ask, request, Completion("failed", requests=1, error=str(error)), stage=stage)
            raise
        except BaseException:
            self.recorder.unsent(ask, request, stage=stage)
            raise
        self.recorder.completed(ask, request, completion, stage=stage)
        return completion

    def _gave_up(self, request: Request, ask: int, stage: Stage, error: asyncio.CancelledError) -> None:
        charged = next((one for one in error.args if isinstance(one, Completion)), None)
        if charged is None:
            self.recorder.unsent(ask, request, stage=stage)
        else:
            self.recorder.completed(ask, request, charged, stage=stage)


@dataclass(frozen=True, slots=True)
class AskModel:
    """A model as the operator of one ask sees it."""

    ask: Ask
    till: Till
    spend: Spend

    async def complete(self, request: Request) -> Completion:
        request = addressed(request, self.ask.model or self.till.default_model)
        if (paid := self.till.past.take(self.ask.id, request.digest)) is not None:
            return paid
        completion = await self.till.buy(request, self.ask.id, "proposal")
        self.spend(self.ask.id, completion.cost_usd)
        await self.till.recorder.journal.durable()
        return completion


@dataclass(frozen=True, slots=True)
class TaskModels:
    """Models as evaluations see them: a request that was answered once in a run is not sent again.

    Unless an evaluation wants answers of its own, because it measures a genome again.
    """

    till: Till
    under_way: dict[str, asyncio.Task[Completion]] = field(default_factory=dict)

    def of(self, ask: int, spend: Spend, stage: Stage = "evaluation", *, own: bool = False) -> TaskModel:
        """The model for the evaluation of an ask's offspring.

        Args:
            own: whether what others were answered is none of its business.
        """
        return TaskModel(self, ask, spend, stage, own)

    async def close(self) -> None:
        """End what nobody waits for any more."""
        tasks = list(self.under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class TaskModel:
    """A model as one evaluation sees it."""

    shared: TaskModels
    ask: int
    spend: Spend
    stage: Stage
    own: bool = False

    async def complete(self, request: Request) -> Completion:
        request = addressed(request, self.shared.till.default_model)
        key = answer_key(request.digest, self.ask, own=self.own)
        if (known := self.shared.till.answers.get(key)) is not None:
            return known
        if key not in self.shared.under_way:
            task = asyncio.get_running_loop().create_task(self._bought(request, key))
            self.shared.under_way[key] = task
            task.add_done_callback(lambda _: self.shared.under_way.pop(key))
        # Others may wait for the same answer, so one that gives up does not take it from them.
        return await asyncio.shield(self.shared.under_way[key])

    async def _bought(self, request: Request, key: str) -> Completion:
        till = self.shared.till
        completion = await till.buy(request, self.ask, self.stage, fresh=self.own)
        self.spend(self.ask, completion.cost_usd)
        await till.recorder.journal.durable()
        if completion.outcome in ANSWERED:
            till.answers[key] = completion
        return completion


def answer_key(digest: str, ask: int, *, own: bool) -> str:
    """By what the answer to a request of an evaluation is found again: by any that asks the same, or by its own ask."""
    return f"{ask}:{digest}" if own else digest


def addressed(request: Request, model: str) -> Request:
    """The request, to this model where it names none; so its digest says who was asked."""
    return request if request.model else replace(request, model=model)
