"""Finds the program in a prompt and makes a small change to it, in whatever language it is written."""

from __future__ import annotations

import itertools
import keyword
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evo.errors import GenomeError
from evo.regions import END, START, find_regions
from operators.sampling import pick

FENCE = re.compile(r"^(`{3,})([\w+#.-]*)[^\n`]*\n(.*?)^\1`*[ \t]*$", re.MULTILINE | re.DOTALL)
# A marker alone on its line, in a comment: prose that speaks of the markers is no program.
MARKED = re.compile(
    rf"^[^\w\n]*{START}\W*\n(?:.*\n)*?[^\w\n]*{END}[^\w\n]*$",
    re.MULTILINE,
)
TOKEN = re.compile(
    r"""\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\#[^\n]*"""
    r"""|(?P<number>(?<![\w.])(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:[eE][+-]?\d+)?(?![\w.]))""",
    re.DOTALL,
)
STATEMENT = re.compile(
    r"^[ \t]*(?P<kind>return[ \t]+|\w+[ \t]*=[ \t]*)(?P<value>[^#\"'\n;=<>?:,]+?)[ \t]*;?$", re.MULTILINE
)
NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?![\w.(\[])")
EXAMPLE = "<<<<<<< SEARCH"


@dataclass(frozen=True, slots=True)
class Code:
    """A program as a prompt shows it.

    Attributes:
        language: tag of its fence; may be empty.
    """

    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class SmallEdit:
    """Characters `start` (included) to `end` (excluded) of a text give way to `replacement`."""

    start: int
    end: int
    replacement: str

    def applied(self, text: str) -> str:
        return text[: self.start] + self.replacement + text[self.end :]


def find_code(prompt: str) -> Code | None:
    """The program to change: the last fenced block with region markers, else the last marked region or block.

    Blocks with a language tag come before those without, which may hold error messages; examples of the reply format
    are passed over.
    """
    blocks = [Code(found[3], found[2]) for found in FENCE.finditer(prompt)]
    blocks = [block for block in blocks if EXAMPLE not in block.text and re.search(r"\w", block.text)]
    marked = [block for block in blocks if MARKED.search(block.text)]
    bare = [Code(found[0]) for found in MARKED.finditer(prompt)]
    tagged = [block for block in blocks if block.language]
    return next((several[-1] for several in (marked, bare, tagged, blocks) if several), None)


def small_edit(text: str, rng: np.random.Generator) -> SmallEdit | None:
    """Changes a number in the regions of `text`, or adds a term where it has none; None where nothing fits."""
    inside = _inside(text)
    tokens = [found for found in TOKEN.finditer(text) if found["number"] and inside(found.start())]
    if not tokens:
        return _added_term(text, rng)
    token = pick(rng, tokens)
    return SmallEdit(token.start(), token.end(), _moved(token[0], rng))


def fenced(code: Code) -> str:
    """The program in a fence that it cannot close from inside."""
    longest = max((len(run) for run in re.findall(r"`+", code.text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{code.language}\n{code.text.removesuffix(chr(10))}\n{fence}"


def search_replace(text: str, edit: SmallEdit) -> str:
    """The edit as a SEARCH/REPLACE block of whole lines; as many lines before it as make the SEARCH part unique."""
    start = text.rfind("\n", 0, edit.start) + 1
    end = text.find("\n", edit.end)
    end = len(text) if end < 0 else end
    while start > 0 and text.count(text[start:end]) > 1:
        start = text.rfind("\n", 0, start - 1) + 1
    shifted = SmallEdit(edit.start - start, edit.end - start, edit.replacement)
    old = text[start:end]
    return f"{EXAMPLE}\n{old}\n=======\n{shifted.applied(old)}\n>>>>>>> REPLACE"


def _added_term(text: str, rng: np.random.Generator) -> SmallEdit | None:
    values = list(_values(text))
    returned = [found for found in values if found["kind"].startswith("return")]
    if not values:
        return None
    value = (returned or values)[-1]
    names = [name for name in NAME.findall(value["value"]) if not keyword.iskeyword(name)]
    return SmallEdit(value.end("value"), value.end("value"), f" {pick(rng, '+-')} {_term(names, rng)}")


def _term(names: Sequence[str], rng: np.random.Generator) -> str:
    """A number, alone or times a name, two names, or a name's remainder."""
    factor = _written(math.exp(2 * rng.standard_normal()))
    if not names:
        return factor
    variable, other = pick(rng, names), pick(rng, names)
    remainder = f"({variable} % {_written(10 ** rng.uniform(0, 2))})"
    return f"{factor} * {pick(rng, (variable, f'{variable} * {other}', remainder))}"


def _values(text: str) -> Iterator[re.Match[str]]:
    """Statements in the regions that give a plain arithmetic value on a single line."""
    inside = _inside(text)
    for found in STATEMENT.finditer(text):
        value = found["value"]
        closed = all(value.count(opening) == value.count(other) for opening, other in ("()", "[]", "{}"))
        plain = not re.search(r"\b(?:if|and|or|not|in|is|lambda|await)\b|[\\{]$", value)
        if closed and plain and inside(found.start("value")):
            yield found


def _inside(text: str) -> Callable[[int], bool]:
    """Whether a character of the text lies in a region."""
    lines = [0, *itertools.accumulate(len(line) + 1 for line in text.split("\n"))]
    try:
        spans = [(lines[region.first], lines[region.last]) for region in find_regions(text)]
    except GenomeError:
        spans = [(0, len(text))]
    return lambda position: any(first <= position < last for first, last in spans)


def _moved(number: str, rng: np.random.Generator) -> str:
    if number.isdigit():
        return str(pick(rng, [int(number) + step for step in (-2, -1, 1, 2) if int(number) + step >= 0]))
    value = float(number)
    if not 1e-9 < value < 1e9:
        return _written(abs(rng.standard_normal()) + 0.1)
    moved = _written(value * math.exp(pick(rng, (0.1, 0.5)) * rng.standard_normal()))
    return moved if moved != number else _written(value * 1.1)


def _written(value: float) -> str:
    text = f"{value:.3g}"
    return text if "." in text or "e" in text else f"{text}.0"
