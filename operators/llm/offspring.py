"""From a reply to a program that may be evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from evo.genomes import Program, parse_python, parsed
from operators.llm.diffs import edited, holds_edits
from operators.llm.rewrites import rewritten
from operators.refusal import RefusalError

ReplyForm = Literal["diff", "rewrite"]


def offspring_of(text: str, programs: Sequence[Program], form: ReplyForm) -> Program:
    """The program that a reply makes of the first of its parents.

    Args:
        form: "rewrite" also takes SEARCH/REPLACE blocks; "diff" takes nothing else, since a block of code may be an
            excerpt.

    Raises:
        RefusalError: it makes none, it does not parse, or it equals a parent.
    """
    base = programs[0]
    child = edited(text, base) if form == "diff" or holds_edits(text) else rewritten(text, base)
    _check_new(child, programs)
    for name, source in child.files.items():
        if name.endswith(".py") and source != base.files[name] and parsed(name, source) is None:
            _check_parses(name, source)
    return child


def _check_new(child: Program, programs: Sequence[Program]) -> None:
    if child.files == programs[0].files:
        raise RefusalError("duplicate", "the reply changes nothing")
    if any(child.canonical == program.canonical for program in programs):
        raise RefusalError("duplicate", "the reply means the same as a parent")


def _check_parses(name: str, source: str) -> None:
    try:
        parse_python(source)
    except SyntaxError as error:
        at = f"line {error.lineno}: {error.text.strip()!r:.120}" if error.text else f"line {error.lineno}"
        raise RefusalError("unparsable", f"{name} would not parse: {error.msg} at {at}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise RefusalError("unparsable", f"{name} would not parse: {error}") from error
