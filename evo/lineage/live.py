"""Keeping the lineage fresh while a run goes on: a thread that catches up about once a second."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from evo.errors import LineageError
from evo.lineage.projection import Projection

PERIOD_SECONDS = 1.0
RETRY_SECONDS = 0.1


class LiveLineage:
    """Projects a run's journal in the background. A reader that holds the database only delays it."""

    def __init__(self, folder: Path) -> None:
        self._projection = Projection(folder)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="lineage", daemon=True)
        self._thread.start()

    def close(self, patience_seconds: float = 10.0) -> None:
        """Catch up a last time.

        Raises:
            LineageError: another process still holds the database; the journal has everything.
        """
        self._closing.set()
        self._thread.join()
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                self._projection.catch_up()
                return
            except LineageError as error:
                if time.monotonic() > deadline:
                    raise LineageError(f"{error}; nothing is lost: `evo index` brings it up to date later") from error
                time.sleep(0.05)

    def _keep_up(self) -> None:
        pause_seconds = PERIOD_SECONDS
        while not self._closing.wait(pause_seconds):
            try:
                self._projection.catch_up()
                pause_seconds = PERIOD_SECONDS
            except LineageError:
                pause_seconds = RETRY_SECONDS  # held by a reader; all is taken up once it lets go
