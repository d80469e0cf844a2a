"""The plug-in points of selection: a population with its mating pool, the ranking of a pool, and survival."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from evo.protocols import FloatArray, IntArray
from evo.values import Individual, Objective


class MatingPool(Protocol):
    """A bounded set of individuals in the order of their ids, from which parents are chosen."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Individual]: ...

    def __getitem__(self, position: int) -> Individual: ...

    def add(self, newcomer: Individual) -> list[int]:
        """Add a newcomer with objectives; the ids that leave for it, its own perhaps among them."""
        ...

    def better(self, first: int, second: int) -> int:
        """Which of two positions wins a tournament; of equals the first named."""
        ...


class Population(Protocol):
    """The individuals of an island, in the order of their ids."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Individual]: ...

    @property
    def mating_pool(self) -> MatingPool:
        """The individuals that may be parents; empty only where the population is."""
        ...

    def add(self, newcomer: Individual) -> list[int]:
        """Add a newcomer with objectives; the ids that leave, its own perhaps among them."""
        ...

    def revise(self, known: Mapping[int, Individual]) -> None:
        """Replace members by what is known of them now, by id, and rank all again; none enters or leaves."""
        ...

    def remove(self, identity: int) -> None:
        """Remove a member, however good it is."""
        ...


class Ranking(Protocol):
    """A pool in order: by rank, then by crowding distance within a front. An immutable value."""

    @property
    def rank(self) -> IntArray:
        """Front of each member of the pool, 0 the best, shape (n,)."""
        ...

    def crowding(self, member: int) -> float:
        """The crowding distance of a member within its front, by which parents are compared; larger is better."""
        ...

    def worst(self, count: int) -> list[int]:
        """The `count` members to drop, as indices into the pool, as they leave; of equals the later leaves."""
        ...

    def with_newcomer(self, place: int, objectives: FloatArray, violation: float) -> Ranking:
        """The ranking of the pool with a newcomer before the member at `place`: the same as if ranked from scratch.

        Args:
            objectives: of the newcomer, shape (m,).
            violation: of the newcomer.
        """
        ...

    def rejects(self, objectives: FloatArray, violation: float) -> bool:
        """Whether a quick check shows that a newcomer would rank last of all, so that it would leave first.

        Args:
            objectives: of the newcomer, shape (m,).
            violation: of the newcomer.
        """
        ...

    def without(self, dropped: list[int]) -> Ranking:
        """The ranking without these members, which `worst` named: the same as if ranked from scratch."""
        ...


class Survival(Protocol):
    """Decides which individuals stay. An immutable value. Subclass it to have the defaults."""

    def fitted(self, objectives: Sequence[Objective], capacity: int) -> Survival:
        """This survival, made for a population of `capacity` with these objectives.

        Raises:
            ConfigError: an option that does not fit them.
        """
        return self

    def ranking(self, objectives: FloatArray, violation: FloatArray) -> Ranking:
        """Rank a pool without failures; it may be empty.

        Args:
            objectives: to be minimised, finite, shape (n, m).
            violation: total constraint violation, 0 where feasible, shape (n,).
        """
        ...
