"""A short run as a user waits for it: the whole process, start-up included, against an ideal pipelined loop.

A model call takes 0.5 s, and an evaluation, which mostly waits, takes 0.3 s; eight of each at once. The scripted model
is a real HTTP server in a process of its own. The ideal loop starts with everything imported and connected. It makes as
many model calls as the run did: about a tenth of the scripted model's answers are duplicates, and not evaluated.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evo.journal.log import read_events
from evo.testing.toys import Waiting
from tests.benchmarks.pipeline import COMPLETION_SECONDS, WIDTH, by_model, ideal_seconds, scripted_server
from tests.benchmarks.rows import Row

COUNT = 200
PROBLEM = "evo.testing.toys:Waiting"
LOCAL_AIM, DEFAULT_AIM, FIRST_EVALUATION_AIM = 1.15, 1.2, 2.0


def timed(url: str, *overrides: str) -> tuple[float, float, int]:
    """Seconds of a whole `evo run`, seconds until its first evaluation begins, and its model calls."""
    settings = ["problem.options={first: 0.123456789}", f"executor.workers={WIDTH}", *by_model(url, COUNT), *overrides]
    words = [word for setting in settings for word in ("--set", setting)]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "evo", "run", PROBLEM, *words, "--run-dir", folder, "--name", "run"]
        began, clock = time.time(), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - clock
        events = [event for _, event in read_events(Path(folder, "run", "journal.jsonl"))]
    calls = sum(event["event"] == "completion" for event in events)
    started = (event["evaluation"]["started"] for event in events if event["event"] == "tell")
    return seconds, min(started) - began, calls


def rows_of(name: str, aim: float, url: str, *overrides: str) -> list[Row]:
    """The rows of an executor."""
    seconds, first, calls = timed(url, *overrides)
    ideal = asyncio.run(ideal_seconds(url, [Waiting.SECONDS] * calls))
    return [
        Row(f"{COUNT} candidates, {WIDTH} at once, {calls} calls: an ideal loop", ideal, "s"),
        Row(f"  {name}, whole process", seconds, "s"),
        Row("    over the ideal", seconds / ideal, "x", aim, at_most=True),
        Row("    until the first evaluation begins", first, "s", FIRST_EVALUATION_AIM, at_most=True),
    ]


def measure() -> list[Row]:
    with scripted_server(f"latency_seconds={COMPLETION_SECONDS}") as url:
        return [
            *rows_of("the local executor", LOCAL_AIM, url, "executor.name=local"),
            *rows_of("the default executor", DEFAULT_AIM, url),
        ]
