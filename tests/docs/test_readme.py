"""What README.md promises holds: its ten lines of Python run, and its example finds what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evo.lineage import open_run
from tests.conftest import Evo
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_ten_lines_of_python_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = next(block for block in BLOCKS if block.startswith("import evo\n"))
    assert len([line for line in source.splitlines() if line.strip()]) <= 10
    source, changed = re.subn(r'budget=\{"evaluations": \d+\}', 'budget={"evaluations": 20}, executor="local"', source)
    assert changed == 1
    source, changed = re.subn(r"budget\.evaluations=\d+", "budget.evaluations=30", source)
    assert changed == 1
    monkeypatch.chdir(tmp_path)
    exec(compile(source, "README.md", "exec"), {})
    assert "def priority(item, bins):" in capsys.readouterr().out
    assert open_run("runs/bin_packing-1").sql("SELECT count(*) FROM individuals").scalar() == 30


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_example_finds_its_formula_with_nine_of_ten_seeds(evo: Evo, tmp_path: Path) -> None:
    source = next(block for block in BLOCKS if block.startswith("# powers.py\n"))
    (tmp_path / "powers.py").write_text(source, "utf-8")
    promise = re.search(r"`evo run powers.py:Powers --set (budget.evaluations=\d+)` finds `(.*?)`", README)
    assert promise is not None
    found = []
    for seed in range(10):
        settings = ("--set", promise[1], "--set", f"seed={seed}", "--set", "executor=local")
        assert evo("run", "powers.py:Powers", *settings, "--name", seed).code == 0
        best = open_run(f"runs/{seed}").sql("SELECT genome FROM individuals WHERE id = (SELECT id FROM best LIMIT 1)")
        found.append(promise[2] in best.scalar())
    assert sum(found) >= 9, found
