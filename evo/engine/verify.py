"""Repeating a recorded search: every operator runs again on its recorded completions, and its answer is compared.

Nothing is sent and nothing is evaluated: completions and results come from the journal, asks from the pure search.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

from evo.engine.setup import Setup
from evo.journal.completions import Recorded, addressed
from evo.journal.replay import Replayed, replay
from evo.models import BudgetSpentError, Completion, Request
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

    replayed: Replayed
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


def repeat(journal: Path, setup: Setup) -> Repeated:
    """Run a journal again, proposals included.

    Raises:
        JournalError: corrupt, or the search itself would have gone otherwise.
    """
    repeated = Repeated(Replayed())

    def compare(ask: Ask, snapshot: AskSnapshot, past: Recorded, recorded: Proposal) -> None:
        proposal = loop.run_until_complete(_propose(setup, ask, snapshot, past))
        if _same(proposal, recorded):
            repeated.same += 1
        else:
            repeated.different[ask.id] = (_shown(recorded), _shown(proposal))

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        repeated.replayed = replay(journal, setup.search, compare)
    return repeated


async def _propose(setup: Setup, ask: Ask, snapshot: AskSnapshot, past: Recorded) -> Proposal:
    if ask.operator == SEED_OPERATOR:
        return Proposal("ok", setup.seeds[ask.id])
    default = setup.config.model.name
    model = RecordedModel(ask.id, past, ask.model or default) if default else None
    context = replace(
        setup.context,
        rng=generator(setup.config.seed, ask.id, "proposal"),
        model=model,
        lessons=snapshot.lessons,
        record=snapshot.record,
        memory=snapshot.memory,
    )
    try:
        return await setup.operators[ask.operator].propose(snapshot.parents, context)
    except BudgetSpentError as error:
        return Proposal("error", thought=str(error))


def _same(proposal: Proposal, recorded: Proposal) -> bool:
    if recorded.genome is not None:
        return proposal.genome == recorded.genome
    # It is the search that rejects a duplicate, not the operator.
    return recorded.outcome in (proposal.outcome, "duplicate")


def _shown(proposal: Proposal) -> str:
    return proposal.outcome if proposal.genome is None else f"{proposal.outcome} {proposal.genome.digest}"
