"""Brings the lineage database up to date with the journal: rows and the journal's offset in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from evo.errors import JournalError, LineageDamagedError, LineageError, command
from evo.journal.collection import rarely_collected
from evo.journal.events import event_of
from evo.journal.log import NO_TAIL, Event, read_events, tail
from evo.lineage.opening import FILE_NAME, NAME, attach, check_files, failure_of, logs_of
from evo.lineage.rows import Row, RowMaker, Rows
from evo.lineage.schema import SCHEMA_VERSION, column_types, schema

BESIDE_NAME = "lineage.new.duckdb"
BATCH_EVENTS = 5000
# Readers are quick; making a batch again costs more than waiting for a reader.
TIMEOUT_SECONDS = 1.0
# Appending to a group that is not full writes all of the group again, and now and then DuckDB merges neighbours, which
# takes gigabytes for groups of its usual 122,880 rows; smaller groups than these compress worse.
ROW_GROUP = 10_240


class Projection:
    """Reads a run's journal into its database. Opens the file only to append a batch.

    A database that is missing, of another schema version, or ahead of its journal is built again first. A process that
    projects has locked the run's folder (`evo.journal.folder.locked`), so that there is a single writer.

    Args:
        name: of the database's file in the run's folder.
        report: called with a sentence where the database has to be built again because of damage.

    Raises:
        LineageError: from `catch_up`, while another process has the database open, or it cannot be written.
        JournalError: from `catch_up`; the journal is corrupt.
    """

    def __init__(self, folder: Path, name: str = FILE_NAME, report: Callable[[str], None] = lambda _: None) -> None:
        self.folder = folder
        self.journal = folder / "journal.jsonl"
        self.path = folder / name
        self._report = report
        # DuckDB cannot open a file that it was killed while making; so a new database is made beside it and renamed.
        self._may_begin = name != FILE_NAME
        self._maker: RowMaker | None = None
        self._offset = 0
        self._instance: duckdb.DuckDBPyConnection | None = None

    def catch_up(self) -> int:
        """Project all that the journal holds beyond what the database has; returns how many events."""
        if self._maker is None:
            self._start()
        total = count = self._project_batch()
        while count == BATCH_EVENTS:  # a smaller batch reached the end; what was written meanwhile is for the next call
            count = self._project_batch()
            total += count
        return total

    def _start(self) -> None:
        """Find out how far the database is, and read again what candidates without a result still need."""
        if not self._may_begin:
            _remove(self.folder / BESIDE_NAME)  # which a killed process left
        status = self._status_of_this_journal()
        if status is None:
            rebuild(self.folder)
            status = self._status_of_this_journal()
        if status is None:
            raise LineageError(f"{self.path} was replaced by one of another version meanwhile; close the other evo")
        self._offset, pending = status
        maker, offset = RowMaker(), pending
        for after, line in read_events(self.journal, pending):
            if offset >= self._offset:
                break
            maker.remember(offset, event_of(line))
            offset = after
        self._maker = maker

    def _status_of_this_journal(self) -> tuple[int, int] | None:
        """The two offsets; None where the database has to be built again, which is reported unless it is only old."""
        if not self._may_begin and not self.path.exists():
            return None
        try:
            status = _status(self._own_instance(), self.path)
        except BaseException as error:
            self._forget_instance()
            if self._may_begin or not isinstance(error, LineageDamagedError):
                raise
            self._report(f"{error}: done now")
            return None
        if status is None:
            return None
        offset, pending, read = status
        if tail(self.journal, offset) != read:
            self._report(f"{self.path} has read another journal, or more than is left of it: it is built again")
            return None
        return offset, pending

    def _project_batch(self) -> int:
        assert self._maker is not None
        rows = Rows()
        count, offset = 0, self._offset
        for after, line in read_events(self.journal, self._offset):
            self._add(offset, line, rows)
            offset, count = after, count + 1
            if count == BATCH_EVENTS:
                break
        if count:
            try:
                self._append(rows.by_table(), offset, self._maker.oldest_pending(offset))
            except BaseException:
                self._maker = None
                self._forget_instance()
                raise
            self._offset = offset
        return count

    def _add(self, offset: int, line: Event, rows: Rows) -> None:
        assert self._maker is not None
        try:
            self._maker.add(offset, event_of(line), rows)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise JournalError(
                f"{self.journal}: the {line['event']!r} event at byte {offset} does not fit what came before "
                f"({error!r}); `{command('doctor', self.folder)}` says more"
            ) from error

    def _append(self, rows: Mapping[str, Sequence[Row]], offset: int, pending: int) -> None:
        read = tail(self.journal, offset)
        with _writing(self._own_instance(), self.path, rows) as connection:
            connection.execute("BEGIN")
            for table in rows:
                _insert(connection, table)
            connection.execute(
                "UPDATE projection SET next_offset = ?, pending_offset = ?, journal_tail = ?", [offset, pending, read]
            )
            connection.execute("COMMIT")

    def _own_instance(self) -> duckdb.DuckDBPyConnection:
        """The instance that all writes share: making it takes longer than appending a batch."""
        if self._instance is None:
            self._instance = duckdb.connect(":memory:")
        return self._instance

    def _forget_instance(self) -> None:
        """Close the file as well, after a failed transaction."""
        if self._instance is not None:
            self._instance.close()
            self._instance = None


def _status(instance: duckdb.DuckDBPyConnection, path: Path) -> tuple[int, int, str] | None:
    """Offsets and tail, after a new file got the schema; None where the schema is of another version."""
    with _writing(instance, path) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        if not tables:
            connection.execute("BEGIN")
            connection.execute(schema())
            connection.execute("INSERT INTO projection VALUES (?, 0, 0, ?)", [SCHEMA_VERSION, NO_TAIL])
            connection.execute("COMMIT")
        elif ("projection",) not in tables:
            return None
        # Of this table no more than the version is known to be there in every version.
        if connection.execute("SELECT version FROM projection").fetchall() != [(SCHEMA_VERSION,)]:
            return None
        return connection.execute("SELECT next_offset, pending_offset, journal_tail FROM projection").fetchall()[0]


def rebuild(folder: Path) -> int:
    """Build a run's database again from its journal; returns how many events that has.

    It is built beside the old database and replaces it when it is complete: a process that dies on the way leaves the
    old one as it was, and a reader that has that open goes on reading it.

    Raises:
        LineageError: it cannot be written.
    """
    path, beside = folder / FILE_NAME, folder / BESIDE_NAME
    try:
        _remove(beside)
        with rarely_collected():
            events = Projection(folder, BESIDE_NAME).catch_up()
        # Before: a log that an old writer left would be taken for the new file's. The journal has what it held.
        _remove_logs(path)
        beside.replace(path)
    except OSError as error:
        raise LineageError(f"cannot build {path} again: {error.strerror}; the journal has everything") from error
    finally:
        _remove(beside)
    return events


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
        _remove_logs(path)
    except OSError as error:
        raise LineageError(f"cannot remove {error.filename}: {error.strerror}; take it away") from error


def _remove_logs(path: Path) -> None:
    for log in logs_of(path):
        log.unlink(missing_ok=True)


@contextmanager
def _writing(
    instance: duckdb.DuckDBPyConnection, path: Path, rows: Mapping[str, Sequence[Row]] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database, attached to an instance of DuckDB; errors of DuckDB become a LineageError.

    Args:
        instance: in memory; not usable any more where this raises.
        rows: to be inserted; put into memory before the file is opened, so that it is locked for a short time.
    """
    try:
        for table, lines in (rows or {}).items():
            _load(instance, table, lines)
        check_files(path, writing=True)
        attach(instance, path, f"ROW_GROUP_SIZE {ROW_GROUP}", TIMEOUT_SECONDS)
        instance.execute(f"USE {NAME}")
        yield instance
        instance.execute("USE memory")
        instance.execute(f"CHECKPOINT {NAME}")  # detaching does so as well, but does not say why it failed
        instance.execute(f"DETACH {NAME}")
        for table in rows or {}:
            instance.execute(f"DROP TABLE {table}")
    except duckdb.Error as error:
        raise failure_of(path, error) from error


def _load(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row]) -> None:
    # A list a column is 20 times faster than executemany.
    columns = ", ".join(f"{_unnested(kind)} AS column_{n}" for n, kind in enumerate(column_types()[table]))
    values = [list(column) for column in zip(*rows, strict=True)]
    connection.execute(f"CREATE TABLE memory.main.{table} AS SELECT {columns}", values)


def _unnested(kind: str) -> str:
    """A list parameter as a column; times are taken as they come, in microseconds."""
    return "make_timestamp(unnest(?::BIGINT[]))" if kind == "TIMESTAMP" else f"unnest(?::{kind}[])"


def _insert(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    connection.execute(f"INSERT INTO lineage.main.{table} FROM memory.main.{table}")
