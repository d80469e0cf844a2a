"""Running a whole search in this process, with everything on, and what it cost the driver."""

from __future__ import annotations

import resource
import tempfile
from dataclasses import dataclass
from pathlib import Path

from evo import session
from evo.config import load_config
from evo.journal import Event, read_events


@dataclass(frozen=True)
class Measured:
    """A finished run.

    Attributes:
        driver_cpu_seconds: of this process, its threads and the projection included.
        tells: the journal's tell events, in order.
    """

    driver_cpu_seconds: float
    tells: list[Event]

    def rate(self, first: int, last: int) -> float:
        """Candidates a second from one tell to another."""
        return (last - first) / (self.tells[last]["at"] - self.tells[first]["at"])


def run_search(problem: str, *overrides: str) -> Measured:
    """A search in a folder of its own."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "run"
        folder.mkdir()
        prepared = session.prepare(load_config(problem, overrides).config)
        before = cpu_seconds()
        session.start(prepared, folder, watch=lambda told: None)
        spent = cpu_seconds() - before
        tells = [event for _, event in read_events(folder / "journal.jsonl") if event["event"] == "tell"]
    return Measured(spent, tells)


def cpu_seconds() -> float:
    """User and system time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
