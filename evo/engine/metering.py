"""The metered model client: every completion is on the disk before it is used, and none is paid for twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from evo.journal.completions import ANSWERED, Recorded, addressed, answer_key
from evo.journal.events import Stage
from evo.journal.recorder import Recorder
from evo.ledger import Charge, charge_of
from evo.models import Completion, ModelAccessError, Request
from evo.protocols import Gateway
from evo.values import Ask

Spend = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class ModelClient:
    """Stands between operators or evaluations and the gateway, and is shared by all requests of a session.

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

    async def complete(self, request: Request, ask: int, stage: Stage, *, fresh: bool = False) -> Completion:
        """A completion, reused or new, recorded; always new where it has to be fresh."""
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
        charged = next((given for given in error.args if isinstance(given, Completion)), None)
        if charged is None:
            self.recorder.unsent(ask, request, stage=stage)
        else:
            self.recorder.completed(ask, request, charged, stage=stage)


@dataclass(frozen=True, slots=True)
class ProposalModel:
    """A model as an ask's operator sees it."""

    ask: Ask
    client: ModelClient
    spend: Spend

    async def complete(self, request: Request) -> Completion:
        request = addressed(request, self.ask.model or self.client.default_model)
        if (paid := self.client.past.take(self.ask.id, request.digest)) is not None:
            return paid
        completion = await self.client.complete(request, self.ask.id, "proposal")
        self.spend(self.ask.id, completion.cost_usd)
        await self.client.recorder.journal.durable()
        return completion


@dataclass(slots=True)
class Bought:
    """What was charged so far."""

    charge: Charge = field(default_factory=Charge)


@dataclass(frozen=True, slots=True)
class EvaluationModels:
    """Models as evaluations see them: a request that was answered once in a run is not sent again.

    A re-evaluation has answers of its own.

    Attributes:
        bought: what completions for evaluations were charged in this session.
    """

    client: ModelClient
    under_way: dict[str, asyncio.Task[Completion]] = field(default_factory=dict)
    bought: Bought = field(default_factory=Bought)

    def of(self, ask: int, spend: Spend, stage: Stage = "evaluation", *, own: bool = False) -> EvaluationModel:
        """The model for the evaluation of an ask's offspring.

        Args:
            own: whether answers to other evaluations are not taken.
        """
        return EvaluationModel(self, ask, spend, stage, own)

    async def close(self) -> None:
        """Cancel requests for which no evaluation waits."""
        tasks = list(self.under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class EvaluationModel:
    """A model as an evaluation sees it."""

    shared: EvaluationModels
    ask: int
    spend: Spend
    stage: Stage
    own: bool = False

    async def complete(self, request: Request) -> Completion:
        request = addressed(request, self.shared.client.default_model)
        key = answer_key(request.digest, self.ask, own=self.own)
        if (known := self.shared.client.answers.get(key)) is not None:
            return known
        if key not in self.shared.under_way:
            task = asyncio.get_running_loop().create_task(self._bought(request, key))
            self.shared.under_way[key] = task
            task.add_done_callback(lambda _: self.shared.under_way.pop(key))
        # Other evaluations may wait for the same answer, and get it even where this evaluation is cancelled.
        return await asyncio.shield(self.shared.under_way[key])

    async def _bought(self, request: Request, key: str) -> Completion:
        client = self.shared.client
        completion = await client.complete(request, self.ask, self.stage, fresh=self.own)
        self.spend(self.ask, completion.cost_usd)
        self.shared.bought.charge += charge_of(completion)
        await client.recorder.journal.durable()
        if completion.outcome in ANSWERED:
            client.answers[key] = completion
        return completion
