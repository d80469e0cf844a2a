"""The status of a run: what its lineage has, and what the journal has beyond that."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evo.errors import LineageError
from evo.journal.events import (
    AdmissionEvent,
    AskEvent,
    CompletionEvent,
    DropEvent,
    JournalEvent,
    ReevaluationEvent,
    ResumeEvent,
    RunEvent,
    StopEvent,
    TellEvent,
    event_of,
)
from evo.journal.folder import JOURNAL
from evo.journal.log import read_events
from evo.lineage import LineageReader, open_run

TIMEOUT_SECONDS = 2.0
RATE_OVER = 200
STATUS = """
    SELECT p.next_offset, p.pending_offset, r.problem, r.config,
        (SELECT count(*) FROM indicators), (SELECT count(*) FROM individuals WHERE outcome NOT IN ('ok', 'pruned')),
        (SELECT coalesce(sum(cost_usd), 0) FROM completions), (SELECT coalesce(sum(requests), 0) FROM completions),
        (SELECT detail FROM events WHERE kind = 'resume' ORDER BY rowid DESC LIMIT 1),
        (SELECT [kind, detail::VARCHAR] FROM events WHERE kind IN ('resume', 'stop') ORDER BY rowid DESC LIMIT 1)
    FROM projection p CROSS JOIN runs r
"""
BEST = "SELECT name, best FROM indicators WHERE best IS NOT NULL AND tell < ? ORDER BY tell DESC LIMIT 1"
BEST_ID = "SELECT min(id) FROM individuals WHERE tell = (SELECT min(tell) FROM indicators WHERE best = ?)"
LATEST = f"SELECT tell, epoch(told_at) FROM individuals WHERE tell < ? ORDER BY tell DESC LIMIT {RATE_OVER}"


@dataclass(slots=True)
class RunStatus:
    """How far a run is, and what is under way.

    Attributes:
        config: of the latest session.
        best: objective, value and individual of the best by the first objective; the individual may not be known.
        latest: tell and time of the latest results.
        asks: ask to operator, of those without a proposal.
        candidates: individuals without a result.
        stopped: why the last session ended; None where it was killed or goes on.
    """

    problem: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    count_told: int = 0
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


def run_status(folder: Path, journal: Path) -> RunStatus:
    """The status by the lineage, where there is one, and by what the journal has beyond that."""
    try:
        known = _projected(open_run(folder, TIMEOUT_SECONDS))
    except LineageError:
        known = RunStatus(), 0, 0
    return _brought_up(journal, *known)


def projected_status(reader: LineageReader) -> RunStatus:
    """The status, without reading a journal from its beginning: empty where the lineage has nothing yet.

    Raises:
        LineageError: the lineage cannot be read.
    """
    known = _projected(reader)
    journal = reader.path.parent / JOURNAL
    return _brought_up(journal, *known) if known[1] and journal.exists() else known[0]


def _brought_up(journal: Path, status: RunStatus, projected: int, pending: int) -> RunStatus:
    start = pending
    for after, line in read_events(journal, pending):
        event = event_of(line)
        _take_up(event, status)
        if start >= projected:
            _add(event, status)
        start = after
    return status


def _projected(reader: LineageReader) -> tuple[RunStatus, int, int]:
    """What the lineage has, the byte of the journal where it ends, and the byte where pending events begin."""
    found = reader.sql(STATUS).rows
    if not found:
        return RunStatus(), 0, 0
    projected, pending, problem, config, count_told, failed, usd, calls, resumed, last = found[0]
    status = RunStatus(problem, json.loads(config), count_told, failed, usd, int(calls))
    if resumed:
        status.config = json.loads(resumed)["config"]
    if last and last[0] == "stop":
        status.stopped = json.loads(last[1])["reason"]
    # The writer may have added rows since: no later tell than those counted.
    for name, value in reader.sql(BEST, [count_told]).rows:
        status.best = name, value, reader.sql(BEST_ID, [value]).scalar()
    status.latest.extend(reversed(reader.sql(LATEST, [count_told]).rows))
    return status, projected, pending


def _take_up(event: JournalEvent, status: RunStatus) -> None:
    """What is under way after an event."""
    match event:
        case AskEvent():
            status.asks[event.ask] = event.operator
        case AdmissionEvent():
            status.asks.pop(event.ask, None)
            status.candidates.add(event.individual)
        case DropEvent() | ReevaluationEvent():
            status.asks.pop(event.ask, None)
        case TellEvent():
            status.candidates.discard(event.individual)


def _add(event: JournalEvent, status: RunStatus) -> None:
    """What an event adds that the lineage does not have yet."""
    status.stopped = event.reason if isinstance(event, StopEvent) else None
    match event:
        case RunEvent():
            status.config, status.problem = event.config, event.problem
        case ResumeEvent():
            status.config = event.config
        case CompletionEvent():
            status.usd += event.completion.cost_usd
            status.calls += event.completion.requests
        case TellEvent() | ReevaluationEvent():
            status.count_told += 1
            status.failed += isinstance(event, TellEvent) and event.evaluation.outcome not in ("ok", "pruned")
            status.latest.append((event.tell, event.at))
            name, value = event.best
            if value is not None and (status.best is None or status.best[1] != value):
                status.best = name, value, event.individual
