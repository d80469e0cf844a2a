"""Reading a lineage: open, query, close, and again if the writer was just there."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from evo.errors import LineageError

FILE_NAME = "lineage.duckdb"
SCHEMA_VERSION = 3
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Table:
    """The answer to a query: column names, and rows as tuples."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def scalar(self) -> Any:
        """The first value of the first row; None where there is no row."""
        return self.rows[0][0] if self.rows else None


class LineageReader:
    """Queries one run's database by short opens, so that its writer is never held up for long.

    Args:
        patience_seconds: how long to retry while a writer holds the file.
    """

    def __init__(self, path: Path, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.path = path
        self._patience_seconds = patience_seconds

    def sql(self, query: str, parameters: list[Any] | None = None) -> Table:
        """Run one read-only query.

        Raises:
            LineageError: no such file, held by another process for too long, of another schema version, or a query
            that DuckDB refuses.
        """
        connection = self._connect()
        try:
            refuse_another_version(connection, self.path)
            answer = connection.execute(query, parameters or [])
            columns = tuple(column[0] for column in answer.description or ())
            return Table(columns, tuple(answer.fetchall()))
        except duckdb.Error as error:
            raise LineageError(f"the query failed: {str(error).partition('LINE 1:')[0].strip()}") from error
        finally:
            connection.close()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        if not self.path.exists():
            raise LineageError(f"no lineage at {self.path}; `evo index {self.path.parent}` builds it from the journal")
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                return duckdb.connect(str(self.path), read_only=True)
            except duckdb.IOException as error:
                if time.monotonic() > deadline:
                    raise LineageError(locked_message(self.path, error)) from error
                time.sleep(random.uniform(0.01, 0.04))


def locked_message(path: Path, error: duckdb.Error) -> str:
    """What to tell a person when the database cannot be opened."""
    return f"cannot open {path}: {str(error).strip().splitlines()[0]}; close the program that holds it and try again"


def refuse_another_version(connection: duckdb.DuckDBPyConnection, path: Path, catalog: str = "main") -> None:
    """Queries are written for one schema.

    Args:
        catalog: prefix of the tables, where the database is attached.

    Raises:
        LineageError: the database has another schema, or none yet.
    """
    try:
        found = connection.execute(f"SELECT version FROM {catalog}.projection").fetchall()
    except duckdb.CatalogException:
        found = []
    if found != [(SCHEMA_VERSION,)]:
        has = f"schema {found[0][0]}" if found else "no schema"
        raise LineageError(
            f"{path} has {has}, expected {SCHEMA_VERSION}; `evo index {path.parent}` builds it anew from the journal"
        )


def open_run(folder: str | Path, patience_seconds: float = PATIENCE_SECONDS) -> LineageReader:
    """The lineage of a run folder (or of a database file), during the run or after it.

    Raises:
        LineageError: there is none.
    """
    path = Path(folder)
    path = path if path.suffix == ".duckdb" else path / FILE_NAME
    if not path.exists():
        raise LineageError(f"no lineage at {path}; `evo index {path.parent}` builds it from the journal")
    return LineageReader(path, patience_seconds)
