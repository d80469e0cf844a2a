"""A circuit breaker: pauses an endpoint that does nothing but fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from operators.gateway.retry_policy import RetryPolicy


class Breaker:
    """Opens after a number of failures in a row; then a single call at a time probes until a probe succeeds.

    `enter` before a call waits while the endpoint is paused; `leave` after it says how the call went. Calls that
    were in flight when the pause began neither lengthen it nor end it by failing; any success ends it.

    Attributes:
        failures: completions that failed since the last success.
    """

    def __init__(self, retry_policy: RetryPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._retry_policy = retry_policy
        self._clock = clock
        self._pauses = 0
        self._opens_at = 0.0
        self._probing = False
        self._changed = asyncio.Event()
        self.failures = 0

    @property
    def paused(self) -> bool:
        """Whether calls wait: for the end of the pause, or for a probe."""
        return self._pauses > 0

    @property
    def pause_left_seconds(self) -> float:
        """Until the next probe; 0 where nothing is paused or a probe is under way."""
        return max(0.0, self._opens_at - self._clock()) if self.paused else 0.0

    async def enter(self) -> bool:
        """Wait until a call may go; whether it is the probe."""
        while self.paused:
            if not self._probing and self.pause_left_seconds <= 0:
                self._probing = True
                return True
            await self._wait()
        return False

    def leave(self, probe: bool, failed: bool | None) -> None:
        """A call came back: failed or not, or None where it says nothing of the endpoint (cancelled)."""
        if failed is False:
            self._close()
        elif failed:
            self.failures += 1
            if probe or (not self.paused and self.failures >= self._retry_policy.failures):
                self._open()
        if probe:
            self._probing = False
        self._wake()

    def _open(self) -> None:
        self._opens_at = self._clock() + self._retry_policy.pause_seconds(self._pauses)
        self._pauses += 1

    def _close(self) -> None:
        self.failures = 0
        self._pauses = 0

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait(self) -> None:
        """For a change, or for the end of the pause; while a probe is in flight, for a change only."""
        seconds = self.pause_left_seconds
        try:
            async with asyncio.timeout(seconds if not self._probing else None):
                await self._changed.wait()
        except TimeoutError:
            pass
