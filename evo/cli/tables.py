"""Tables on stdout: as text, as CSV, or as JSON."""

from __future__ import annotations

import csv
import json
import sys
from typing import Any, Literal

from evo.lineage.table import Table

WIDEST_CELL = 60


def print_table(table: Table, format: Literal["table", "csv", "json"], *, widest: int = WIDEST_CELL) -> None:
    """Write a table; `table` clips long cells, `csv` and `json` keep all."""
    if format == "json":
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        print(json.dumps(rows, default=str, ensure_ascii=False, indent=1))
    elif format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows(table.rows)
    else:
        print("\n".join(lines(table, widest=widest)))


def lines(table: Table, *, widest: int = WIDEST_CELL) -> list[str]:
    """A header, a rule and a line a row; numbers to the right."""
    cells = [[_cell(value, widest) for value in row] for row in table.rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(table.columns)]
    right = [any(isinstance(row[i], int | float) for row in table.rows) for i in range(len(widths))]

    def line(row: list[str]) -> str:
        padded = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        return "  ".join(padded).rstrip()

    return [line(list(table.columns)), line(["-" * width for width in widths]), *map(line, cells)]


def _cell(value: Any, widest: int) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = " ".join("".join(character if character.isprintable() else " " for character in str(value)).split())
    return text if len(text) <= widest else text[: widest - 3] + "..."
