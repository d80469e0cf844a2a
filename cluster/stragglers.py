"""Finds evaluations that take much longer than their peers. Pure: it observes durations."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Hashable
from typing import TypeAlias

Kind: TypeAlias = Hashable
"""Evaluations of the same kind are peers."""

QUANTILE = 0.95
PEERS = 20
REMEMBERED = 256
LEAST_SECONDS = 5.0
"""Nothing is overdue earlier: a new worker takes a second or two to start, and the problem's imports."""


class Stragglers:
    """Knows how long the latest evaluations of each kind took.

    Args:
        multiple: an evaluation is overdue beyond this many times the 95th percentile of its peers; None for never.
    """

    def __init__(self, multiple: float | None) -> None:
        self._multiple = multiple
        self._seconds: defaultdict[Kind, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))

    def observe(self, kind: Kind, seconds: float) -> None:
        """An evaluation has ended."""
        if self._multiple is not None:
            self._seconds[kind].append(seconds)

    def usual_seconds(self, kind: Kind) -> float | None:
        """The 95th percentile of this kind; None while fewer than 20 are known."""
        known = sorted(self._seconds.get(kind, ()))
        return known[math.ceil(QUANTILE * len(known)) - 1] if len(known) >= PEERS else None

    def overdue(self, kind: Kind, waited_seconds: float, count: int = 1) -> bool:
        """Whether a task of `count` evaluations in sequence has taken too long."""
        if self._multiple is None or waited_seconds < LEAST_SECONDS:
            return False
        usual = self.usual_seconds(kind)
        return usual is not None and waited_seconds > self._multiple * count * usual
