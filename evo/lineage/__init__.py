"""The lineage database: the journal as tables, for any DuckDB client. The only place that imports duckdb."""

from evo.lineage.projection import Projection, rebuild
from evo.lineage.reading import LineageReader, Table
from evo.lineage.run import Run, open_run
from evo.lineage.runs import Runs, open_runs

__all__ = ["LineageReader", "Projection", "Run", "Runs", "Table", "open_run", "open_runs", "rebuild"]
