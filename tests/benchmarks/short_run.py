"""A short run as a user waits for it: the whole process, start-up included, against an ideal pipelined loop.

A model call takes 0.5 s, and an evaluation, which mostly waits, takes 0.3 s; eight of each at once. The scripted model
is a real HTTP server in a process of its own. The ideal loop starts with everything imported and connected.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from evo.journal.log import read_events
from evo.testing.toys import Waiting
from tests.benchmarks.pipeline import COMPLETION_SECONDS, WIDTH, by_model, ideal_seconds, scripted_server
from tests.benchmarks.rows import Row

COUNT = 200
PROBLEM = "evo.testing.toys:Waiting"
LOCAL_AIM, DEFAULT_AIM, FIRST_EVALUATION_AIM = 1.15, 1.2, 2.0


def timed(url: str, *overrides: str) -> tuple[float, float]:
    """Seconds of a whole `evo run`, and seconds until its first evaluation begins."""
    settings = ["problem.options={first: 0.123456789}", f"executor.workers={WIDTH}", *by_model(url, COUNT), *overrides]
    words = [word for setting in settings for word in ("--set", setting)]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "evo", "run", PROBLEM, *words, "--run-dir", folder, "--name", "run"]
        began, clock = time.time(), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - clock
        tells = (event for _, event in read_events(Path(folder, "run", "journal.jsonl")) if event["event"] == "tell")
        return seconds, min(event["evaluation"]["started"] for event in tells) - began


def rows_of(name: str, aim: float, ideal: float, measured: Sequence[float]) -> list[Row]:
    """The rows of an executor."""
    seconds, first = measured
    return [
        Row(f"  {name}, whole process", seconds, "s"),
        Row("    over the ideal", seconds / ideal, "x", aim, at_most=True),
        Row("    until the first evaluation begins", first, "s", FIRST_EVALUATION_AIM, at_most=True),
    ]


def measure() -> list[Row]:
    with scripted_server(f"latency_seconds={COMPLETION_SECONDS}") as url:
        ideal = asyncio.run(ideal_seconds(url, [Waiting.SECONDS] * COUNT))
        local = timed(url, "executor.name=local")
        default = timed(url)
    return [
        Row(f"{COUNT} candidates, {WIDTH} at once: an ideal loop", ideal, "s"),
        *rows_of("the local executor", LOCAL_AIM, ideal, local),
        *rows_of("the default executor", DEFAULT_AIM, ideal, default),
    ]
