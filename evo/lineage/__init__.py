"""The lineage database: the journal as tables, for any DuckDB client. The only package that imports duckdb.

Names are imported when they are used: what prints a table needs no database, and what asks a query does not write.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evo.lineage.projection import Projection, rebuild
    from evo.lineage.reading import LineageReader
    from evo.lineage.run import Run, open_run
    from evo.lineage.runs import Runs, open_runs
    from evo.lineage.table import Table

__all__ = ["LineageReader", "Projection", "Run", "Runs", "Table", "open_run", "open_runs", "rebuild"]

_MODULES = {
    "LineageReader": "reading",
    "Projection": "projection",
    "Run": "run",
    "Runs": "runs",
    "Table": "table",
    "open_run": "run",
    "open_runs": "runs",
    "rebuild": "projection",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"evo.lineage.{_MODULES[name]}"), name)
