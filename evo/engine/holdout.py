"""Holdout evaluation: the best are evaluated on parts of the problem that no candidate was chosen by."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from evo.engine.metering import EvaluationModels
from evo.engine.setup import Setup
from evo.journal.recorder import Recorder
from evo.models import BudgetSpentError
from evo.protocols import Executor
from evo.search.search import Search
from evo.values import Evaluation, Individual, Part

FRONT_SHOWN = 10

Evaluated: TypeAlias = dict[tuple[int, Part], Evaluation]


@dataclass(frozen=True, slots=True)
class HoldoutEvaluation:
    """Evaluates the best of a search on the problem's final parts, and records it."""

    executor: Executor
    recorder: Recorder
    models: EvaluationModels | None

    async def evaluate_best(self, setup: Setup) -> None:
        """Evaluate those that earlier sessions did not, as far as they can be paid for and their model answers."""
        evaluated = setup.replayed.held_out
        best = spread(setup.search, FRONT_SHOWN)
        missing = [
            (individual, part)
            for part in setup.problem.final_parts
            for individual in best
            if (individual.id, part) not in evaluated
        ]
        await asyncio.gather(*(self._evaluate(individual, part, evaluated) for individual, part in missing))

    async def _evaluate(self, individual: Individual, part: Part, evaluated: Evaluated) -> None:
        evaluation = await self._evaluation(individual, part)
        if evaluation is not None:
            self.recorder.held_out(individual.id, part, evaluation)
            evaluated[individual.id, part] = evaluation

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
    """A holdout evaluation is no operator's expense."""
