"""Fixtures that many tests share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from evo import cli
from evo.cli.arguments import stay

settings.register_profile("quick", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=1000)  # with --hypothesis-profile=thorough
settings.load_profile("quick")

# Slowest first, so that no process is left with a long file at the end; the file that starts Ray before all others.
FIRST = ("cluster/test_executors.py", "e2e", "cluster", "docs", "dashboard", "operators/gateway", "evo/cli", "problems")

TOY = ("evo.testing.toys:Valley", "--set", "executor=evo.testing.executor:InProcessExecutor")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        places = (number for number, place in enumerate(FIRST) if item.path.is_relative_to(tests / place))
        return next(places, len(FIRST))

    items.sort(key=rank)


@dataclass(frozen=True)
class Answer:
    """The exit code of a command, and what it printed."""

    code: int
    out: str
    err: str


Evo = Callable[..., Answer]


@pytest.fixture
def evo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Evo:
    """The command line, called in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = exit_code_of(*arguments)
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return call


def exit_code_of(*arguments: object) -> int:
    """Call the command line in this process; for fixtures that are made once for many tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["evo", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        finally:
            stay()
    return 0


@pytest.fixture(scope="session")
def first_toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once; tests get copies."""
    folder = tmp_path_factory.mktemp("toy")
    assert exit_code_of("run", *TOY, "--set", "budget.evaluations=60", "--name", "toy", "--run-dir", folder) == 0
    assert (folder / "toy" / "lineage.duckdb").exists()
    return folder / "toy"


@pytest.fixture
def toy_run(evo: Evo, first_toy_run: Path, tmp_path: Path) -> Path:
    """The folder of a finished run of 60 evaluations on the toy problem."""
    return Path(shutil.copytree(first_toy_run, tmp_path / "runs" / "toy"))
