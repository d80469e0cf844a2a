"""Several runs in a database: tables and views with a column `run`, macros that take the run first."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from evo.errors import LineageError
from evo.journal.folder import JOURNAL
from evo.lineage.opening import FILE_NAME, TIMEOUT_SECONDS, check_missing, lock, refusal_of, retried
from evo.lineage.queries import quoted
from evo.lineage.reading import answered, check_another_version
from evo.lineage.run import Run, open_run
from evo.lineage.schema import MACRO_TABLES, macros_by_run
from evo.lineage.table import Table


class Runs(Mapping[str, Run]):
    """Runs by name. Ids are those of each run: join on `run` too.

    Args:
        folders: name to run folder.
        timeout_seconds: how long to retry while a writer has a run's file open.
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
        """The tables of an analysis, run after run: `open_runs("runs/*").each(analyses.founders)`."""
        answers = {name: analysis(run) for name, run in self.items()}
        first = next(iter(answers.values()))
        rows = tuple((name, *row) for name, table in answers.items() for row in table.rows)
        return Table(("run", *first.columns), rows, ("VARCHAR", *first.types) if first.types else ())

    def sql(self, query: str, parameters: list[Any] | None = None) -> Table:
        """Run a read-only query on all runs; table macros take a run's name first: `ancestors('toy', 42)`.

        Raises:
            LineageError: as `LineageReader.sql`, naming the run's file.
        """
        connection = duckdb.connect(":memory:")
        try:
            catalogs = {f"run_{number}": name for number, name in enumerate(self._runs)}
            for catalog, name in catalogs.items():
                self._attach(connection, catalog, self._runs[name].path)
            lock(connection)
            self._check_versions(connection, catalogs)
            macro_tables = _macros_read(connection, query.lower())
            for statement in _unions(connection, catalogs, " ".join([query.lower(), *macro_tables])):
                connection.execute(statement)
            if macro_tables:
                connection.execute(macros_by_run())
            return answered(connection, query, parameters)
        except duckdb.PermissionException as error:  # of a view or macro in a run
            raise LineageError(f"cannot read {', '.join(self._runs)} together: {refusal_of(error)}") from error
        finally:
            connection.close()

    def _attach(self, connection: duckdb.DuckDBPyConnection, catalog: str, path: Path) -> None:
        check_missing(path)
        attach = f"ATTACH {quoted(str(path))} AS {catalog} (READ_ONLY)"
        retried(lambda: connection.execute(attach), path, self._timeout_seconds)

    def _check_versions(self, connection: duckdb.DuckDBPyConnection, catalogs: Mapping[str, str]) -> None:
        for catalog, name in catalogs.items():
            check_another_version(connection, self._runs[name].path, f"{catalog}.main")


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


def _macros_read(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[str, ...]:
    """The tables that the macros read, where the query may name a macro; () where it names none."""
    names = connection.execute(
        "SELECT function_name FROM duckdb_functions() "
        "WHERE database_name = 'run_0' AND function_type = 'table_macro' AND NOT internal"
    ).fetchall()
    return MACRO_TABLES if any(name in query for (name,) in names) else ()


def open_runs(runs: str | Path | Iterable[str | Path], timeout_seconds: float = TIMEOUT_SECONDS) -> Runs:
    """Several runs together, each by the name of its folder, or by its path where two folders have the same name.

    Args:
        runs: run folders or patterns of them, as in "runs/*"; folders without a run are ignored.

    Raises:
        LineageError: no run there, or a run without a lineage.
    """
    patterns = [runs] if isinstance(runs, str | Path) else list(runs)
    folders = sorted({Path(path) for pattern in patterns for path in glob.glob(str(pattern))})
    folders = [folder for folder in folders if (folder / FILE_NAME).exists() or (folder / JOURNAL).exists()]
    if not folders:
        raise LineageError(f"no run at {', '.join(map(str, patterns))}; expected folders such as runs/bin_packing-1")
    count = Counter(folder.name for folder in folders)
    names = {folder.name if count[folder.name] == 1 else str(folder): folder for folder in folders}
    return Runs(names, timeout_seconds)
