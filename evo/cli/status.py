"""How a run stands, on one screen: from the lineage, and what the journal has beyond it."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evo.errors import JournalError, LineageError
from evo.journal import Event, read_events
from evo.lineage import LineageReader, open_run
from evo.run_folder import JOURNAL, existing_run_folder, holder

PATIENCE_SECONDS = 2.0
RATE_OVER = 200
FAR = """
    SELECT p.next_offset, p.pending_offset, r.problem, r.config,
        (SELECT count(*) FROM indicators), (SELECT count(*) FROM individuals WHERE outcome NOT IN ('ok', 'stopped')),
        (SELECT coalesce(sum(cost_usd), 0) FROM completions), (SELECT coalesce(sum(requests), 0) FROM completions),
        (SELECT detail FROM events WHERE kind = 'resume' ORDER BY rowid DESC LIMIT 1),
        (SELECT [kind, detail] FROM events WHERE kind IN ('resume', 'stop') ORDER BY rowid DESC LIMIT 1)
    FROM projection p CROSS JOIN runs r
"""
BEST = "SELECT name, best FROM indicators WHERE best IS NOT NULL AND tell < ? ORDER BY tell DESC LIMIT 1"
BEST_ID = "SELECT min(id) FROM individuals WHERE tell = (SELECT min(tell) FROM indicators WHERE best = ?)"
LATEST = f"SELECT tell, epoch(told) FROM individuals WHERE tell < ? ORDER BY tell DESC LIMIT {RATE_OVER}"


@dataclass(slots=True)
class Standing:
    """How far a run is.

    Attributes:
        config: of the latest session.
        best: name, value and individual of the best by the first objective; the individual is None where not known.
        latest: tell and time of the latest results.
        asks: operator of those without a proposal, by ask.
        candidates: those without a result, by individual.
        stopped: why the last session ended; None where it did not end by itself.
    """

    problem: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    told: int = 0
    failed: int = 0
    usd: float = 0.0
    calls: int = 0
    best: tuple[str, float, int | None] | None = None
    latest: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=RATE_OVER))
    asks: dict[int, str] = field(default_factory=dict)
    candidates: set[int] = field(default_factory=set)
    stopped: str | None = None

    @property
    def per_second(self) -> float:
        """Results a second, over the latest ones."""
        if len(self.latest) < 2:
            return 0.0
        (first, began), (last, ended) = self.latest[0], self.latest[-1]
        return (last - first) / max(1e-9, ended - began)


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


def stand(folder: Path, journal: Path) -> Standing:
    """How far a run is by its lineage, where there is one, and by what its journal has beyond that."""
    try:
        standing, projected, pending = _projected(open_run(folder, PATIENCE_SECONDS))
    except LineageError:
        standing, projected, pending = Standing(), 0, 0
    start = pending
    for after, event in read_events(journal, pending):
        _take_up(event, standing)
        if start >= projected:
            _add(event, standing)
        start = after
    return standing


def _projected(reader: LineageReader) -> tuple[Standing, int, int]:
    """What the lineage knows, with the bytes of the journal where it ends and where what is pending on it begins."""
    found = reader.sql(FAR).rows
    if not found:
        return Standing(), 0, 0
    projected, pending, problem, config, told, failed, usd, calls, resumed, last = found[0]
    standing = Standing(problem, json.loads(config), told, failed, usd, int(calls))
    if resumed:
        standing.config = json.loads(resumed)["config"]
    if last and last[0] == "stop":
        standing.stopped = json.loads(last[1])["reason"]
    # The writer may have been there since: no later tell than those counted.
    for name, value in reader.sql(BEST, [told]).rows:
        standing.best = name, value, reader.sql(BEST_ID, [value]).scalar()
    standing.latest.extend(reversed(reader.sql(LATEST, [told]).rows))
    return standing, projected, pending


def _take_up(event: Event, standing: Standing) -> None:
    """What is under way after an event."""
    kind = event["event"]
    if kind == "ask":
        standing.asks[event["ask"]] = event["operator"]
    elif kind in ("proposal", "remeasured"):
        standing.asks.pop(event["ask"], None)
        if event.get("outcome") == "ok":
            standing.candidates.add(event["individual"])
    elif kind == "tell":
        standing.candidates.discard(event["individual"])


def _add(event: Event, standing: Standing) -> None:
    """What an event adds that the lineage does not have yet."""
    kind = event["event"]
    standing.stopped = event["reason"] if kind == "stop" else None
    if kind in ("run", "resume"):
        standing.config, standing.problem = event["config"], event.get("problem", standing.problem)
    elif kind == "completion":
        standing.usd += event["completion"]["cost_usd"]
        standing.calls += event["completion"]["requests"]
    elif kind in ("tell", "remeasured"):
        standing.told += 1
        standing.failed += kind == "tell" and event["evaluation"]["outcome"] not in ("ok", "stopped")
        standing.latest.append((event["tell"], event["at"]))
        name, value = event["best"]
        if value is not None and (standing.best is None or standing.best[1] != value):
            standing.best = name, value, event["individual"]


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
