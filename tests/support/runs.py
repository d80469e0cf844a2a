"""Runs in tests: what their journals say, and commands in processes of their own."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from evo.journal.log import Event, read_events

CLOCKS_AND_PLACES = ("seconds", "started", "worker", "node", "cpu_seconds", "memory_bytes")


def overrides(*settings: str) -> tuple[str, ...]:
    """Settings of a configuration as arguments of the command line."""
    return tuple(word for setting in settings for word in ("--set", setting))


def events(folder: Path, *kinds: str) -> list[Event]:
    """The events of a run, of these kinds or of any."""
    found = [event for _, event in read_events(folder / "journal.jsonl")]
    return [event for event in found if event["event"] in kinds] if kinds else found


def history(folder: Path) -> list[str]:
    """Asks, proposals and results of a run, without clocks and places."""
    kept = events(folder, "ask", "proposal", "tell", "reevaluation")
    for event in kept:
        del event["at"]
        for name in CLOCKS_AND_PLACES:
            event.get("evaluation", {}).pop(name, None)
    return [json.dumps(event, sort_keys=True) for event in kept]


def sorted_history(folder: Path) -> list[str]:
    """As `history`, for runs in which only the order of admissions among other events may differ."""
    return sorted(history(folder))


def spent_usd(folder: Path) -> float:
    """What the completions of a run cost together."""
    return math.fsum(event["completion"]["cost_usd"] for event in events(folder, "completion"))


def spawn(*arguments: object) -> subprocess.Popen[bytes]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "evo", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def wait_for_tells(folder: Path, count: int) -> None:
    """Wait until a run has recorded this many results."""
    journal = folder / "journal.jsonl"
    wait_until(lambda: journal.exists() and journal.read_bytes().count(b'{"event": "tell"') >= count)


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until a condition holds; fail where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
        time.sleep(0.005)
