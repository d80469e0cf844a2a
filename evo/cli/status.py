"""`evo status`: how far a run is, from the lineage and what the journal has beyond it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evo.errors import JournalError, command
from evo.journal.folder import JOURNAL, existing_run_folder, holder
from evo.lineage.status import RunStatus, run_status


def status(folder: Path) -> None:
    """Print how far a run is.

    Raises:
        UserError: no run there, or its journal is corrupt.
    """
    journal = existing_run_folder(folder) / JOURNAL
    locked_by = holder(folder)
    status = run_status(folder, journal)
    if not status.config:
        raise JournalError(f"{journal} does not begin with a 'run' event; `{command('doctor', folder)}` says more")
    print("\n".join(_lines(folder, status, locked_by, time.time())))


def _lines(folder: Path, status: RunStatus, locked_by: str | None, now: float) -> Sequence[str]:
    budget = status.config["budget"]
    rows = [
        ("run", f"{folder}, {status.problem}"),
        ("state", _state(folder, status, locked_by)),
        ("results", f"{status.count_told} of {budget['evaluations']} evaluations, {status.failed} failed"),
        ("best", _best(status)),
        ("spent", _spent(status, budget)),
        ("rate", _rate(status, now, ended=locked_by is None)),
        ("under way", _under_way(status)),
    ]
    return [f"{name:9}  {said}" for name, said in rows]


def _state(folder: Path, status: RunStatus, locked_by: str | None) -> str:
    if locked_by:
        return f"running, by {locked_by}"
    if status.stopped in ("budget", "exhausted"):
        return f"finished ({status.stopped})"
    return f"not running ({status.stopped or 'cut short'}); `{command('resume', folder)}` continues it"


def _best(status: RunStatus) -> str:
    if status.best is None:
        return "none yet"
    name, value, individual = status.best
    return f"{name} {value:.10g}" + (f", individual {individual}" if individual is not None else "")


def _spent(status: RunStatus, budget: Mapping[str, Any]) -> str:
    of = f" of ${budget['usd']:.4g}" if budget.get("usd") is not None else ""
    return f"${status.usd:.4g}{of}, {status.calls} calls"


def _rate(status: RunStatus, now: float, *, ended: bool) -> str:
    if not status.latest:
        return "no result yet"
    ago = max(0.0, now - status.latest[-1][1])
    shown = f"{status.per_second:.3g}/s over the last {len(status.latest)}, the latest {ago:.0f} s ago"
    left = status.config["budget"]["evaluations"] - status.count_told
    if ended or left <= 0 or not status.per_second:
        return shown
    return f"{shown}; {left} more at that rate take {left / status.per_second:.0f} s"


def _under_way(status: RunStatus) -> str:
    asked = ", ".join(f"{count} {operator}" for operator, count in Counter(status.asks.values()).most_common())
    proposals = f"{len(status.asks)} proposals" + (f" ({asked})" if asked else "")
    return f"{proposals}, {len(status.candidates)} evaluations"
