"""Ordering of admissions and tells: deterministic, in the order of asking, or as completed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext


class DeterministicOrder:
    """Lets tickets through in the order in which they were taken, however early later tickets arrive."""

    def __init__(self) -> None:
        self._queue: deque[int] = deque()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._closed = False

    def take(self, ticket: int) -> None:
        """Take a place in the queue."""
        self._queue.append(ticket)

    @asynccontextmanager
    async def turn(self, ticket: int) -> AsyncIterator[None]:
        """Wait until all earlier tickets are through; the next ticket goes when this block ends."""
        if self._closed:
            raise asyncio.CancelledError
        if self._queue[0] != ticket:
            self._waiting[ticket] = asyncio.get_running_loop().create_future()
            await self._waiting[ticket]
            del self._waiting[ticket]
        yield
        self._queue.popleft()
        if self._queue and (future := self._waiting.get(self._queue[0])) and not future.done():
            future.set_result(None)

    def close(self) -> None:
        """Let no further ticket through, since an earlier is missing: all that wait, or come later, are cancelled."""
        self._closed = True
        for future in self._waiting.values():
            future.cancel()


class AsCompleted:
    """Lets every ticket through at once."""

    def take(self, ticket: int) -> None:
        """No queue."""

    def turn(self, ticket: int) -> AbstractAsyncContextManager[None]:
        """Do not wait."""
        return nullcontext()

    def close(self) -> None:
        """No ticket waits for another here, so all go through."""


Ordering = DeterministicOrder | AsCompleted
