"""Four readers once a second, and one that holds the database for a minute, against a writer at its full rate."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import duckdb

from evo.errors import LineageError
from evo.lineage import Run, open_run
from evo.lineage.live import LiveLineage
from tests.benchmarks.histories import GROUP, History
from tests.benchmarks.rows import Row

READERS = 4
SECONDS = 60.0
WARM_SECONDS = 1.0
SPAWN = multiprocessing.get_context("spawn")
NEWEST = "SELECT max(told_at) FROM individuals"
POLLED = ("FROM operator_yield", "FROM cost_per_improvement", "SELECT * FROM best_so_far ORDER BY tell DESC LIMIT 100")
Polls = tuple[float, float, int]


def measure(seconds: float = SECONDS) -> list[Row]:
    """Simulated individuals of 4 KB are journaled and projected as fast as a process can, throughout."""
    with tempfile.TemporaryDirectory() as parent:
        folder, count_told, stopping = Path(parent), SPAWN.Value("q", 0), SPAWN.Event()
        writer = SPAWN.Process(target=_write, args=(folder, count_told, stopping))
        writer.start()
        try:
            _wait_for(folder)
            rows = [*_against_readers(folder, count_told, seconds), *_against_a_holder(folder, count_told, seconds)]
        finally:
            stopping.set()
            writer.join()
        kept = open_run(folder).sql("SELECT count(*) FROM individuals").scalar()
        return [
            *rows,
            Row("  individuals that the database lacks at the end", count_told.value - kept, "", 0, at_most=True),
        ]


def _write(folder: Path, count_told: Synchronized[int], stopping: multiprocessing.synchronize.Event) -> None:
    history, lineage = History(folder), LiveLineage(folder)
    while not stopping.is_set():
        history.grow(GROUP)
        count_told.value = history.search.count_told
    history.journal.close()
    lineage.close()


def _against_readers(folder: Path, count_told: Synchronized[int], seconds: float) -> list[Row]:
    with SPAWN.Pool(READERS) as pool:
        pool.starmap(_poll, [(folder, WARM_SECONDS)] * READERS, chunksize=1)
        before = _rate(count_told, seconds / 2)
        polls = pool.starmap_async(_poll, [(folder, seconds)] * READERS, chunksize=1)
        beside = _rate(count_told, seconds)
        ages, delays, errors = zip(*polls.get(), strict=True)
        after = _rate(count_told, seconds / 2)
    return [
        Row("a writer alone", (before + after) / 2, "/s"),
        Row(f"  beside {READERS} readers, each once a second for {seconds:g} s", beside, "/s"),
        Row("  that over alone", 2 * beside / (before + after), "", 0.9),
        Row("  polls that failed", sum(errors), "", 0, at_most=True),
        Row("  oldest newest row that was seen", max(ages), "s", 2.0, at_most=True),
        Row("  slowest poll, of three queries beside", max(delays), "s"),
    ]


def _against_a_holder(folder: Path, count_told: Synchronized[int], seconds: float) -> list[Row]:
    while True:
        try:
            held = duckdb.connect(str(folder / "lineage.duckdb"), read_only=True)
            break
        except duckdb.Error:  # the writer was just there
            time.sleep(0.01)
    with held:
        rate = _rate(count_told, seconds)
    held_count, began = count_told.value, time.perf_counter()
    while open_run(folder).sql("SELECT count(*) FROM individuals").scalar() < held_count:
        time.sleep(0.1)
    return [
        Row(f"  while a reader holds the database for {seconds:g} s", rate, "/s"),
        Row("  the database has caught up after", time.perf_counter() - began, "s"),
    ]


def _rate(count_told: Synchronized[int], seconds: float) -> float:
    """Individuals a second over the next so many."""
    count, began = count_told.value, time.perf_counter()
    time.sleep(seconds)
    return (count_told.value - count) / (time.perf_counter() - began)


def _wait_for(folder: Path) -> None:
    while not (folder / "lineage.duckdb").exists() or not open_run(folder).sql(NEWEST).scalar():
        time.sleep(0.2)


def _poll(folder: Path, seconds: float) -> Polls:
    """The oldest newest row, the slowest poll, and how many polls failed."""
    oldest = slowest = 0.0
    errors, ending = 0, time.monotonic() + seconds
    run = open_run(folder, settings={"threads": 1}, often=True)
    while (began := time.monotonic()) < ending:
        try:
            oldest = max(oldest, _age(run))
        except LineageError:
            errors += 1
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(max(0.0, began + 1 - time.monotonic()))
    return oldest, slowest, errors


def _age(run: Run) -> float:
    """Seconds since the newest row was recorded, when that and what a dashboard shows besides has been read."""
    newest: datetime = run.answers(NEWEST, *POLLED)[0].scalar()
    return (datetime.now(UTC).replace(tzinfo=None) - newest).total_seconds()
