"""A lineage as files: tables, a document, a graph, or a page. DuckDB writes, so memory stays bounded."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

from evo.cli.tables import print_table
from evo.errors import UserError
from evo.lineage import LineageReader

PARQUET = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 8192"
# Rows of whole tables may come in any order: keeping theirs takes 3.5 times the memory.
ANY_ORDER = {"preserve_insertion_order": False}
NODES = """
    SELECT i.id, i.outcome, i.operator, i.model, i.island, i.tell, i.survived, i.kind, i.size, i.digest, s.objectives
    FROM individuals i
    LEFT JOIN (SELECT individual, map(list(name), list(mean)) AS objectives FROM scores GROUP BY individual) s
        ON s.individual = i.id
    ORDER BY i.id
"""
EDGES = "SELECT parent, child, role FROM parents ORDER BY child, parent, role"
NODE_KEYS = {
    "outcome": "string",
    "operator": "string",
    "model": "string",
    "island": "long",
    "tell": "long",
    "survived": "boolean",
    "kind": "string",
    "size": "long",
    "digest": "string",
}
# What XML 1.0 cannot hold, however it is escaped.
UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


Export = Literal["parquet", "csv", "json", "graphml", "html"]
Format = Literal["table", "csv", "json", "parquet"]


def chosen(format: Export | None, *, html: bool) -> Export:
    """The format that was asked for, by --format or by --html.

    Raises:
        UserError: they contradict each other.
    """
    if html and format not in (None, "html"):
        raise UserError(f"--html is a format of its own, and --format says {format}; leave one of them out")
    return "html" if html else format or "parquet"


def size(path: Path) -> str:
    """How large a file is, for a person."""
    return f"{path.stat().st_size / 1e6:.1f} MB"


def export(reader: LineageReader, format: Export, target: Path, *, force: bool) -> int:
    """Write all tables, as they stand at the same moment; how many files that makes.

    Args:
        target: a folder for parquet and csv, a file for json, graphml and html.

    Raises:
        UserError: it exists and may not be overwritten, or cannot be written.
    """
    check_overwriting(target, force=force)
    from evo.lineage.snapshot import half_written  # not at the top: it brings what writes a lineage

    with half_written(target) as folder:
        if format == "graphml":
            _copy(reader, {"nodes": NODES, "edges": EDGES}, folder, "json")
            _write_graph(folder, _objective_names(reader), folder / "whole")
        elif format == "html":
            _write_page(reader, folder / "whole")
        else:
            _copy(reader, {table: f"FROM {table}" for table in _tables(reader)}, folder, format, ANY_ORDER)
        if format in ("parquet", "csv"):
            return _deliver_folder(folder, target)
        if format == "json":
            _write_document(sorted(folder.iterdir()), folder / "whole")
        os.replace(folder / "whole", target)
        return 1


def _write_page(reader: LineageReader, path: Path) -> None:
    """The dashboard's figures as a page that needs no server."""
    if importlib.util.find_spec("dashboard") is None:  # by name: this package may import none of its siblings
        raise UserError("the dashboard is not installed, which draws the figures; `pip install evo-platform` has it")
    path.write_text(importlib.import_module("dashboard.standalone").page(reader), "utf-8")


def answer(reader: LineageReader, query: str, format: Format, *, to: Path | None, force: bool) -> None:
    """Print the answer to a query, or write it into a file.

    Raises:
        UserError: the file exists and may not be overwritten, or cannot be written, or DuckDB refuses the query.
    """
    if to is None:
        if format == "parquet":
            raise UserError("parquet is for programs, not for a terminal; name a file with --to FILE")
        print_table(reader.sql(query), format)
        return
    check_overwriting(to, force=force)
    from evo.lineage.snapshot import half_written  # as above

    with half_written(to) as folder:
        if format == "parquet":
            _copy(reader, {"answer": query}, folder, format)
        else:
            with (folder / f"answer.{format}").open("w", encoding="utf-8") as out, redirect_stdout(out):
                print_table(reader.sql(query), format)
        os.replace(folder / f"answer.{format}", to)


def check_overwriting(target: Path, *, force: bool) -> None:
    """Refuse to write over what is there already.

    Raises:
        UserError: it exists, and is no empty folder.
    """
    if not force and target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(f"{target} exists; choose another with --to, or add --force to write over it")


def _tables(reader: LineageReader) -> list[str]:
    named = reader.sql("SELECT table_name FROM duckdb_tables() WHERE table_name <> 'projection' ORDER BY table_name")
    return [row[0] for row in named.rows]


def _objective_names(reader: LineageReader) -> list[str]:
    return [row[0] for row in reader.sql("SELECT name FROM objective_names ORDER BY position").rows]


def _copy(
    reader: LineageReader,
    queries: Mapping[str, str],
    folder: Path,
    format: str,
    settings: Mapping[str, bool] | None = None,
) -> None:
    """Each query into a file of its name; a single open for all, so that they agree with each other."""
    how = {"csv": "FORMAT csv, HEADER", "json": "FORMAT json", "parquet": PARQUET}[format]
    # The line end keeps a query's last comment from swallowing the bracket.
    copies = [
        f"COPY ({query.strip().rstrip(';')}\n) TO {_quoted(folder / f'{name}.{format}')} ({how})"
        for name, query in queries.items()
    ]
    reader.write(folder, copies, settings)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _deliver_folder(folder: Path, target: Path) -> int:
    target.mkdir(exist_ok=True)
    files = list(folder.iterdir())
    for file in files:
        os.replace(file, target / file.name)
    return len(files)


def _write_document(parts: list[Path], path: Path) -> None:
    """An object: a table's name to its rows, each an object."""
    with path.open("w", encoding="utf-8") as out:
        for position, part in enumerate(parts):
            out.write(("{\n" if position == 0 else ",\n") + json.dumps(part.stem) + ": [")
            for number, line in enumerate(_lines(part)):
                out.write((",\n" if number else "\n") + line.rstrip("\n"))
            out.write("]")
        out.write("\n}\n")


def _lines(part: Path) -> Iterator[str]:
    with part.open(encoding="utf-8", newline="\n") as file:
        yield from file


def _write_graph(folder: Path, objectives: list[str], path: Path) -> None:
    """GraphML: individuals as nodes, an edge from each parent to its child."""
    with path.open("w", encoding="utf-8") as out:
        out.write('<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n')
        for name, kind in NODE_KEYS.items():
            out.write(_key(name, "node", name, kind))
        for position, name in enumerate(objectives):
            out.write(_key(f"objective{position}", "node", name, "double"))
        out.write(_key("role", "edge", "role", "string") + '<graph id="lineage" edgedefault="directed">\n')
        for line in _lines(folder / "nodes.json"):
            out.write(_node(json.loads(line), objectives))
        for line in _lines(folder / "edges.json"):
            edge = json.loads(line)
            role = _field("role", edge["role"])
            out.write(f'<edge source="n{edge["parent"]}" target="n{edge["child"]}">{role}</edge>\n')
        out.write("</graph>\n</graphml>\n")


def _key(identity: str, owner: str, name: str, kind: str) -> str:
    return f'<key id="{identity}" for="{owner}" attr.name={quoteattr(_writable(name))} attr.type="{kind}"/>\n'


def _node(row: Mapping[str, Any], objectives: list[str]) -> str:
    fields = [_field(name, row[name]) for name in NODE_KEYS]
    scores = row["objectives"] or {}
    fields += [_field(f"objective{position}", scores.get(name)) for position, name in enumerate(objectives)]
    return f'<node id="n{row["id"]}">{"".join(fields)}</node>\n'


def _field(key: str, value: object) -> str:
    if value is None:
        return ""
    shown = str(value).lower() if isinstance(value, bool) else _writable(str(value))
    return f'<data key="{key}">{escape(shown)}</data>'


def _writable(text: str) -> str:
    return UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
