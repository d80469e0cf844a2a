"""The archive of all individuals that no other individual dominates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import moocore
import numpy as np

from evo.protocols import FloatArray, IntArray
from evo.search.population import costs_of
from evo.values import Individual, Objective

FIRST_ROOM = 16


class Nondominated:
    """Points of which none dominates another, in the order in which they came; of equals, the first stays.

    They are kept in an array with a column for each objective, whose room doubles: a newcomer costs two comparisons
    with each column, and points are copied only when others leave.
    """

    def __init__(self, objectives: int) -> None:
        self._room: FloatArray = np.empty((objectives, FIRST_ROOM))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def points(self) -> FloatArray:
        """All points, shape (n, m); to be read before the next point enters."""
        return self._room[:, : self._count].T

    def beaten(self, costs: FloatArray) -> IntArray | None:
        """Positions of the points that a newcomer dominates, ascending; None where a point dominates or equals it.

        Args:
            costs: to be minimised, shape (m,).
        """
        columns, newcomer = self._room[:, : self._count], costs[:, np.newaxis]
        if np.logical_and.reduce(columns <= newcomer, axis=0).any():
            return None
        return np.flatnonzero(np.logical_and.reduce(columns >= newcomer, axis=0))

    def enter(self, costs: FloatArray, beaten: IntArray) -> None:
        """Add a newcomer in the place of the points that it dominates, as `beaten` gave them."""
        if len(beaten):
            staying = np.delete(self._room[:, : self._count], beaten, axis=1)
            self._count = staying.shape[1]
            self._room[:, : self._count] = staying
        elif self._count == self._room.shape[1]:
            self._room = np.concatenate((self._room, np.empty_like(self._room)), axis=1)
        self._room[:, self._count] = costs
        self._count += 1


class Front:
    """The nondominated individuals so far; of equals, the first stays."""

    def __init__(self, objectives: int) -> None:
        self._members: list[Individual] = []
        self._points = Nondominated(objectives)

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Individual]:
        return iter(self._members)

    def add(self, newcomer: Individual, costs: FloatArray) -> tuple[bool, list[int]]:
        """Whether the newcomer entered, and the ids that left for it.

        Args:
            newcomer: feasible and ok.
            costs: its objectives, to be minimised, shape (m,).
        """
        beaten = self._points.beaten(costs)
        if beaten is None:
            return False, []
        self._points.enter(costs, beaten)
        # From the back, so that the positions of the others stay valid.
        left = [self._members.pop(place).id for place in reversed(beaten.tolist())]
        self._members.append(newcomer)
        return True, left[::-1]


def front_of(pool: Sequence[Individual], objectives: Sequence[Objective]) -> Front:
    """The front of a pool of individuals.

    Args:
        pool: feasible and ok, in the order of telling.
    """
    front, costs = Front(len(objectives)), np.array([costs_of(member, objectives) for member in pool])
    # Most of a large pool is dominated, which is found faster for all at once than for each newcomer.
    for place in np.flatnonzero(moocore.is_nondominated(costs, keep_weakly=True)).tolist() if len(pool) else ():
        front.add(pool[place], costs[place])
    return front
