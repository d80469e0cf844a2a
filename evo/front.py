"""The archive of all individuals that no other individual dominates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evo.protocols import FloatArray
from evo.values import Individual


class Front:
    """Grows by individuals, drops those that a newcomer dominates; of equals, the first stays.

    Costs one vectorised comparison with the archive per newcomer.
    """

    def __init__(self, objectives: int) -> None:
        self._members: list[Individual] = []
        self._costs: FloatArray = np.empty((0, objectives))

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
        if np.any(np.all(self._costs <= costs, axis=1)):
            return False, []
        beaten = np.all(costs <= self._costs, axis=1)
        left = [member.id for member, gone in zip(self._members, beaten, strict=True) if gone]
        self._members = [member for member, gone in zip(self._members, beaten, strict=True) if not gone]
        self._members.append(newcomer)
        self._costs = np.vstack([self._costs[~beaten], costs])
        return True, left
