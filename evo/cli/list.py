"""`evo list`: what is registered, each name with the first sentence of its docstring, read without importing it."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.metadata
import sys
from functools import cache
from pathlib import Path

from evo.cli.tables import print_table
from evo.lineage.table import Table

WIDEST_CELL = 120


def list_names(group: str) -> None:
    """Print what is registered.

    Args:
        group: as in "problems", "operators".
    """
    points = sorted(importlib.metadata.entry_points(group=f"evo.{group}"), key=lambda point: point.name)
    rows = tuple((point.name, _summary(group, point)) for point in points)
    print_table(Table(("name", "what it is"), rows), "table", widest=WIDEST_CELL)


def _summary(group: str, point: importlib.metadata.EntryPoint) -> str:
    docstring = _docstring(point.module, point.attr)
    if docstring is None:  # made by a call, or defined elsewhere
        docstring = _imported_docstring(group, point.name)
    return docstring.strip().partition("\n")[0]


def _docstring(module: str, attribute: str) -> str | None:
    """The docstring of a class or function as its module's source has it; None where it is not defined there."""
    source = _source(module)
    if source is None:
        return None
    for node in _parsed(source).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == attribute:
            return ast.get_docstring(node) or ""
    return None


@cache
def _parsed(source: Path) -> ast.Module:
    return ast.parse(source.read_text("utf-8-sig"))


def _source(module: str) -> Path | None:
    """Where the source of a module is; its packages are not imported for that."""
    path: list[str] | None = sys.path
    spec = None
    for name in module.split("."):
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        path = list(spec.submodule_search_locations or []) if spec else []
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _imported_docstring(group: str, name: str) -> str:
    from evo.errors import UnknownNameError
    from evo.registry import resolve

    try:
        return resolve(group, name).__doc__ or ""  # type: ignore[arg-type]
    except UnknownNameError as error:
        return str(error)
