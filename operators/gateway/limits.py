"""Rate limits of an endpoint: a token bucket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Bucket:
    """Lets through `per_minute` units a minute, evenly: in any t seconds at most t/60 of them, and a second's worth.

    A single amount above a second's worth passes when the bucket is full and leaves it in debt, so that the rate holds
    in the long run. First come, first served. None lets everything through.
    """

    def __init__(self, per_minute: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60.0 if per_minute is not None else None
        self._capacity = max(1.0, self._rate or 0.0)
        self._level = self._capacity
        self._clock = clock
        self._filled_at = clock()

    def take(self, amount: float) -> float:
        """Take `amount` now; the seconds to wait before using it."""
        if self._rate is None:
            return 0.0
        now = self._clock()
        self._level = min(self._capacity, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = now
        missing = min(amount, self._capacity) - self._level
        self._level -= amount
        return max(0.0, missing / self._rate)

    def give_back(self, amount: float) -> None:
        """Return what was taken and not used."""
        if self._rate is not None:
            self._level = min(self._capacity, self._level + amount)

    async def wait(self, amount: float) -> None:
        """Take `amount` and wait until it may be used; a call that is cancelled meanwhile has taken nothing."""
        seconds = self.take(amount)
        try:
            if seconds > 0:
                await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.give_back(amount)
            raise
