"""Saved queries: a plain SQL file beside the runs, with each query under a line `-- name: NAME`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from dashboard.library import is_run
from evo.errors import UserError
from evo.journal.files import check_file

FILE_NAME = "queries.sql"
HEADING = re.compile(r"^-- name: (.+)$", re.MULTILINE)
MOST_BYTES = 1 << 20
EXAMPLES: Mapping[str, str] = {
    "The best by each objective": "FROM best",
    "The front": "SELECT id, tell, operator, model, island, size FROM front ORDER BY tell",
    "Yield of each operator": "FROM operator_yield",
    "Dollars per improvement": "FROM cost_per_improvement",
    "Spending by purpose and model": "FROM spending",
    "The latest failures": (
        "SELECT i.id, i.operator, i.model, e.outcome, e.feedback\n"
        "FROM individuals i JOIN evaluations e ON e.individual = i.id\n"
        "WHERE e.outcome NOT IN ('ok', 'pruned') ORDER BY i.tell DESC LIMIT 50"
    ),
    "Parents with most offspring": (
        "SELECT parent, count(*) AS children FROM parents GROUP BY parent ORDER BY children DESC LIMIT 50"
    ),
    "Best so far over time": "SELECT tell, best FROM best_so_far",
    "Ancestors of the best": (
        "SELECT a.*, i.operator, i.thought\n"
        "FROM ancestors((SELECT id FROM best LIMIT 1)) a JOIN individuals i USING (id)"
    ),
}


def place(places: Sequence[Path]) -> Path:
    """The file of saved queries for these places: in the first folder of runs."""
    first = places[0]
    return (first.parent if is_run(first) else first) / FILE_NAME


def read(path: Path) -> dict[str, str]:
    """Name to query of all saved queries; none where there is no file.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        check_file(path)
        text = path.read_text("utf-8")[:MOST_BYTES] if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}; mend it or move it away") from error
    _, *parts = HEADING.split(text)
    return {name.strip(): query.strip() for name, query in zip(parts[::2], parts[1::2], strict=True)}


def save(path: Path, name: str, query: str) -> None:
    """Add a query, or replace the query of that name.

    Raises:
        UserError: a name that is not a single line, a query that would be read as two, a file that cannot be written.
    """
    name = name.strip()
    if not name or not name.isprintable() or len(name) > 100:
        raise UserError("a saved query needs a name of a single line and at most 100 characters")
    if HEADING.search(query):
        raise UserError(
            "a query cannot have a line that begins with '-- name:', since such lines separate saved queries"
        )
    kept = {**read(path), name: query.strip()}
    text = "\n\n".join(f"-- name: {title}\n{sql}" for title, sql in kept.items()) + "\n"
    if len(text) > MOST_BYTES:
        raise UserError(f"{path} would hold more than {MOST_BYTES >> 20} MiB; take some queries out of it")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, "utf-8")
        beside.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; the query is part of the page's address too"
        ) from error
