"""Repeating a recorded search: every operator runs again on its recorded completions, and its answer is compared.

Nothing is sent and nothing is evaluated: completions and results come from the journal, asks from the pure search.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from evo.engine.session import Prepared
from evo.journal.completions import Recorded, addressed
from evo.journal.replay import Replayed, replay
from evo.models import BudgetSpentError, Completion, Request
from evo.protocols import Context
from evo.randomness import generator
from evo.search.search import AskSnapshot
from evo.values import SEED_OPERATOR, Ask, Proposal


@dataclass(slots=True)
class Repeated:
    """What came of repeating a run.

    Attributes:
        same: proposals that came out as recorded.
        different: asks whose proposal came out otherwise, with what was recorded and what came.
    """

    left: Replayed
    same: int = 0
    different: dict[int, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedModel:
    """Answers an ask from the record alone; what is not in it was refused for want of money."""

    ask: int
    past: Recorded
    model: str

    async def complete(self, request: Request) -> Completion:
        request = addressed(request, self.model)
        recorded = self.past.take(self.ask, request.digest)
        if recorded is None:
            raise BudgetSpentError(f"no completion with digest {request.digest} is recorded")
        return recorded


def repeat(journal: Path, prepared: Prepared) -> Repeated:
    """Run a journal again, proposals included.

    Raises:
        JournalError: corrupt, or the search itself would have gone otherwise.
    """
    repeated = Repeated(Replayed())

    def compare(ask: Ask, ask_snapshot: AskSnapshot, past: Recorded, recorded: Proposal) -> None:
        proposal = loop.run_until_complete(_propose(prepared, ask, ask_snapshot, past))
        if _same(proposal, recorded):
            repeated.same += 1
        else:
            repeated.different[ask.id] = (_told(recorded), _told(proposal))

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        repeated.left = replay(journal, prepared.search, compare)
    return repeated


async def _propose(prepared: Prepared, ask: Ask, ask_snapshot: AskSnapshot, past: Recorded) -> Proposal:
    if ask.operator == SEED_OPERATOR:
        return Proposal("ok", prepared.seeds[ask.id])
    problem = prepared.problem
    rng = generator(prepared.config.seed, ask.id, "proposal")
    default = prepared.config.model.name
    model = RecordedModel(ask.id, past, ask.model or default) if default else None
    told = problem.space, problem.objectives, problem.description, model
    context = Context(rng, *told, lessons=ask_snapshot.lessons, record=ask_snapshot.record, memory=ask_snapshot.memory)
    try:
        return await prepared.operators[ask.operator].propose(ask_snapshot.parents, context)
    except BudgetSpentError as error:
        return Proposal("error", thought=str(error))


def _same(proposal: Proposal, recorded: Proposal) -> bool:
    if recorded.genome is not None:
        return proposal.genome == recorded.genome
    # A duplicate is told from an admitted genome by the search, not by the operator.
    return recorded.outcome in (proposal.outcome, "duplicate")


def _told(proposal: Proposal) -> str:
    return proposal.outcome if proposal.genome is None else f"{proposal.outcome} {proposal.genome.digest}"
