"""Where a text is code: fenced blocks, SEARCH/REPLACE blocks, strings and code within a line. In linear time."""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})([^`\n]*)")
_SEARCH = re.compile(r"\s{0,3}<{5,9} ?SEARCH\b")
_REPLACE = re.compile(r"\s{0,3}>{5,9} ?REPLACE\b")
# A quote that is never closed runs to the end of its line and makes no code, so that no quote is looked at twice.
_QUOTED = re.compile(r""""(?:[^"\\\n]|\\.)*("?)|(?<!\w)'(?:[^'\\\n]|\\.)*('?)|(`+)[^`\n]*(`*)""")


def blocks_of_code(text: str) -> Iterator[Span]:
    """Where blocks begin and end, in order. A block that is not closed is none: what follows it may be words.

    A fence with a tag ("```python") within a fenced block begins another: the first was never closed.
    """
    opened, fence, at = -1, "", 0
    for line in text.splitlines(keepends=True):
        found = _FENCE.fullmatch(line.rstrip("\r\n"))
        if fence == "SEARCH":
            if _REPLACE.match(line):
                yield opened, at + len(line)
                fence = ""
        elif found and fence and _closes(found, fence):
            yield opened, at + len(line)
            fence = ""
        elif found and (not fence or found[2].strip()):
            opened, fence = at, found[1]
        elif not fence and _SEARCH.match(line):
            opened, fence = at, "SEARCH"
        at += len(line)


def quoted_in(line: str) -> Iterator[Span]:
    """Where a line has strings and code within words."""
    for found in _QUOTED.finditer(line):
        if found[1] or found[2] or (found[3] and found[4] == found[3]):
            yield found.span()


def _closes(found: re.Match[str], fence: str) -> bool:
    return found[1].startswith(fence) and not found[2].strip()
