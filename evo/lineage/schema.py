"""The schema: tables and views of `schema.sql`, table macros of `macros.sql`, meanings of columns of `meanings.py`."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from importlib import resources
from string import Template

import duckdb

from evo.lineage.meanings import uncommented

SCHEMA_VERSION = 8
MACRO_TABLES = ("completions", "individuals", "parents", "proposals")
"""What the macros read."""


def macros() -> str:
    """The table macros of a run."""
    return _macros().substitute({table: table for table in MACRO_TABLES}, run="")


def macros_by_run() -> str:
    """The table macros over several runs, which take the run's name first.

    The tables need a column `run`, and are found in the database `memory`: an argument may be a query on them.
    """
    narrowed = {
        table: f"(SELECT * EXCLUDE (run) FROM memory.main.{table} WHERE run = of_run)" for table in MACRO_TABLES
    }
    return _macros().substitute(narrowed, run="of_run,")


@cache
def schema() -> str:
    """Tables, views and macros of a run, with the meaning of every column."""
    statements = f"{_text('schema.sql')}\n{macros()}"
    with duckdb.connect(":memory:") as connection:
        connection.execute(statements)
        return "\n".join([statements, *uncommented(connection)])


@cache
def column_types() -> dict[str, list[str]]:
    """Column types by table, as the schema declares them."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(schema())
        rows = connection.execute(
            "SELECT table_name, data_type FROM duckdb_columns() ORDER BY table_name, column_index"
        ).fetchall()
    types: dict[str, list[str]] = defaultdict(list)
    for table, kind in rows:
        types[table].append(kind)
    return types


def _macros() -> Template:
    return Template(_text("macros.sql"))


def _text(name: str) -> str:
    return resources.files("evo.lineage").joinpath(name).read_text("utf-8")
