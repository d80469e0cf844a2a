"""A figure of any table: the result of a user's own query."""

from __future__ import annotations

from typing import Any, Literal

import plotly.graph_objects as go

from dashboard.charts.style import PALETTE, figure
from dashboard.queries import MOST_POINTS
from dashboard.words import hover
from evo.lineage import Table

Kind = Literal["line", "points", "bars"]
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UBIGINT", "FLOAT", "DOUBLE")


def numeric(table: Table) -> list[str]:
    """The columns that can be on the vertical axis."""
    return [name for name, kind in zip(table.columns, table.types, strict=True) if kind in NUMBERS]


def result(table: Table, kind: Kind, x: str, ys: list[str]) -> go.Figure:
    """Columns over a column; every n-th row where there are more than a figure takes."""
    every = -(-len(table.rows) // max(1, MOST_POINTS // max(1, len(ys))))
    rows = table.rows[:: max(1, every)]
    across = [_shown(row[table.columns.index(x)]) for row in rows]
    shown: list[Any] = []
    for at, name in enumerate(ys):
        values, colour = [row[table.columns.index(name)] for row in rows], PALETTE[at % len(PALETTE)]
        if kind == "bars":
            shown.append(go.Bar(x=across, y=values, name=hover(name), marker={"color": colour, "line": {"width": 0}}))
        else:
            mode = "lines" if kind == "line" else "markers"
            shown.append(go.Scatter(x=across, y=values, name=hover(name), mode=mode, line={"color": colour}))
    title = hover(ys[0]) if len(ys) == 1 else ""
    return figure(shown, x=hover(x), y=title, revision=f"{kind} {x} {ys}", height=380)


def _shown(value: Any) -> Any:
    return hover(value) if isinstance(value, str) else value
