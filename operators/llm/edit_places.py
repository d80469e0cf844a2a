"""Where lines that a file does not hold were probably meant to be, said so that a model can repair its reply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rapidfuzz import fuzz, process

MOST_LINES = 50
"""How many of the searched lines are looked up."""
MOST_REPEATS = 50
"""How many lines of a file that read the same are considered."""
FIRST_LINE_VOTES = 2
"""A block is named by its first line, which is seldom wrong by chance."""
MOST_COMPARED = 2000
LINE_CHARACTERS = 200
LEAST_LIKENESS = 60.0
"""In percent, below which two lines have nothing to do with each other."""


def nearest_place(search: Sequence[str], files: Mapping[str, str]) -> str:
    """Words that name the nearest place and its first line that differs; empty where nothing is near.

    Args:
        search: lines, the first of which is not blank.
    """
    tops = Counter({place: votes for name, text in files.items() for place, votes in _votes(search, name, text)})
    if tops:
        (name, top), _ = max(tops.items(), key=lambda item: (item[1], -item[0][1]))
        return _difference(search, name, top, files[name].split("\n"))
    return _likest_line(search[0], files)


def _votes(search: Sequence[str], name: str, text: str) -> list[tuple[tuple[str, int], int]]:
    """Lines at which the search would begin, each with how many of the searched lines stand where they should."""
    numbers: dict[str, list[int]] = {}
    for number, line in enumerate(text.split("\n")):
        if bare := _bare(line):
            numbers.setdefault(bare, []).append(number)
    tops: Counter[tuple[str, int]] = Counter()
    for offset, line in enumerate(search[:MOST_LINES]):
        for number in numbers.get(_bare(line), [])[:MOST_REPEATS]:
            tops[name, number - offset] += 1 if offset else FIRST_LINE_VOTES
    return list(tops.items())


def _difference(search: Sequence[str], name: str, top: int, lines: Sequence[str]) -> str:
    for offset, line in enumerate(search):
        number = top + offset
        there = lines[number] if 0 <= number < len(lines) else ""
        if _bare(there) != _bare(line):
            where = f"the nearest place is line {max(top, 0) + 1} of {name}"
            return f"{where}, where line {number + 1} is {there.strip()!r:.120} and the block has {line.strip()!r:.120}"
    return ""


def _likest_line(wanted: str, files: Mapping[str, str]) -> str:
    query, best = wanted.strip()[:LINE_CHARACTERS], None
    for name, text in files.items():
        lines = [line.strip()[:LINE_CHARACTERS] for line in text.split("\n")[:MOST_COMPARED]]
        found = process.extractOne(query, lines, scorer=fuzz.ratio, score_cutoff=LEAST_LIKENESS)
        if found and (best is None or found[1] > best[0]):
            best = found[1], f"the nearest place is line {found[2] + 1} of {name}: {found[0]!r:.120}"
    return best[1] if best else ""


def _bare(line: str) -> str:
    return "".join(line.split())
