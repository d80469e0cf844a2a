"""Epsilon-dominance: how finely objectives and violations are distinguished."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from evo.errors import ConfigError
from evo.protocols import FloatArray
from evo.values import Objective


class Grid:
    """Divides the space of objectives into boxes, and takes small violations for none.

    Of two points in different boxes the point in the better box is better, which is epsilon-dominance. Of points in the
    same box the nearest to the box's best corner is better, so a point that dominates another always comes before it.
    Boxes decide which point is better and nothing else: distances between points are those of the objectives.

    Source: Laumanns, Thiele, Deb and Zitzler, "Combining convergence and diversity in evolutionary multiobjective
    optimization", 2002; the order within a box is that of Deb, Mohan and Mishra's epsilon-MOEA, 2003.

    Args:
        epsilon: name of an objective to the width of a box in its own unit; without an entry any difference counts.
        tolerance: a total violation up to this counts as none, in survival only: the front and the bests that a run
            reports break no constraint at all.

    Raises:
        ConfigError: a width that is not above 0, a tolerance below 0.
    """

    def __init__(self, epsilon: Mapping[str, float] | None = None, tolerance: float = 0.0) -> None:
        for name, width in (epsilon or {}).items():
            if not 0 < width < math.inf:
                raise ConfigError(f"epsilon of {name} is {width}; expected a number above 0")
        if not 0 <= tolerance < math.inf:
            raise ConfigError(f"the tolerance for violations is {tolerance}; expected a number from 0 up")
        self._epsilon = dict(epsilon or {})
        self.tolerance = tolerance
        self._widths: FloatArray | None = None

    def fitted(self, objectives: Sequence[Objective]) -> Grid:
        """The same grid for these objectives.

        Raises:
            ConfigError: an epsilon for an unknown objective.
        """
        fitted = Grid(self._epsilon, self.tolerance)
        if self._epsilon:
            fitted._widths = by_objective(self._epsilon, objectives, "epsilon")
        return fitted

    def boxes(self, objectives: FloatArray) -> FloatArray:
        """The box of each point, as a number along each objective, shape (n, m); without epsilon the points themselves.

        Raises:
            ValueError: there is an epsilon, and the grid was not fitted.
        """
        if not self._epsilon:
            return objectives
        boxes: FloatArray = np.where(self._fitted_widths > 0, np.floor(self._counted(objectives)), objectives)
        return boxes

    def excess(self, objectives: FloatArray) -> FloatArray:
        """How far each point is from its box's best corner, in widths, summed over the objectives, shape (n,)."""
        if not self._epsilon:
            return np.zeros(len(objectives))
        counted = np.where(self._fitted_widths > 0, self._counted(objectives), 0.0)
        excess: FloatArray = (counted - np.floor(counted)).sum(axis=1)
        return excess

    def _counted(self, objectives: FloatArray) -> FloatArray:
        """Objectives in widths; finite, however narrow a box is."""
        widths = np.where(self._fitted_widths > 0, self._fitted_widths, 1.0)
        with np.errstate(over="ignore"):
            return np.nan_to_num(objectives / widths)

    def with_tolerance(self, violation: FloatArray) -> FloatArray:
        """Violations, those within the tolerance as 0, shape (n,)."""
        return np.where(violation <= self.tolerance, 0.0, violation)

    @property
    def _fitted_widths(self) -> FloatArray:
        if self._widths is None:
            raise ValueError(
                f"an epsilon for {', '.join(self._epsilon)} needs a survival that was fitted to objectives"
            )
        return self._widths


def by_objective(amounts: Mapping[str, float], objectives: Sequence[Objective], what: str) -> FloatArray:
    """The amounts in the order of the objectives, 0 where there is none, shape (m,).

    Raises:
        ConfigError: an amount for an unknown objective.
    """
    names = [objective.name for objective in objectives]
    for name in amounts:
        if name not in names:
            raise ConfigError(f"{what} for {name!r}, which is no objective; expected among {', '.join(names)}")
    return np.array([float(amounts.get(name, 0.0)) for name in names])
