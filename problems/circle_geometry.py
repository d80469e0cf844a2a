"""Circles in the unit square in exact arithmetic: which overlap, and the radii of a strictly valid packing.

Every float is a rational number, so distances and radii compare exactly as squares of fractions; nothing takes a root.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from evo.errors import CandidateError
from evo.protocols import FloatArray

TOLERANCE = 1e-9  # side lengths of the square: more than rounding errors, less than any useful gain
NAMED = 5


def valid_radii(centres: FloatArray, radii: FloatArray) -> FloatArray:
    """The radii, shrunk where they stick out or overlap by rounding only, so that the packing is strictly valid.

    Args:
        centres: finite, shape (n, 2).
        radii: finite, shape (n,).

    Raises:
        CandidateError: invalid; a centre outside the square, a negative radius, or more overlap than `TOLERANCE`.
    """
    room = room_to_walls(centres)
    _check_outside(room, radii)
    inside = np.minimum(radii, room)
    _check_overlaps(centres, inside)
    return _without_overlaps(centres, inside)


def room_to_walls(centres: FloatArray) -> FloatArray:
    """Distance of each centre to the nearest wall, shape (n,); negative outside.

    Exact: 1 - x is so for x >= 1/2 (Sterbenz), and below that x itself is the minimum.
    """
    room: FloatArray = np.minimum(centres, 1.0 - centres).min(axis=1)
    return room


def gaps(centres: FloatArray, radii: FloatArray) -> FloatArray:
    """Room between the rims of each two circles, shape (n, n): negative is overlap, infinite on the diagonal."""
    offsets = centres[:, None, :] - centres[None, :, :]
    between = np.hypot(offsets[..., 0], offsets[..., 1]) - (radii[:, None] + radii[None, :])
    np.fill_diagonal(between, np.inf)
    return between


def _check_outside(room: FloatArray, radii: FloatArray) -> None:
    _check_none("centres outside the unit square", room < 0.0, -room)
    _check_none("negative radii", radii < 0.0, -radii)
    _check_none("circles that stick out of the unit square", radii - room > TOLERANCE, radii - room)


def _check_none(what: str, wrong: NDArray[np.bool_], amounts: FloatArray) -> None:
    if wrong.any():
        named = ", ".join(f"circle {i} by {amounts[i]:.3g}" for i in np.flatnonzero(wrong)[:NAMED])
        raise CandidateError("invalid", f"{np.count_nonzero(wrong)} {what}: {named}")


def _check_overlaps(centres: FloatArray, radii: FloatArray) -> None:
    overlaps = -np.triu(gaps(centres, radii), 1)
    pairs = np.argwhere(overlaps > TOLERANCE)
    if len(pairs):
        worst = sorted(map(tuple, pairs), key=lambda pair: -overlaps[pair])[:NAMED]
        named = ", ".join(f"circles {i} and {j} by {overlaps[i, j]:.3g}" for i, j in worst)
        raise CandidateError("invalid", f"{len(pairs)} pairs of circles overlap, the worst of them: {named}")


def _without_overlaps(centres: FloatArray, radii: FloatArray) -> FloatArray:
    # Shrinking a circle never makes another pair overlap, so a single pass over the pairs is enough.
    shrunk = radii.copy()
    for i, j in _near_pairs(centres, radii):
        squared = _squared_distance(centres[i], centres[j])
        if _overlap(shrunk[i], shrunk[j], squared):
            shrunk[[i, j]] = _fitted(shrunk[i], shrunk[j], squared)
    return shrunk


def _near_pairs(centres: FloatArray, radii: FloatArray) -> list[tuple[int, int]]:
    """The pairs i < j whose gap is so small that only exact arithmetic can tell its sign."""
    near = np.argwhere(np.triu(gaps(centres, radii) <= 1e-12, 1))
    return [(int(i), int(j)) for i, j in near]


def _squared_distance(first: FloatArray, second: FloatArray) -> Fraction:
    (x1, y1), (x2, y2) = first.tolist(), second.tolist()
    return (Fraction(x1) - Fraction(x2)) ** 2 + (Fraction(y1) - Fraction(y2)) ** 2


def _overlap(first: float, second: float, squared_distance: Fraction) -> bool:
    return (Fraction(first) + Fraction(second)) ** 2 > squared_distance


def _fitted(first: float, second: float, squared_distance: Fraction) -> tuple[float, float]:
    """Two radii shrunk in proportion until the circles no longer overlap."""
    scale = math.sqrt(squared_distance) / (first + second)
    first, second = min(first, first * scale), min(second, second * scale)
    step = 2.0**-53  # doubled each time, so that it also ends soon where the squared distance underflows
    while _overlap(first, second, squared_distance):
        first, second, step = first * (1.0 - step), second * (1.0 - step), 2.0 * step
    return first, second
