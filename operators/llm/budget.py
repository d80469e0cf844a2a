"""Keeping a prompt within its budget: its sections are cut fairly, and every cut is marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

CHARACTERS_PER_TOKEN = 4
LINE_END_SOUGHT = 200

Cut = Callable[[str, float], str]
"""Takes a section and its weight, gives what is shown of it."""


def fitted(render: Callable[[Cut], str], limit: int) -> str:
    """The rendered text in at most `limit` characters: whole if it fits, else with its sections cut by weight.

    Args:
        render: makes the text from sections that it passes through the given function, the same ones at every call.
        limit: characters.
    """
    whole = render(lambda text, weight: text)
    if len(whole) <= limit:
        return whole
    sections: list[tuple[int, float]] = []

    def measured(text: str, weight: float) -> str:
        sections.append((len(text), weight))
        return text[:1]  # not empty, so that what the template says around a section is counted

    shares = iter(shared(sections, limit - len(render(measured))))
    return shortened(render(lambda text, weight: shortened(text, next(shares))), limit)


def shared(sections: Sequence[tuple[int, float]], total: int) -> list[int]:
    """How many characters each section of (size, weight) gets: none more than its size, the rest shared by weight."""
    shares = [0] * len(sections)
    left, weights = max(0, total), sum(weight for _, weight in sections)
    for index in sorted(range(len(sections)), key=lambda index: sections[index][0] / sections[index][1]):
        size, weight = sections[index]
        shares[index] = min(size, int(left * weight / weights))
        left, weights = left - shares[index], max(weights - weight, weight * 1e-9)
    return shares


def shortened(text: str, limit: int) -> str:
    """The beginning and the end of a text that is longer than `limit` characters, and how much is missing between."""
    if len(text) <= limit:
        return text
    mark = f"\n[... {len(text) - limit} characters or more are cut here ...]\n"
    half = (limit - len(mark)) // 2
    if half <= 0:
        return mark.strip()[: max(0, limit)]
    return f"{_up_to_line(text[:half])}{mark}{_from_line(text[-half:])}"


def _up_to_line(head: str) -> str:
    end = head.rfind("\n", -LINE_END_SOUGHT)
    return head if end < 0 else head[:end]


def _from_line(tail: str) -> str:
    start = tail.find("\n", 0, LINE_END_SOUGHT)
    return tail if start < 0 else tail[start + 1 :]
