"""The answer to a query, to print or as a data frame."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from evo.errors import LineageError

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Table:
    """The answer to a query: column names, and rows as tuples.

    Attributes:
        types: DuckDB's name for the type of each column; empty where only the values are known.
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
            LineageError: polars is not installed, or pyarrow, by which it is converted.
        """
        _library("polars")
        _library("pyarrow")
        return self._answer(lambda answer: answer.pl())

    def _answer(self, convert: Callable[[duckdb.DuckDBPyRelation], Any]) -> Any:
        """The rows converted by DuckDB itself, so that columns without a value keep their types."""
        values = [[row[number] for row in self.rows] for number in range(len(self.columns))]
        casts = [f"::{kind}[]" for kind in self.types] or [""] * len(values)
        names = (name.replace('"', '""') for name in self.columns)
        columns = ", ".join(f'unnest(?{cast}) AS "{name}"' for cast, name in zip(casts, names, strict=True))
        import duckdb  # not at the top: a table is printed without a database as well

        with duckdb.connect(":memory:") as connection:
            return convert(connection.sql(f"SELECT {columns}", params=values))


def _library(name: str) -> ModuleType:
    """A library that the platform does not need, and a user may have."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise LineageError(
            f"this needs {name}, which is not installed; `pip install {name}` (evo-platform[analysis] has them all), "
            "or take the answer's columns and rows"
        ) from error
