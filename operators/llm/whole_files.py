"""A whole file that a reply gives without the markers of its regions: frozen text tells where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from evo.regions import END, START, find_regions, region_texts
from operators.llm.python_text import defined_in
from operators.refusal import RefusalError


def regions_of_whole_file(old: str, new: str) -> tuple[str, ...] | None:
    """The texts of the regions where `new` is all of `old` but for them; None where it is not meant to be.

    Lines are compared without white space, and blank ones do not count.

    Raises:
        RefusalError: it holds definitions of frozen text, and other frozen text is missing or changed.
    """
    if START not in old:
        return None
    parts = _frozen_parts(old)
    if _found(parts, "\n".join(region_texts(old))) is not None:
        return None  # a region alone would look like the whole file
    if (found := _found(parts, new)) is not None:
        return found
    frozen = frozenset().union(*map(defined_in, map("\n".join, parts))) - _names(old)
    if repeated := sorted(frozen & defined_in(new)):
        strange = _first_difference(parts, new)
        reason = f"the reply gives the whole file without region markers ({', '.join(repeated)} is frozen text)"
        raise RefusalError("refused", f"{reason}, and what it gives as frozen text differs: {strange}")
    return None


def _names(old: str) -> frozenset[str]:
    return frozenset().union(*map(defined_in, region_texts(old)))


def _frozen_parts(text: str) -> list[list[str]]:
    """The lines before, between and behind the regions, without blank ones and markers."""
    lines, regions = text.split("\n"), find_regions(text)
    starts, ends = [0, *(region.last for region in regions)], [*(region.first for region in regions), len(lines)]
    return [_worded(lines[start:end]) for start, end in zip(starts, ends, strict=True)]


def _worded(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.strip() and START not in line and END not in line]


def _found(parts: Sequence[Sequence[str]], new: str) -> tuple[str, ...] | None:
    """The texts between the frozen parts, in order; None where a part is absent or fits more than once."""
    lines = new.split("\n")
    numbers = [number for number, line in enumerate(lines) if line.strip()]
    bare = [_bare(lines[number]) for number in numbers]
    places = _places([list(map(_bare, part)) for part in parts], bare)
    if places is None:
        return None
    spans = [numbers[end:start] for (_, end), (start, _) in pairwise(places)]
    return tuple("\n".join(lines[span[0] : span[-1] + 1]) if span else "" for span in spans)


def _places(parts: Sequence[list[str]], lines: list[str]) -> list[tuple[int, int]] | None:
    """Where each part begins and ends: the first at the beginning, the last at the end, others where alone they fit."""
    head, *middle, tail = parts
    end = len(lines) - len(tail)
    if not any(parts) or end < len(head) or lines[: len(head)] != head or lines[end:] != tail:
        return None
    places, text = [(0, len(head))], "\n".join(("", *lines[len(head) : end], ""))
    for part in middle:
        wanted = "\n".join(("", *part, ""))
        at = text.find(wanted)
        if not part or at < 0 or text.find(wanted, at + 1) >= 0:
            return None
        first = len(head) + text.count("\n", 0, at)
        places.append((first, first + len(part)))
    in_order = all(before[1] <= after[0] for before, after in pairwise(places))
    return [*places, (end, len(lines))] if in_order else None


def _first_difference(parts: Sequence[Sequence[str]], new: str) -> str:
    """A frozen line that the text lacks, or that frozen lines are not all in their order."""
    there = {_bare(line) for line in new.split("\n")}
    lost = next((line.strip() for part in parts for line in part if _bare(line) not in there), None)
    return "its lines have another order" if lost is None else f"it has no line {lost!r:.120}"


def _bare(line: str) -> str:
    return "".join(line.split())
