"""A page of figures in a single HTML file.

Figures are drawn by the plotly.js that the Python package contains. Nothing is fetched: the page's own security policy
forbids it, and runs no script but the two that are written into the page. All texts are escaped, here or by
`dashboard.words.hover` where plotly reads them.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import plotly
import plotly.graph_objects as go

from dashboard.words import clipped, number
from evo.lineage import Table

HERE = Path(__file__).parent
LIBRARY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
ROWS, WIDEST, LONGEST = 60, 200, 20_000


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure under its title.

    Attributes:
        wide: whether it takes the whole width.
    """

    title: str
    figure: go.Figure
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A table under its title, at most ROWS rows of it.

    Attributes:
        columns: the name and the heading of each column that is shown.
    """

    title: str
    table: Table
    columns: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Written:
    """A text under its title, verbatim up to LONGEST characters."""

    title: str
    text: str


Shown: TypeAlias = Drawn | Listed | Written


@dataclass(frozen=True, slots=True)
class Part:
    """A section of the page.

    Attributes:
        name: its anchor in the page.
        summary: a sentence under the title; any text.
    """

    name: str
    title: str
    summary: str = ""
    shown: Sequence[Shown] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """The top of the page; any texts.

    Attributes:
        cards: label, value and remark of each figure.
    """

    title: str
    lines: Sequence[str] = ()
    cards: Sequence[tuple[str, str, str]] = field(default=())


def written(head: Head, parts: Sequence[Part]) -> str:
    """The page."""
    figures: list[str] = []
    body = "\n".join(_part(part, figures) for part in parts)
    scripts = [_script(LIBRARY), _script(HERE / "drawing.js") + _script(HERE / "sheet.js")]
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escaped(head.title)}</title>
<style>
{(HERE / "sheet.css").read_text("utf-8")}</style>
</head>
<body>
<main>
{_head(head, parts)}
{body}
</main>
<script type="application/json" id="figures">[{",".join(figures)}]</script>
<script>{scripts[0]}</script>
<script>{scripts[1]}</script>
</body>
</html>
"""


def escaped(text: object, widest: int = 2000) -> str:
    """Foreign text as a single line of HTML."""
    return html.escape(clipped(text, widest))


def _script(path: Path) -> str:
    """A script as it is written into the page, with the line ends that a browser hashes."""
    return path.read_text("utf-8").replace("\r\n", "\n")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _head(head: Head, parts: Sequence[Part]) -> str:
    lines = "\n".join(f'<p class="soft">{escaped(line)}</p>' for line in head.lines if line)
    cards = "\n".join(
        f"<div><dt>{escaped(label)}</dt><dd>{escaped(value)}</dd><small>{escaped(remark)}</small></div>"
        for label, value, remark in head.cards
    )
    links = "\n".join(f'<a href="#{escaped(part.name)}">{escaped(part.title)}</a>' for part in parts)
    return f'<h1>{escaped(head.title)}</h1>\n{lines}\n<nav>{links}</nav>\n<dl class="cards">\n{cards}\n</dl>'


def _part(part: Part, figures: list[str]) -> str:
    """A part as HTML; its figures are appended to `figures`."""
    summary = f'<p class="soft">{escaped(part.summary)}</p>' if part.summary else ""
    shown = "\n".join(_shown(item, figures) for item in part.shown)
    return (
        f'<h2 id="{escaped(part.name)}">{escaped(part.title)}</h2>\n{summary}\n<div class="figures">\n{shown}\n</div>'
    )


def _shown(item: Shown, figures: list[str]) -> str:
    heading = f"<h3>{escaped(item.title)}</h3>" if item.title else ""
    if isinstance(item, Listed):
        return f'<section class="wide">{heading}{_table(item)}</section>'
    if isinstance(item, Written):
        cut = "\n..." if len(item.text) > LONGEST else ""
        return f'<section class="wide">{heading}<pre>{html.escape(item.text[:LONGEST])}{cut}</pre></section>'
    wide = ' class="wide"' if item.wide else ""
    figures.append(as_script(_portable(item.figure).to_json()))
    return f'<section{wide}>{heading}<div data-figure="{len(figures) - 1}"></div></section>'


def _portable(figure: go.Figure) -> go.Figure:
    """A figure without WebGL: a reader's browser may have none, and it generates code, which the policy forbids."""
    fields = figure.to_plotly_json()
    for trace in fields["data"]:
        trace["type"] = trace.get("type", "scatter").removesuffix("gl")
    return go.Figure(fields)


def as_script(text: str) -> str:
    """JSON inside a script element, written so that it cannot end the element."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _table(listed: Listed) -> str:
    at = [(listed.table.columns.index(name), title) for name, title in listed.columns if name in listed.table.columns]
    rows = listed.table.rows[:ROWS]
    kinds = {place: _kind(row[place] for row in rows) for place, _ in at}
    names = "".join(f"<th{kinds[place]}>{escaped(title)}</th>" for place, title in at)
    lines = "\n".join(
        "<tr>" + "".join(f"<td{kinds[place]}>{_cell(row[place])}</td>" for place, _ in at) + "</tr>" for row in rows
    )
    more = len(listed.table.rows) - len(rows)
    note = f'<p class="soft">and {number(more)} more</p>' if more > 0 else ""
    return f'<div class="scrolled"><table><thead><tr>{names}</tr></thead><tbody>\n{lines}\n</tbody></table></div>{note}'


def _kind(values: Iterable[Any]) -> str:
    known = [value for value in values if value is not None]
    numeric = known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    return ' class="number"' if numeric else ""


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return escaped(number(value))
    if isinstance(value, datetime):
        return escaped(f"{value:%Y-%m-%d %H:%M:%S}")
    return escaped(value, WIDEST)
