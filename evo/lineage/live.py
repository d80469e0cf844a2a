"""Keeps the lineage up to date during a run: a thread that projects the journal once a second."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from evo.errors import LineageError, LineageLockedError, command
from evo.lineage.projection import Projection

PERIOD_SECONDS = 1.0
LEAST_PAUSE_SECONDS = 0.25
RETRY_SECONDS = 0.1
TIMEOUT_SECONDS = 10.0


class LiveLineage:
    """Projects a run's journal in the background.

    No failure of it stops a run: a reader that keeps the database open only delays it, and a full disk is reported
    once, and tried again.
    """

    def __init__(self, folder: Path) -> None:
        self._projection = Projection(folder, report=_report)
        self._complained = ""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="lineage", daemon=True)
        self._thread.start()

    def close(self, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Catch up a last time; report where that fails, as the journal has everything."""
        self._closing.set()
        self._thread.join()
        deadline = time.monotonic() + timeout_seconds
        while (failure := self._catch_up()) is not None:
            if time.monotonic() > deadline or not isinstance(failure, LineageLockedError):
                self._complain(
                    f"{failure}; nothing is lost: `{command('index', self._projection.folder)}` catches up later"
                )
                return
            time.sleep(0.05)

    def _keep_up(self) -> None:
        pause_seconds = PERIOD_SECONDS
        while not self._closing.wait(pause_seconds):
            began = time.monotonic()
            failure = self._catch_up()
            locked = isinstance(failure, LineageLockedError)
            rest_seconds = began + PERIOD_SECONDS - time.monotonic()
            pause_seconds = RETRY_SECONDS if locked else max(LEAST_PAUSE_SECONDS, rest_seconds)
            if failure and not locked and str(failure) != self._complained:
                self._complained = str(failure)
                self._complain(f"{failure}; the run goes on, and it is tried again")

    def _complain(self, message: str) -> None:
        if self._projection.journal.exists():  # else the whole folder is gone, which the journal reports
            _report(message)

    def _catch_up(self) -> Exception | None:
        try:
            self._projection.catch_up()
            return None
        except Exception as error:  # whatever it is, the journal has everything, and the run need not stop
            return error if isinstance(error, LineageError) else LineageError(f"the lineage is behind: {error}")


def _report(message: str) -> None:
    print(f"evo: {message}", file=sys.stderr)
