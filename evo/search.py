"""The search as a pure state machine: no clock, no file, no network, no randomness but what derives from its seed.

Four transitions change it: `ask`, `admit`, `drop`, `tell`. The same transitions in the same order give the same state,
so a journal of them is a checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evo.front import Front
from evo.genomes import Genome
from evo.parents import tournament
from evo.population import Population, costs_of
from evo.protocols import Survival
from evo.values import Ask, Candidate, Evaluation, Individual, Objective, Parent

SEED_OPERATOR = "seed"
FRUITLESS_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class OperatorShare:
    """An operator's place in the mixture: how many parents it takes, and its weight relative to the others."""

    name: str
    arity: int
    weight: float


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What a search needs to know.

    Attributes:
        seed: of all its randomness.
        population: how many survive.
        evaluations: how many genomes may be evaluated in all.
        seeds: how many genomes the problem gave to start from.
        order: "ask" tells results in the order of asking, so that a run does not depend on timing; "arrival" as they
            come.
        lag: with order "ask", how many offspring are under way at once, whatever the number of workers.
    """

    seed: int
    population: int
    evaluations: int
    seeds: int = 1
    order: Literal["arrival", "ask"] = "arrival"
    lag: int = 16


@dataclass(frozen=True, slots=True)
class Told:
    """What a tell changed.

    Attributes:
        survived: whether the newcomer is in the population now.
        removed: ids that left the population for it.
        entered_front: whether nothing told so far dominates it.
        left_front: ids that it dominates and that were in the front.
    """

    individual: Individual
    survived: bool
    removed: tuple[int, ...]
    entered_front: bool
    left_front: tuple[int, ...]


class Search:
    """Steady-state search: every tell may change the population, and no slow candidate holds the others."""

    def __init__(
        self,
        settings: SearchSettings,
        objectives: Sequence[Objective],
        *,
        operators: Sequence[OperatorShare],
        survival: Survival,
    ) -> None:
        self.settings = settings
        self.objectives = tuple(objectives)
        self.population = Population(settings.population, self.objectives, survival)
        self.front = Front(len(self.objectives))
        self.under_way: dict[int, Ask] = {}
        self.best: dict[str, Individual] = {}
        self.first_failure: Evaluation | None = None
        self.told = 0
        self.admitted = 0
        self._operators = tuple(operators)
        self._shares = np.array([operator.weight for operator in operators], dtype=float)
        self._asked = 0
        self._fruitless = 0
        self._seen: set[str] = set()
        self._parents: dict[int, tuple[Individual, ...]] = {}

    @property
    def exhausted(self) -> bool:
        """Whether so many proposals in a row gave nothing new that more of them would be a waste."""
        return self._fruitless >= FRUITLESS_LIMIT

    def ask(self) -> Ask | None:
        """The next offspring to make; None while there is none to ask for (wait for a tell, or the search is over)."""
        if self.told + len(self.under_way) >= self.settings.evaluations or self.exhausted:
            return None
        if self.settings.order == "ask" and len(self.under_way) >= self.settings.lag:
            return None
        if self._asked < self.settings.seeds:
            ask, parents = Ask(self._asked, SEED_OPERATOR), tuple[Individual, ...]()
        elif len(self.population):
            ask, parents = self._offspring()
        else:
            return None
        self._asked += 1
        self.under_way[ask.id] = ask
        self._parents[ask.id] = parents
        return ask

    def admit(self, ask: Ask, genome: Genome, thought: str = "") -> Candidate | None:
        """Let a proposed genome through to evaluation; None where it was proposed before. `drop` the ask then."""
        if genome.digest in self._seen:
            return None
        self._seen.add(genome.digest)
        self.admitted += 1
        return Candidate(self.admitted - 1, ask, genome, thought)

    def drop(self, ask: Ask) -> None:
        """End an ask that gave nothing to evaluate."""
        self._end(ask)
        self._fruitless += 1

    def tell(self, candidate: Candidate, evaluation: Evaluation) -> Told:
        """Take in a result. A failed evaluation is counted, and never enters the population."""
        self._end(candidate.ask)
        individual = Individual(
            candidate.id, self.told, candidate.ask, candidate.genome, evaluation, thought=candidate.thought
        )
        self.told += 1
        self._fruitless = 0
        if not individual.ok:
            self.first_failure = self.first_failure or evaluation
            return Told(individual, False, (), False, ())
        removed = self.population.add(individual)
        entered, left = self._note_feasible(individual)
        survived = individual.id not in removed
        return Told(individual, survived, tuple(sorted(set(removed) - {individual.id})), entered, tuple(left))

    def parents(self, ask: Ask) -> tuple[Individual, ...]:
        """The parents of an ask that is under way, as they were when it was made; they may have left the population."""
        return self._parents[ask.id]

    def _end(self, ask: Ask) -> None:
        del self.under_way[ask.id], self._parents[ask.id]

    def _note_feasible(self, individual: Individual) -> tuple[bool, list[int]]:
        """Bests and front; the infeasible have no part in either."""
        if individual.evaluation.violation > 0:
            return False, []
        for objective in self.objectives:
            best = self.best.get(objective.name)
            if best is None or objective.better(individual.evaluation, best.evaluation):
                self.best[objective.name] = individual
        return self.front.add(individual, costs_of(individual, self.objectives))

    def _offspring(self) -> tuple[Ask, tuple[Individual, ...]]:
        rng = np.random.default_rng((self.settings.seed, self._asked, 0))
        operator = self._operators[int(rng.choice(len(self._shares), p=self._shares / self._shares.sum()))]
        chosen = tournament(self.population, operator.arity, rng)
        roles = ["base", *["mate"] * (operator.arity - 1)]
        parents = tuple(Parent(one.id, role) for one, role in zip(chosen, roles, strict=True))  # type: ignore[arg-type]
        return Ask(self._asked, operator.name, parents), tuple(chosen)
