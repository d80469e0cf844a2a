"""Islands: populations that evolve apart and exchange migrants, each with its own way of making offspring."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Interval

from evo.protocols import Arm, Memory, OperatorSelector
from evo.randomness import generator
from evo.search.parents import ParentPool
from evo.search.population import cost_of
from evo.survival.protocols import Population
from evo.values import SEED_OPERATOR, Individual, Objective, Topology

FAILURES_KEPT = 16

Reason = Literal["founded", "migrated", "reset", "born"]
ChooseParents = Callable[[ParentPool, int, np.random.Generator], list[Individual]]


@dataclass(frozen=True, slots=True)
class IslandSettings:
    """How many islands there are, and when individuals move between them.

    The section search.islands of a configuration. Periods are counted in tells.

    Attributes:
        count: islands at the beginning.
        topology: where migrants go: "ring", to the next island; "star", from the first island to all others and from
            them to the first; "random", to any other.
        every: tells on an island between two migrations from it; None never migrates by count.
        stagnation: tells on an island without a better individual after which it receives migrants; None never does.
        migrants: how many at once, the best first.
        reset_every: tells in all after which the weaker half of the islands is emptied, each to be founded again by the
            best of an island of the better half (FunSearch, Romera-Paredes et al., 2024); None never resets.
        birth_after: tells without a better individual anywhere after which another island is founded; None never does.
        most: islands that there may be.
    """

    count: Annotated[int, Interval(ge=1, le=10_000)] = 1
    topology: Topology = "ring"
    every: Annotated[int, Ge(1)] | None = None
    stagnation: Annotated[int, Ge(1)] | None = None
    migrants: Annotated[int, Ge(1)] = 1
    reset_every: Annotated[int, Ge(1)] | None = None
    birth_after: Annotated[int, Ge(1)] | None = None
    most: Annotated[int, Interval(ge=1, le=10_000)] = 16


@dataclass(frozen=True, slots=True)
class Move:
    """An individual was copied to an island where it was not born.

    Attributes:
        source: island that it came from.
        removed: ids that left the target for it, its own perhaps among them; on a reset, the target's whole population.
    """

    individual: int
    source: int
    target: int
    reason: Reason
    removed: tuple[int, ...] = ()


Merit = tuple[float, float]
WORST: Merit = (float("inf"), float("inf"))


@dataclass(slots=True)
class Island:
    """A population, with what chooses parents and operators for it.

    Attributes:
        memories: of operators that learn, by name.
        best: violation and first objective, to be minimised, of the best individual that was ever here.
        count_told: results of offspring that were asked for here.
        stale: how many of them since the best improved, or since migrants were sent to it.
        failed: failed individuals that an operator may still repair, each once; the latest last.
    """

    population: Population
    selector: OperatorSelector
    arms: tuple[Arm, ...]
    parents: ChooseParents
    memories: Mapping[str, Memory]
    best: Merit = WORST
    count_told: int = 0
    stale: int = 0
    failed: deque[Individual] = field(default_factory=lambda: deque(maxlen=FAILURES_KEPT))

    def learn(self, individual: Individual) -> None:
        """Let the operator that proposed an individual learn from it; all operators learn from a seed."""
        for name, memory in self.memories.items():
            if individual.ask.operator in (name, SEED_OPERATOR):
                memory.observe(individual)


class Archipelago:
    """All islands. What passes between them follows from the order of tells and the search's seed.

    Args:
        make: makes an empty island, by its number.
    """

    def __init__(
        self, settings: IslandSettings, objectives: Sequence[Objective], make: Callable[[int], Island], *, seed: int
    ) -> None:
        self._settings = settings
        self._objectives = tuple(objectives)
        self._make = make
        self._seed = seed
        self._stale = 0
        self._best = WORST
        self.islands = [make(number) for number in range(settings.count)]

    def __len__(self) -> int:
        """How many individuals there are, each counted once."""
        return len(self.islands[0].population) if len(self.islands) == 1 else len({member.id for member in self})

    def __iter__(self) -> Iterator[Individual]:
        """All individuals, island by island; a migrant comes once for each island that it is on."""
        for island in self.islands:
            yield from island.population

    def turn(self, ask: int) -> int | None:
        """The island whose turn it is; None while all are empty."""
        settled = [number for number, island in enumerate(self.islands) if len(island.population)]
        return settled[ask % len(settled)] if settled else None

    def add(self, newcomer: Individual, number: int) -> list[int]:
        """Add an individual to an island's population; the ids that left for it."""
        self._note(newcomer, number)
        return self.islands[number].population.add(newcomer)

    def revise(self, known: Mapping[int, Individual]) -> None:
        """Replace members by what is known of them now, by id; the best so far is then the best of the populations."""
        for island in self.islands:
            island.population.revise(known)
            island.best = min((self._merit(member) for member in island.population), default=WORST)
        self._best = min(island.best for island in self.islands)

    def remove(self, identity: int) -> list[int]:
        """Remove an individual from every population, unless it is the last of all; the islands that it left."""
        if not any(member.id != identity for member in self):
            return []
        homes = [
            number
            for number, island in enumerate(self.islands)
            if any(member.id == identity for member in island.population)
        ]
        for number in homes:
            self.islands[number].population.remove(identity)
        return homes

    def after(self, tell: int, number: int, *, seeds_left: int) -> list[Move]:
        """Found, migrate, reset and give birth after a result of an island, where it is time to.

        Args:
            tell: how many results there are by now.
            number: of the island.
            seeds_left: how many of the problem's own genomes have no result yet.
        """
        self.islands[number].count_told += 1
        self.islands[number].stale += 1
        self._stale += 1
        if len(self.islands) == 1 and self._settings.birth_after is None:
            return []
        rng = generator(self._seed, tell, "islands")
        moves = self._found(rng) if not seeds_left else []
        return [*moves, *self._migrations(number, rng), *self._reset(tell, rng), *self._birth(rng)]

    def _note(self, newcomer: Individual, number: int) -> None:
        merit = self._merit(newcomer)
        if merit < self.islands[number].best:
            self.islands[number].best, self.islands[number].stale = merit, 0
        if merit < self._best:
            self._best, self._stale = merit, 0

    def _merit(self, individual: Individual) -> Merit:
        return individual.evaluation.violation, cost_of(individual, self._objectives[0])

    def _elite(self, number: int, count: int) -> list[Individual]:
        return sorted(self.islands[number].population, key=lambda member: (self._merit(member), member.id))[:count]

    def _settled(self, but: int | None = None) -> list[int]:
        return [number for number, island in enumerate(self.islands) if len(island.population) and number != but]

    def _found(self, rng: np.random.Generator) -> list[Move]:
        """Give each empty island a founder: the best of another island."""
        return [
            self._send(self._elite(source, 1)[0], source, target, "founded")
            for target, island in enumerate(self.islands)
            if not len(island.population) and (source := self._any(self._settled(), rng)) is not None
        ]

    def _migrations(self, number: int, rng: np.random.Generator) -> list[Move]:
        settings, island = self._settings, self.islands[number]
        moves: list[Move] = []
        if settings.every and island.count_told % settings.every == 0:
            moves += self._migrate(number, self._neighbours(number, rng))
        if settings.stagnation and island.stale >= settings.stagnation:
            island.stale = 0
            source = self._any(self._settled(number), rng)
            moves += self._migrate(source, [number]) if source is not None else []
        return moves

    def _neighbours(self, number: int, rng: np.random.Generator) -> list[int]:
        count = len(self.islands)
        if count == 1:
            return []
        if self._settings.topology == "ring":
            return [(number + 1) % count]
        if self._settings.topology == "star":
            return list(range(1, count)) if number == 0 else [0]
        return [(number + 1 + int(rng.integers(count - 1))) % count]

    def _migrate(self, source: int, targets: Sequence[int]) -> list[Move]:
        elite = self._elite(source, self._settings.migrants)
        return [
            self._send(member, source, target, "migrated")
            for target in targets
            for member in elite
            if all(member.id != other.id for other in self.islands[target].population)
        ]

    def _reset(self, tell: int, rng: np.random.Generator) -> list[Move]:
        every, settled = self._settings.reset_every, self._settled()
        if not every or tell % every or len(settled) < 2:
            return []
        by_merit = sorted(settled, key=lambda number: (self._merit(self._elite(number, 1)[0]), number))
        better, weaker = by_merit[: -(len(by_merit) // 2)], by_merit[-(len(by_merit) // 2) :]
        return [self._refound(target, int(rng.choice(better))) for target in weaker]

    def _refound(self, target: int, source: int) -> Move:
        """Empty an island and give it a founder; what its selector and its operators have learnt stays."""
        old = self.islands[target]
        gone = tuple(member.id for member in old.population)
        self.islands[target] = replace(
            self._make(target), selector=old.selector, memories=old.memories, count_told=old.count_told
        )
        move = self._send(self._elite(source, 1)[0], source, target, "reset")
        return Move(move.individual, source, target, "reset", gone)

    def _birth(self, rng: np.random.Generator) -> list[Move]:
        after, settled = self._settings.birth_after, self._settled()
        if not after or self._stale < after or len(self.islands) >= self._settings.most or not settled:
            return []
        self._stale = 0
        self.islands.append(self._make(len(self.islands)))
        source = int(rng.choice(settled))
        return [self._send(self._elite(source, 1)[0], source, len(self.islands) - 1, "born")]

    def _send(self, individual: Individual, source: int, target: int, reason: Reason) -> Move:
        return Move(individual.id, source, target, reason, tuple(self.add(individual, target)))

    @staticmethod
    def _any(numbers: Sequence[int], rng: np.random.Generator) -> int | None:
        return int(rng.choice(numbers)) if numbers else None
