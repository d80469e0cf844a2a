"""A million individuals: what the driver holds, how fast the lineage is built, how large it is, and how it answers."""

from __future__ import annotations

import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from evo.lineage import Run, open_run
from evo.lineage.live import LiveLineage
from evo.lineage.projection import rebuild
from tests.benchmarks.histories import History
from tests.benchmarks.rows import Row

COUNT = 1_000_000
DEPTH = 1000
PARTS = 4
VIEWS = ("best_so_far", "operator_yield", "cost_per_improvement", "spending", "best", "front")
DEEPEST = "SELECT id FROM individuals WHERE generation = ? ORDER BY tell DESC LIMIT 1"


def measure(count: int = COUNT) -> list[Row]:
    """The figures of a history of so many individuals, 4 KB of text, two parents and three objectives each."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        rows = [*_growing(folder, count), *_building(folder, count)]
        return [*rows, *_asking(open_run(folder))]


def _growing(folder: Path, count: int) -> list[Row]:
    """The search, its journal and its live projection in this process, as in a driver."""
    history, lineage = History(folder), LiveLineage(folder)
    began, held = time.perf_counter(), []
    for _ in range(PARTS):
        history.grow(count // PARTS)
        held.append(_held_bytes("RssAnon") / 2**20)
    seconds = time.perf_counter() - began
    history.journal.close()
    began = time.perf_counter()
    lineage.close()
    behind = time.perf_counter() - began
    growth = [f"  of it, in part {number} of {PARTS}" for number in range(2, PARTS + 1)]
    return [
        Row(f"{count} individuals, journaled and projected meanwhile", count / seconds, "/s"),
        Row("  the projection was behind at the end by", behind, "s", 10.0, at_most=True),
        Row("  the driver's memory at its largest", _held_bytes("VmHWM") / 2**20, "MiB", 1024, at_most=True),
        Row("  what of it is its own, at the end", held[-1], "MiB"),
        *(Row(what, after - before, "MiB") for what, (before, after) in zip(growth, pairwise(held), strict=True)),
    ]


def _building(folder: Path, count: int) -> list[Row]:
    """The projection alone, and what is on the disk after it."""
    began = time.perf_counter()
    rebuild(folder)
    rate = count / (time.perf_counter() - began)
    sizes = {name: (folder / name).stat().st_size / count for name in ("journal.jsonl", "lineage.duckdb")}
    return [
        Row("the projection alone", rate, "/s", 2000.0),
        *(Row(f"  {name}, each individual", size, "bytes") for name, size in sizes.items()),
    ]


def _asking(run: Run) -> list[Row]:
    best = run.best().rows[0][1]
    generation = run.sql("SELECT generation FROM individuals WHERE id = ?", [best]).scalar()
    deep = run.sql(DEEPEST, [min(DEPTH, generation)]).scalar()
    ancestors = "SELECT count(*), min(generation) FROM ancestors(?)"
    return [
        *(Row(f"FROM {view}", _seconds(run, f"FROM {view}"), "s", 1.0, at_most=True) for view in VIEWS),
        Row(
            f"ancestors of one at generation {min(DEPTH, generation)}",
            _seconds(run, ancestors, deep),
            "s",
            0.2,
            at_most=True,
        ),
        Row(f"ancestors of the best, at generation {generation}", _seconds(run, ancestors, best), "s"),
        Row("  of how many it came", run.sql(ancestors, [best]).scalar() - 1),
        Row("dollars of the best and its ancestors", _seconds(run, "FROM cost_of(?)", best), "s"),
    ]


def _seconds(run: Run, query: str, *parameters: Any) -> float:
    """How long a query takes with opening the file, the answer's rows in Python; the median of three."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        assert run.sql(query, list(parameters)).rows
        taken.append(time.perf_counter() - began)
    return sorted(taken)[1]


def _held_bytes(which: str) -> int:
    """Memory of this process, as the system names it: RssAnon is what it shares with no other, VmHWM the peak."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields[which].split()[0]) * 1024
