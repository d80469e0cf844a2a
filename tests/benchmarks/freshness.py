"""How old the newest row is that a reader sees when it polls once a second while a run writes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from evo.errors import LineageError
from evo.lineage import open_run
from tests.benchmarks.rows import Row

POLLS = 20
NEWEST = "SELECT max(told_at), count(*) FROM individuals"


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as parent:
        command = [
            sys.executable,
            "-m",
            "evo",
            "run",
            "evo.testing.toys:Nothing",
            "--run-dir",
            parent,
            "--name",
            "live",
        ]
        with subprocess.Popen(
            [*command, "--set", "budget.evaluations=1000000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            ages, errors = poll(Path(parent) / "live")
            process.terminate()
    return [
        Row(f"oldest newest row in {POLLS} polls, one a second", max(ages), "s", 2.0, at_most=True),
        Row("  polls that failed", errors, "", 0.0, at_most=True),
    ]


def poll(folder: Path) -> tuple[list[float], int]:
    """The age of the newest row at each poll, in seconds, and how many polls failed."""
    while not (folder / "lineage.duckdb").exists() or not open_run(folder).sql(NEWEST).scalar():
        time.sleep(0.5)
    ages, errors = [], 0
    for _ in range(POLLS):
        try:
            newest = open_run(folder).sql(NEWEST).scalar()
            ages.append((datetime.now(UTC).replace(tzinfo=None) - newest).total_seconds())
        except LineageError:
            errors += 1
        time.sleep(1)
    return ages, errors
