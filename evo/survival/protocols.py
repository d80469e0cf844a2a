"""Who lives on an island, how a pool is put in order, and who stays: the plug-in points of selection."""

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
        """Let a newcomer that has objectives in; the ids that had to go for it, its own perhaps among them."""
        ...

    def better(self, first: int, second: int) -> int:
        """Which of two positions wins a tournament; the first named of equals."""
        ...


class Population(Protocol):
    """Who lives on an island, in the order of their ids."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Individual]: ...

    @property
    def mating_pool(self) -> MatingPool:
        """Those of them that may be parents; at least one where anybody lives."""
        ...

    def add(self, newcomer: Individual) -> list[int]:
        """Let a newcomer that has objectives in; the ids that had to go, its own perhaps among them."""
        ...

    def revise(self, known: Mapping[int, Individual]) -> None:
        """Take members as they are known by now, by their ids, and order all of them anew; nobody comes or goes."""
        ...

    def remove(self, identity: int) -> None:
        """Let a member go, whatever it is worth."""
        ...


class Ranking(Protocol):
    """A pool put in order: by rank, then by how lonely a member is within its front. A value: it never changes."""

    @property
    def rank(self) -> IntArray:
        """Front of each member of the pool, 0 the best, shape (n,)."""
        ...

    def crowding(self, member: int) -> float:
        """How lonely this member of the pool is among those of its rank, as a parent; larger is better."""
        ...

    def worst(self, count: int) -> list[int]:
        """The `count` members to drop, as indices into the pool, as they leave; ties fall on the later one."""
        ...

    def with_newcomer(self, place: int, objectives: FloatArray, violation: float) -> Ranking:
        """The ranking of the pool with one more before the member at `place`: the same as if ranked from scratch.

        Args:
            objectives: its own, shape (m,).
            violation: its own.
        """
        ...

    def rejects(self, objectives: FloatArray, violation: float) -> bool:
        """Whether a newcomer is seen at a glance to come last of all, so that it would leave first.

        Args:
            objectives: its own, shape (m,).
            violation: its own.
        """
        ...

    def without(self, dropped: list[int]) -> Ranking:
        """The ranking of the others once these, which `worst` named, are gone: the same as if ranked from scratch."""
        ...


class Survival(Protocol):
    """Decides who stays. A value: it never changes. Subclass it to have the defaults."""

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
