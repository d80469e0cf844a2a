"""`evo doctor`: checks of a run's folder, a line each: what was found and, where it is wrong, how to repair it."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evo.config.loading import config_from_json
from evo.errors import JournalError, LineageError, UserError, command
from evo.journal.events import event_of
from evo.journal.folder import JOURNAL, holder
from evo.journal.log import Event, read_events
from evo.lineage import LineageReader, open_run
from evo.lineage.rows import RowMaker, Rows
from evo.lineage.schema import SCHEMA_VERSION

LEAST_FREE_BYTES = 256 * 1024**2
TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        remedy: what to do about it; empty where nothing is wrong.
    """

    subject: str
    says: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{'WRONG' if self.remedy else 'ok':5}  {self.subject}: {self.says}" + (
            self.remedy and f"; {self.remedy}"
        )


@dataclass(slots=True)
class Reading:
    """What a journal was found to hold.

    Attributes:
        events: how many can be read.
        end: the byte after the last of them.
        count_told: results, those of re-evaluations included.
        stopped: why the last session ended; None where it was killed or goes on.
        budget: evaluations that the latest configuration allows.
        corrupt: what is wrong with the line at `end`; empty where nothing is.
        rows: table to how many rows the lineage should have of it, by what it has read of the journal.
        misfit: the first event that makes no rows, because it does not fit what came before; empty where none.
    """

    events: int = 0
    end: int = 0
    count_told: int = 0
    stopped: str | None = None
    budget: int = 0
    corrupt: str = ""
    rows: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    misfit: str = ""


@dataclass(frozen=True, slots=True)
class Projected:
    """What a lineage database holds.

    Attributes:
        offset: byte of the journal that it has read up to.
        rows: table to its rows.
        failure: why it cannot be read; empty where it can.
    """

    offset: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    failure: str = ""


def examine(folder: Path) -> Iterator[Finding]:
    """All checks of a run folder, in turn."""
    journal = folder / JOURNAL
    if not journal.is_file():
        said = f"holds no {JOURNAL}" if folder.is_dir() else "is not there"
        yield Finding("folder", f"{folder} {said}", "name a run's folder; `evo run PROBLEM` starts one")
        return
    yield _folder(folder)
    # The lineage before the journal, which only grows: so the lineage is never seen ahead of it.
    locked_by, status = holder(folder), _status(folder)
    yield Finding("lock", f"locked by {locked_by}: it is running" if locked_by else "free: no process is running it")
    reading = read(journal, status.offset)
    yield _journal(journal, reading)
    yield _torn(journal, reading, running=locked_by is not None)
    yield from _lineage(folder, status, reading, running=locked_by is not None)
    yield _ending(folder, reading, running=locked_by is not None)
    yield _room(folder)


def read(journal: Path, projected: int) -> Reading:
    """Read a journal to its end, or to where it is corrupt.

    Args:
        projected: count the rows of what comes before this byte.
    """
    reading, maker = Reading(), RowMaker()
    try:
        for after, line in read_events(journal):
            if reading.end < projected and not reading.misfit:
                _count_rows(maker, line, reading)
            _note(line, reading)
            reading.events, reading.end = reading.events + 1, after
    except JournalError as error:
        reading.corrupt = str(error)
    return reading


def _count_rows(maker: RowMaker, line: Event, reading: Reading) -> None:
    rows = Rows()
    try:
        maker.add(reading.end, event_of(line), rows)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        reading.misfit = f"the {line['event']!r} event at byte {reading.end} does not fit what came before ({error!r})"
    for table, made in rows.by_table().items():
        reading.rows[table] += len(made)


def _note(line: Event, reading: Reading) -> None:
    kind = line["event"]
    reading.count_told += kind in ("tell", "reevaluation")
    reading.stopped = line.get("reason") if kind == "stop" else None
    if kind in ("run", "resume"):
        try:
            reading.budget = config_from_json(line["config"]).budget.evaluations
        except (KeyError, UserError) as error:
            reading.misfit = reading.misfit or f"this version cannot read its configuration: {error}"


def _status(folder: Path) -> Projected:
    """What the lineage holds at a moment: a single query sees no half of a transaction."""
    try:
        reader = open_run(folder, TIMEOUT_SECONDS)
        return _counted(reader)
    except LineageError as error:
        return Projected(failure=str(error))


def _counted(reader: LineageReader) -> Projected:
    tables = [row[0] for row in reader.sql("SELECT table_name FROM duckdb_tables()").rows if row[0] != "projection"]
    counts = ", ".join(f'(SELECT count(*) FROM "{table}")' for table in tables)
    offset, *rows = reader.sql(f"SELECT next_offset, {counts} FROM projection").rows[0]
    return Projected(offset, dict(zip(tables, rows, strict=True)))


def _folder(folder: Path) -> Finding:
    if not os.access(folder, os.W_OK) or not os.access(folder / JOURNAL, os.W_OK):
        return Finding("folder", f"{folder} is not yours to write", f"`chmod -R u+w {folder}`, or resume as its owner")
    return Finding("folder", f"{folder} is there and can be written")


def _journal(journal: Path, reading: Reading) -> Finding:
    if reading.corrupt:
        said, _, remedy = reading.corrupt.partition("; ")
        return Finding("journal", f"{said}, after {reading.events} events", remedy)
    if not reading.budget:
        return Finding("journal", reading.misfit or "does not begin with a 'run' event", "restore it, or start again")
    if reading.misfit:
        return Finding("journal", reading.misfit, "use the version of evo that wrote it, or restore the file")
    return Finding("journal", f"{reading.events} events in {reading.end} bytes of {journal}, all readable")


def _torn(journal: Path, reading: Reading, *, running: bool) -> Finding:
    rest = 0 if reading.corrupt else journal.stat().st_size - reading.end
    if rest and not running:
        return Finding("last line", f"torn: {rest} bytes of an event that nothing acted on", "`evo resume` cuts it off")
    return Finding("last line", "being written" if rest else "whole")


def _lineage(folder: Path, status: Projected, reading: Reading, *, running: bool) -> Iterator[Finding]:
    rebuild = f"`{command('index', folder)}` builds it again"
    if status.failure:
        remedy = "close the program that holds it" if running else f"close what holds it, or {rebuild}"
        yield Finding("lineage", status.failure.partition("; ")[0], remedy)
        return
    yield Finding("lineage", f"there, of schema {SCHEMA_VERSION}")
    yield _lag(status, reading, rebuild, running=running)
    yield _agreement(status, reading, rebuild)


def _lag(status: Projected, reading: Reading, rebuild: str, *, running: bool) -> Finding:
    behind = reading.end - status.offset
    if behind < 0 and not reading.corrupt:
        return Finding("lag", f"the lineage has read {-behind} bytes more than the journal holds", rebuild)
    if behind > 0 and not running:
        return Finding(
            "lag", f"the lineage is {behind} bytes behind the journal", f"`evo resume` takes them up; {rebuild}"
        )
    return Finding("lag", f"the lineage is {max(0, behind)} bytes behind the journal")


def _agreement(status: Projected, reading: Reading, rebuild: str) -> Finding:
    if reading.misfit or reading.end < status.offset:
        return Finding("rows", "not compared, as the journal cannot be read that far", "repair the journal first")
    differing = [
        f"{table} has {status.rows.get(table, 0)}, the journal {reading.rows.get(table, 0)}"
        for table in sorted({*status.rows, *reading.rows})
        if status.rows.get(table, 0) != reading.rows.get(table, 0)
    ]
    if differing:
        return Finding("rows", ", ".join(differing), rebuild)
    return Finding("rows", f"{sum(status.rows.values())} in {len(status.rows)} tables, as many as the journal makes")


def _ending(folder: Path, reading: Reading, *, running: bool) -> Finding:
    done = f"{reading.count_told} of {reading.budget} evaluations done"
    if running:
        return Finding("state", f"running, {done}")
    if reading.corrupt or not reading.budget:
        return Finding("state", f"not resumable as it is, {done}", "repair the journal first")
    if reading.stopped == "exhausted" or (reading.stopped == "budget" and reading.count_told >= reading.budget):
        return Finding("state", f"finished ({reading.stopped}), {done}")
    return Finding(
        "state", f"resumable ({reading.stopped or 'cut short'}), {done}: `{command('resume', folder)}` goes on"
    )


def _room(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    said = f"{free / 1024**3:.1f} GiB free"
    return Finding("disk", said, "make room before it goes on") if free < LEAST_FREE_BYTES else Finding("disk", said)


def doctor(folder: Path) -> bool:
    """Print every finding; whether all is well."""
    healthy = True
    for finding in examine(folder):
        print(finding)
        healthy = healthy and not finding.remedy
    return healthy
