"""Running a whole search in this process, with everything on, and what it cost the driver."""

from __future__ import annotations

import resource
import tempfile
from dataclasses import dataclass
from pathlib import Path

from evo.config.loading import load_config
from evo.engine import session
from evo.journal.log import Event, read_events


@dataclass(frozen=True)
class Measured:
    """A finished run.

    Attributes:
        cpu_seconds: of this process when each tell was on the disk, its threads and the projection included.
        tells: the journal's tell events, in order.
    """

    cpu_seconds: list[float]
    tells: list[Event]

    def rate(self, first: int, last: int) -> float:
        """Candidates a second from one tell to another."""
        return (last - first) / (self.tells[last]["at"] - self.tells[first]["at"])

    def driver_milliseconds(self, first: int, last: int) -> float:
        """CPU of the driver per candidate, from one tell to another."""
        return 1e3 * (self.cpu_seconds[last] - self.cpu_seconds[first]) / (last - first)


def run_search(problem: str, *overrides: str) -> Measured:
    """A search in a folder of its own."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "run"
        folder.mkdir()
        prepared = session.prepare(load_config(problem, overrides).config)
        spent: list[float] = []
        session.start(prepared, folder, watch=lambda result: spent.append(cpu_seconds()))
        tells = [event for _, event in read_events(folder / "journal.jsonl") if event["event"] == "tell"]
    return Measured(spent, tells)


def cpu_seconds() -> float:
    """User and system time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
