"""A run goes on from any folder, and notices that its problem's code or data changed meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from evo.config.authoring import declared_problem
from evo.config.problem_files import changed_files, digests_of, noted_files
from evo.journal.replay import latest_session
from tests.conftest import Evo

CODE = """
from evo.protocols import Problem
from evo.genomes import Vector
from evo.values import Box, Objective, Score
from weights import SCALE

with open("data.txt") as file:
    OFFSET = float(file.read())


class P(Problem):
    '''Small.'''
    objectives = (Objective("size", "min"),)
    space = Box((-1.0,), (1.0,))

    def seeds(self, count, rng):
        return [Vector((0.5,))]

    def evaluate(self, genome, run, part):
        return Score({"size": OFFSET + SCALE * abs(genome.values[0])})
"""
SMALL = ("--set", "executor=evo.testing.executor:InProcessExecutor", "--set", "budget.evaluations")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a problem in a folder of its own, its helper beside it, and its data in the working folder."""
    code = tmp_path / "my problems"
    code.mkdir()
    (code / "small.py").write_text(CODE, "utf-8")
    (code / "weights.py").write_text("SCALE = 1.0\n", "utf-8")
    (tmp_path / "data.txt").write_text("1.0", "utf-8")
    return tmp_path


@pytest.fixture
def begun(evo: Evo, home: Path) -> Path:
    """A finished run of it, which may go further."""
    answer = evo("run", "my problems/small.py:P", *SMALL[:3], "budget.evaluations=5", "--name", "a run")
    assert answer.code == 0, answer.err
    return home / "runs" / "a run"


def further(evo: Evo, run: Path, *words: str) -> tuple[int, str]:
    answer = evo("resume", run, *SMALL[:3], "budget.evaluations=9", *words)
    return answer.code, answer.err


def test_a_run_goes_on_from_any_folder(evo: Evo, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = begun.parents[1] / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert further(evo, Path("../runs/a run"))[0] == 0
    assert Path.cwd() == elsewhere


def test_an_unchanged_problem_is_no_change(evo: Evo, begun: Path) -> None:
    recorded = latest_session(begun / "journal.jsonl").files
    assert {"problem:small.py", "problem:weights.py", "data.txt"} <= set(recorded)
    assert not any("site-packages" in name or name.startswith("/") for name in recorded)
    assert further(evo, begun)[0] == 0


@pytest.mark.parametrize("file", ["my problems/small.py", "my problems/weights.py", "data.txt"])
def test_a_changed_file_is_named_and_refused_unless_it_is_allowed(evo: Evo, begun: Path, file: str) -> None:
    path = begun.parents[1] / file
    path.write_text(path.read_text("utf-8") + "\n\n", "utf-8")
    code, said = further(evo, begun)
    assert code == 2
    assert Path(file).name in said
    assert "changed since" in said
    assert "--changed-problem" in said
    assert further(evo, begun, "--changed-problem")[0] == 0
    assert latest_session(begun / "journal.jsonl").files


def test_files_that_are_gone_have_changed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    with noted_files() as files:
        problem = declared_problem("my problems/small.py:P", {})
    recorded = digests_of(problem, files)
    assert changed_files(problem, recorded) == []
    (home / "my problems" / "weights.py").unlink()
    assert changed_files(problem, recorded) == ["problem:weights.py"]
