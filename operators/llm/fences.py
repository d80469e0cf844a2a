"""Fenced blocks of code in a reply, as a careful reader finds them: indented, quoted, on one line, behind words.

A fence within a string of Python code neither closes nor opens a block, and one outside its strings always ends it: no
Python text holds backticks there. Other text is read by the rules of Markdown. A text is read in time linear in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from operators.llm.languages import ALL_TAGS, PYTHON_TAGS
from operators.llm.python_text import beginning_of_code, fence_outside_strings, parses

# The words in front of a line's first fence, the fence, the words behind it.
# Without possessive groups, which Python 3.11.2 does not match; linear, as no character fits in two places.
_FENCE_LINE = re.compile(r"^([^`~\n]*(?:(?:`(?!``)|~(?!~~))[^`~\n]*)*)(`{3,}+|~{3,}+)([^\n]*+)$", re.MULTILINE)
_BARE_FENCE = {mark: re.compile(rf"^([ \t>]*+)({mark}{{3,}}+)[ \t]*+$", re.MULTILINE) for mark in "`~"}
_ONE_LINE = re.compile(r"(?<!`)(`{3,}+)([^`\n]++)\1(?!`)")
_LIST_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s*")
_QUOTED = " \t>"
_MOST_DOUBTS = 8
"""How often a text may prove not to be Python before strings are no longer looked for, so that none takes long."""
_MOST_NESTED = 3

FenceLine = re.Match[str]


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A fenced block of code.

    Attributes:
        tag: the words behind the opening fence.
        above: the last line with words in front of it, where a file may be named.
        line: of the reply, counted from 1, at which it begins.
        closed: whether its closing fence is there.
    """

    text: str
    tag: str = ""
    above: str = ""
    line: int = 1
    closed: bool = True

    @property
    def language(self) -> str:
        """The first word of the tag, in small letters."""
        return _language(self.tag)


@dataclass(slots=True)
class _Opening:
    """An opening fence.

    Attributes:
        prefix: what stands in front of it, and in front of the lines of its block.
        words: in front of it on its line.
        inside: where the block's text begins.
    """

    mark: str
    tag: str
    prefix: str
    words: str
    inside: int


@dataclass(slots=True)
class _Ending:
    """Where the text of a block ends, and where the text behind the block begins."""

    end: int
    behind: int
    closed: bool = True


def first_fence(text: str) -> int | None:
    """Where the first block begins; None where there is none."""
    for line in _FENCE_LINE.finditer(text) if _may_hold_fences(text) else ():
        if _opening(line) or _one_line_blocks(line):
            return line.start(2) if line[1].strip(_QUOTED) else line.start()
    return None


def fenced_blocks(text: str, *, python: bool = False, most: int | None = None) -> list[CodeBlock]:
    """The blocks, in order; the last one may not be closed.

    Args:
        most: how many are read.
        python: Python code is looked for: strings are heeded, blocks on one line count, and so do the blocks within a
            block of Markdown, which does not itself.
    """
    blocks = list(islice(_Reader(text, python=python).blocks(), most))
    for _ in range(_MOST_NESTED if python else 0):
        if any(_may_hold_fences(block.text) for block in blocks):
            blocks = list(islice((inner for block in blocks for inner in _unfolded(block, most)), most))
    return blocks


def _unfolded(block: CodeBlock, most: int | None) -> list[CodeBlock]:
    """The blocks within a block of Markdown, the last of which may end with it; else the block itself."""
    marks = [mark for mark in ("```", "~~~") if mark in block.text]
    if not any(fence_outside_strings(block.text, 0, mark) for mark in marks):
        return [block]
    inner = islice(_Reader(block.text, python=True).blocks(), most)
    return [
        replace(found, line=block.line + found.line, above=found.above or block.above, closed=block.closed)
        for found in inner
        if found.closed or found.text.strip()
    ] or [block]


class _Reader:
    """Reads the blocks of a text."""

    def __init__(self, text: str, *, python: bool) -> None:
        self._text = text
        self._python = python
        self._doubts = 0

    def blocks(self) -> Iterator[CodeBlock]:
        text = self._text
        place, behind, counted, number = 0 if _may_hold_fences(text) else len(text), 0, 0, 1
        while line := _FENCE_LINE.search(text, place):
            start = line.start()
            number, counted, place = number + text.count("\n", counted, start), start, line.end()
            if opening := _opening(line):
                ending = self._ending(opening)
                code = _without_prefix(text[opening.inside : ending.end], opening.prefix)
                yield CodeBlock(code, opening.tag, opening.words or self._above(behind, start), number, ending.closed)
                place = behind = ending.behind
            elif self._python and (found := _one_line_blocks(line)):
                above = self._above(behind, start)
                yield from (replace(block, above=above, line=number) for block in found)
                behind = place

    def _above(self, behind: int, start: int) -> str:
        return self._text[behind:start].rstrip().rpartition("\n")[2]

    def _ending(self, opening: _Opening) -> _Ending:
        if not self._python or self._doubts >= _MOST_DOUBTS or self._is_of_another_language(opening):
            return self._markdown_ending(opening, len(self._text))
        found = fence_outside_strings(self._text, opening.inside, opening.mark)
        if found is None:
            return self._last_ending(opening)
        start = self._line_start(found.start())
        plain = self._markdown_ending(opening, start)
        if plain.closed and not parses(_without_prefix(self._text[opening.inside : start], opening.prefix)):
            self._doubts += 1
            return plain
        return self._python_ending(found, start)

    def _last_ending(self, opening: _Opening) -> _Ending:
        """Where no fence stands outside strings: the end of the text, if all of it is code."""
        end = len(self._text)
        if parses(_without_prefix(self._text[opening.inside :], opening.prefix)):
            return _Ending(end, end, closed=False)
        self._doubts += 1
        return self._markdown_ending(opening, end)

    def _is_of_another_language(self, opening: _Opening) -> bool:
        """Whether its tag says so, and its first line does not belie the tag."""
        if _language(opening.tag) not in ALL_TAGS - PYTHON_TAGS:
            return False
        end = self._text.find("\n", opening.inside)
        line = self._text[opening.inside : end if end >= 0 else None]
        return beginning_of_code(line.lstrip(_QUOTED)) != 0

    def _markdown_ending(self, opening: _Opening, limit: int) -> _Ending:
        """At the first line in front of a place that is a fence alone, as long and not much further in."""
        width = len(opening.prefix) + 3
        for line in _BARE_FENCE[opening.mark[0]].finditer(self._text, opening.inside, limit):
            if len(line[2]) >= len(opening.mark) and len(line[1]) <= width:
                return _Ending(max(line.start() - 1, opening.inside), line.end())
        return _Ending(limit, limit, closed=False)

    def _python_ending(self, fence: re.Match[str], start: int) -> _Ending:
        """At a fence outside strings, which begins the next block where a language is named behind it."""
        if self._text[start : fence.start()].strip(_QUOTED):
            return _Ending(fence.start(), self._line_end(fence.end()))
        line = _FENCE_LINE.match(self._text, start)
        following = _opening(line) if line else None
        if following and _language(following.tag) in ALL_TAGS:
            return _Ending(max(start - 1, 0), start, closed=False)
        return _Ending(max(start - 1, 0), self._line_end(fence.end()))

    def _line_start(self, place: int) -> int:
        return self._text.rfind("\n", 0, place) + 1

    def _line_end(self, place: int) -> int:
        end = self._text.find("\n", place)
        return end if end >= 0 else len(self._text)


def _may_hold_fences(text: str) -> bool:
    return "```" in text or "~~~" in text


def _opening(line: FenceLine) -> _Opening | None:
    """The fence that opens a block on this line; words in front of it are read as such where they leave no doubt."""
    words, mark, info = line.groups()
    if mark[0] == "`" and "`" in info:
        return None
    prefix, bare = words, not words.strip(_QUOTED)
    if not bare:
        in_list = bool(_LIST_ITEM.fullmatch(words))
        introduced = in_list or words.rstrip().endswith((":", "}"))
        if "`" in words or not (_language(info) in ALL_TAGS or (introduced and not info.strip())):
            return None
        prefix = " " * len(words) if in_list else words[: len(words) - len(words.lstrip())]
    tag, code = _tag_and_code(info)
    return _Opening(mark, tag, prefix, "" if bare else words, line.end() - len(code) if code else line.end() + 1)


def _one_line_blocks(line: FenceLine) -> list[CodeBlock]:
    """Blocks that begin and end on a line: with a language named, or with nothing else on the line."""
    if "`" not in line[3]:
        return []
    blocks, bare = [], line[0].strip()
    for found in _ONE_LINE.finditer(bare):
        tag, _, rest = found[2].strip().partition(" ")
        known = _language(tag) in ALL_TAGS
        if known or len(found[0]) == len(bare):
            blocks.append(CodeBlock(rest.strip() if known else found[2].strip(), tag if known else ""))
    return blocks


def _tag_and_code(info: str) -> tuple[str, str]:
    """The words behind an opening fence without the code that may follow them."""
    tag, _, rest = info.strip().partition(" ")
    if rest and tag.lower() in PYTHON_TAGS and beginning_of_code(rest.lstrip()) == 0:
        return tag, info[info.index(rest) :].lstrip()
    return info.strip(), ""


def _without_prefix(text: str, prefix: str) -> str:
    """The text without what its lines begin with, where the first of them does."""
    if not prefix:
        return text
    lines = text.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if not first.startswith(prefix):
        return text
    return "\n".join(_without(line, prefix) for line in lines)


def _without(line: str, prefix: str) -> str:
    if not line.startswith(prefix) and ">" in prefix:
        return line.removeprefix(prefix.rstrip()) if line.strip(_QUOTED) else ""
    return line.removeprefix(prefix)


def _language(tag: str) -> str:
    return tag.strip(" \t{}.").lower().partition(" ")[0].strip("{}.:,")
