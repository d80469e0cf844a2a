"""Fixtures that many tests share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from evo import cli

settings.register_profile("evo", deadline=None, derandomize=True)
settings.load_profile("evo")

TOY = ("evo.testing.toys:Valley", "--set", "executor=evo.testing.executor:InProcessExecutor")


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str


Evo = Callable[..., Answer]


@pytest.fixture
def evo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Evo:
    """The command line, called in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr("sys.argv", ["evo", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return call


@pytest.fixture(scope="session")
def first_toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once; tests get copies."""
    place = tmp_path_factory.mktemp("toy")
    settings = ("--set", "budget.evaluations=60", "--name", "toy", "--run-dir", str(place))
    with pytest.MonkeyPatch.context() as patch, suppress(SystemExit):
        patch.setattr("sys.argv", ["evo", "run", *TOY, *settings])
        cli.main()
    assert (place / "toy" / "lineage.duckdb").exists()
    return place / "toy"


@pytest.fixture
def toy_run(evo: Evo, first_toy_run: Path, tmp_path: Path) -> Path:
    """The folder of a finished run of 60 evaluations on the toy problem."""
    return Path(shutil.copytree(first_toy_run, tmp_path / "runs" / "toy"))
