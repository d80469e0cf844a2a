"""A lineage of a stranger, whose views and macros read files of the machine: none is read, and a sentence says so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from dashboard.source import Source
from evo.errors import EvoError, LineageError
from evo.lineage import open_run, open_runs
from evo.lineage.console import ask
from tests.conftest import Evo

SECRET = "what no lineage may show"
REFUSED = "file system operations are disabled by configuration; a lineage is queried without access to other files"

# Of each kind of thing that a database may hold, with the file to read at @FILE@ and one to write at @LEFT@.
TRAPS = {
    "a view": "CREATE OR REPLACE VIEW front AS SELECT * FROM read_text('@FILE@')",
    "a view of lines": "CREATE OR REPLACE VIEW front AS SELECT * FROM read_csv('@FILE@', header=false)",
    "a view of bytes": "CREATE OR REPLACE VIEW front AS SELECT * FROM read_blob('@FILE@')",
    "a view of names": "CREATE OR REPLACE VIEW front AS SELECT * FROM glob('@FOLDER@/*')",
    "a view of a file's name": "CREATE OR REPLACE VIEW front AS SELECT * FROM '@FILE@.csv'",
    "a macro": "CREATE MACRO peek() AS (SELECT content FROM read_text('@FILE@'));"
    "CREATE OR REPLACE VIEW front AS SELECT peek() AS id",
    "a table macro": "CREATE MACRO spy() AS TABLE SELECT * FROM read_text('@FILE@');"
    "CREATE OR REPLACE VIEW front AS SELECT * FROM spy()",
    "a query in a text": "CREATE OR REPLACE VIEW front AS SELECT * FROM query('FROM read_text(''@FILE@'')')",
}


def trapped(run: Path, tmp_path: Path, statements: str) -> None:
    secret = tmp_path / "home" / "secret"
    secret.parent.mkdir(exist_ok=True)
    for path in (secret, secret.with_suffix(".csv")):
        path.write_text(SECRET + "\n")
    with duckdb.connect(str(run / "lineage.duckdb")) as client:
        client.execute(statements.replace("@FILE@", str(secret)).replace("@FOLDER@", str(secret.parent)))


@pytest.mark.parametrize("trap", TRAPS)
def test_a_view_that_reads_a_file_is_refused_in_one_sentence(
    evo: Evo, toy_run: Path, tmp_path: Path, trap: str
) -> None:
    trapped(toy_run, tmp_path, TRAPS[trap])
    shutil.copytree(toy_run, tmp_path / "runs" / "second")
    out = tmp_path / "home" / "out"
    asked: dict[str, Callable[[], object]] = {
        "reader": lambda: open_run(toy_run).sql("FROM front"),
        "often": lambda: open_run(toy_run, often=True).sql("FROM front"),
        "several": lambda: open_runs(tmp_path / "runs" / "*").sql("FROM front"),
        "console": lambda: ask(toy_run / "lineage.duckdb", "FROM front"),
        "dashboard": lambda: Source([toy_run]).ask("toy", lambda reader: reader.sql("FROM front")),
        "query of the dashboard": lambda: Source([toy_run]).query("toy", "FROM front"),
        "written": lambda: open_run(toy_run).write(out, [f"COPY (FROM front) TO '{out}/left.csv'"]),
    }
    for question in asked.values():
        with pytest.raises(LineageError, match=REFUSED) as caught:
            question()
        assert SECRET not in str(caught.value)
    for arguments in (
        ("sql", toy_run, "FROM front"),
        ("sql", toy_run, "FROM front", "--format", "csv", "--to", "answer.csv"),
        ("sql", toy_run, "FROM front", "--format", "parquet", "--to", "answer.parquet"),
    ):
        answer = evo(*arguments)
        assert (answer.code, answer.out) == (2, "")
        assert REFUSED in answer.err
        assert answer.err.count("\n") == 1
        assert SECRET not in answer.err
    assert {path.name for path in tmp_path.iterdir()} == {"home", "runs"}
    assert not out.exists()


VIEWS_AND_TABLES = """
    SELECT table_name, table_type FROM information_schema.tables WHERE table_catalog = 'lineage' ORDER BY ALL
"""


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_no_command_shows_what_any_table_or_view_of_a_stranger_reads(
    evo: Evo, toy_run: Path, tmp_path: Path, kind: str
) -> None:
    with duckdb.connect(str(toy_run / "lineage.duckdb")) as client:
        found = client.execute(VIEWS_AND_TABLES).fetchall()
        for name, of in found:
            columns = client.execute(f"SELECT column_name FROM duckdb_columns() WHERE table_name = '{name}'").fetchall()
            shown = ", ".join(f'content AS "{column}"' for (column,) in columns)
            with suppress(duckdb.Error):  # of a table that another needs
                client.execute(f"DROP {'VIEW' if of == 'VIEW' else 'TABLE'} {name}")
                (tmp_path / "secret").write_text(SECRET)
                client.execute(f"CREATE VIEW {name} AS SELECT {shown} FROM read_text('{tmp_path / 'secret'}')")
    if kind == "pipe":
        (tmp_path / "secret").unlink()
        os.mkfifo(tmp_path / "secret")
    before = sorted(path.name for path in tmp_path.iterdir())
    for command in (
        ("top", toy_run),
        ("show", toy_run, 1),
        ("status", toy_run),
        ("analyse", toy_run),
        ("lineage", toy_run, 1),
        ("sql", toy_run, "FROM individuals"),
        ("doctor", toy_run),
        ("export", toy_run, "--to", "out"),
        ("export", toy_run, "--format", "json", "--to", "out.json"),
        ("export", toy_run, "--format", "graphml", "--to", "out.graphml"),
        ("export", toy_run, "--html", "--to", "out.html"),
        ("snapshot", toy_run, "copy.duckdb"),
    ):
        answer = evo(*command)
        assert SECRET not in answer.out + answer.err, command
        assert "Traceback" not in answer.err, command
        if command[0] not in ("status", "doctor", "snapshot"):  # which the journal answers as well
            assert (answer.code, answer.err.count("\n")) == (2, 1), answer
            assert "disabled by configuration" in answer.err
            assert sorted(path.name for path in tmp_path.iterdir()) == before
    with pytest.raises(EvoError, match="disabled by configuration"):
        Source([toy_run]).ask("toy", lambda reader: reader.sql("FROM individuals"))


@pytest.mark.parametrize(
    "query",
    [
        "FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO 'left.csv'",
        "ATTACH 'left.duckdb' AS other",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "FROM 'http://127.0.0.1:9/left.csv'",
        "EXPORT DATABASE 'left'",
    ],
)
def test_a_query_reaches_nothing_but_the_lineage(evo: Evo, toy_run: Path, tmp_path: Path, query: str) -> None:
    answer = evo("sql", toy_run, query)
    assert (answer.code, answer.err.count("\n")) == (2, 1), answer
    assert "root:" not in answer.out + answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    for often in (False, True):
        with pytest.raises(LineageError, match="disabled by configuration|locked|httpfs|HTTP"):
            open_run(toy_run, often=often).sql(query)


def test_what_writes_files_goes_on_to_do_so(evo: Evo, toy_run: Path, tmp_path: Path) -> None:
    for number, arguments in enumerate(
        (
            ("export", toy_run),
            ("export", toy_run, "--format", "json"),
            ("export", toy_run, "--format", "graphml"),
            ("sql", toy_run, "FROM individuals", "--format", "parquet"),
            ("sql", toy_run, "FROM individuals", "--format", "csv"),
        )
    ):
        answer = evo(*arguments, "--to", f"it's {number}")
        assert answer.code == 0, answer.err
        assert (tmp_path / f"it's {number}").exists()
