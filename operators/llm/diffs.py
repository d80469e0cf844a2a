"""SEARCH/REPLACE blocks: reading them from a reply, and applying them within the marked regions.

    FILE: name                 (only where a program has several files; holds for the blocks that follow)
    <<<<<<< SEARCH
    lines as they are
    =======
    the lines that replace them
    >>>>>>> REPLACE

Blocks apply in their order, all of them or none. A block is found by its whole lines, first exactly, then without
regard to white space, and then its indentation is brought to that of the lines found; the place must be unique. Lines
that a block leaves the same may lie outside the regions.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice, takewhile

from evo.genomes import Program
from evo.regions import END, START, find_regions
from operators.llm.edit_places import nearest_place
from operators.llm.indents import reindented
from operators.llm.replies import SEARCH, file_named, without_code
from operators.llm.text import newline_of, trimmed
from operators.refusal import RefusalError

MAX_EDITS = 50
MAX_MATCHES = 5
"""How many places are named where a block fits more than once."""
MAX_DIVIDERS = 8
USUAL_DIVIDER = "======="

_DIVIDER = re.compile(r"^[ \t]*+={5,}+[ \t]*+$")
_REPLACE = re.compile(r"^[ \t]*+>{5,9} ?REPLACE\b[ \t`]*+$")


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
    return SEARCH.search(text) is not None


def edits_of(text: str, program: Program) -> tuple[Edit, ...]:
    """The blocks of a reply, in order.

    Raises:
        RefusalError: there is none, there are too many, or a block is incomplete.
    """
    count = sum(1 for _ in SEARCH.finditer(text))
    if not count:
        raise without_code(text, "the reply holds no SEARCH/REPLACE block")
    if count > MAX_EDITS:
        raise RefusalError("unparsable", f"the reply holds {count} SEARCH/REPLACE blocks; at most {MAX_EDITS}")
    return tuple(_read(text.split("\n"), program))


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
            dividers, closing = _ends(lines, number)
            if not dividers or closing is None:
                missing = ">>>>>>> REPLACE" if dividers else "======="
                raise RefusalError("unparsable", f"the block at line {number + 1} of the reply has no {missing} line")
            divider = _divider(lines, number, dividers, program) if len(dividers) > 1 else dividers[0]
            search, replacement = lines[number + 1 : divider], lines[divider + 1 : closing]
            yield Edit(tuple(search), tuple(replacement), number + 1, file)
            number = closing
        else:
            file = _named(lines[number], program) or file
        number += 1


def _named(line: str, program: Program) -> str | None:
    # With a single file there is nothing to choose, whatever the model calls it.
    return file_named(line, tuple(program.files)) if len(program.files) > 1 else None


def _ends(lines: list[str], start: int) -> tuple[list[int], int | None]:
    """The lines that may divide a block, and the line that ends it, unless another block begins before."""
    dividers: list[int] = []
    for number in range(start + 1, len(lines)):
        if SEARCH.match(lines[number]):
            break
        if _DIVIDER.match(lines[number]):
            dividers.append(number)
        elif dividers and _REPLACE.match(lines[number]):
            return dividers, number
    return dividers, None


def _divider(lines: list[str], start: int, dividers: list[int], program: Program) -> int:
    """The line that divides a block: the first, unless the program holds such a line where it is searched for."""
    texts = [text.split("\n") for text in program.files.values()]
    fitting = [
        divider
        for number, divider in enumerate(dividers[:MAX_DIVIDERS])
        if number == 0 or any(_holds(text, lines[start + 1 : divider]) for text in texts)
    ]
    if len(fitting) > 1 and not any(_holds(text, lines[start + 1 : fitting[0]]) for text in texts):
        fitting = fitting[1:]
    usual = [divider for divider in fitting if lines[divider].strip() == USUAL_DIVIDER]
    if len(fitting) > 1 and len(usual) != 1:
        reason = f"the block at line {start + 1} of the reply has several ======= lines; each of them may divide it"
        raise RefusalError("unparsable", reason)
    return fitting[0] if len(fitting) == 1 else usual[0]


def _holds(lines: list[str], search: list[str]) -> bool:
    wanted = trimmed(search)
    return bool(wanted) and next(_found(wanted, lines, _loose), None) is not None


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
    for wanted, form in ((edit, _exact), (bare, _loose)):
        allowed = [place for name, text in files.items() for place in _matches(wanted, name, text, form)]
        if len(allowed) > 1:
            at = ", ".join(f"{place.file}:{place.top + 1}" for place in allowed[:MAX_MATCHES])
            raise RefusalError("unparsable", f"the block at line {edit.line} of the reply fits more than once: {at}")
        if allowed:
            return allowed[0], _moved(wanted, allowed[0], files[allowed[0].file].split("\n"))
    for name, text in files.items():
        if (top := next(_found(bare.search, text.split("\n"), _loose), None)) is not None:
            reason = f"the block at line {edit.line} of the reply changes frozen text at {name}:{top + 1}"
            raise RefusalError("refused", reason)
    raise RefusalError("unparsable", _fits_nowhere(edit, bare, files))


def _fits_nowhere(edit: Edit, bare: Edit, files: Mapping[str, str]) -> str:
    begins = f"it begins {bare.search[0].strip()!r:.120}"
    near = nearest_place(bare.search, files)
    return "; ".join(filter(None, (f"the block at line {edit.line} of the reply fits nowhere", begins, near)))


def _matches(edit: Edit, file: str, text: str, form: Callable[[str], str]) -> list[EditPlace]:
    """Places whose lines, in that form, are the edit's and whose changed lines lie in a region; a few of each region.

    A hostile reply may fit very often, so what frozen text holds is not looked at.
    """
    (head, tail), lines, found = edit.kept, text.split("\n"), []
    for region in find_regions(text):
        least = max(0, region.first - head)
        tops = islice(_found(edit.search, lines[least : region.last + tail], form), MAX_MATCHES)
        found += [
            EditPlace(file, top, top + head, top + len(edit.search) - tail) for top in (least + at for at in tops)
        ]
    return found


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


def _moved(edit: Edit, place: EditPlace, lines: Sequence[str]) -> Sequence[str]:
    """The lines that an edit puts in, at the indentation of the lines that it found."""
    found = lines[place.top : place.top + len(edit.search)]
    moved = reindented(edit.changed, edit.search, found, lines)
    if moved is None:
        reason = f"the block at line {edit.line} of the reply fits {place.file}:{place.top + 1} but for its indentation"
        raise RefusalError("unparsable", f"{reason}, which is off by another amount from line to line")
    return moved


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
