"""How a run stands, on one screen: from the lineage, and what the journal has beyond it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evo.errors import JournalError
from evo.journal.folder import JOURNAL, existing_run_folder, holder
from evo.lineage.status import Standing, stand


def status(folder: Path) -> None:
    """Print how a run stands.

    Raises:
        UserError: no run there, or its journal is corrupt.
    """
    journal = existing_run_folder(folder) / JOURNAL
    held_by = holder(folder)
    standing = stand(folder, journal)
    if not standing.config:
        raise JournalError(f"{journal} does not begin with a 'run' event; `evo doctor {folder}` says more")
    print("\n".join(_lines(folder, standing, held_by, time.time())))


def _lines(folder: Path, standing: Standing, held_by: str | None, now: float) -> Sequence[str]:
    budget = standing.config["budget"]
    rows = [
        ("run", f"{folder}, {standing.problem}"),
        ("state", _state(folder, standing, held_by)),
        ("told", f"{standing.told} of {budget['evaluations']} evaluations, {standing.failed} failed"),
        ("best", _best(standing)),
        ("spent", _spent(standing, budget)),
        ("rate", _rate(standing, now, ended=held_by is None)),
        ("under way", _under_way(standing)),
    ]
    return [f"{name:9}  {said}" for name, said in rows]


def _state(folder: Path, standing: Standing, held_by: str | None) -> str:
    if held_by:
        return f"running, by {held_by}"
    if standing.stopped in ("budget", "exhausted"):
        return f"finished ({standing.stopped})"
    return f"not running ({standing.stopped or 'cut short'}); `evo resume {folder}` goes on"


def _best(standing: Standing) -> str:
    if standing.best is None:
        return "none yet"
    name, value, individual = standing.best
    return f"{name} {value:.10g}" + (f", individual {individual}" if individual is not None else "")


def _spent(standing: Standing, budget: Mapping[str, Any]) -> str:
    of = f" of ${budget['usd']:.4g}" if budget.get("usd") is not None else ""
    return f"${standing.usd:.4g}{of}, {standing.calls} calls"


def _rate(standing: Standing, now: float, *, ended: bool) -> str:
    if not standing.latest:
        return "no result yet"
    ago = max(0.0, now - standing.latest[-1][1])
    shown = f"{standing.per_second:.3g}/s over the last {len(standing.latest)}, the latest {ago:.0f} s ago"
    left = standing.config["budget"]["evaluations"] - standing.told
    if ended or left <= 0 or not standing.per_second:
        return shown
    return f"{shown}; {left} more at that rate take {left / standing.per_second:.0f} s"


def _under_way(standing: Standing) -> str:
    asked = ", ".join(f"{count} {operator}" for operator, count in Counter(standing.asks.values()).most_common())
    proposals = f"{len(standing.asks)} proposals" + (f" ({asked})" if asked else "")
    return f"{proposals}, {len(standing.candidates)} evaluations"
