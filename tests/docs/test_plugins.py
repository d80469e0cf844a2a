"""The examples of docs/plugins.md run: commands, contracts and entry points are those that the page shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from evo.lineage import open_run
from tests.conftest import Evo
from tests.support.paths import ROOT

PAGE = (ROOT / "docs/plugins.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = {code.splitlines()[0].removeprefix("# "): code for language, code in BLOCKS if language == "python"}
COMMANDS = [line for language, code in BLOCKS if language == "bash" for line in code.splitlines()]
CONTRACTS = [name for name in FILES if name.startswith("test_")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of the page."""
    for name, code in FILES.items():
        (tmp_path / name).write_text(code, "utf-8")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs(evo: Evo, folder: Path, command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == "evo"
    answer = evo(*arguments)
    assert answer.code == 0, answer.err
    if arguments[0] == "run":
        well = open_run(folder / "runs" / arguments[-1]).sql("SELECT count(*) FROM individuals WHERE outcome = 'ok'")
        assert well.scalar() > 5


@pytest.mark.parametrize("name", CONTRACTS)
def test_an_example_of_the_page_obeys_its_contract(folder: Path, name: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", name]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed in", done.stdout.splitlines()[-1]), done.stdout


def test_an_entry_point_of_the_page_names_a_group_of_ours_and_a_class_of_the_page() -> None:
    tables = [tomllib.loads(code)["project"]["entry-points"] for language, code in BLOCKS if language == "toml"]
    entries = [(group, target) for table in tables for group, names in table.items() for target in names.values()]
    assert len(entries) == len(CONTRACTS)
    for group, target in entries:
        module, _, name = target.partition(":")
        assert entry_points(group=group), f"nothing is registered in {group}"
        assert f"class {name}" in FILES[f"{module}.py"]
