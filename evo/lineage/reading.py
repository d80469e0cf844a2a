"""Reads a lineage: open, query, close, with a retry where the writer has it open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from evo.errors import LineageError, command
from evo.lineage.opening import (
    DAMAGE_MESSAGES,
    FULL_MESSAGES,
    LOCKED,
    OTHER_SETTINGS,
    TIMEOUT_SECONDS,
    Settings,
    check_missing,
    failure_of,
    lock,
    refusal_of,
    retried,
    shared,
)
from evo.lineage.schema import SCHEMA_VERSION
from evo.lineage.table import Table

if TYPE_CHECKING:
    import numpy as np


class LineageReader:
    """Queries a run's database by short opens, so that its writer never waits for long.

    Args:
        timeout_seconds: how long to retry while a writer has the file open.
        settings: of DuckDB beside LOCKED, as in {"memory_limit": "512MB", "threads": 1}; readers of a file that
            exist in a process at the same time share those of the first.
        often: whether to keep DuckDB's instance between queries, at a sixth of the price: for a query every second.
            Not beside a connection of your own to the same file: its lock would be released.
    """

    def __init__(
        self,
        path: Path,
        timeout_seconds: float = TIMEOUT_SECONDS,
        settings: Settings | None = None,
        *,
        often: bool = False,
    ) -> None:
        self.path = path
        self._timeout_seconds = timeout_seconds
        self._settings = dict(settings or {})
        self._attached = shared(path.resolve(), self._settings) if often else None

    def sql(self, query: str, parameters: list[Any] | None = None) -> Table:
        """Run a read-only query.

        Raises:
            LineageError: no such file, locked by another process for too long, of another schema version, or a query
            that DuckDB refuses.
        """
        with self._connection() as connection:
            return answered(connection, query, parameters)

    def answers(self, *queries: str) -> list[Table]:
        """The answers to several queries at the same moment, at the price of a single open.

        Raises:
            LineageError: as `sql`.
        """
        with self._connection() as connection:
            return [answered(connection, query, None) for query in queries]

    def arrays(self, *queries: str) -> list[dict[str, np.ndarray[Any, Any]]]:
        """The columns of several answers at the same moment: for many rows of numbers, none of them NULL.

        Raises:
            LineageError: as `sql`.
        """
        with self._connection() as connection:
            return [connection.execute(query).fetchnumpy() for query in queries]

    def write(self, folder: Path, statements: Sequence[str], settings: Settings | None = None) -> None:
        """Run statements at the same moment that write files into a folder, and reach no other file.

        Args:
            settings: of DuckDB, in place of the reader's own.

        Raises:
            LineageError: as `sql`, or the files cannot be written.
        """
        check_missing(self.path)
        with self._opened(self._timeout_seconds, settings or {}) as connection:
            lock(connection, folders=[folder])
            check_another_version(connection, self.path)
            for statement in statements:
                answered(connection, statement, None)

    @contextmanager
    def at_once(self) -> Iterator[LineageReader]:
        """A reader for several queries at the same moment, for a single open; the writer waits until it is closed.

        Raises:
            LineageError: as `sql`.
        """
        with self._connection() as connection:
            yield _OpenReader(self.path, connection)

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        check_missing(self.path)
        with (
            self._attached.reading(self._timeout_seconds)
            if self._attached
            else self._opened(self._timeout_seconds, {**self._settings, **LOCKED})
        ) as connection:
            check_another_version(connection, self.path)
            yield connection

    @contextmanager
    def _opened(self, timeout_seconds: float, settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = retried(lambda: self._connected(settings), self.path, timeout_seconds)
        try:
            yield connection
        except duckdb.Error as error:
            raise failure_of(self.path, error) from error
        finally:
            connection.close()

    def _connected(self, settings: Settings) -> duckdb.DuckDBPyConnection:
        try:
            return duckdb.connect(str(self.path), read_only=True, config=dict(settings))
        except duckdb.ConnectionException as error:
            if OTHER_SETTINGS not in str(error):
                raise
            # A connection of the caller's own to this file, in this process: its instance is shared, as it is.
            return duckdb.connect(str(self.path), read_only=True, config=self._settings)


class _OpenReader(LineageReader):
    """A reader whose database is open."""

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(path)
        self._open = connection

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        yield self._open


def answered(connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any] | None) -> Table:
    """The answer to a query.

    Raises:
        LineageError: DuckDB refuses it.
    """
    try:
        answer = connection.execute(query, parameters or [])
        described = answer.description or ()
        columns, types = tuple(column[0] for column in described), tuple(str(column[1]) for column in described)
        return Table(columns, tuple(answer.fetchall()), types)
    except duckdb.Error as error:
        said = refusal_of(error)
        if full := [sign for sign in FULL_MESSAGES if sign in said]:
            said = f"{full[0]}; make room, or write it elsewhere"
        elif any(sign in said for sign in DAMAGE_MESSAGES):
            said += "; the lineage is damaged, and `evo index RUN` builds it again"
        raise LineageError(f"the query failed: {said}") from error


def check_another_version(connection: duckdb.DuckDBPyConnection, path: Path, catalog: str = "main") -> None:
    """Check that the database has the schema that queries are written for.

    Args:
        catalog: prefix of the tables, where the database is attached.

    Raises:
        LineageError: the database has another schema, or none yet.
    """
    try:
        found = connection.execute(f"SELECT version FROM {catalog}.projection").fetchall()
    except duckdb.CatalogException:
        found = []
    except duckdb.PermissionException as error:  # of a view in place of the table
        raise failure_of(path, error) from error
    if found != [(SCHEMA_VERSION,)]:
        has = f"schema {found[0][0]}" if found else "no schema"
        raise LineageError(
            f"{path} has {has}, expected {SCHEMA_VERSION}; `{command('index', path.parent)}` builds it again from the "
            "journal"
        )
