"""Options of a question that stand in columns: shown with their letters, and the answer as a letter.

The answer may be a letter, an option's text, or a number that counts from 0 or from 1. Which of these it is, the whole
file says: it is a reading that fits every row; where several fit and mean different options, the file is refused.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from evo.errors import ConfigError

Asked: TypeAlias = tuple[str, str]  # a question and its answer
LISTS = ("choices", "options", "endings")
COLUMN = re.compile(r"(?:choice|option|opt|op|ending|answer)?[ _-]?([a-z]|\d{1,2})", re.IGNORECASE)
PREFIX = re.compile(r"\s*\(?([A-Z])[).:]\s*")


def option_fields(names: Iterable[str], taken: set[str]) -> tuple[str, ...]:
    """The columns that hold options: "choices" or "options", or a column for each, as A, B, C or choice1, choice2."""
    free = [name for name in names if name not in taken]
    listed = [name for name in free if name.casefold() in LISTS]
    if listed:
        return (listed[0],)
    ranked = {place: name for name in free if (place := _place(name)) is not None}
    first = min(ranked, default=-1)
    together = first in (0, 1) and sorted(ranked) == list(range(first, first + len(ranked)))
    same_stem = len({_stem(name) for name in ranked.values()}) == 1
    return tuple(ranked[place] for place in sorted(ranked)) if together and same_stem and len(ranked) >= 2 else ()


def row_options(row: Mapping[str, Any], fields: Sequence[str], where: str) -> Sequence[str] | None:
    """The texts of a row's options, behind the labels that the file gives them, if any, as "label\\0text"."""
    if not fields:
        return None
    missing = [field for field in fields if row.get(field) is None]
    cells: Any = (
        None
        if missing and len(fields) == 1
        else row[fields[0]]
        if len(fields) == 1
        else [row.get(field) for field in fields]
    )
    if isinstance(cells, Mapping) and isinstance(cells.get("text"), list):
        labels = cells.get("label") or [""] * len(cells["text"])
        cells = (
            cells["text"]
            if len(labels) != len(cells["text"])
            else [f"{a}\0{b}" for a, b in zip(labels, cells["text"], strict=True)]
        )
    if isinstance(cells, list):
        while len(fields) > 1 and cells and cells[-1] in (None, ""):
            cells = cells[:-1]
    texts = isinstance(cells, list) and all(isinstance(cell, str | int | float) and str(cell).strip() for cell in cells)
    if not texts or not 2 <= len(cells) <= 26:
        raise ConfigError(
            f"{where}: the column {fields[0]!r} must list 2 to 26 options, each a text; got {cells!r:.120}"
        )
    return [str(cell).strip() for cell in cells]


def lettered(cases: Sequence[Asked], drawn: Sequence[tuple[Any, Any]], path: str) -> list[Asked]:
    """The cases with their options shown as "(A) TEXT", and their answers as "(A)".

    Raises:
        ConfigError: the answers are no options, or fit several readings.
    """
    labels = [[option.rpartition("\0")[0] for option in options or ()] for options, _ in drawn]
    texts = [_without_prefix([option.rpartition("\0")[2] for option in options or ()]) for options, _ in drawn]
    places = _places(cases, drawn, labels, texts, path)
    return [_shown(case, options, place) for case, options, place in zip(cases, texts, places, strict=True)]


def _places(
    cases: Sequence[Asked],
    drawn: Sequence[tuple[Any, Any]],
    labels: Sequence[Sequence[str]],
    texts: Sequence[Sequence[str]],
    path: str,
) -> list[int]:
    readings: dict[str, list[int | None]] = {
        "labels": [_index(given, case[1]) for case, given in zip(cases, labels, strict=True)],
        "letters": [_letter(case[1], len(options)) for case, options in zip(cases, texts, strict=True)],
        "texts": [_index(options, case[1]) for case, options in zip(cases, texts, strict=True)],
        "numbers from 0": [_number(case[1], len(options), 0) for case, options in zip(cases, texts, strict=True)],
        "numbers from 1": [_number(case[1], len(options), 1) for case, options in zip(cases, texts, strict=True)],
    }
    fitting = {
        name: [place for place in places if place is not None]
        for name, places in readings.items()
        if None not in places
    }
    numbered = all(isinstance(answer, int | float) for _, answer in drawn)
    if numbered and any(isinstance(one, str) for options, _ in drawn for one in options or ()) and len(fitting) > 1:
        fitting.pop("texts", None)
    if "labels" in fitting:
        return fitting["labels"]
    if not fitting:
        raise _no_reading(cases, readings, path)
    means = {name: _means(places, texts) for name, places in fitting.items()}
    if len({tuple(meant) for meant in means.values()}) > 1:
        names = " and as ".join(fitting)
        raise ConfigError(
            f"case 1 of {path}: the answer {cases[0][1]!r:.40} can be read as {names}, here and in all rows; "
            "write the answers as letters"
        )
    return next(iter(fitting.values()))


def _no_reading(cases: Sequence[Asked], readings: Mapping[str, Sequence[int | None]], path: str) -> ConfigError:
    best = max(readings, key=lambda name: sum(place is not None for place in readings[name]))
    row = readings[best].index(None)
    return ConfigError(
        f"case {row + 1} of {path}: the answer {cases[row][1]!r:.80} is none of its options; expected {best}, as "
        "in other rows, or a letter, an option's text, or its number, the same in all rows"
    )


def _means(places: Sequence[int], texts: Sequence[Sequence[str]]) -> list[str]:
    return [options[place] for place, options in zip(places, texts, strict=True)]


def _shown(case: Asked, options: Sequence[str], place: int) -> Asked:
    lines = "\n".join(f"({letter}) {text}" for letter, text in zip(string.ascii_uppercase, options, strict=False))
    there = all(
        re.search(rf"^\s*\(?{letter}[).:]\s*{re.escape(text)}\s*$", case[0], re.MULTILINE)
        for letter, text in zip(string.ascii_uppercase, options, strict=False)
    )
    question = case[0] if there else f"{case[0]}\n{lines}"
    return question, f"({string.ascii_uppercase[place]})"


def _without_prefix(options: Sequence[str]) -> list[str]:
    """Options without the letters that they bear, as in "A) red"."""
    found = [PREFIX.match(option) for option in options]
    own = all(match and match[1] == letter for match, letter in zip(found, string.ascii_uppercase, strict=False))
    cut = [PREFIX.sub("", text, count=1) if own else text for text in options]
    return [" ".join(text.split()) for text in cut]


def _index(options: Sequence[str], answer: str) -> int | None:
    wanted = " ".join(answer.split())
    same = [place for place, option in enumerate(options) if option == wanted]
    return same[0] if same else None


def _letter(answer: str, count: int) -> int | None:
    found = re.fullmatch(r"\(?([A-Za-z])[).:]?", answer)
    place = ord(found[1].upper()) - ord("A") if found else count
    return place if place < count else None


def _number(answer: str, count: int, start: int) -> int | None:
    place = int(answer) - start if re.fullmatch(r"\d{1,2}", answer) else -1
    return place if 0 <= place < count else None


def _place(name: str) -> int | None:
    found = COLUMN.fullmatch(name.strip())
    if not found or (found[1].isdecimal() and not _stem(name)):
        return None
    return int(found[1]) if found[1].isdecimal() else ord(found[1].lower()) - ord("a")


def _stem(name: str) -> str:
    return re.sub(r"[ _-]?(?:[a-z]|\d{1,2})$", "", name.strip().casefold())
