"""The rooms keep their doors: who imports whom, and how large things are."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("evo", "operators", "problems", "cluster", "dashboard")
OWNERS = {
    "openai": "operators",
    "aiohttp": "operators",
    "ray": "cluster",
    "streamlit": "dashboard",
    "plotly": "dashboard",
    "duckdb": "evo/lineage",
}


def sources(room: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / room).rglob("*.py")):
        yield path, ast.parse(path.read_text("utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, "one spelling for each import: absolute"
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_no_sibling(room: str) -> None:
    allowed = {room, "evo"}
    wrong = [
        (str(path), name)
        for path, tree in sources(room)
        for name in imported(tree)
        if name in ROOMS and name not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize(("library", "home"), OWNERS.items())
def test_each_big_library_lives_in_one_folder(library: str, home: str) -> None:
    users = [path for room in ROOMS for path, tree in sources(room) if library in imported(tree)]
    assert [str(path) for path in users if not path.is_relative_to(ROOT / home)] == []


def test_files_and_functions_stay_small() -> None:
    lengths = []
    for room in ROOMS:
        for path, tree in sources(room):
            assert len(path.read_text("utf-8").splitlines()) <= 400, path
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    lengths.append((node.end_lineno or node.lineno) - node.lineno + 1)
    assert statistics.median(lengths) <= 10
    assert statistics.quantiles(lengths, n=20)[-1] <= 40
    assert max(lengths) <= 60
