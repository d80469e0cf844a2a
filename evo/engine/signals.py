"""Signals: the first stops a session cleanly, the second cancels what is in flight, a third kills."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from evo.errors import StoppedError

LOG = logging.getLogger(__name__)
AT_ONCE: list[Callable[[], None]] = []
"""Called at the second signal, before anything that may hang is cancelled."""
SIGNALS = signal.SIGINT, signal.SIGTERM


class Interruption:
    """Handles SIGINT and SIGTERM within a session.

    Attributes:
        asked: whether a signal came.
    """

    def __init__(self) -> None:
        self.asked = False
        self._stop: Callable[[], object] = lambda: None
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()

    def stops(self, stop: Callable[[], object]) -> None:
        """Have the first signal call this, in the loop.

        Raises:
            StoppedError: it came already.
        """
        if self.asked:
            raise StoppedError(STOPPED)
        self._stop = stop

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Runs between any two steps of the main thread, a long start of an executor included."""
        if self.asked and self._task:
            for action in AT_ONCE:
                action()
            self._loop.call_soon_threadsafe(self._task.cancel)
            for caught in SIGNALS:
                signal.signal(caught, signal.SIG_DFL)
        elif not self.asked:
            self.asked = True
            LOG.warning("interrupted: finishing what is in flight; interrupt again to stop at once")
            self._loop.call_soon_threadsafe(lambda: self._stop())


STOPPED = "stopped at once; every result is recorded, and `evo resume` goes on"


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Take SIGINT and SIGTERM for as long as this lasts."""
    interruption = Interruption()
    before = {number: signal.signal(number, interruption.on_signal) for number in SIGNALS}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
