"""Laws of the operators on programs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest

from evo.genomes import Program
from evo.testing.contracts.operator_contract import propose
from evo.testing.contracts.parents import ONE_REGION
from evo.values import Proposal
from operators.edits import FRESH_NAMES
from operators.nodes import count_nodes
from operators.programs import (
    CrossoverSubtree,
    EditStatement,
    InsertExpression,
    JitterConstant,
    ProgramOperator,
    ReplaceSubtree,
    Simplify,
    SwapOperator,
)

ALL = (JitterConstant, SwapOperator, ReplaceSubtree, CrossoverSubtree, InsertExpression, EditStatement, Simplify)
GROWING = (ReplaceSubtree, CrossoverSubtree, InsertExpression, EditStatement)
SCALARS = """RATE = 0.5


def score(x, y, /, z=3, *, w=2.0):
    '''Words 1 + 1.'''
    total = x * 2 + RATE
    if total > y:
        low = min(x, y)
        total = total - low
    for step in range(2):
        total += step * w
        half = total / 2.5
        total = half + z
    return total if total < 100 else -total ** 2
"""
MATE = """import math


def rank(p, q):
    r = math.sqrt(abs(p)) + [t for t in (1, 2)][0] * q
    return helper(r) + p - q
"""
FROZEN = '''import numpy as np


@decorate(7)
def score(x, scale=1.5, *, axis=0):
    """Scale 2.0 by 3."""
    first = x[0] + x[1:3].sum(axis=0)
    while scale > 4.5:
        scale = scale - first
    return [y * 2 for y in range(8)] + sorted(x, key=lambda one: one * 6)
'''


def lineage(operator: ProgramOperator, text: str, steps: int, mate: str = ONE_REGION) -> Iterator[Proposal]:
    """Proposals made one on top of the other."""
    program = Program.single(text)
    for seed in range(steps):
        proposal = propose(operator, (program, Program.single(mate))[: operator.arity], None, seed)
        yield proposal
        if isinstance(proposal.genome, Program):
            program = proposal.genome


def mixed_lineage(text: str, steps: int, *, mate: str) -> Iterator[Program]:
    """Offspring of all operators in turn, each of the one before."""
    program = Program.single(text)
    for seed in range(steps):
        operator = ALL[seed % len(ALL)](max_nodes=120)
        proposal = propose(operator, (program, Program.single(mate))[: operator.arity], None, seed)
        if isinstance(proposal.genome, Program):
            yield (program := proposal.genome)


@pytest.mark.parametrize("mate", [SCALARS, MATE])
def test_an_offspring_never_lacks_a_name(mate: str) -> None:
    ran = 0
    for program in mixed_lineage(SCALARS, 700, mate=mate):
        names: dict[str, object] = {}
        exec(compile(program.text, "offspring", "exec"), names)
        with suppress(ArithmeticError, TypeError, ValueError):
            ran += names["score"](3.0, 2.0) is not None  # type: ignore[operator]
    assert ran > 100


@pytest.mark.parametrize("kind", ALL)
def test_signatures_decorators_docstrings_keywords_and_conditions_of_loops_stay(kind: type[ProgramOperator]) -> None:
    for proposal in lineage(kind(again=0), FROZEN, 60, mate=FROZEN):
        if isinstance(proposal.genome, Program):
            function = ast.parse(proposal.genome.text).body[1]
            assert isinstance(function, ast.FunctionDef)
            assert ast.unparse(function.args) == "x, scale=1.5, *, axis=0"
            assert [ast.unparse(decorator) for decorator in function.decorator_list] == ["decorate(7)"]
            assert ast.get_docstring(function) == "Scale 2.0 by 3."
            keywords = [node for node in ast.walk(function) if isinstance(node, ast.keyword)]
            assert {ast.unparse(keyword) for keyword in keywords} <= {"axis=0", "key=lambda one: one * 6"}
            loops = [node for node in ast.walk(function) if isinstance(node, ast.While)]
            assert {ast.unparse(loop.test) for loop in loops} <= {"scale > 4.5"}


@pytest.mark.parametrize("kind", GROWING)
def test_a_region_never_grows_beyond_its_limit(kind: type[ProgramOperator]) -> None:
    sizes, refused = [], []
    for proposal in lineage(kind(max_nodes=70), SCALARS, 250):
        if isinstance(proposal.genome, Program):
            sizes.append(count_nodes(ast.parse(proposal.genome.text)))
        else:
            refused.append(proposal)
    assert max(sizes) <= 70
    assert all(proposal.outcome in {"refused", "duplicate"} for proposal in refused)
    assert kind is EditStatement or any("at most 70" in proposal.thought for proposal in refused)


def test_a_region_that_is_too_big_already_may_still_change() -> None:
    proposal = propose(JitterConstant(max_nodes=5), (Program.single(SCALARS),), None, 0)
    assert proposal.outcome == "ok"


@pytest.mark.parametrize("again", [0.0, 1.0])
def test_to_simplify_is_to_make_smaller(again: float) -> None:
    sizes = [count_nodes(ast.parse(SCALARS))]
    for proposal in lineage(Simplify(again=again), SCALARS, 60):
        if isinstance(proposal.genome, Program):
            sizes.append(proposal.genome.size)
    assert len(sizes) > 5
    assert all(later < earlier for earlier, later in pairwise(sizes))


def test_two_changes_that_cancel_are_no_offspring() -> None:
    base = Program.single("def f(x, y):  # a comment\n    return x < y\n")
    proposals = [propose(SwapOperator(again=1.0, attempts=1), (base,), None, seed) for seed in range(60)]
    cancelled = [proposal for proposal in proposals if proposal.outcome == "duplicate"]
    assert cancelled
    assert all("undid" in proposal.thought for proposal in cancelled)
    assert all(proposal.genome is None or proposal.genome.canonical != base.canonical for proposal in proposals)


def test_an_index_stays_a_whole_number_and_an_exponent_small() -> None:
    for proposal in lineage(JitterConstant(), "def f(x):\n    return x[3] ** 2\n", 300):
        assert isinstance(proposal.genome, Program)
        tree = ast.parse(proposal.genome.text)
        index = next(node.slice for node in ast.walk(tree) if isinstance(node, ast.Subscript))
        power = next(node.right for node in ast.walk(tree) if isinstance(node, ast.BinOp))
        assert isinstance(ast.literal_eval(index), int)
        assert abs(ast.literal_eval(power)) <= 10


def test_constants_stay_short_enough_to_read() -> None:
    for proposal in lineage(JitterConstant(again=0), "x = 0.123456789 + 98765.4321\n", 200):
        assert isinstance(proposal.genome, Program)
        new = proposal.thought.split(" -> ")[1]
        assert len(new.replace(".", "").lstrip("-0").rstrip("0")) <= 3 or "e" in new


def test_names_that_the_base_does_not_know_become_names_that_it_knows() -> None:
    texts = _crossed("def f(x, y):\n    return x - y\n", "def g(p):\n    return p * (p + 5)\n")
    assert any("* (" in text for text in texts)
    assert all(_names(text) <= {"x", "y"} for text in texts)


def test_what_only_the_mate_can_call_is_not_taken_over() -> None:
    texts = _crossed("def f(x, y):\n    return x - y\n", MATE)
    assert any("abs" in text for text in texts)
    assert all(_names(text) <= {"x", "y", "abs"} for text in texts)


@pytest.mark.parametrize(
    ("operator", "text", "reason"),
    [
        (JitterConstant(), "def f(x):\n    return x\n", "the region holds no numeric constant"),
        (SwapOperator(), "def f(x):\n    return x\n", "none of 20 samples fitted the region"),
        (InsertExpression(), "import os\n", "the region holds no expression that is a number"),
        (EditStatement(), '"""Words."""\n', "the region holds no statement to edit"),
        (Simplify(), "def f():\n    pass\n", "the region holds no expression to simplify"),
        (ReplaceSubtree(max_nodes=3), SCALARS, "syntax nodes; at most 3"),
        (ReplaceSubtree(attempts=0), SCALARS, "no attempt was allowed"),
    ],
)
def test_a_refusal_says_why(operator: ProgramOperator, text: str, reason: str) -> None:
    proposal = propose(operator, (Program.single(text),), None, 0)
    assert proposal.outcome == "refused"
    assert reason in proposal.thought


def test_every_region_of_every_python_file_is_varied() -> None:
    base = Program({"a.py": ONE_REGION, "b.py": "y = 3\n", "c.txt": "# EVOLVE-BLOCK-START\n1\n# EVOLVE-BLOCK-END\n"})
    children = [propose(JitterConstant(), (base,), None, seed).genome for seed in range(30)]
    changed = {name for child in children for name in base.files if child.files[name] != base.files[name]}  # type: ignore[union-attr]
    assert changed == {"a.py", "b.py"}


def test_without_numpy_only_plain_python_is_grown() -> None:
    texts = _grown("def f(x):\n    return x + 1\n")
    assert {"abs", "max"} <= set().union(*map(_names, texts)) <= {"abs", "min", "max", "x", *FRESH_NAMES}


def test_numpy_is_called_by_the_name_that_the_file_gives_it() -> None:
    texts = _grown("import numpy as xp\n\n\ndef f(x):\n    return x + 1\n")
    assert {"xp", "x"} <= set().union(*map(_names, texts)) <= {"xp", "x", *FRESH_NAMES}


def test_operators_turn_best_fit_into_other_rules() -> None:
    rng, rules = np.random.default_rng(0), set()
    base = Program.single("import numpy as np\n\n\ndef rule(x, bins):\n    return x - bins\n")
    for seed in range(200):
        child = propose(InsertExpression(), (base,), None, seed).genome
        assert isinstance(child, Program)
        names: dict[str, object] = {}
        exec(child.text, names)
        with np.errstate(all="ignore"):
            scores = np.asarray(names["rule"](30.0, rng.integers(30, 100, 50).astype(float)))  # type: ignore[operator]
        rules.add(int(scores.argmax()) if scores.shape == (50,) else -1)
    assert len(rules) > 10


def _crossed(base: str, mate: str) -> list[str]:
    """Texts of many offspring of two programs."""
    programs, operator = (Program.single(base), Program.single(mate)), CrossoverSubtree(again=0)
    children = [propose(operator, programs, None, seed).genome for seed in range(80)]
    return [child.text for child in children if isinstance(child, Program)]


def _grown(text: str) -> list[str]:
    children = [proposal.genome for proposal in lineage(InsertExpression(), text, 60)]
    return [child.text for child in children if isinstance(child, Program)]


def _names(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
