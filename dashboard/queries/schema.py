"""The tables, views and macros of a run's database, as the database describes itself."""

from __future__ import annotations

from evo.lineage import LineageReader, Table


def tables(reader: LineageReader) -> Table:
    """Tables, views and macros: columns kind, name (with parameters), comment; the tables first."""
    return reader.sql("""
        SELECT 'table' AS kind, table_name AS name, comment FROM duckdb_tables() WHERE NOT internal
        UNION ALL
        SELECT 'view', view_name, comment FROM duckdb_views() WHERE NOT internal
        UNION ALL
        SELECT 'macro', function_name || '(' || list_aggregate(parameters, 'string_agg', ', ') || ')', comment
        FROM duckdb_functions() WHERE NOT internal AND function_type = 'table_macro'
        ORDER BY kind = 'macro', kind, name
    """)


def columns(reader: LineageReader) -> Table:
    """The columns of tables and views, in order: table, name, type, comment."""
    return reader.sql("""
        SELECT table_name AS "table", column_name AS name, data_type AS type, comment
        FROM duckdb_columns() WHERE NOT internal ORDER BY table_name, column_index
    """)
