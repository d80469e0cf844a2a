"""Laws of what authors write: each slip is one sentence with file, line, what was got and what was expected."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evo.config.authoring import declared_problem, seeds_of, task_of
from evo.errors import ConfigError, UserError
from evo.registry import make_problem
from evo.values import Objective

Author = Callable[..., str]

IMPORTS = """\
from evo.genomes import Architecture, Program, Vector
from evo.protocols import Problem
from evo.spaces import Real, Slots, Whole
from evo.values import Box, Limits, Objective, Score
"""
SOUND = {
    "objectives": 'objectives = (Objective("error", "min"),)',
    "seeds": 'def seeds(self, count, rng): return [Program.single("def f(): return 1")]',
    "evaluate": 'def evaluate(self, genome, run, part): return Score({"error": 1.0})',
}


@pytest.fixture
def author(tmp_path: Path) -> Author:
    """Writes a problem's file, its class sound but for the parts that are given, and gives the problem's name."""

    def write(text: str = "", **parts: str) -> str:
        body = textwrap.indent("\n".join({**SOUND, **parts}.values()), "    ")
        file = tmp_path / "mine.py"
        file.write_text(text or f"{IMPORTS}\n\nclass P(Problem):\n{body}\n", "utf-8")
        return f"{file}:P"

    return write


def complaint(name: str) -> str:
    """What is said of a problem when it is made and gives its seeds."""
    with pytest.raises(UserError) as caught:
        seeds_of(declared_problem(name, {}), 4, np.random.default_rng(0))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class P(Problem)\n    pass\n", r"mine.py, line 1: SyntaxError: expected ':'"),
        (
            "import no_such_module_here\n",
            r"mine.py, line 1: ModuleNotFoundError: No module named 'no_such_module_here'",
        ),
        ('import json\n\nDATA = json.load(open("none.json"))\n', r"mine.py, line 3: FileNotFoundError: .*'none.json'"),
        ("class P:\n    x = 1 / 0\n", r"mine.py, line 2: ZeroDivisionError"),
        ("raise SystemExit(3)\n", r"mine.py, line 1: SystemExit: 3"),
        ("class Other: pass\n", r"unknown name in .*mine.py 'P'.* known: Other"),
        ("P = 3\n", r"is no problem but a value of type int; expected a class"),
        (
            "class P:\n    def evaluate(self, genome, run, part): return 1\n",
            r"mine.py, line 1: .*does not define seeds",
        ),
        ("class P:\n    def __init__(self): self.x = {}['x']\n", r"mine.py, line 2: KeyError: 'x'"),
    ],
)
def test_a_file_that_holds_no_problem(author: Author, text: str, expected: str) -> None:
    assert re.search(expected, complaint(author(text)))


@pytest.mark.parametrize(
    ("part", "text", "expected"),
    [
        ("objectives", "objectives = ()", r"mine.py, line 7: objectives is empty"),
        ("objectives", "objectives = None", r"mine.py, line 7: objectives must be a tuple of Objective.*got None"),
        ("objectives", 'objectives = ("error",)', r"must be a tuple of Objective.* got tuple \('error',\)"),
        (
            "objectives",
            'objectives = (Objective("a", "min"), Objective("a", "max"))',
            r"two objectives have the name 'a'",
        ),
        (
            "objectives",
            'objectives = (Objective("a", "down"),)',
            r"mine.py, line 8: the direction of objective 'a' must be min or max, got 'down'",
        ),
        ("objectives", 'objectives = (Objective("", "min"),)', r"an objective's name must be a text"),
        (
            "seeds",
            'def seeds(self, count, rng): return Program.single("x = 1")',
            r"mine.py, line 9: seeds must return a",
        ),
        ("seeds", "def seeds(self, count, rng): return []", r"at least one, got list \[\]"),
        ("seeds", "def seeds(self, count, rng): return None", r"at least one, got None"),
        (
            "seeds",
            'def seeds(self, count, rng): return "x = 1"',
            r"seeds must return a list of genomes.*got str 'x = 1'",
        ),
        ("seeds", 'def seeds(self, count, rng): return ["x = 1"]', r"seed 0 must be a Program.* got str 'x = 1'"),
        ("seeds", 'def seeds(self, count, rng): return [open("none.txt").read()]', r"mine.py, line 9: FileNotFoundErr"),
        (
            "seeds",
            'def seeds(self, count, rng): return [Program.single("# EVOLVE-BLOCK-START")]',
            r"mine.py, line 9: line 1: EVOLVE-BLOCK-START without EVOLVE-BLOCK-END",
        ),
        (
            "seeds",
            'def seeds(self, count, rng): return [Program.single("x"), Vector((1.0,))]',
            r"seed 1 is a vector, and",
        ),
        (
            "seeds",
            "def seeds(self, count, rng): return [Vector((1.0,))]",
            r"is a vector, so space must be a Box, got None",
        ),
        ("space", "space = [1, 2]", r"space must be Box or Slots or None, got list \[1, 2\]"),
        ("limits", "limits = 3", r"limits must be Limits, got int 3"),
        ("description", "description = 3", r"description must be str, got int 3"),
        (
            "space",
            'space = Slots({"k": ()})',
            r"mine.py, line 11: slot 'k' must have a name and offer options.*got tuple",
        ),
        ("space", 'space = Slots({"k": "ab"})', r"slot 'k' must have a name and offer options.* got str 'ab'"),
    ],
)
def test_a_problem_that_declares_or_gives_something_else(author: Author, part: str, text: str, expected: str) -> None:
    assert re.search(expected, complaint(author(**{part: text})))


@pytest.mark.parametrize(
    ("space", "seed", "expected"),
    [
        ("Box((-1.0,), (1.0,))", "Vector((2.0,))", "seed 0 is outside the space: value 0 is 2, not from -1 to 1"),
        ("Box((-1.0,), (1.0,))", "Vector((0.0, 0.0))", "seed 0 has 2 values, and the box 1 dimensions"),
        (
            'Slots({"k": ["a", "b"]})',
            'Architecture({"k": "c"})',
            "seed 0 is outside the space: .*no design of the slots",
        ),
        ('Slots({"k": ("a", "b")})', 'Architecture({"m": "a"})', "seed 0 is outside the space"),
        ("None", 'Architecture({"k": "a"})', "is an architecture, so space must be Slots, got None"),
    ],
)
def test_a_seed_outside_the_declared_space(author: Author, space: str, seed: str, expected: str) -> None:
    parts = {"space": f"space = {space}", "seeds": f"def seeds(self, count, rng): return [{seed}]"}
    assert re.search(expected, complaint(author(**parts)))


def test_options_as_a_list_are_options(author: Author) -> None:
    parts = {
        "space": 'space = Slots({"k": ["a", "b"], "n": Whole(1, 3)})',
        "seeds": 'def seeds(self, count, rng): return [Architecture({"k": "a", "n": 2})]',
        "objectives": 'objectives = [Objective("error", "min")]',
    }
    problem = declared_problem(author(**parts), {})
    assert len(seeds_of(problem, 4, np.random.default_rng(0))) == 1


@pytest.mark.parametrize("meant", ["min", "max"])
def test_directions_are_taken_as_meant(meant: str) -> None:
    for spelling in (meant, f"{meant}imize", f"{meant}imise", f"{meant}imum", f"{meant.upper()}IMIZE"):
        assert Objective("x", spelling).direction == meant  # type: ignore[arg-type]
    for senseless in ("", "up", "minmax", None, 1):
        with pytest.raises(ConfigError, match="must be min or max, got"):
            Objective("x", senseless)  # type: ignore[arg-type]


def test_a_file_imports_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_it.py").write_text("BASE = 'x = 1'\n", "utf-8")
    (tmp_path / "beside.py").write_text(
        f"{IMPORTS}from beside_it import BASE\n\n\nclass P(Problem):\n"
        '    objectives = (Objective("error", "min"),)\n'
        "    def seeds(self, count, rng): return [Program.single(BASE)]\n"
        '    def evaluate(self, genome, run, part): return Score({"error": 1.0})\n',
        "utf-8-sig",
    )
    problem = make_problem(f"{tmp_path / 'beside.py'}:P", {})
    assert problem.seeds(1, np.random.default_rng(0))[0].text == "x = 1"  # type: ignore[attr-defined]


def test_two_folders_may_each_have_a_module_of_the_same_name(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shared_name.py").write_text(f"WHERE = {folder!r}\n", "utf-8")
        (tmp_path / folder / "mine.py").write_text(
            f"{IMPORTS}from shared_name import WHERE\n\n\nclass P(Problem):\n    where = WHERE\n", "utf-8"
        )
    for folder in ("one", "other", "one"):
        assert make_problem(f"{tmp_path / folder / 'mine.py'}:P", {}).where == folder  # type: ignore[attr-defined]


def test_a_docstring_is_the_task_where_there_is_no_description(author: Author) -> None:
    docstring = '"""Cover the square.\n\n    With few discs.\n    """'
    assert task_of(declared_problem(author(doc=docstring), {})) == ""
    documented = author(
        f"{IMPORTS}\n\nclass P(Problem):\n    {docstring}\n" + textwrap.indent("\n".join(SOUND.values()), "    ")
    )
    assert task_of(declared_problem(documented, {})) == "Cover the square.\n\nWith few discs."
    described = author(description='description = "Said."')
    assert task_of(declared_problem(described, {})) == "Said."
