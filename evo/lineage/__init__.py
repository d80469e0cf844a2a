"""The lineage database: the journal as tables, for any DuckDB client. The only place that imports duckdb."""

from evo.lineage.projection import Projection, rebuild
from evo.lineage.reading import LineageReader, Table, open_run

__all__ = ["LineageReader", "Projection", "Table", "open_run", "rebuild"]
