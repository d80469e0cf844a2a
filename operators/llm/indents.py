"""Bringing lines to the indentation of a file: moved as a whole, with tabs for spaces, or by another step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise

from operators.llm.text import indent_of

USUAL_STEP = 4


def reindented(
    lines: Sequence[str], searched: Sequence[str], found: Sequence[str], file: Sequence[str]
) -> tuple[str, ...] | None:
    """`lines` moved as the lines `searched` have to be moved to be those that were `found`.

    Args:
        searched, found: the same lines but for white space.
        file: the lines of the file, whose indentation tells what a step is.

    Returns:
        None where the searched lines are not all off in the same way.
    """
    pairs = [(indent_of(line), indent_of(there)) for line, there in zip(searched, found, strict=True) if line.strip()]
    if all(indent == there for indent, there in pairs):
        return tuple(lines)
    tabs = _uses_tabs(file)
    step = step_of([*searched, *lines]) if tabs else step_of(file)
    same_marks = [(_converted(indent, tabs, step), _converted(there, tabs, step)) for indent, there in pairs]
    moved = []
    for line in lines:
        indent = _moved(_converted(indent_of(line), tabs, step), same_marks) if line.strip() else ""
        if indent is None:
            return None
        moved.append(indent + line.lstrip() if line.strip() else line)
    return tuple(moved)


def step_of(lines: Sequence[str]) -> int:
    """By how many characters a line usually stands further in than the line above; 4 where none does."""
    widths = [len(indent_of(line)) for line in lines if line.strip()]
    steps = Counter(width - above for above, width in pairwise(widths) if width > above)
    return steps.most_common(1)[0][0] if steps else USUAL_STEP


def _uses_tabs(lines: Iterable[str]) -> bool:
    starts = Counter(line[0] for line in lines if line.startswith((" ", "\t")) and line.strip())
    return starts["\t"] > starts[" "]


def _converted(indent: str, tabs: bool, step: int) -> str:
    """The indentation in spaces, or in tabs and the spaces left over."""
    if not tabs:
        return indent.expandtabs(step)
    width = len(indent.expandtabs(step))
    return "\t" * (width // step) + " " * (width % step)


def _moved(indent: str, pairs: Sequence[tuple[str, str]]) -> str | None:
    """The indentation that one becomes by the rule that holds for all pairs; None where none does."""
    first, there = pairs[0]
    more, less = there.removesuffix(first), first.removesuffix(there)
    if all(new == more + old for old, new in pairs):
        return more + indent
    if all(old == less + new for old, new in pairs):
        return indent.removeprefix(less) if indent.startswith(less) else None
    ratios = {Fraction(len(new), len(old)) if old else Fraction(0) for old, new in pairs if old or new}
    if len(ratios) != 1 or not (ratio := ratios.pop()) or (len(indent) * ratio).denominator != 1:
        return None
    return there[:1] * int(len(indent) * ratio) if there else None
