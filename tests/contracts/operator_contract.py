"""What every operator must keep. Subclass `OperatorContract` and give it an `operator` fixture."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest

from evo.errors import ConfigError, GenomeError
from evo.genomes import Architecture, Genome, Program, Prompt, Vector
from evo.protocols import Context, Operator
from evo.regions import find_regions
from evo.values import Ask, Box, Evaluation, Individual, Objective, Proposal, ProposalOutcome, Slots, Space
from tests.support.prompt_cases import odd_prompts, ordinary_prompts

SEEDS = range(24)
FAILURES = set(get_args(ProposalOutcome)) - {"ok"}

ONE_REGION = '''"""Score a move; keep this line — and this: ½."""

import numpy as np

LIMIT = 4.5


# EVOLVE-BLOCK-START
def score(item, bins):
    """Higher is better.

    The best wins.
    """
    # A comment that may go.
    rest = bins - item
    total = -rest * 2.5
    total = np.where((rest < LIMIT) & (item > 3), total + 100 / item, total)
    if item > 50:
        total = total - np.sqrt(np.abs(rest))
    for step in range(3):
        total = total * (1 + 0.1 * step)
    return np.maximum(total, rest[0] ** 2)
# EVOLVE-BLOCK-END


def untouched( a,b ):   # spacing   as it is
    return  a+b
'''
TWO_REGIONS = """class Solver:
    # EVOLVE-BLOCK-START
    def step(self, x, rate=0.1):
        '''One step.

        Two lines.
        '''
        return x - rate * x
    # EVOLVE-BLOCK-END

    def run(self, x):
        for _ in range(10):
            # EVOLVE-BLOCK-START
            y = x * 0.5
            x = self.step(y) + 1
            # EVOLVE-BLOCK-END
        return x
"""
BODY = "def f(x, y):\n\tz = x\n\t# EVOLVE-BLOCK-START\n\tz = x * y + 1\n\tz = z - 2\n\t# EVOLVE-BLOCK-END\n\treturn z\n"
PLAIN = "def f(x, y):\n    z = abs(x) + 2\n    return max(z, y) if x > y else z ** 2"
WINDOWS = ONE_REGION.replace("\n", "\r\n")
FORM_FEED = "x = 1\n\x0c\n# EVOLVE-BLOCK-START\ny = x + 1\nz = y * x\n# EVOLVE-BLOCK-END\ntext = 'a\u2028b'\n"
ORDINARY_TEXTS = (ONE_REGION, TWO_REGIONS, BODY, PLAIN, WINDOWS, FORM_FEED)

ODD_PROGRAMS = {
    "does not parse": Program.single("# EVOLVE-BLOCK-START\ndef f(:\n# EVOLVE-BLOCK-END\n"),
    "empty file": Program.single(""),
    "empty region": Program.single("x = 1\n# EVOLVE-BLOCK-START\n# EVOLVE-BLOCK-END\n"),
    "region of comments": Program.single("# EVOLVE-BLOCK-START\n# nothing yet\n# EVOLVE-BLOCK-END\n"),
    "region of half a statement": Program.single("f(\n# EVOLVE-BLOCK-START\n1,\n# EVOLVE-BLOCK-END\n)\n"),
    "another language": Program.single("// EVOLVE-BLOCK-START\nint f() { return 1; }\n// EVOLVE-BLOCK-END\n", "f.c"),
    "nothing but a docstring": Program.single('"""Words."""\n'),
    "nothing but imports": Program.single("import os\nimport sys\n"),
    "nothing to vary": Program.single("def f():\n    pass\n"),
    "unicode": Program.single("ñ = 'ü'\n# EVOLVE-BLOCK-START\nµ = 1.5\nπ = µ * 2\n# EVOLVE-BLOCK-END\n"),
    "lone surrogate": Program.single("x = '\ud800'\ny = 2\n"),
    "null byte": Program.single("x = 1\0\n"),
    "byte order mark": Program.single("\ufeffx = 1\n"),
    "10,000 lines": Program.single("x = 1\n" * 10_000),
    "10,000 frozen lines": Program.single("y = 1\n" * 10_000 + "# EVOLVE-BLOCK-START\nx = 1 + 2\n# EVOLVE-BLOCK-END\n"),
    "deep nesting": Program.single("x = " + "(" * 90 + "1" + " + 1)" * 90 + "\n"),
    "long sum": Program.single("x = " + "1 + " * 800 + "1\n"),
    "longer sum than can be written": Program.single("x = " + "1 + " * 4000 + "1\n"),
    "number too long to write": Program.single("x = 0x" + "f" * 8000 + " + 1\n"),
    "constants of every kind": Program.single(
        "x = 1e400 + 1j + True + 10 ** 9\ny = b'a' * 2\nz = f'{x!r:>{y}}' + '\\n'\n"
    ),
    "odd statements": Program.single(
        "with a as b, c: x: int = 1; del x\ntry:\n    pass\nexcept E:\n    y = 2\nmatch y:\n    case 1: z = 3\n"
    ),
    "async": Program.single(
        "async def f(x):\n    async for y in x: await y\n    return [z async for z in x if z > 1]\n"
    ),
    "no main in Python": Program({"readme.txt": "words", "part.py": "x = 1 + 2\n"}),
}
BOX = Box((-5.0, 0.0, 1.0, 2.0), (5.0, 1.0, 1.0, 1e6))
SLOTS = Slots(
    {"depth": (1, 2, 3), "width": (0.5, 1.0), "act": ("relu", "tanh", "gelu"), "skip": (True, False), "one": (1,)}
)

Case = tuple[tuple[Genome, ...], Space | None]


VECTORS = 20


def ordinary(kind: str) -> list[Case]:
    """Parents, as many as any operator of that kind takes, which it must be able to vary."""
    rng = np.random.default_rng(7)
    match kind:
        case "program":
            programs = tuple(Program.single(text) for text in ORDINARY_TEXTS)
            return [((program, *programs[:3]), None) for program in programs]
        case "vector":
            lower, upper = np.array(BOX.lower), np.array(BOX.upper)
            return [
                (tuple(Vector(tuple(lower + (upper - lower) * rng.random(4))) for _ in range(VECTORS)), BOX)
                for _ in range(5)
            ]
        case "architecture":
            return [(tuple(_random_architecture(rng) for _ in range(4)), SLOTS) for _ in range(5)]
        case "prompt":
            return ordinary_prompts()
    return []


def odd(kind: str, arity: int) -> dict[str, Case]:
    """Parents that no operator need be able to vary, and none may stumble over."""
    cases = _odd(kind)
    return cases if arity > 1 else {name: case for name, case in cases.items() if not name.startswith("a mate")}


def _odd(kind: str) -> dict[str, Case]:
    strangers: tuple[Genome, ...] = (
        Program.single("x = 1 + 2\n"),
        Vector((0.5,)),
        Architecture({"a": 1}),
        Prompt({"a": "b"}),
    )
    cases: dict[str, Case] = {f"a {one.kind}": ((one,) * 4, None) for one in strangers if one.kind != kind}
    cases |= {"no parents": ((), BOX), "mates of another kind": ((ordinary(kind)[0][0][0], *strangers[:3]), BOX)}
    match kind:
        case "program":
            cases |= {name: ((program,) * 4, None) for name, program in ODD_PROGRAMS.items()}
            cases |= {
                f"a mate: {name}": ((Program.single(ONE_REGION), *(program,) * 3), None)
                for name, program in ODD_PROGRAMS.items()
            }
        case "vector":
            points = tuple(Vector((float(number), 1.0)) for number in range(VECTORS))
            boxes = [
                None,
                SLOTS,
                Box((), ()),
                Box((0.0,), (1.0,)),
                Box((1.0, 1.0), (0.0, 0.0)),
                Box((0.0,), (1.0, 1.0)),
            ]
            extreme = [Box((0.0, 0.0), (0.0, 0.0)), Box((-1e308, -1e308), (1e308, 1e308)), Box((5.0, 5.0), (6.0, 6.0))]
            cases |= {f"box {box}": (points, box) for box in [*boxes, *extreme]}
            cases |= {
                "one point": ((points[0],) * VECTORS, Box((0.0, 0.0), (1.0, 2.0))),
                "mixed": ((points[0], Vector((1.0,))) * (VECTORS // 2), Box((0.0, 0.0), (1.0, 1.0))),
            }
        case "prompt":
            cases |= odd_prompts()
        case "architecture":
            some = tuple(_random_architecture(np.random.default_rng(number)) for number in range(4))
            spaces = [
                None,
                BOX,
                Slots({}),
                Slots({"depth": ()}),
                Slots({"depth": (1,)}),
                Slots({"new": (1, 2)}),
                Slots({"skip": (1, True, 1.0)}),
            ]
            cases |= {f"space {space}": (some, space) for space in spaces}
            cases |= {"one choice of another type": ((Architecture({"skip": 1.0}),) * 4, Slots({"skip": (1, True)}))}
    return cases


class OperatorContract:
    """The laws; `operator` is what a subclass must give."""

    @pytest.fixture
    def operator(self) -> Operator:
        raise NotImplementedError("a subclass gives the operator")

    def test_it_says_what_it_takes(self, operator: Operator) -> None:
        assert operator.arity >= 1
        assert operator.kind in {"program", "prompt", "architecture", "vector"}
        assert getattr(operator, "weight", 1.0) >= 0

    def test_it_varies_ordinary_parents(self, operator: Operator) -> None:
        made = [proposal for _, proposal in _made(operator)]
        offspring = {proposal.genome.digest for proposal in made if proposal.genome is not None}
        assert sum(proposal.outcome == "ok" for proposal in made) > len(made) / 2
        assert len(offspring) > len(SEEDS) / 2

    def test_the_same_randomness_gives_the_same_proposal(self, operator: Operator) -> None:
        again = [proposal for case in ordinary(operator.kind) for proposal in _proposals(operator, case)]
        assert [proposal for _, proposal in _made(operator)] == again

    def test_an_offspring_is_of_its_kind_and_never_means_the_same_as_the_base(self, operator: Operator) -> None:
        for genomes, proposal in _offspring(operator):
            assert proposal.genome is not None
            assert proposal.genome.kind == operator.kind
            assert proposal.genome.canonical != genomes[0].canonical

    def test_an_offspring_parses_and_keeps_what_lies_outside_the_regions(self, operator: Operator) -> None:
        for genomes, proposal in _offspring(operator):
            if isinstance(base := genomes[0], Program) and isinstance(child := proposal.genome, Program):
                assert list(child.files) == list(base.files)
                assert all(ast.parse(text) for name, text in child.files.items() if name.endswith(".py"))
                assert [frozen_pieces(text) for text in child.files.values()] == [
                    frozen_pieces(text) for text in base.files.values()
                ]

    def test_an_offspring_lies_in_the_space(self, operator: Operator) -> None:
        cases = [*ordinary(operator.kind), *odd(operator.kind, operator.arity).values()]
        for case in (one for one in cases if one[1] is not None):
            for proposal in _proposals(operator, case, seeds=range(5)):
                assert proposal.genome is None or lies_in(proposal.genome, case[1])

    def test_it_never_raises_for_odd_parents_and_says_why_it_gives_nothing(self, operator: Operator) -> None:
        for name, case in odd(operator.kind, operator.arity).items():
            for proposal in _proposals(operator, case, seeds=range(2)):
                if proposal.outcome == "ok":
                    assert proposal.genome is not None
                    assert proposal.genome.canonical != case[0][0].canonical, name
                else:
                    assert proposal.outcome in FAILURES
                    assert len(proposal.thought.split()) >= 3, name

    def test_it_leaves_its_parents_as_they_were(self, operator: Operator) -> None:
        for case in ordinary(operator.kind):
            before = [genome.to_json() for genome in case[0]]
            _proposals(operator, case, seeds=range(5))
            assert [genome.to_json() for genome in case[0]] == before

    def test_it_wants_as_many_parents_as_it_says(self, operator: Operator) -> None:
        genomes, space = ordinary(operator.kind)[0]
        few = _proposals(operator, (genomes[: operator.arity - 1], space), seeds=range(1))[0]
        assert few.outcome == "refused"
        assert f"expected {operator.arity} parents" in few.thought


def propose(operator: Operator, genomes: Sequence[Genome], space: Space | None, seed: int) -> Proposal:
    """What an operator makes of parents with these genomes."""
    context = Context(np.random.default_rng(seed), space=space, memory=_learnt_of_nothing(operator, space))
    return asyncio.run(operator.propose([_individual(number, one) for number, one in enumerate(genomes)], context))


def _learnt_of_nothing(operator: Operator, space: Space | None) -> object:
    """What an operator that learns sees at first; None in a space that it refuses."""
    begin = getattr(operator, "memory", None)
    try:
        return begin(space, (Objective("value", "min"),)).view() if begin else None
    except ConfigError:
        return None


def frozen_pieces(text: str) -> list[str]:
    """The text before, between and after the regions, every character of it."""
    try:
        regions = find_regions(text)
    except GenomeError:
        return [text]
    # Not splitlines: it would split at form feeds too, where no region can begin or end.
    lines = re.split(r"(?<=\n)", text)
    ends = [0, *(region.last for region in regions)]
    starts = [*(region.first for region in regions), len(lines)]
    return ["".join(lines[end:start]) for end, start in zip(ends, starts, strict=True)]


def lies_in(genome: Genome, space: Space | None) -> bool:
    """Whether a genome is one of its space; a space of another kind holds none."""
    match genome, space:
        case Vector(values), Box(lower, upper):
            return all(low <= value <= high for low, value, high in zip(lower, values, upper, strict=True))
        case Architecture(choices), Slots():
            return space.contains(choices)
    return genome.kind in {"program", "prompt"}


_last: tuple[Operator, list[tuple[tuple[Genome, ...], Proposal]]] | None = None


def _made(operator: Operator) -> list[tuple[tuple[Genome, ...], Proposal]]:
    """What it makes of ordinary parents; remembered for the operator that was asked last, as several laws need it."""
    global _last
    if _last is None or _last[0] is not operator:
        cases = ordinary(operator.kind)
        _last = operator, [(case[0], proposal) for case in cases for proposal in _proposals(operator, case)]
    return _last[1]


def _offspring(operator: Operator) -> list[tuple[tuple[Genome, ...], Proposal]]:
    return [(genomes, proposal) for genomes, proposal in _made(operator) if proposal.outcome == "ok"]


def _proposals(operator: Operator, case: Case, seeds: Sequence[int] = SEEDS) -> list[Proposal]:
    return [propose(operator, case[0][: operator.arity], case[1], seed) for seed in seeds]


def _individual(number: int, genome: Genome) -> Individual:
    return Individual(number, number, Ask(number, "seed"), genome, Evaluation("ok"))


def _random_architecture(rng: np.random.Generator) -> Architecture:
    return Architecture({slot: offered[int(rng.integers(len(offered)))] for slot, offered in SLOTS.options.items()})
