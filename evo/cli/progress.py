"""How far a run is: a bar on a terminal, a line now and then elsewhere. On stderr."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from evo.cli.arguments import end_in_time
from evo.config.schema import BudgetConfig
from evo.engine.setup import Setup
from evo.engine.signals import AT_ONCE
from evo.errors import printable
from evo.protocols import Gateway
from evo.search.search import ReevaluationResult, TellResult

LINE_EVERY_SECONDS = 10.0
BAR_EVERY_SECONDS = 0.25
EXECUTORS = {"ray": "Ray on this machine", "auto": "on this machine", "local": "local workers"}


class Progress:
    """Shows best so far, rate, dollars, paused endpoints and time left.

    A thread of its own shows them, so that a run that waits for its endpoint is seen to wait.
    """

    def __init__(self) -> None:
        self._failed = self._pruned = 0
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            TimeRemainingColumn(),
        )
        self._bar = Bar(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), refresh_per_second=4)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, setup: Setup, folder: Path) -> None:
        """Show a run from now on."""
        if end_in_time not in AT_ONCE:
            AT_ONCE.append(end_in_time)
        self._setup = setup
        self._search = setup.search
        self._budget = setup.config.budget
        self._began, self._first = time.monotonic(), setup.search.count_told
        total = self._budget.evaluations
        self._task = self._bar.add_task(folder.name, total=total, completed=self._first, state="starting")
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)
        print(f"{folder}: {_planned(setup)}", file=sys.stderr)
        self._bar.start()
        self._thread.start()

    def on_tell(self, result: TellResult | ReevaluationResult) -> None:
        """Take note of a result."""
        pruned = result.individual.evaluation.outcome == "pruned"
        self._pruned += pruned
        self._failed += isinstance(result, TellResult) and not result.individual.ok and not pruned

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()
            self._bar.stop()

    def _show(self) -> None:
        every = LINE_EVERY_SECONDS if self._bar.disable else BAR_EVERY_SECONDS
        while not self._over.wait(every):
            if self._bar.disable:
                print(f"{self._search.count_told}/{self._budget.evaluations}  {self._state()}", file=sys.stderr)
            else:
                self._update()
        self._update()

    def _update(self) -> None:
        self._bar.update(self._task, completed=self._search.count_told, state=self._state())

    def _state(self) -> str:
        first = self._search.objectives[0]
        best = self._search.best.get(first.name)
        value = f"{best.evaluation.objectives[first.name]:.5g}{first.unit}" if best else "none yet"
        seconds = max(1e-9, time.monotonic() - self._began)
        rate = (self._search.count_told - self._first) / seconds
        found = f"best {first.name} {value}  {rate:.1f}/s  {self._failed} failed"
        found += f"  {self._pruned} pruned" if self._pruned else ""
        found += f"  WAITING: {self._setup.trouble}" if self._setup.trouble else ""
        gateway = self._setup.gateway
        return printable("  ".join([found, *(spending(gateway, self._budget, seconds) if gateway else [])]))


def spending(gateway: Gateway, budget: BudgetConfig, seconds: float) -> list[str]:
    """What was spent, how fast, and which endpoints are paused.

    Args:
        seconds: since this session began to spend.
    """
    spent = gateway.ledger.spent
    rate = (spent.usd - gateway.ledger.before.usd) / seconds * 3600
    of = f" of ${budget.usd:.4g}" if budget.usd is not None else ""
    shown = [f"${spent.usd:.4g}{of}, ${rate:.3g}/h, {spent.calls} calls"]
    for name, health in gateway.health().items():
        if health.paused:
            again = f"tried again in {health.pause_left_seconds:.0f} s"
            shown.append(f"{name} paused after {health.failures} failures, {again}")
    return shown


def _planned(setup: Setup) -> str:
    config = setup.config
    executor, budget = config.executor, config.budget
    where = executor.address or EXECUTORS.get(executor.name, executor.name)
    caps = {"s": budget.wall_seconds, "dollars": budget.usd, "tokens": budget.tokens, "calls": budget.calls}
    limits = [f"at most {cap:g} {name}" for name, cap in caps.items() if cap is not None]
    models = [f"by {', '.join(config.model.shares)}"] if config.model.name else []
    return ", ".join([f"{budget.evaluations} evaluations", *limits, *models, where])
