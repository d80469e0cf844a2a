"""Rows of a file of cases: CSV with any usual separator, JSON lines, and the usual shapes of JSON."""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evo.errors import ConfigError

GZIP_MAGIC = b"\x1f\x8b"
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SEPARATORS = ",;\t|"
SEPARATOR_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file.

    Attributes:
        value: column name to cell, or a list of question and answer.
        where: the row in the file, for messages.
    """

    value: Any
    where: str


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a file, without the empty ones, and how many empty ones there were."""

    rows: Sequence[Row]
    empty: int = 0


def read_rows(path: str, task: str | None) -> Rows:
    """The rows of a file, of the task of that name where it holds several.

    Raises:
        ConfigError: a file that cannot be read, or that is of another form.
    """
    text = _text(path)
    kind = Path(path.removesuffix(".gz")).suffix.lower()
    if kind == ".json":
        return _numbered(_listed(_json(text, path), path, task), path)
    if kind not in (".jsonl", ".ndjson", ".csv", ".tsv"):
        raise ConfigError(f"cannot tell what {path} holds; its name must end in .json, .jsonl or .csv, or that and .gz")
    if kind in (".jsonl", ".ndjson") and text.lstrip().startswith("["):
        whole = _whole_list(text)
        if whole is not None:
            return _numbered(_listed(whole, path, task), path)
    if task is not None:
        raise ConfigError(f"task {task!r}: {path} holds a single task without a name; leave out the option task")
    return _csv_rows(text, path) if kind in (".csv", ".tsv") else _json_lines(text, path)


def _text(path: str) -> str:
    try:
        content = Path(path).read_bytes()
        content = gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content
        if content[:2] in UTF_16 and len(content) > 2:
            return content.decode("utf-16")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"cannot read cases from {path}: line {line} holds the byte 0x{error.object[error.start]:02x}, which is "
            f"not {error.encoding}; save the file as UTF-8"
        ) from error
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ConfigError(f"cannot read cases from {path}: {error}") from error


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: it is not JSON ({error})") from error


def _whole_list(text: str) -> Any:
    """The list of cases that a file of JSON lines may be as a whole; None where each line is JSON by itself."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    cases = isinstance(content, list) and content and all(isinstance(one, Mapping | list) for one in content)
    return content if cases else None


def _json_lines(text: str, path: str) -> Rows:
    # Not splitlines: JSON texts may hold U+2028 and the like as they are.
    lines = [(number, line.strip().removeprefix("\ufeff")) for number, line in enumerate(text.split("\n"), 1)]
    lines = [(number, line) for number, line in lines if line]
    if lines and all(line.endswith("},") for _, line in lines[:-1]) and lines[0][1].endswith(","):
        lines = [(number, line.rstrip(",")) for number, line in lines]
    values = [_json(line, f"{path}, line {number}") for number, line in lines]
    return _numbered(values, path)


def _numbered(values: Sequence[Any], path: str) -> Rows:
    rows = [Row(_unwrapped(value), f"case {number} of {path}") for number, value in enumerate(values, 1)]
    kept = [row for row in rows if row.value not in ({}, [], None)]
    return Rows(kept, len(rows) - len(kept))


def _unwrapped(value: Any) -> Any:
    """A row without the wrapping of Hugging Face's server: {"row_idx": 0, "row": {...}}."""
    inner = value.get("row") if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) and set(value) <= {"row", "row_idx", "truncated_cells"} else value


def _csv_rows(text: str, path: str) -> Rows:
    separator = _separator(text, path)
    # Cells may have a space before their quotes; only outside quotes is it dropped.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        why = "a quote is not closed" if "end of data" in str(error) else str(error)
        raise ConfigError(
            f"cannot read cases from {path}: {why} (the row that ends in line {reader.line_num})"
        ) from error
    filled = [(line, cells) for line, cells in lines if any(cell.strip() for cell in cells)]
    if not filled:
        return Rows([])
    header = [name.strip() for name in filled[0][1]]
    _expect_header(header, path)
    rows = [
        Row(_named(header, cells, f"case {number} of {path}", line), f"case {number} of {path}")
        for number, (line, cells) in enumerate(filled[1:], 1)
    ]
    return Rows(rows, len(lines) - len(filled))


def _expect_header(header: Sequence[str], path: str) -> None:
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"{path}, line 1: the column {twice!r} comes twice; expected a name for each column, each once"
        )
    if len(header) > 1 and any(_is_cell(name) for name in header):
        raise ConfigError(
            f"case 1 of {path}: the first row must name the columns, as in question,answer; "
            f"got {', '.join(header)!r:.120}"
        )


def _is_cell(name: str) -> bool:
    """Whether a name of a column is rather a question or a number: the file has no header."""
    return name.endswith("?") or name.replace(".", "", 1).removeprefix("-").isdecimal() or len(name) > 60


def _named(header: Sequence[str], cells: Sequence[str], where: str, line: int) -> dict[str, Any]:
    if len(cells) > len(header):
        raise ConfigError(
            f"{where}: line {line} has {len(cells)} cells, and the header names {len(header)} "
            f"({', '.join(header)}); the cell too many is {cells[len(header)]!r:.80}: put texts with a "
            "separator in quotes"
        )
    # A cell that is missing is None, which no question or answer may be.
    return dict(zip(header, [*(cell.strip() for cell in cells), *([None] * (len(header) - len(cells)))], strict=True))


def _separator(text: str, path: str) -> str:
    header = text.lstrip("\r\n").partition("\n")[0]
    inside = False
    counts = dict.fromkeys(SEPARATORS, 0)
    for character in header:
        inside ^= character == '"'
        if character in counts and not inside:
            counts[character] += 1
    used = [separator for separator, count in counts.items() if count]
    if len(used) > 1 and "," in used:
        names = " and ".join(SEPARATOR_NAMES[separator] for separator in used)
        raise ConfigError(f"{path}, line 1: the header {header.strip()!r:.80} has {names}; expected a single separator")
    return used[0] if used else ","


def _listed(content: Any, path: str, task: str | None) -> list[Any]:
    tasks = dict(_lists(content, ""))
    if task is None and len(tasks) == 1:
        return next(iter(tasks.values()))
    if task is None or task not in tasks:
        known = [name for name in tasks if name]
        if not known:
            raise ConfigError(f"{path}: expected a list of cases{' without a task' if tasks else ''}")
        near = difflib.get_close_matches(task or "", known, 1) or known[:1]
        got = f"no task {task!r}" if task else f"{len(tasks)} tasks"
        raise ConfigError(f"{got} in {path}; set the option task, as in {near[0]!r}; known: {', '.join(known)}")
    return tasks[task]


def _lists(content: Any, name: str) -> Iterator[tuple[str, list[Any]]]:
    if isinstance(content, list):
        yield name, content
    elif isinstance(content, dict):
        columns = _columns(content)
        if columns is not None:
            yield name, columns
            return
        nested = content
        if isinstance(content.get("rows"), list) and isinstance(content.get("features"), list):
            nested = {"rows": content["rows"]}  # as Hugging Face's server sends it
        for key, value in nested.items():
            yield from _lists(value, f"{name}/{key}" if name and nested is content else name if name else key)


def _columns(content: Mapping[str, Any]) -> list[Any] | None:
    """The rows of {"question": [...], "answer": [...]}, or of {"question": {"0": ...}, ...}; None for another shape."""
    columns = {
        key: value for key, value in content.items() if isinstance(value, list | dict) and value and _is_column(value)
    }
    if len(columns) < 2 or len(columns) < len(content):
        return None
    by_index = {
        key: value if isinstance(value, dict) else {str(place): cell for place, cell in enumerate(value)}
        for key, value in columns.items()
    }
    indices = list(next(iter(by_index.values())))
    for key, column in by_index.items():
        if set(column) != set(indices):
            raise ConfigError(
                f"the column {key!r} has {len(column)} cells or other indices, and {next(iter(by_index))!r} has "
                f"{len(indices)}: every column needs the same"
            )
    return [{key: column[index] for key, column in by_index.items()} for index in indices]


def _is_column(value: Any) -> bool:
    cells = list(value.values()) if isinstance(value, dict) else value
    indexed = not isinstance(value, dict) or all(str(key).isdecimal() for key in value)
    first = cells[0]
    if isinstance(first, list):  # a column of options; a list of [question, answer] is a task
        return all(isinstance(cell, list) and len(cell) > 2 for cell in cells)
    return indexed and not isinstance(first, dict)
