"""How far a run is: a bar on a terminal, a line now and then elsewhere. On stderr."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from evo.search import Told
from evo.session import Prepared

LINE_EVERY_SECONDS = 10.0


class Progress:
    """Told of each tell, shows best so far, rate and time left."""

    def __init__(self, prepared: Prepared, folder: Path) -> None:
        self._search = prepared.search
        self._budget = prepared.config.budget.evaluations
        self._failed = 0
        self._began, self._first = time.monotonic(), prepared.search.told
        self._next_line = self._began
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            TimeRemainingColumn(),
        )
        self._bar = Bar(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), refresh_per_second=4)
        self._task = self._bar.add_task(folder.name, total=self._budget, completed=self._first, state="starting")
        executor = prepared.config.executor
        where = executor.address or ("Ray on this machine" if executor.name == "ray" else executor.name)
        print(f"{folder}: {self._budget} evaluations, {where}", file=sys.stderr)

    def told(self, told: Told) -> None:
        """Take note of a result."""
        self._failed += not told.individual.ok
        if not self._bar.disable:
            self._bar.update(self._task, completed=self._search.told, state=self._state())
        elif time.monotonic() >= self._next_line:
            print(f"{self._search.told}/{self._budget}  {self._state()}", file=sys.stderr)
            self._next_line = time.monotonic() + LINE_EVERY_SECONDS

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def _state(self) -> str:
        first = self._search.objectives[0]
        best = self._search.best.get(first.name)
        value = f"{best.evaluation.objectives[first.name]:.5g}{first.unit}" if best else "none yet"
        rate = (self._search.told - self._first) / max(1e-9, time.monotonic() - self._began)
        return f"best {first.name} {value}  {rate:.1f}/s  {self._failed} failed"
