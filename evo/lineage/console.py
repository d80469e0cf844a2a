"""Runs an untrusted query in a process of its own, which reads a run and no other file, without network.

`python -m evo.lineage.console` is that process: a question on stdin, an answer on stdout, both JSON.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from evo.errors import LineageError
from evo.lineage.opening import check_missing, failure_of, lock, refusal_of, retried
from evo.lineage.queries import quoted
from evo.lineage.reading import check_another_version
from evo.lineage.table import Table

# Statements that only read; all others write, attach, load or set.
READING = ("SELECT", "EXPLAIN")
# Types that a column keeps; all others are sent as text.
INTEGERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "HUGEINT",
    "UHUGEINT",
)
KEPT = (*INTEGERS, "BOOLEAN", "FLOAT", "DOUBLE", "DATE", "TIMESTAMP")
# No keys: a query cannot read its environment, and would find none if it could.
ENVIRONMENT = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "SYSTEMROOT")
GRACE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What a query may take.

    Attributes:
        rows: the answer is cut off behind so many.
        cell: characters of a value; longer values are cut off.
        memory_bytes: of DuckDB; its process has 1.5 GiB more of address space.
    """

    seconds: float = 10.0
    rows: int = 10_000
    cell: int = 20_000
    memory_bytes: int = 512 << 20


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a query.

    Attributes:
        cut: whether there are more rows than are here.
    """

    table: Table
    cut: bool
    seconds: float


def ask(path: Path, query: str, limits: QueryLimits = QueryLimits(), *, timeout_seconds: float = 2.0) -> Reply:
    """Run a query on a run's database.

    Raises:
        LineageError: it cannot be opened, refuses the query, or the query exceeded a limit.
    """
    check_missing(path)
    question = {"path": str(path), "query": query, "timeout_seconds": timeout_seconds, **asdict(limits)}
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "evo.lineage.console"],
            input=json.dumps(question).encode(),
            capture_output=True,
            env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            timeout=limits.seconds + timeout_seconds + GRACE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _too_long(limits) from error
    answer = _read(done, limits)
    if "refused" in answer:
        raise LineageError(answer["refused"])
    types = tuple(answer["types"])
    rows = tuple(
        tuple(_restored(value, kind) for value, kind in zip(row, types, strict=True)) for row in answer["rows"]
    )
    return Reply(Table(tuple(answer["columns"]), rows, types), answer["cut"], time.monotonic() - began)


def _read(done: subprocess.CompletedProcess[bytes], limits: QueryLimits) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise LineageError(
            f"the query ended its process (exit code {done.returncode}), most likely by taking more than "
            f"{limits.memory_bytes >> 20} MiB; ask for less of it"
        ) from error
    return answer


def _too_long(limits: QueryLimits) -> LineageError:
    return LineageError(f"the query took longer than {limits.seconds:g} s; ask for less, or `evo sql` without a limit")


def _restored(value: Any, kind: str) -> Any:
    """A value that JSON has no form for, as it was."""
    if isinstance(value, str) and kind in ("DOUBLE", "FLOAT"):
        return float(value)
    if isinstance(value, str) and kind == "TIMESTAMP":
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if isinstance(value, str) and kind == "DATE" else value


def main() -> None:
    """Answer the question on stdin."""
    question = json.loads(sys.stdin.buffer.read())
    path, query = Path(question["path"]), question["query"]
    limits = QueryLimits(question["seconds"], question["rows"], question["cell"], question["memory_bytes"])
    _bound(limits)
    try:
        answer = _answer(path, query, limits, question["timeout_seconds"])
    except LineageError as error:
        answer = {"refused": str(error)}
    except MemoryError:
        answer = {"refused": f"the query took more than {limits.memory_bytes >> 20} MiB; ask for less of it"}
    sys.stdout.write(json.dumps(answer))


def _bound(limits: QueryLimits) -> None:
    """Limits of the system, which hold even if DuckDB exceeds its own."""
    address_space = limits.memory_bytes + (3 << 29)
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seconds = math.ceil(4 * limits.seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def _answer(path: Path, query: str, limits: QueryLimits, timeout_seconds: float) -> dict[str, Any]:
    config: dict[str, str | bool | int | float | list[str]]
    config = {"memory_limit": f"{limits.memory_bytes >> 20}MiB", "threads": 2, "temp_directory": ""}
    with duckdb.connect(":memory:", config=config) as connection:
        attach = f"ATTACH {quoted(str(path))} AS run (READ_ONLY)"
        retried(lambda: connection.execute(attach), path, timeout_seconds)
        connection.execute("USE run")
        lock(connection)
        check_another_version(connection, path, "run.main")
        return _run(connection, _checked(connection, query), limits, path)


def _checked(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """The query, where it is a single statement that reads."""
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        raise LineageError(f"the query failed: {refusal_of(error)}") from error
    if len(statements) != 1:
        raise LineageError(f"expected one query, got {len(statements)}; run them one after the other")
    if statements[0].type.name not in READING:
        raise LineageError(f"this is a {statements[0].type.name}; the console only reads: SELECT, FROM, WITH, EXPLAIN")
    text: str = statements[0].query
    return text


def _run(connection: duckdb.DuckDBPyConnection, query: str, limits: QueryLimits, path: Path) -> dict[str, Any]:
    alarm = threading.Timer(limits.seconds, connection.interrupt)
    alarm.daemon = True
    alarm.start()
    try:
        answer = connection.execute(query)
        described = answer.description or []
        rows = answer.fetchmany(limits.rows + 1)
    except duckdb.InterruptException as error:
        raise _too_long(limits) from error
    except duckdb.IOException as error:
        raise failure_of(path, error) from error
    except duckdb.Error as error:
        raise LineageError(f"the query failed: {refusal_of(error)}") from error
    finally:
        alarm.cancel()
    kinds = [_kind(str(column[1])) for column in described]
    return {
        "columns": _distinct([str(column[0]) for column in described]),
        "types": kinds,
        "rows": [
            [_sent(value, kind, limits.cell) for value, kind in zip(row, kinds, strict=True)]
            for row in rows[: limits.rows]
        ],
        "cut": len(rows) > limits.rows,
    }


def _distinct(names: list[str]) -> list[str]:
    """Distinct names, where several columns have the same."""
    taken: list[str] = []
    for name in names:
        number, distinct = 1, name
        while distinct in taken:
            number += 1
            distinct = f"{name} {number}"
        taken.append(distinct)
    return taken


def _kind(name: str) -> str:
    """The type that a column arrives with."""
    if name.startswith("DECIMAL"):
        return "DOUBLE"
    return name if name in KEPT else "VARCHAR"


def _sent(value: Any, kind: str, widest: int) -> Any:
    """A value as JSON takes it."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal) and kind == "DOUBLE":
        return float(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    text = json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, list | dict | tuple) else str(value)
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= widest else text[:widest] + " ..."


if __name__ == "__main__":
    main()
