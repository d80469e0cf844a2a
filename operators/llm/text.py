"""Lines, indents and newlines of source text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile


def indent_of(line: str) -> str:
    """The white space that a line begins with."""
    return line[: len(line) - len(line.lstrip())]


def common_indent(text: str) -> str:
    """The white space that all lines with words begin with."""
    indents = [indent_of(line) for line in text.split("\n") if line.strip()] or [""]
    # What the first and the last in order have in common, all between them have too.
    pairs = zip(min(indents), max(indents), strict=False)
    return "".join(character for character, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def dedented(text: str) -> str:
    """`text` without the white space that all its lines with words begin with."""
    indent = common_indent(text)
    return "\n".join(line.removeprefix(indent) for line in text.split("\n")) if indent else text


def indented_like(text: str, model: str) -> str:
    """`text` moved in as far as `model` is, where it stands at the margin and `model` does not."""
    indent = common_indent(model)
    if not indent or common_indent(text):
        return text
    return "\n".join(indent + line if line.strip() else line for line in text.split("\n"))


def newline_of(text: str) -> str:
    r"""What ends the lines of a text: \r\n where any line does, else \n."""
    return "\r\n" if "\r\n" in text else "\n"


def trimmed(lines: Sequence[str]) -> tuple[str, ...]:
    """The lines without the blank ones at the beginning and the end."""
    worded = [number for number, line in enumerate(lines) if line.strip()]
    return tuple(lines[worded[0] : worded[-1] + 1]) if worded else ()
