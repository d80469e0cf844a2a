"""From a reply to a program that may be evaluated."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Literal

from evo.genomes import Program, parse_python, parsed
from operators.llm.diffs import edited, holds_edits
from operators.llm.rewrites import names_wanted, rewritten
from operators.refusal import RefusalError

ReplyForm = Literal["diff", "rewrite"]


def offspring_of(text: str, programs: Sequence[Program], form: ReplyForm, *, cut_off: bool = False) -> Program:
    """The program that a reply makes of the first of its parents.

    Args:
        form: "rewrite" also takes SEARCH/REPLACE blocks; "diff" takes nothing else, since a block of code may be an
            excerpt.
        cut_off: the reply's end is missing; code whose end may be missing with it is refused.

    Raises:
        RefusalError: it makes none, it does not parse, it lacks what its regions must define, or it equals a parent.
    """
    base = programs[0]
    edits = form == "diff" or holds_edits(text)
    child = edited(text, base) if edits else rewritten(text, base, cut_off=cut_off)
    _check_new(child, programs)
    for name, source in child.files.items():
        if name.endswith(".py") and source != base.files[name] and parsed(name, source) is None:
            _check_parses(name, source)
        if not edits and source != base.files[name]:
            _check_defines(name, source, base.files[name])
    return child


def _check_new(child: Program, programs: Sequence[Program]) -> None:
    if child.files == programs[0].files:
        raise RefusalError("duplicate", "the reply changes nothing")
    if any(child.canonical == program.canonical for program in programs):
        raise RefusalError("duplicate", "the reply means the same as a parent")


def _check_defines(name: str, source: str, old: str) -> None:
    """Refuse an example that was read as the program: of the functions and classes of the old regions it has none."""
    tree, old_tree = parsed(name, source), parsed(name, old)
    if tree is None or old_tree is None:
        return
    wanted = names_wanted(name, old) & _defined(old_tree)
    if wanted and not wanted & (_defined(tree) | _bound(tree)):
        missing = ", ".join(sorted(wanted)[:5])
        raise RefusalError("unparsable", f"no block of code defines {missing}, which the text of {name} is to define")


def _defined(tree: ast.Module) -> set[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def _bound(tree: ast.Module) -> set[str]:
    """Names that are assigned or imported."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    aliases = {node.asname or node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}
    return names | aliases


def _check_parses(name: str, source: str) -> None:
    try:
        parse_python(source)
    except SyntaxError as error:
        at = f"line {error.lineno}: {error.text.strip()!r:.120}" if error.text else f"line {error.lineno}"
        raise RefusalError("unparsable", f"{name} would not parse: {error.msg} at {at}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise RefusalError("unparsable", f"{name} would not parse: {error}") from error
