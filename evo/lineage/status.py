"""How far a run is: what its lineage knows, and what the journal has beyond that."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evo.errors import LineageError
from evo.journal.folder import JOURNAL
from evo.journal.log import Event, read_events
from evo.lineage import LineageReader, open_run

PATIENCE_SECONDS = 2.0
RATE_OVER = 200
FAR = """
    SELECT p.next_offset, p.pending_offset, r.problem, r.config,
        (SELECT count(*) FROM indicators), (SELECT count(*) FROM individuals WHERE outcome NOT IN ('ok', 'stopped')),
        (SELECT coalesce(sum(cost_usd), 0) FROM completions), (SELECT coalesce(sum(requests), 0) FROM completions),
        (SELECT detail FROM events WHERE kind = 'resume' ORDER BY rowid DESC LIMIT 1),
        (SELECT [kind, detail::VARCHAR] FROM events WHERE kind IN ('resume', 'stop') ORDER BY rowid DESC LIMIT 1)
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


def stand(folder: Path, journal: Path) -> Standing:
    """How far a run is by its lineage, where there is one, and by what its journal has beyond that."""
    try:
        known = _projected(open_run(folder, PATIENCE_SECONDS))
    except LineageError:
        known = Standing(), 0, 0
    return _brought_up(journal, *known)


def stand_by(reader: LineageReader) -> Standing:
    """The same for who would rather know nothing than read a journal from its beginning.

    Raises:
        LineageError: the lineage cannot be read.
    """
    known = _projected(reader)
    journal = reader.path.parent / JOURNAL
    return _brought_up(journal, *known) if known[1] and journal.exists() else known[0]


def _brought_up(journal: Path, standing: Standing, projected: int, pending: int) -> Standing:
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
