"""Bringing the lineage database up to date with the journal: rows and the journal's offset in one transaction."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb

from evo.errors import LineageError
from evo.journal import read_events
from evo.lineage.meanings import uncommented
from evo.lineage.reading import FILE_NAME, SCHEMA_VERSION
from evo.lineage.rows import RowMaker, Rows

BESIDE_NAME = "lineage.new.duckdb"
BATCH_EVENTS = 5000


class Projection:
    """Reads a run's journal into its database. Opens the file only to append a batch.

    A database that is missing, of another schema version, or ahead of its journal is built anew first. Whoever projects
    holds the run's folder (`evo.run_folder.held`), so there is one writer, and makes this before the journal grows.

    Args:
        name: of the database's file in the run's folder.

    Raises:
        LineageError: from `catch_up`, while another process holds the database.
    """

    def __init__(self, folder: Path, name: str = FILE_NAME) -> None:
        self.folder = folder
        self.journal = folder / "journal.jsonl"
        self.path = folder / name
        # DuckDB opens no file that it was killed while making; so a new one is made beside and renamed.
        self._may_begin = name != FILE_NAME
        # How far the database can be at most. A machine that lost its power, or a full disk, may leave it further.
        self._most = self.journal.stat().st_size if self.journal.exists() else 0
        self._maker: RowMaker | None = None
        self._offset = 0

    def catch_up(self) -> int:
        """Project all that the journal holds beyond what the database has; how many events that were."""
        if self._maker is None:
            self._start()
        total = count = self._project_batch()
        while count == BATCH_EVENTS:  # a smaller batch came to the end; what was written meanwhile is for the next call
            count = self._project_batch()
            total += count
        return total

    def _start(self) -> None:
        """Find out where the database stands, and read again what its untold candidates need."""
        if not self._may_begin:
            _remove(self.folder / BESIDE_NAME)  # by one who was killed
        standing = _standing(self.path) if self._may_begin or self.path.exists() else None
        if standing is None or standing[0] > self._most:
            rebuild(self.folder)
            standing = _standing(self.path)
        if standing is None:
            raise LineageError(f"{self.path} was replaced by one of another version meanwhile; close the other evo")
        self._offset, pending = standing
        maker, offset = RowMaker(), pending
        for after, event in read_events(self.journal, pending):
            if offset >= self._offset:
                break
            maker.remember(offset, event)
            offset = after
        self._maker = maker

    def _project_batch(self) -> int:
        assert self._maker is not None
        rows: Rows = defaultdict(list)
        count, offset = 0, self._offset
        for after, event in read_events(self.journal, self._offset):
            self._maker.add(offset, event, rows)
            offset, count = after, count + 1
            if count == BATCH_EVENTS:
                break
        if count:
            self._most = max(self._most, offset)
            try:
                self._append(rows, offset, self._maker.oldest_pending(offset))
            except BaseException:
                self._maker = None
                raise
            self._offset = offset
        return count

    def _append(self, rows: Rows, offset: int, pending: int) -> None:
        with _writing(self.path) as connection:
            connection.execute("BEGIN")
            for table, lines in rows.items():
                if lines:
                    _insert(connection, table, lines)
            connection.execute("UPDATE projection SET next_offset = ?, pending_offset = ?", [offset, pending])
            connection.execute("COMMIT")


def _standing(path: Path) -> tuple[int, int] | None:
    """The two offsets, after a new file got the schema; None where the schema is of another version."""
    with _writing(path) as connection:
        connection.execute("BEGIN")
        tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        if not tables:
            connection.execute(_schema())
            connection.execute("INSERT INTO projection VALUES (?, 0, 0)", [SCHEMA_VERSION])
            connection.execute("COMMIT")
        elif ("projection",) not in tables:
            return None
        # Of this table no more than the version is known to be there in every version.
        if connection.execute("SELECT version FROM projection").fetchall() != [(SCHEMA_VERSION,)]:
            return None
        return connection.execute("SELECT next_offset, pending_offset FROM projection").fetchall()[0]


def rebuild(folder: Path) -> int:
    """Build a run's database anew from its journal; how many events it holds.

    It is built beside the old one and takes its place when it is complete: a process that dies on the way leaves the
    old one as it was, and a reader that holds the old one goes on reading that.

    Raises:
        LineageError: it cannot be written.
    """
    path, beside = folder / FILE_NAME, folder / BESIDE_NAME
    try:
        _remove(beside)
        events = Projection(folder, BESIDE_NAME).catch_up()
        # First: a log that an old writer left behind would be taken for the new file's. The journal has what it held.
        _remove_logs(path)
        beside.replace(path)
    except OSError as error:
        raise LineageError(f"cannot build {path} anew: {error.strerror}; the journal has everything") from error
    finally:
        _remove(beside)
    return events


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    _remove_logs(path)


def _remove_logs(path: Path) -> None:
    """The database's log, and those that DuckDB has beside it while it takes the log up."""
    for log in path.parent.glob(f"{path.name}.wal*"):
        log.unlink(missing_ok=True)


def _writing(path: Path) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(path))
    except duckdb.Error as error:
        raise LineageError(f"cannot write {path}: {str(error).strip().splitlines()[0]}") from error


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[Any, ...]]) -> None:
    # One list a column is 20 times faster than executemany.
    types = _column_types()[table]
    columns = ", ".join(f"unnest(?::{kind}[])" for kind in types)
    connection.execute(f"INSERT INTO {table} SELECT {columns}", [list(column) for column in zip(*rows, strict=True)])


@cache
def _schema() -> str:
    """Tables, views and macros, with the meaning of every column."""
    tables = resources.files("evo.lineage").joinpath("schema.sql").read_text("utf-8")
    with duckdb.connect(":memory:") as connection:
        connection.execute(tables)
        return "\n".join([tables, *uncommented(connection)])


@cache
def _column_types() -> dict[str, list[str]]:
    """Column types by table, as the schema declares them."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(_schema())
        rows = connection.execute(
            "SELECT table_name, data_type FROM duckdb_columns() ORDER BY table_name, column_index"
        ).fetchall()
    types: dict[str, list[str]] = defaultdict(list)
    for table, kind in rows:
        types[table].append(kind)
    return types
