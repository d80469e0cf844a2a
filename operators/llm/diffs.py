"""SEARCH/REPLACE blocks: reading them from a reply, and applying them within the marked regions.

    FILE: name                 (only where a program has several files; holds for the blocks that follow)
    <<<<<<< SEARCH
    lines as they are
    =======
    the lines that replace them
    >>>>>>> REPLACE

Blocks apply in their order, all of them or none. A block is found by its whole lines, first exactly, then without
regard to white space; the place must be unique. Lines that a block leaves the same may lie outside the regions.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice, takewhile

from evo.genomes import Program
from evo.regions import END, START, find_regions
from operators.llm.replies import SEARCH, file_named, without_code
from operators.llm.text import indent_of, newline_of, trimmed
from operators.refusal import RefusalError

MAX_EDITS = 50
MAX_MATCHES = 1000

_DIVIDER = re.compile(r"^\s{0,3}={7}\s*$")
_REPLACE = re.compile(r"^\s{0,3}>{5,9} ?REPLACE\s*$")


@dataclass(frozen=True, slots=True)
class Edit:
    """A block.

    Attributes:
        line: of the reply, counted from 1, at which it begins.
        file: that it names; None where it names none.
    """

    search: tuple[str, ...]
    replace: tuple[str, ...]
    line: int
    file: str | None = None

    @property
    def kept(self) -> tuple[int, int]:
        """How many lines at the beginning, and then at the end, it leaves the same."""
        head = _same(self.search, self.replace)
        tail = _same(self.search[head:][::-1], self.replace[head:][::-1])
        return head, tail

    @property
    def changed(self) -> tuple[str, ...]:
        """The lines that it puts in."""
        head, tail = self.kept
        return self.replace[head : len(self.replace) - tail]

    @property
    def changes_nothing(self) -> bool:
        return self.search == self.replace


@dataclass(frozen=True, slots=True)
class EditPlace:
    """Lines `first` to `last` (excluded) of a file that an edit is to change; what it searches for begins at `top`."""

    file: str
    top: int
    first: int
    last: int


def holds_edits(text: str) -> bool:
    """Whether a reply begins a SEARCH/REPLACE block anywhere."""
    return any(map(SEARCH.match, text.split("\n")))


def edits_of(text: str, program: Program) -> tuple[Edit, ...]:
    """The blocks of a reply, in order.

    Raises:
        RefusalError: there is none, there are too many, or a block is incomplete.
    """
    edits = tuple(_read(text.split("\n"), program))
    if not edits:
        raise without_code(text, "the reply holds no SEARCH/REPLACE block")
    if len(edits) > MAX_EDITS:
        raise RefusalError("unparsable", f"the reply holds {len(edits)} SEARCH/REPLACE blocks; at most {MAX_EDITS}")
    return edits


def edited(text: str, program: Program) -> Program:
    """The program with the blocks of a reply applied.

    Raises:
        RefusalError: a block that cannot be read, is not found or is ambiguous, or that changes frozen text.
    """
    files = dict(program.files)
    for edit in edits_of(text, program):
        if not edit.changes_nothing:
            file, text = _applied(edit, files)
            files[file] = text
    return Program(files)


def _read(lines: list[str], program: Program) -> Iterator[Edit]:
    file, number = None, 0
    while number < len(lines):
        if begun := SEARCH.match(lines[number]):
            file = _named(begun[1], program) or file
            divider = _end(lines, number, _DIVIDER)
            closing = _end(lines, divider, _REPLACE) if divider else None
            if divider is None or closing is None:
                missing = ">>>>>>> REPLACE" if divider else "======="
                raise RefusalError("unparsable", f"the block at line {number + 1} of the reply has no {missing} line")
            search, replacement = lines[number + 1 : divider], lines[divider + 1 : closing]
            yield Edit(tuple(search), tuple(replacement), number + 1, file)
            number = closing
        else:
            file = _named(lines[number], program) or file
        number += 1


def _named(line: str, program: Program) -> str | None:
    # With a single file there is nothing to choose, whatever the model calls it.
    return file_named(line, tuple(program.files)) if len(program.files) > 1 else None


def _end(lines: list[str], start: int, end: re.Pattern[str]) -> int | None:
    """The next line of that form, unless another block begins before it."""
    for number in range(start + 1, len(lines)):
        if end.match(lines[number]):
            return number
        if SEARCH.match(lines[number]):
            break
    return None


def _applied(edit: Edit, files: Mapping[str, str]) -> tuple[str, str]:
    """The file that an edit changes, and its new text."""
    if any(START in line or END in line for line in edit.changed):
        raise RefusalError("refused", f"the block at line {edit.line} of the reply writes region markers")
    candidates = {name: text for name, text in files.items() if edit.file in (None, name)}
    bare = replace(edit, search=trimmed(edit.search), replace=trimmed(edit.replace))
    place, lines = _place(edit, bare, candidates) if bare.search else (_blank_region(edit, candidates), edit.replace)
    return place.file, _with(files[place.file], place, lines)


def _place(edit: Edit, bare: Edit, files: Mapping[str, str]) -> tuple[EditPlace, Sequence[str]]:
    """The only place within the regions that fits, exactly or else loosely, and the lines to stand there."""
    frozen: list[EditPlace] = []
    for wanted, form in ((edit, _exact), (bare, _loose)):
        found = [place for name, text in files.items() for place in _matches(wanted, name, text, form)]
        allowed = _within_regions(found, files)
        if len(allowed) > 1:
            at = ", ".join(f"{place.file}:{place.top + 1}" for place in allowed[:5])
            raise RefusalError("unparsable", f"the block at line {edit.line} of the reply fits more than once: {at}")
        if allowed:
            return allowed[0], _moved(wanted, files[allowed[0].file].split("\n")[allowed[0].top :])
        frozen += found
    if frozen:
        where = f"{frozen[0].file}:{frozen[0].top + 1}"
        raise RefusalError("refused", f"the block at line {edit.line} of the reply changes frozen text at {where}")
    line = bare.search[0].strip()
    raise RefusalError(
        "unparsable", f"the block at line {edit.line} of the reply fits nowhere; it begins {line!r:.120}"
    )


def _matches(edit: Edit, file: str, text: str, form: Callable[[str], str]) -> list[EditPlace]:
    """Places whose lines, in that form, are the edit's; a hostile reply may fit very often, so not all of them."""
    head, tail = edit.kept
    found = islice(_found(edit.search, text.split("\n"), form), MAX_MATCHES)
    return [EditPlace(file, top, top + head, top + len(edit.search) - tail) for top in found]


def _found(search: tuple[str, ...], lines: list[str], form: Callable[[str], str]) -> Iterator[int]:
    # A single search in a single string: linear, where comparing lists of lines would be quadratic.
    shown = [form(line) for line in lines]
    starts = list(accumulate((len(line) + 1 for line in shown), initial=0))
    text = "\n".join(("", *shown, ""))
    wanted = "\n".join(("", *map(form, search), ""))
    at = text.find(wanted)
    while at >= 0:
        yield bisect_right(starts, at) - 1
        at = text.find(wanted, at + 1)


def _within_regions(places: list[EditPlace], files: Mapping[str, str]) -> list[EditPlace]:
    regions = {name: find_regions(text) for name, text in files.items()}
    return [
        place
        for place in places
        if any(part.first <= place.first and place.last <= part.last for part in regions[place.file])
    ]


def _moved(edit: Edit, there: Sequence[str]) -> Sequence[str]:
    """The lines that an edit puts in, moved in as far as the lines that it found are."""
    old = next((indent_of(line) for line in edit.search if line.strip()), "")
    new = next((indent_of(line) for line in there if line.strip()), "")
    return [new + line[len(old) :] if line.strip() and line.startswith(old) else line for line in edit.changed]


def _blank_region(edit: Edit, files: Mapping[str, str]) -> EditPlace:
    blank = [
        EditPlace(name, region.first, region.first, region.last)
        for name, text in files.items()
        for region in find_regions(text)
        if not "".join(text.split("\n")[region.first : region.last]).strip()
    ]
    if len(blank) != 1:
        reason = f"the block at line {edit.line} of the reply searches for nothing, and {len(blank)} regions are empty"
        raise RefusalError("unparsable", reason)
    return blank[0]


def _with(text: str, place: EditPlace, replacement: Sequence[str]) -> str:
    end = newline_of(text).removesuffix("\n")
    lines = text.split("\n")
    lines[place.first : place.last] = [line + end for line in replacement]
    return "\n".join(lines)


def _exact(line: str) -> str:
    return line.removesuffix("\r")


def _loose(line: str) -> str:
    return "".join(line.split())


def _same(first: tuple[str, ...], other: tuple[str, ...]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, other, strict=False)))
