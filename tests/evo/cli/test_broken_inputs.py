"""Every command, given broken problems, data and configurations: a sentence, a failure code, and never a traceback."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import Evo

HEAD = """\
from evo.errors import CandidateError
from evo.genomes import Architecture, Program, Prompt, Vector
from evo.protocols import Problem
from evo.values import Box, Limits, Objective, Score


class P(Problem):
    '''Small.'''
    objectives = (Objective("error", "min"),)
    space = Box((-1.0,), (1.0,))
    def seeds(self, count, rng): return [Vector((0.5,))]
    def evaluate(self, genome, run, part): return Score({"error": 1.0})
"""
PROBLEMS: Mapping[str, str] = {
    "no python": "this is no python\n",
    "empty": "",
    "binary": "\x00\x01\x02",
    "no such module": "import no_such_module_anywhere\n",
    "an import that fails": "from evo.values import NoSuchName\n",
    "raises": "raise RuntimeError('at import')\n",
    "exits": "import sys\nsys.exit('bye')\n",
    "no class": "x = 1\n",
    "a function": "def P(): return 1\n",
    "no problem": "class P: pass\n",
    "an instance": f"{HEAD}\nP = P()\n",
    "init raises": f"{HEAD}\n    def __init__(self): raise KeyError('x')\n",
    "init needs options": f"{HEAD}\n    def __init__(self, size): pass\n",
    "no objectives": f"{HEAD}    objectives = ()\n",
    "a bad direction": f"{HEAD}    objectives = (Objective('a', 'up'),)\n",
    "two of a name": f"{HEAD}    objectives = (Objective('a', 'min'), Objective('a', 'max'))\n",
    "objectives of text": f"{HEAD}    objectives = ('error',)\n",
    "seeds raise": f"{HEAD}    def seeds(self, count, rng): return [1 / 0]\n",
    "no seeds": f"{HEAD}    def seeds(self, count, rng): return []\n",
    "a seed outside": f"{HEAD}    def seeds(self, count, rng): return [Vector((2.0,))]\n",
    "a seed of text": f"{HEAD}    def seeds(self, count, rng): return ['x']\n",
    "evaluate raises": f"{HEAD}    def evaluate(self, genome, run, part): raise KeyError('x')\n",
    "evaluate returns a dict": f"{HEAD}    def evaluate(self, genome, run, part): return {{'error': 1.0}}\n",
    "evaluate returns nothing": f"{HEAD}    def evaluate(self, genome, run, part): pass\n",
    "feedback is no text": f"{HEAD}    def evaluate(self, genome, run, part): return Score({{'error': 1}}, {{}}, 3)\n",
    "limits are no limits": f"{HEAD}    limits = 3\n",
    "defaults of nothing": f"{HEAD}    defaults = {{'search.populaton': 3}}\n",
    "defaults that do not fit": f"{HEAD}    defaults = {{'search.population': 'many'}}\n",
    "cases that raise": f"{HEAD}    def case_names(self, part): raise KeyError('x')\n",
}
CONFIGURATIONS: Mapping[str, str] = {
    "no yaml": "problem: [sphere\n",
    "a list": "- sphere\n",
    "empty": "",
    "no problem": "seed: 1\n",
    "an unknown problem": "problem: spheer\n",
    "an unknown key": "problem: sphere\nbudgit: {evaluations: 3}\n",
    "a value of another kind": "problem: sphere\nseed: many\n",
    "a section that is a value": "problem: sphere\nsearch: 3\n",
    "an unknown operator": "problem: sphere\nsearch: {operators: {nothing: 1}}\n",
    "an unknown option": "problem: {name: sphere, options: {dimension: 3}}\n",
    "a key twice over": "problem: {name: {name: sphere}}\n",
    "tabs": "problem:\tsphere\n\tseed: 1\n",
}
COMMANDS = ("check", "run", "evaluate")


def said(evo: Evo, command: str, target: str) -> str:
    """What a command says of a broken target; it fails, by a sentence."""
    quick = ("--set", "executor=evo.testing.executor:InProcessExecutor", "--set", "budget.evaluations=3")
    genome = (Path("genome.json"),) if command == "evaluate" else ()
    answer = evo(command, target, *genome, *quick)
    assert answer.code in (1, 2), (answer.out, answer.err)
    for text in (answer.out, answer.err):
        assert "Traceback" not in text
        assert "not foreseen" not in text
    return answer.err + answer.out


@pytest.fixture(autouse=True)
def genome(tmp_path: Path) -> None:
    """A genome to evaluate, and the folder with its blanks in the name."""
    (tmp_path / "genome.json").write_text('{"kind": "vector", "values": [0.5]}', "utf-8")
    (tmp_path / "my files").mkdir()


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_broken_problem_is_a_sentence(evo: Evo, command: str, name: str) -> None:
    if command == "evaluate" and "seed" in name:
        pytest.skip("evaluating a genome asks for no seeds")
    Path("my files/broken.py").write_text(PROBLEMS[name], "utf-8")
    sentence = said(evo, command, "my files/broken.py:P")
    assert "broken.py" in sentence or "'search" in sentence or "[search" in sentence or "search." in sentence


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_broken_configuration_is_a_sentence(evo: Evo, command: str, name: str) -> None:
    Path("my files/broken.yaml").write_text(CONFIGURATIONS[name], "utf-8")
    said(evo, command, "my files/broken.yaml")


def test_there_are_forty_of_them() -> None:
    assert len(PROBLEMS) + len(CONFIGURATIONS) >= 40
