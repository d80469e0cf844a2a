"""Reading a lineage: open, query, close, and again if the writer was just there."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import numpy as np

from evo.errors import LineageError
from evo.lineage.attached import Settings, shared
from evo.lineage.opening import DAMAGE_MESSAGES, FULL_MESSAGES, TIMEOUT_SECONDS, check_missing, failure_of, patiently

FILE_NAME = "lineage.duckdb"
SCHEMA_VERSION = 7


@dataclass(frozen=True, slots=True)
class Table:
    """The answer to a query: column names, and rows as tuples.

    Attributes:
        types: what DuckDB calls the type of each column; empty where the values are all there is to go by.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    types: tuple[str, ...] = ()

    def scalar(self) -> Any:
        """The first value of the first row; None where there is no row."""
        return self.rows[0][0] if self.rows else None

    def records(self) -> list[dict[str, Any]]:
        """The rows as column to value."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def to_pandas(self) -> Any:
        """A pandas.DataFrame.

        Raises:
            LineageError: pandas is not installed.
        """
        _library("pandas")
        return self._answer(lambda answer: answer.df())

    def to_arrow(self) -> Any:
        """A pyarrow.Table.

        Raises:
            LineageError: pyarrow is not installed.
        """
        _library("pyarrow")
        return self._answer(lambda answer: answer.to_arrow_table())

    def to_polars(self) -> Any:
        """A polars.DataFrame.

        Raises:
            LineageError: polars is not installed, or pyarrow, by way of which it comes.
        """
        _library("polars")
        _library("pyarrow")
        return self._answer(lambda answer: answer.pl())

    def _answer(self, convert: Callable[[duckdb.DuckDBPyRelation], Any]) -> Any:
        """The rows as DuckDB itself hands them to a library, so that columns without a value keep their types."""
        values = [[row[number] for row in self.rows] for number in range(len(self.columns))]
        casts = [f"::{kind}[]" for kind in self.types] or [""] * len(values)
        names = (name.replace('"', '""') for name in self.columns)
        columns = ", ".join(f'unnest(?{cast}) AS "{name}"' for cast, name in zip(casts, names, strict=True))
        with duckdb.connect(":memory:") as connection:
            return convert(connection.sql(f"SELECT {columns}", params=values))


def _library(name: str) -> ModuleType:
    """A library that the platform does without, and a reader may have."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise LineageError(
            f"this needs {name}, which is not installed; `pip install {name}` (evo-platform[analysis] has them all), "
            "or take the answer's columns and rows"
        ) from error


class LineageReader:
    """Queries one run's database by short opens, so that its writer is never held up for long.

    Args:
        timeout_seconds: how long to retry while a writer holds the file.
        settings: of DuckDB, as in {"memory_limit": "512MB", "threads": 1}; of the readers of a file that there are in a
            process at one time, those of the first are everybody's.
        often: whether to keep what DuckDB makes for each open but the file itself: for who asks once a second, at a
            sixth of the price. Not beside a connection of your own to the same file: its lock would be given up.
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
        """Run one read-only query.

        Raises:
            LineageError: no such file, held by another process for too long, of another schema version, or a query
            that DuckDB refuses.
        """
        with self._connection() as connection:
            return answered(connection, query, parameters)

    def answers(self, *queries: str) -> list[Table]:
        """The answers to several queries, all of one moment and at the price of one open.

        Raises:
            LineageError: as `sql`.
        """
        with self._connection() as connection:
            return [answered(connection, query, None) for query in queries]

    def arrays(self, *queries: str) -> list[dict[str, np.ndarray[Any, Any]]]:
        """The columns of several answers, all of one moment: for many rows of numbers, none of them NULL.

        Raises:
            LineageError: as `sql`.
        """
        with self._connection() as connection:
            return [connection.execute(query).fetchnumpy() for query in queries]

    @contextmanager
    def at_once(self) -> Iterator[LineageReader]:
        """A reader for several queries, of one moment and at the price of one open; the writer waits until it is left.

        Raises:
            LineageError: as `sql`.
        """
        with self._connection() as connection:
            yield _Sitting(self.path, connection)

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        check_missing(self.path)
        opening = self._attached.reading if self._attached else self._opened
        with opening(self._timeout_seconds) as connection:
            check_another_version(connection, self.path)
            yield connection

    @contextmanager
    def _opened(self, timeout_seconds: float) -> Iterator[duckdb.DuckDBPyConnection]:
        place = str(self.path)
        connection = patiently(
            lambda: duckdb.connect(place, read_only=True, config=self._settings), self.path, timeout_seconds
        )
        try:
            yield connection
        except duckdb.Error as error:
            raise failure_of(self.path, error) from error
        finally:
            connection.close()


class _Sitting(LineageReader):
    """A reader whose database is open."""

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(path)
        self._open = connection

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        yield self._open


def answered(connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any] | None) -> Table:
    """The answer to one query.

    Raises:
        LineageError: DuckDB refuses it.
    """
    try:
        answer = connection.execute(query, parameters or [])
        described = answer.description or ()
        columns, types = tuple(column[0] for column in described), tuple(str(column[1]) for column in described)
        return Table(columns, tuple(answer.fetchall()), types)
    except duckdb.Error as error:
        said = str(error).partition("LINE 1:")[0].strip()
        if full := [sign for sign in FULL_MESSAGES if sign in said]:
            said = f"{full[0]}; make room, or have it written elsewhere"
        elif any(sign in said for sign in DAMAGE_MESSAGES):
            said += "; the lineage is damaged, and `evo index RUN` builds it anew"
        raise LineageError(f"the query failed: {said}") from error


def check_another_version(connection: duckdb.DuckDBPyConnection, path: Path, catalog: str = "main") -> None:
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
