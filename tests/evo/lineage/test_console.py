"""A stranger's query reads one run, and can do nothing else."""

from __future__ import annotations

import math
import time
from datetime import datetime
from pathlib import Path

import pytest

from evo.errors import LineageError
from evo.lineage.console import QueryLimits, ask

LITTLE = QueryLimits(seconds=1.0, rows=5, cell=100, memory_bytes=128 << 20)


@pytest.fixture(scope="module")
def database(first_toy_run: Path) -> Path:
    return first_toy_run / "lineage.duckdb"


def test_a_query_is_answered_with_its_types(database: Path) -> None:
    query = (
        "SELECT id, near.value, told_at, 1.5::DECIMAL(4, 2) AS d, sum(id) OVER () AS s, 'NaN'::DOUBLE AS n, [1, NULL] "
    )
    query += (
        "FROM individuals JOIN objectives near ON near.individual = id AND near.name = 'near' ORDER BY id DESC -- end"
    )
    reply = ask(database, query, LITTLE)
    assert reply.table.types == ("BIGINT", "DOUBLE", "TIMESTAMP", "DOUBLE", "HUGEINT", "DOUBLE", "VARCHAR")
    identity, value, told, decimal, total, nothing, several = reply.table.rows[0]
    assert (identity, decimal, several, reply.cut) == (59, 1.5, "[1, null]", True)
    assert isinstance(value, float)
    assert isinstance(told, datetime)
    assert isinstance(total, int)
    assert math.isnan(nothing)
    assert [row[0] for row in reply.table.rows] == [59, 58, 57, 56, 55]
    assert len(reply.table.to_pandas()) == len(reply.table.to_arrow()) == 5


def test_macros_explanations_and_descriptions_are_questions_too(database: Path) -> None:
    for query in ("FROM ancestors(5)", "EXPLAIN FROM best", "DESCRIBE individuals", "SHOW TABLES", "SUMMARIZE front"):
        assert ask(database, query).table.rows, query


def test_long_values_are_cut_and_columns_of_one_name_told_apart(database: Path) -> None:
    reply = ask(database, "SELECT repeat('é', 200) AS a, 1 AS a", LITTLE)
    assert reply.table.columns == ("a", "a 2")
    assert reply.table.rows == (("é" * 100 + " ...", 1),)


@pytest.mark.parametrize(
    "query",
    [
        "FROM read_text('/etc/hostname')",
        "FROM read_blob('/proc/self/environ')",
        "FROM glob('/*')",
        "FROM '/tmp/x.parquet'",
        "FROM read_csv('http://127.0.0.1:9/x')",
        "COPY individuals TO '{folder}/stolen.csv'",
        "EXPORT DATABASE '{folder}/stolen'",
        "ATTACH '{folder}/made.duckdb' AS made",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA memory_limit='64GB'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CREATE TABLE memory.main.t AS SELECT 1",
        "DELETE FROM individuals",
        "UPDATE projection SET version = 1",
        "EXPLAIN ANALYZE COPY individuals TO '{folder}/stolen.csv'",
        "EXPLAIN ANALYZE DELETE FROM individuals",
        "SELECT 1; SELECT 2",
        "CHECKPOINT",
        "USE memory",
        "",
        "-- nothing",
        "selec",
    ],
)
def test_it_can_only_ask_this_run(database: Path, tmp_path: Path, query: str) -> None:
    before = database.read_bytes()
    with pytest.raises(LineageError):
        ask(database, query.format(folder=tmp_path), LITTLE)
    assert list(tmp_path.iterdir()) == []
    assert database.read_bytes() == before


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r", "longer than 1 s"),
        ("SELECT list(a.range) FROM range(100000000) a", "(?i)memory|MiB"),
        ("SELECT repeat('x', 2000000000)", "(?i)memory|MiB"),
    ],
)
def test_what_takes_too_much_is_ended(database: Path, query: str, said: str) -> None:
    began = time.monotonic()
    with pytest.raises(LineageError, match=said):
        ask(database, query, LITTLE)
    assert time.monotonic() - began < 8


def test_it_sees_no_key(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-seen")
    reply = ask(database, "SELECT * FROM duckdb_settings()", QueryLimits())
    assert "sk-not-to-be-seen" not in str(reply)


def test_a_database_that_is_none_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match="no lineage at"):
        ask(tmp_path / "lineage.duckdb", "SELECT 1")
    (tmp_path / "lineage.duckdb").write_bytes(b"no database" * 1000)
    with pytest.raises(LineageError, match="evo index"):
        ask(tmp_path / "lineage.duckdb", "SELECT 1")
