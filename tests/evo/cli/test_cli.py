"""What a user meets: one clear sentence for each mistake, and never a traceback."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from evo.errors import printable
from tests.conftest import TOY, Evo
from tests.support.paths import ROOT


def test_a_run_ends_with_the_front_and_the_next_commands(evo: Evo, tmp_path: Path) -> None:
    answer = evo("run", *TOY, "--set", "budget.evaluations=40")
    assert answer.code == 0
    assert "40 evaluations; its budget of evaluations is used up" in answer.out
    assert "held-out near" in answer.out
    following = [line.split("#")[0].strip() for line in answer.out.partition("next:\n")[2].splitlines()]
    assert len(following) == 4
    for command in following[:3]:
        words = command.replace('"', "").split(maxsplit=3)[1:]
        again = evo(*words)
        assert again.code == 0, again.err
        assert again.out


def test_runs_are_numbered_where_they_have_no_name(evo: Evo, tmp_path: Path) -> None:
    for _ in range(2):
        evo("run", *TOY, "--set", "budget.evaluations=12")
    assert sorted(os.listdir(tmp_path / "runs")) == ["Valley-1", "Valley-2"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "bin_pakcing"], "unknown problem 'bin_pakcing'; did you mean 'bin_packing'?"),
        (["run", "nowhere.yaml"], "cannot read nowhere.yaml"),
        (["run", "nowhere.py:Thing"], "no file nowhere.py"),
        (["run", *TOY, "--set", "search.operators={jitterconstant: 1}"], "did you mean 'jitter_constant'"),
        (
            ["run", *TOY, "--set", "search.operators={jitter_constant: 1}"],
            "varies a program, but this problem's genome is",
        ),
        (["run", *TOY, "--set", "budget.evals=3"], "did you mean 'evaluations'"),
        (["run", *TOY, "--set", "executor=rya"], "unknown executor 'rya'; did you mean 'ray'"),
        (["run", *TOY, "--set", "search.survival=x"], "unknown survival 'x'"),
        (["run", *TOY, "--run-dir", "/proc/nowhere"], "cannot make /proc/nowhere"),
        (
            ["run", *TOY, "--set", "problem.options.wall=-9"],
            "the seed of this problem failed (invalid): the first value",
        ),
        (["resume", "runs/none"], "holds no run"),
        (["sql", "runs/none", "SELECT 1"], "no lineage at runs/none/lineage.duckdb"),
        (["show", "runs/none", "1"], "no lineage"),
        (["index", "runs/none"], "holds no run"),
        (["evaluate", "evo.testing.toys:Valley", "nowhere.json"], "cannot read a genome from nowhere.json"),
        (["list", "nothing"], "Invalid value"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_code_2(evo: Evo, arguments: list[str], complaint: str) -> None:
    answer = evo(*arguments)
    assert answer.code == 2
    assert complaint in " ".join(answer.err.replace("│", " ").split())
    assert "Traceback" not in answer.err
    assert answer.out == ""


def test_a_run_folder_that_exists_is_left_alone(evo: Evo, toy_run: Path) -> None:
    before = (toy_run / "journal.jsonl").read_bytes()
    answer = evo("run", *TOY, "--name", "toy")
    assert answer.code == 2
    assert "exists; `evo resume" in answer.err
    assert (toy_run / "journal.jsonl").read_bytes() == before


def test_a_corrupt_journal_is_named_by_its_place(evo: Evo, toy_run: Path) -> None:
    journal = toy_run / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:5]) + b"#!?\n" + b"".join(lines[6:]))
    answer = evo("resume", toy_run, "--set", "budget.evaluations=100")
    assert answer.code == 2
    assert f"corrupt at byte {len(b''.join(lines[:5]))}" in answer.err


def test_an_individual_is_shown_beside_its_base(evo: Evo, toy_run: Path) -> None:
    answer = evo("show", toy_run, 40)
    assert "individual 40: vector of size 3" in answer.out
    assert "difference from its base" in answer.out
    assert "+values: [" in answer.out
    missing = evo("show", toy_run, 4000)
    assert missing.code == 2
    assert "no individual 4000" in missing.err


@pytest.mark.parametrize("format", ["table", "csv", "json"])
def test_sql_answers_in_each_format(evo: Evo, toy_run: Path, format: str) -> None:
    answer = evo("sql", toy_run, "SELECT 1 AS a, 'x\x1b[31m,\"' AS b", "--format", format)
    assert answer.code == 0
    expected = {
        "table": 'a  b\n-  --------\n1  x [31m,"\n',
        "csv": 'a,b\n1,"x\x1b[31m,"""\n',
        "json": json.dumps([{"a": 1, "b": 'x\x1b[31m,"'}], indent=1) + "\n",
    }
    assert answer.out == expected[format]


@pytest.mark.parametrize("kind", ["problems", "operators", "survival", "executors"])
def test_everything_that_is_registered_loads_and_says_what_it_is(evo: Evo, kind: str) -> None:
    answer = evo("list", kind)
    assert answer.code == 0
    rows = answer.out.splitlines()[2:]
    assert rows
    for row in rows:
        name, _, what = row.partition("  ")
        assert what.strip(), name
        assert "cannot be loaded" not in what


def test_the_problem_in_the_readme_runs(evo: Evo, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    source = readme.partition("```python\n# powers.py\n")[2].partition("```")[0]
    (tmp_path / "powers.py").write_text(source, "utf-8")
    answer = evo("run", "powers.py:Powers", "--set", "budget.evaluations=60", "--set", "executor=local")
    assert answer.code == 0, answer.err
    assert "runs/Powers-1: 60 evaluations" in answer.out
    assert "crash" not in answer.out


HOSTILE = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202eabc\rover\n"


def test_what_would_steer_a_terminal_is_spelt_out() -> None:
    shown = printable(HOSTILE)
    assert all(character.isprintable() or character in "\n\t" for character in shown)
    assert shown == "\\x1b[31mred\\x1b]0;title\\x07\\x9b2J\\u202eabc\\rover\n"
    assert printable("plain \u00e9\n\ttext\r\n") == "plain \u00e9\n\ttext\n"


def test_no_control_sequence_of_a_candidate_reaches_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "hostile.py").write_text(
        "from evo.errors import CandidateError\nfrom evo.genomes import Program\nfrom evo.protocols import Problem\n"
        "from evo.values import Objective, Score\n\n\nclass P(Problem):\n"
        f"    {HOSTILE!r}\n"
        "    objectives = (Objective('error', 'min'),)\n"
        f"    def seeds(self, count, rng): return [Program.single('x = 1  # ' + {HOSTILE.strip()!r})]\n"
        f"    def evaluate(self, genome, run, part): return Score({{'error': 1.0}}, feedback={HOSTILE!r})\n",
        "utf-8",
    )
    small = ("--set", "budget.evaluations=2", "--set", "executor.name=local")
    for words in (
        ("check", "hostile.py:P", *small),
        ("run", "hostile.py:P", *small),
        ("show", "runs/P-1", "0"),
        ("evaluate", "hostile.py:P", "hostile.py"),
    ):
        written = on_a_terminal(tmp_path, *words)
        assert b"red" in written
        for hostile in (b"\x1b[31mred", b"\x1b]0;", b"\x07", "\x9b".encode(), "\u202e".encode()):
            assert hostile not in written, words


def on_a_terminal(folder: Path, *words: str) -> bytes:
    """What a command writes to a terminal, both of its streams."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "evo", *words]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder):
        os.close(theirs)
        written = b""
        with suppress(OSError):  # how a terminal ends
            while block := os.read(ours, 65536):
                written += block
    os.close(ours)
    return written
