"""Numbers and foreign text as pages show them. What candidates and models wrote goes through here or st.code."""

from __future__ import annotations

import html
import re
from datetime import datetime

MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|$:~^&])")
WIDEST = 60
NOTHING = "\N{EN DASH}"


def number(value: float | None) -> str:
    """A number in at most six digits, with thousands separators."""
    if value is None:
        return NOTHING
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.6g}" if 1e-4 <= abs(value) < 1e6 else f"{value:.5g}"


def with_unit(value: float | None, unit: str) -> str:
    """A number with its unit, if any."""
    return number(value) + (f" {unit}" if unit and value is not None else "")


def made_by(operator: str, model: str | None) -> str:
    """The operator that made an individual, with its model, if any."""
    return f"{operator} with {model}" if model else operator


def dollars(usd: float | None) -> str:
    """Cents from a dollar on, else three digits."""
    if usd is None:
        return NOTHING
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${usd:.3g}"


def duration(seconds: float | None) -> str:
    """The two largest units."""
    if seconds is None:
        return NOTHING
    if 0 < seconds < 0.1:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 or seconds == 0 else f"{seconds:.1f} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min {int(seconds % 60)} s"


def clock(moment: datetime | None) -> str:
    """A time in UTC."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if moment else NOTHING


def axis(name: str, unit: str = "") -> str:
    """The title of an axis."""
    return hover(name) + (f" ({hover(unit)})" if unit else "")


def hover(text: object, widest: int = WIDEST) -> str:
    """Foreign text for plotly, which reads a subset of HTML in titles, legends and hover boxes."""
    return html.escape(clipped(text, widest), quote=False)


def plain(text: object, widest: int = 2000) -> str:
    """Foreign text for Streamlit's labels, captions and messages, which read Markdown."""
    return MARKDOWN.sub(r"\\\1", clipped(text, widest))


def thought(text: str) -> str:
    """A thought without the braces that a model may put around it, as in "Evolution of Heuristics"."""
    line = text.strip()
    inside = line[1:-1]
    return inside.strip() if line[:1] == "{" and line[-1:] == "}" and not set(inside) & set("{}") else text


def clipped(text: object, widest: int) -> str:
    """The text as a single line of printable characters."""
    line = " ".join("".join(character if character.isprintable() else " " for character in str(text)).split())
    return line if len(line) <= widest else line[: widest - 3] + "..."
