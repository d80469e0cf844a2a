"""Holdout evaluation: the best are evaluated on parts of the problem that no candidate was chosen by."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from evo.engine.metering import EvaluationModels
from evo.engine.setup import Setup
from evo.journal.recorder import Recorder
from evo.ledger import Charge
from evo.models import BudgetSpentError
from evo.protocols import Executor
from evo.search.search import Search
from evo.values import Individual, Part

FRONT_SHOWN = 10
SPARE = 1.2


@dataclass(frozen=True, slots=True)
class HoldoutEvaluation:
    """Evaluates the best of a search on the problem's final parts, and records it."""

    executor: Executor
    recorder: Recorder
    models: EvaluationModels | None

    async def evaluate_best(self, setup: Setup) -> None:
        """Evaluate those that earlier sessions did not, as far as they can be paid for and their model answers."""
        await asyncio.gather(*(self._evaluate(individual, part, setup) for individual, part in missing(setup)))

    async def _evaluate(self, individual: Individual, part: Part, setup: Setup) -> None:
        model = self.models.of(individual.ask.id, _unaccounted, "final") if self.models else None
        try:
            evaluation = await self.executor.evaluate(individual.genome, part, model=model)
        except BudgetSpentError as error:
            self._give_up(individual, part, setup, str(error))
            return
        if model is not None and evaluation.outcome == "lost":
            self._give_up(individual, part, setup, evaluation.feedback.strip() or "its evaluation was lost")
            return
        self.recorder.held_out(individual.id, part, evaluation)
        setup.replayed.held_out[individual.id, part] = evaluation

    def _give_up(self, individual: Individual, part: Part, setup: Setup, reason: str) -> None:
        self.recorder.unmeasured(individual.id, part, reason)
        setup.unmeasured[individual.id, part] = reason


def missing(setup: Setup) -> list[tuple[Individual, Part]]:
    """Which of the best are still to be evaluated on which of the problem's final parts."""
    best, evaluated = spread(setup.search, FRONT_SHOWN), setup.replayed.held_out
    return [
        (individual, part)
        for part in setup.problem.final_parts
        for individual in best
        if (individual.id, part) not in evaluated
    ]


def expected_charge(setup: Setup, bought: Charge) -> Charge:
    """What evaluating the best on the final parts will be charged, by what completions for evaluations were so far.

    A fifth is added, for replies differ in length. Evaluations of a problem without cases take as many completions each
    as the search's have taken.
    """
    if not bought.calls:
        return Charge()
    each = max(1, math.ceil(bought.calls / max(1, setup.search.count_told)))
    calls = sum(len(setup.problem.case_names(part)) or each for _, part in missing(setup))
    share = SPARE * calls / bought.calls
    return Charge(math.ceil(bought.nanodollars * share), math.ceil(bought.tokens * share), calls)


def spread(search: Search, count: int) -> Sequence[Individual]:
    """At most `count` members of the front, best by the first objective first, evenly over the rest."""
    first = search.objectives[0]
    front = sorted(search.front, key=first.cost)
    if len(front) <= count:
        return front
    return [front[round(step * (len(front) - 1) / (count - 1))] for step in range(count)]


def _unaccounted(ask: int, usd: float) -> None:
    """A holdout evaluation is no operator's expense."""
