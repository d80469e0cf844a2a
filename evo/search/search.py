"""The search: a pure state machine with no clock, file or network, whose randomness derives from its seed alone.

Five transitions change it: `ask`, `admit`, `drop`, `tell`, `reevaluated`. The same transitions in the same order give
the same state, so a journal of them is a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evo.protocols import Arm, ArmRecord
from evo.randomness import generator
from evo.search.duplicates import DuplicateFilter, SeenGenomes
from evo.search.front import Front, front_of
from evo.search.indicators import Indicators
from evo.search.islands import Archipelago, Island, IslandSettings, Move
from evo.search.lessons import LessonMemory
from evo.search.noise import Noise, NoiseSettings, reevaluated_individual
from evo.search.parents import ParentPool
from evo.search.population import costs_of
from evo.survival.protocols import MatingPool
from evo.values import (
    PAST_LIMIT,
    REEVALUATE_OPERATOR,
    SEED_OPERATOR,
    Ask,
    Candidate,
    Evaluation,
    Individual,
    Lesson,
    Objective,
    Parent,
    Proposal,
    ProposalOutcome,
    Role,
)

UNREADABLE: frozenset[ProposalOutcome] = frozenset(("unparsable", "truncated", "empty"))
MAX_UNREADABLE = 20
"""Proposals of a model after which a search ends if none of its replies could be read."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What a search needs to know.

    Attributes:
        seed: of all its randomness.
        evaluations: how many genomes may be evaluated in all.
        seeds: how many genomes the problem gave to start from.
        deterministic: results are told in the order of asking, so that a run does not depend on timing.
        max_in_flight: of a deterministic search, how many offspring are in flight at once, whatever the number of
            workers.
        islands: how many there are, and what passes between them.
        duplicate_filter: when a proposal counts as a near duplicate.
        reference: of the hypervolume, by objective; None fixes it by the first feasible individuals.
        max_stale_proposals: proposals in a row without a new genome after which the search ends.
        noise: what is done where the same genome is not always evaluated to the same.
    """

    seed: int
    evaluations: int
    seeds: int = 1
    deterministic: bool = False
    max_in_flight: int = 16
    islands: IslandSettings = field(default_factory=IslandSettings)
    duplicate_filter: DuplicateFilter = field(default_factory=DuplicateFilter)
    reference: Mapping[str, float] | None = None
    max_stale_proposals: int = 2000
    noise: NoiseSettings = field(default_factory=NoiseSettings)


@dataclass(frozen=True, slots=True)
class TellResult:
    """What a tell changed.

    Attributes:
        survived: whether the newcomer is in the population of the island that asked for it.
        removed: ids that left that population for it.
        entered_front: whether no individual so far dominates it.
        left_front: ids that it dominates and that were in the front.
        moves: between islands, after it.
    """

    individual: Individual
    survived: bool
    removed: tuple[int, ...]
    entered_front: bool
    left_front: tuple[int, ...]
    moves: tuple[Move, ...] = ()

    @property
    def gain(self) -> float:
        """1 for entering the front, 0.5 for surviving, else 0."""
        return 1.0 if self.entered_front else 0.5 if self.survived else 0.0


@dataclass(frozen=True, slots=True)
class ReevaluationResult:
    """What the re-evaluation of an individual changed.

    Attributes:
        individual: with all its evaluations taken together.
        tell: number of this result; results of offspring and re-evaluations are counted together.
        evaluation: this evaluation alone.
        gone: islands that the individual left, since it failed.
        entered_front: ids that are in the front now and were not.
        left_front: ids that were in the front and are not.
        moves: between islands, after it.
    """

    individual: Individual
    tell: int
    evaluation: Evaluation
    gone: tuple[int, ...] = ()
    entered_front: tuple[int, ...] = ()
    left_front: tuple[int, ...] = ()
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True, slots=True)
class AskSnapshot:
    """What was known when an ask was made, which is all that its operator may see, however late it runs."""

    parents: tuple[Individual, ...] = ()
    lessons: tuple[Lesson, ...] = ()
    record: tuple[ArmRecord, ...] = ()
    memory: object = None


@dataclass(slots=True)
class _UnderWay:
    ask: Ask
    ask_snapshot: AskSnapshot
    arm: int | None
    compared_with: tuple[Individual, ...] | None = None
    usd: float = 0.0
    lessons: tuple[Lesson, ...] = ()


class Search:
    """Steady-state search: every tell may change the population, and no slow candidate holds up the others."""

    def __init__(
        self,
        settings: SearchSettings,
        objectives: Sequence[Objective],
        *,
        island: Callable[[int], Island],
    ) -> None:
        """A search without any result yet.

        Args:
            island: makes an empty island, by its number.
        """
        self.settings = settings
        self.objectives = tuple(objectives)
        self.population = Archipelago(settings.islands, self.objectives, island, seed=settings.seed)
        self.front = Front(len(self.objectives))
        self.indicators = Indicators(self.objectives, reference=settings.reference)
        self.under_way: dict[int, Ask] = {}
        self.best: dict[str, Individual] = {}
        self.first_failure: Evaluation | None = None
        self.count_told = 0
        self.admitted = 0
        self.noise = Noise(settings.noise, self.objectives)
        self.lessons = LessonMemory()
        self._asked = 0
        self._stale_proposals = 0
        self._unreadable_proposals, self._readable = 0, False
        self._seen = SeenGenomes()
        self._seeds: list[Individual] = []
        self._seeds_left = settings.seeds
        self._open: dict[int, _UnderWay] = {}

    @property
    def exhausted(self) -> bool:
        """Whether so many proposals in a row gave no new genome that more of them would be a waste."""
        return self._stale_proposals >= self.settings.max_stale_proposals or self.unreadable

    @property
    def unreadable(self) -> bool:
        """Whether no reply of a model could be read so far, and there were enough of them."""
        return not self._readable and self._unreadable_proposals >= MAX_UNREADABLE

    def ask(self) -> Ask | None:
        """The next offspring to make; None while there is none (wait for a tell, or the search is over)."""
        if self.count_told + len(self.under_way) >= self.settings.evaluations or self.exhausted:
            return None
        if self.settings.deterministic and len(self.under_way) >= self.settings.max_in_flight:
            return None
        if self._asked < self.settings.seeds:
            number = self._asked % len(self.population.islands)
            opened = _UnderWay(Ask(self._asked, SEED_OPERATOR, island=number), AskSnapshot(), None)
        elif (turn := self.population.turn(self._asked)) is not None:
            opened = self._reevaluation(turn) or self._offspring(turn)
        else:
            return None
        self._asked += 1
        if self.settings.duplicate_filter.compares and self.settings.deterministic:
            # Which results come before its admission depends on timing; what it is compared with must not.
            opened.compared_with = tuple(self.population)
        self.under_way[opened.ask.id] = opened.ask
        self._open[opened.ask.id] = opened
        return opened.ask

    def spend(self, ask: int, usd: float) -> None:
        """Add what a completion for an ask under way cost."""
        self._open[ask].usd += usd

    def admit(
        self,
        ask: Ask,
        proposal: Proposal,
        vector: tuple[float, ...] = (),
        *,
        compared_with: Iterable[Individual] | None = None,
    ) -> Candidate | str:
        """Admit a proposed genome to evaluation, or say why it is a duplicate; `drop` the ask then.

        Args:
            proposal: with a genome.
            vector: the genome's embedding; () without an embedding model.
            compared_with: individuals that it may not be a near duplicate of; None takes the population, in a
                deterministic search as it was at the ask.
        """
        genome = proposal.genome
        if genome is None:
            raise ValueError(f"ask {ask.id}: only a proposal with a genome can be admitted")
        if genome.digest in self._seen:
            return "it was proposed before"
        others = self._open[ask.id].compared_with if compared_with is None else compared_with
        if reason := self.settings.duplicate_filter.duplicate(
            genome, vector, self.population if others is None else others
        ):
            return reason
        self._seen.add(genome.digest)
        self._open[ask.id].lessons = proposal.lessons
        self.admitted += 1
        return Candidate(self.admitted - 1, ask, genome, proposal.thought, vector)

    def drop(self, ask: Ask, lessons: tuple[Lesson, ...] = (), outcome: ProposalOutcome = "duplicate") -> None:
        """End an ask that gave no genome to evaluate, for the reason `outcome`; its lessons are kept."""
        self._open[ask.id].lessons = lessons
        self._unreadable_proposals += outcome in UNREADABLE
        self._readable = self._readable or outcome == "duplicate"
        self._end(ask, 0.0)
        self._stale_proposals += 1
        self._seeds_left -= ask.operator == SEED_OPERATOR

    def tell(self, candidate: Candidate, evaluation: Evaluation) -> TellResult:
        """Take in a result. A failed evaluation counts for the budget, and never enters the population."""
        individual = self._individual(candidate, evaluation)
        result = self._place(individual)
        self.population.islands[candidate.ask.island].learn(individual)
        self._end(candidate.ask, result.gain)
        self.count_told += 1
        self._readable = self._readable or candidate.ask.model is not None
        self._stale_proposals = 0
        self._seeds_left -= candidate.ask.operator == SEED_OPERATOR
        moves = self.population.after(self.count_told, candidate.ask.island, seeds_left=self._seeds_left)
        return replace(result, moves=tuple(moves)) if moves else result

    def reevaluated(self, ask: Ask, evaluation: Evaluation) -> ReevaluationResult:
        """Take in another evaluation of the individual that an ask was for.

        A lost evaluation changes nothing. Any other failure removes the individual: what fails now and then is no
        elite. An individual that has left the population and the front stays out, whatever its values.
        """
        individual = self.ask_snapshot(ask).parents[0]
        self._end(ask, 0.0)
        self.count_told += 1
        result = ReevaluationResult(individual, self.count_told - 1, evaluation)
        if evaluation.outcome == "ok":
            known = reevaluated_individual(individual, evaluation, self.objectives)
            result = self._reconsidered(replace(result, individual=known))
        elif evaluation.outcome != "lost":
            result = self._reconsidered(replace(result, gone=tuple(self.population.remove(individual.id))))
        moves = self.population.after(self.count_told, ask.island, seeds_left=self._seeds_left)
        return replace(result, moves=tuple(moves))

    def ask_snapshot(self, ask: Ask) -> AskSnapshot:
        """What the operator of an ask that is under way may see."""
        return self._open[ask.id].ask_snapshot

    def inherit(self, lessons: Sequence[Lesson]) -> None:
        """Begin with lessons of earlier runs."""
        self.lessons.add(tuple(replace(lesson, ask=-1) for lesson in lessons))

    def _individual(self, candidate: Candidate, evaluation: Evaluation) -> Individual:
        parents = self.ask_snapshot(candidate.ask).parents
        individual = Individual(
            id=candidate.id,
            tell=self.count_told,
            ask=candidate.ask,
            genome=candidate.genome,
            evaluation=evaluation,
            thought=candidate.thought,
            past=(*parents[0].past, parents[0].as_ancestor)[-PAST_LIMIT:] if parents else (),
            vector=candidate.vector,
            generation=1 + max((parent.generation for parent in parents), default=-1),
        )
        return self.noise.appraised(individual) if individual.ok else individual

    def _reevaluation(self, number: int) -> _UnderWay | None:
        """An ask to re-evaluate an individual, where each has to be, or where it is uncertain which is better."""
        if not self.settings.noise.reevaluates:
            return None
        busy = {ask.parents[0].id for ask in self.under_way.values() if ask.operator == REEVALUATE_OPERATOR}
        population = self.population.islands[number].population
        individual = self.noise.too_few_evaluations(population, busy)
        individual = individual or self._uncertain(population.mating_pool, busy)
        if individual is None:
            return None
        ask = Ask(self._asked, REEVALUATE_OPERATOR, (Parent(individual.id, "base"),), number)
        return _UnderWay(ask, AskSnapshot((individual,)), None)

    def _uncertain(self, here: MatingPool, busy: Collection[int]) -> Individual | None:
        """A member of an island or an absent individual of the front, whichever is measured less."""
        rng = generator(self.settings.seed, self._asked, "reevaluate")
        if rng.random() >= self.settings.noise.reevaluation_rate:
            return None
        present = {member.id for member in self.population}
        absent = [member for member in self.front if member.id not in present]
        found = [self.noise.most_uncertain([*here, *absent], busy)] if absent else []
        uncertain = [member for member in (*found, self.noise.most_uncertain(here, busy)) if member is not None]
        return min(uncertain, key=lambda member: member.measurements, default=None)

    def _reconsidered(self, result: ReevaluationResult) -> ReevaluationResult:
        """Compare the individuals of the populations and the front again, now that more is known."""
        individual, before = result.individual, {member.id for member in self.front}
        present = {member.id: member for member in self.population}
        known = {member.id: member for member in (*self.front, *self.best.values())} | present
        if individual.id in known:
            known[individual.id] = individual
        ok = result.evaluation.outcome == "ok"
        if not ok and individual.id not in present:
            known.pop(individual.id, None)
        self.noise = self.noise.learnt(({individual.id: individual} | known).values(), ok=ok)
        known = {identity: self.noise.appraised(member) for identity, member in known.items()}
        self.population.revise(known)
        self._seeds = [known.get(seed.id, seed) for seed in self._seeds]
        self._rebuild(sorted(known.values(), key=lambda member: member.tell))
        after = {member.id for member in self.front}
        entered, left = tuple(sorted(after - before)), tuple(sorted(before - after))
        return replace(result, individual=self.noise.appraised(individual), entered_front=entered, left_front=left)

    def _rebuild(self, known: Sequence[Individual]) -> None:
        """Bests, front and indicators from these individuals alone, which come in the order of telling."""
        feasible = [member for member in known if member.evaluation.violation <= 0]
        self.front = front_of(feasible, self.objectives)
        self.best = (
            {objective.name: min(feasible, key=objective.cost) for objective in self.objectives} if feasible else {}
        )
        costs = [costs_of(member, self.objectives) for member in self.front]
        self.indicators.replace_front(np.array(costs).reshape(-1, len(self.objectives)))

    def _place(self, individual: Individual) -> TellResult:
        if individual.evaluation.outcome == "pruned":
            return TellResult(individual, False, (), False, ())
        if not individual.ok:
            self.first_failure = self.first_failure or individual.evaluation
            self.population.islands[individual.ask.island].failed.append(individual)
            return TellResult(individual, False, (), False, ())
        if individual.ask.operator == SEED_OPERATOR:
            self._seeds.append(individual)
        removed = self.population.add(individual, individual.ask.island)
        entered, left = self._note_feasible(individual)
        survived = individual.id not in removed
        return TellResult(individual, survived, tuple(sorted(set(removed) - {individual.id})), entered, tuple(left))

    def _end(self, ask: Ask, gain: float) -> None:
        ended = self._open.pop(ask.id)
        del self.under_way[ask.id]
        self.lessons.add(tuple(replace(lesson, ask=ask.id, gain=gain) for lesson in ended.lessons))
        if ended.arm is not None:
            self.population.islands[ask.island].selector.ended(
                ended.arm, ended.ask_snapshot.parents[0], gain=gain, usd=ended.usd
            )

    def _note_feasible(self, individual: Individual) -> tuple[bool, list[int]]:
        """Update bests and front; infeasible individuals are in neither."""
        if individual.evaluation.violation > 0:
            return False, []
        for objective in self.objectives:
            best = self.best.get(objective.name)
            if best is None or objective.cost(individual) < objective.cost(best):
                self.best[objective.name] = individual
        costs = costs_of(individual, self.objectives)
        self.indicators.observe(costs)
        return self.front.add(individual, costs)

    def _offspring(self, number: int) -> _UnderWay:
        rng, island = generator(self.settings.seed, self._asked, "parents"), self.population.islands[number]
        arm = island.selector.choose(rng)
        chosen = self._chosen(island, island.arms[arm], rng)
        arm = island.selector.routed(arm, chosen[0], rng)
        island.selector.asked(arm)
        taken = island.arms[arm]
        mates: list[Role] = ["mate"] * (taken.arity - 1)
        roles: list[Role] = ["base", *mates]
        parents = tuple(Parent(parent.id, role) for parent, role in zip(chosen, roles, strict=True))
        ask = Ask(self._asked, taken.operator, parents, number, taken.model)
        # Only a model is shown how the arms have done.
        record = island.selector.record() if ask.model else ()
        memory = island.memories[taken.operator].view() if taken.operator in island.memories else None
        return _UnderWay(ask, AskSnapshot(tuple(chosen), self.lessons.best, record, memory), arm)

    def _chosen(self, island: Island, arm: Arm, rng: np.random.Generator) -> list[Individual]:
        """Parents, base first; each failed individual is the base of a repair once, the latest first."""
        chosen = island.parents(ParentPool(island.population.mating_pool, self._seeds), arm.arity, rng)
        return [island.failed.pop(), *chosen[1:]] if arm.repairs and island.failed else chosen
