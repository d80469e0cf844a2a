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
from evo.lineage.reading import FILE_NAME
from evo.lineage.rows import RowMaker, Rows

SCHEMA_VERSION = 3
BATCH_EVENTS = 5000


class Projection:
    """Reads a run's journal into its database. Opens the file only to append a batch.

    Raises:
        LineageError: from `catch_up`, while another process holds the database, or when it is of another version.
    """

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "journal.jsonl"
        self.path = folder / FILE_NAME
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
        with _writing(self.path) as connection:
            version, self._offset, pending = _standing(connection)
        if version != SCHEMA_VERSION:
            raise LineageError(
                f"{self.path} has schema {version}, expected {SCHEMA_VERSION}; delete it and run `evo index` again"
            )
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


def _standing(connection: duckdb.DuckDBPyConnection) -> tuple[int, int, int]:
    """Schema version and the two offsets; a new file gets the schema first."""
    connection.execute("BEGIN")
    tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    if ("projection",) not in tables:
        connection.execute(_schema())
        connection.execute("INSERT INTO projection VALUES (?, 0, 0)", [SCHEMA_VERSION])
    version, offset, pending = connection.execute("FROM projection").fetchall()[0]
    connection.execute("COMMIT")
    return version, offset, pending


def rebuild(folder: Path) -> int:
    """Build a run's database anew from its journal; how many events it holds.

    Raises:
        LineageError: another process holds the database.
    """
    path = folder / FILE_NAME
    if path.exists():
        _writing(path).close()
        path.unlink()
    path.with_suffix(".duckdb.wal").unlink(missing_ok=True)
    return Projection(folder).catch_up()


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
    return resources.files("evo.lineage").joinpath("schema.sql").read_text("utf-8")


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
