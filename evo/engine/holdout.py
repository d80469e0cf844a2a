"""The end of a search: the best are measured on parts of the problem that no candidate was chosen by."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from evo.engine.metering import TaskModels
from evo.journal.recorder import Recorder
from evo.journal.replay import Replayed
from evo.models import BudgetSpentError
from evo.protocols import Executor, Problem
from evo.search.search import Search
from evo.values import Evaluation, Individual, Part

FRONT_SHOWN = 10

Found = dict[tuple[int, Part], Evaluation]


class Searched(Protocol):
    """A search that is over, its problem, and what was measured."""

    problem: Problem
    search: Search
    left: Replayed


@dataclass(frozen=True, slots=True)
class HoldoutEvaluation:
    """Measures the best of a search, and records it."""

    executor: Executor
    recorder: Recorder
    models: TaskModels | None

    async def measure(self, searched: Searched) -> None:
        """Measure whom earlier sessions did not; of those that can be paid for, and whose model answers."""
        found = searched.left.held_out
        wanted = [(one, part) for part in searched.problem.final_parts for one in spread(searched.search, FRONT_SHOWN)]
        missing = [(one, part) for one, part in wanted if (one.id, part) not in found]
        await asyncio.gather(*(self._measure(one, part, found) for one, part in missing))

    async def _measure(self, one: Individual, part: Part, found: Found) -> None:
        evaluation = await self._evaluation(one, part)
        if evaluation is not None:
            self.recorder.held_out(one.id, part, evaluation)
            found[one.id, part] = evaluation

    async def _evaluation(self, individual: Individual, part: Part) -> Evaluation | None:
        model = self.models.of(individual.ask.id, _unaccounted, "final") if self.models else None
        try:
            evaluation = await self.executor.evaluate(individual.genome, part, model=model)
            return evaluation if model is None or evaluation.outcome != "lost" else None
        except BudgetSpentError:
            return None


def spread(search: Search, count: int) -> Sequence[Individual]:
    """At most `count` members of the front, best by the first objective first, evenly over the rest."""
    first = search.objectives[0]
    front = sorted(search.front, key=first.cost)
    if len(front) <= count:
        return front
    return [front[round(step * (len(front) - 1) / (count - 1))] for step in range(count)]


def _unaccounted(ask: int, usd: float) -> None:
    """Measuring the best is no operator's expense."""
