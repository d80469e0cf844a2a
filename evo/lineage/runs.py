"""Several runs as one: every table and view of theirs, with a column that says which run."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb

from evo.errors import LineageError
from evo.journal.folder import JOURNAL
from evo.lineage.opening import TIMEOUT_SECONDS, check_missing, patiently
from evo.lineage.queries import quoted
from evo.lineage.reading import FILE_NAME, Table, answered, check_another_version
from evo.lineage.run import Run, open_run


class Runs(Mapping[str, Run]):
    """Runs by name. Ids are those of each run: join on `run` too.

    Args:
        folders: name to run folder.
        timeout_seconds: how long to retry while a writer holds a run's file.
    """

    def __init__(self, folders: Mapping[str, Path], timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._runs = {name: open_run(folder, timeout_seconds) for name, folder in folders.items()}
        self._timeout_seconds = timeout_seconds

    def __getitem__(self, name: str) -> Run:
        return self._runs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)

    def best(self) -> Table:
        """Of each run, the best feasible individual by each objective."""
        return self.sql("FROM best")

    def each(self, analysis: Callable[[Run], Table]) -> Table:
        """What an analysis says of each run, one below the other: `open_runs("runs/*").each(analyses.founders)`."""
        answers = {name: analysis(run) for name, run in self.items()}
        first = next(iter(answers.values()))
        rows = tuple((name, *row) for name, table in answers.items() for row in table.rows)
        return Table(("run", *first.columns), rows, ("VARCHAR", *first.types) if first.types else ())

    def sql(self, query: str, parameters: list[Any] | None = None) -> Table:
        """Run one read-only query on all runs; table macros take a run's name first: `ancestors('toy', 42)`.

        Raises:
            LineageError: as `LineageReader.sql`, naming the run's file.
        """
        connection = duckdb.connect(":memory:")
        try:
            catalogs = {f"run_{number}": name for number, name in enumerate(self._runs)}
            for catalog, name in catalogs.items():
                self._attach(connection, catalog, self._runs[name].path)
            macros = _macros(connection, query.lower())
            named = " ".join([query, *macros.values()]).lower()
            for statement in chain(_unions(connection, catalogs, named), _by_run(connection, macros)):
                connection.execute(statement)
            return answered(connection, query, parameters)
        finally:
            connection.close()

    def _attach(self, connection: duckdb.DuckDBPyConnection, catalog: str, path: Path) -> None:
        check_missing(path)
        attach = f"ATTACH {quoted(str(path))} AS {catalog} (READ_ONLY)"
        patiently(lambda: connection.execute(attach), path, self._timeout_seconds)
        check_another_version(connection, path, f"{catalog}.main")


def _unions(connection: duckdb.DuckDBPyConnection, catalogs: Mapping[str, str], query: str) -> Iterator[str]:
    """A view for each table and view of the runs that the query may name."""
    columns: dict[str, list[str]] = {}
    for table, column in connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'run_0' AND NOT internal"
    ).fetchall():
        columns.setdefault(table, []).append(column)
    for table, names in columns.items():
        if table in query:  # binding all of them takes long where there are many runs
            rest = "* EXCLUDE (run)" if "run" in names else "*"
            parts = (
                f"SELECT {quoted(name)} AS run, {rest} FROM {catalog}.main.{table}"
                for catalog, name in catalogs.items()
            )
            yield f"CREATE VIEW {table} AS " + " UNION ALL ".join(parts)


def _macros(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, str]:
    """Name to definition of the runs' table macros that the query may name, by way of others too; those come first."""
    known = dict(
        connection.execute(
            "SELECT function_name, macro_definition FROM duckdb_functions() "
            "WHERE database_name = 'run_0' AND function_type = 'table_macro' AND NOT internal"
        ).fetchall()
    )
    found: dict[str, str] = {}

    def find(text: str) -> None:
        for name, definition in known.items():
            if name not in found and f"{name}(" in text:
                find(definition.lower())
                found[name] = definition

    find(query.replace(" (", "("))
    return found


def _by_run(connection: duckdb.DuckDBPyConnection, macros: Mapping[str, str]) -> Iterator[str]:
    """Each macro with the run as its first argument: what it reads is narrowed to the rows of that run."""
    views = [row[0] for row in connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()]
    for name, definition in macros.items():
        parameters = connection.execute(
            "SELECT parameters FROM duckdb_functions() WHERE database_name = 'run_0' AND function_name = ?", [name]
        ).fetchall()[0][0]
        for other in macros:
            definition = re.sub(rf"\b{other}\(", f"{other}(of_run, ", definition)
        definition, narrowed = _narrowed(definition, set(views))
        given = ", ".join(["of_run", *parameters])
        yield f"CREATE MACRO {name}({given}) AS TABLE WITH {narrowed} FROM ({definition})"


def _narrowed(definition: str, views: Collection[str]) -> tuple[str, str]:
    """A definition that reads one run's rows, and the common table expressions that hold these.

    They have names of their own: an argument may be a query on what all runs have by the old one.
    """
    expressions = []
    for view in sorted(views):
        definition, count = re.subn(rf"\b((?:FROM|JOIN)\s+\(*){view}\b", rf"\1{view}_of_run", definition)
        if count:
            expressions.append(f"{view}_of_run AS (SELECT * EXCLUDE (run) FROM memory.main.{view} WHERE run = of_run)")
    return definition, ", ".join(expressions)


def open_runs(runs: str | Path | Iterable[str | Path], timeout_seconds: float = TIMEOUT_SECONDS) -> Runs:
    """Several runs as one, each by the name of its folder, or by its path where two have the same.

    Args:
        runs: run folders or patterns of them, as in "runs/*"; what holds no run is passed over.

    Raises:
        LineageError: no run there, or a run without a lineage.
    """
    patterns = [runs] if isinstance(runs, str | Path) else list(runs)
    folders = sorted({Path(one) for pattern in patterns for one in glob.glob(str(pattern))})
    folders = [one for one in folders if (one / FILE_NAME).exists() or (one / JOURNAL).exists()]
    if not folders:
        raise LineageError(f"no run at {', '.join(map(str, patterns))}; expected folders such as runs/bin_packing-1")
    alike = Counter(one.name for one in folders)
    return Runs({one.name if alike[one.name] == 1 else str(one): one for one in folders}, timeout_seconds)
