"""Laws of descriptors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError
from evo.genomes import Architecture, Genome, Program, Prompt, Vector
from evo.search.descriptors import STYLES, Subject, descriptor, syntax_of
from evo.spaces import Whole
from evo.values import Ask, Box, Evaluation, Individual, Objective, Slots

SOURCE = '''"""Words."""
import os
# EVOLVE-BLOCK-START
def score(item, bins):
    """Higher is better."""
    total = -bins * 2.5
    for step in range(3):
        if step > 1:
            total += max(total, step) if item else 0
    return [abs(one) for one in total]
# EVOLVE-BLOCK-END
for number in range(100):
    print(number, 1, 2, 3)
'''
METHOD = "class A:\n    # EVOLVE-BLOCK-START\n    def f(self):\n        return 1\n    # EVOLVE-BLOCK-END\n"
SPACE = Slots({"op": ("conv", "pool", 1, True), "width": Whole(8, 64)})


def individual(genome: Genome, vector: tuple[float, ...] = ()) -> Individual:
    evaluation = Evaluation("ok", {"cost": 3.5}, descriptors={"speed": 7.0})
    return Individual(0, 0, Ask(0, "seed"), genome, evaluation, vector=vector)


def value(name: str, genome: Genome, subject: Subject | None = None, vector: tuple[float, ...] = ()) -> float:
    return descriptor(name, subject)(individual(genome, vector))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("loops", 1),
        ("branches", 2),
        ("calls", 3),
        ("functions", 1),
        ("comprehensions", 1),
        ("constants", 4),
        ("nesting", 3),
        ("depth", 7),
    ],
)
def test_only_what_stands_in_the_marked_regions_of_a_program_counts(name: str, expected: float) -> None:
    assert value(name, Program.single(SOURCE)) == expected


@given(st.sampled_from(STYLES), st.sampled_from([SOURCE, METHOD, "x = f(1) + 2\n"]))
def test_a_share_is_the_count_over_the_size(style: str, text: str) -> None:
    program = Program.single(text)
    syntax = syntax_of(program)
    assert syntax is not None
    assert value(f"share:{style}", program) == value(style, program) / syntax.nodes
    assert 0 <= value(f"share:{style}", program) <= 1


@pytest.mark.parametrize("text", [SOURCE, "x = f(1) + 2\nwhile x < 3: x += 1\n"])
def test_the_nodes_that_count_are_those_of_the_programs_size(text: str) -> None:
    syntax = syntax_of(Program.single(text))
    assert syntax is not None
    assert syntax.nodes == Program.single(text).size


def test_a_region_inside_a_class_is_read_as_it_stands() -> None:
    assert value("functions", Program.single(METHOD)) == 1


def test_regions_of_several_files_add_up_and_the_deepest_decides_the_depth() -> None:
    program = Program({"a.py": "x = 1\n", "b.py": "for i in y:\n    z = f(2)\n", "c.txt": "words"})
    assert (value("constants", program), value("loops", program), value("nesting", program)) == (2, 1, 1)
    assert value("depth", program) == value("depth", Program.single("for i in y:\n    z = f(2)\n"))


@pytest.mark.parametrize("program", [Program.single("x = (\n"), Program.single("int f();", "f.c"), Program.single("")])
def test_a_program_that_is_no_python_has_no_style(program: Program) -> None:
    numbers = {name: value(name, program) for name in ("loops", "depth", "share:calls")}
    if program.text:
        assert all(math.isnan(number) for number in numbers.values())
    else:
        assert (numbers["loops"], numbers["depth"]) == (0, 0)
        assert math.isnan(numbers["share:calls"])
    assert value("size", program) == program.size


def test_a_program_deeper_than_the_stack_is_described_or_has_no_style_but_never_raises() -> None:
    deep = value("depth", Program.single("x = " + "1 + " * 900 + "1\n"))
    assert deep > 900
    assert math.isnan(value("depth", Program.single("x = " + "(" * 5000 + ")" * 5000 + "\n")))


def test_prompts_are_described_by_their_words_and_parts() -> None:
    prompt = Prompt({"task": "Sort the list.", "tone": "kindly"}, ({"in": "b a", "out": "a b"},))
    assert [value(name, prompt) for name in ("words", "size", "parts", "demonstrations")] == [8, 8, 2, 1]


def test_a_slot_is_described_by_the_place_of_its_choice_or_by_its_number() -> None:
    about = Subject(space=SPACE, kind="architecture")
    places = [value("slot:op", Architecture({"op": choice}), about) for choice in ("conv", "pool", 1, True)]
    assert places == [0, 1, 2, 3]
    assert value("slot:width", Architecture({"op": "conv", "width": 24}), about) == 24
    assert math.isnan(value("slot:width", Architecture({"op": "conv"}), about))


def test_a_share_of_slots_counts_the_slots_that_hold_the_choice() -> None:
    architecture = Architecture({"a": "conv", "b": "pool", "c": "conv", "d": 3})
    assert [value(f"share:{one}", architecture) for one in ("conv", "3", "skip")] == [0.5, 0.25, 0.0]


def test_coordinates_objectives_and_what_the_problem_says_come_by_name() -> None:
    vector = Vector((0.5, -2.0))
    assert value("x:1", vector) == -2.0
    assert value("objective:cost", vector) == 3.5
    assert value("evaluation:speed", vector) == 7.0
    assert all(math.isnan(value(name, vector)) for name in ("x:2", "evaluation:none", "objective:none", "loops"))


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.integers(0, 5), st.floats(0.01, 100))
def test_an_embedding_is_described_by_its_direction_alone_and_the_same_each_time(
    vector: list[float], index: int, factor: float
) -> None:
    if math.fsum(one * one for one in vector) < 1e-6:
        return
    name, genome = f"embedding:{index}", Vector((0.0,))
    once, again = (value(name, genome, vector=tuple(vector)) for _ in range(2))
    assert once == again
    scaled = tuple(one * factor for one in vector)
    assert value(name, genome, vector=scaled) == pytest.approx(once, rel=1e-6, abs=1e-6)


def test_embeddings_spread_with_variance_one_and_their_coordinates_differ() -> None:
    rng, genome = np.random.default_rng(0), Vector((0.0,))
    vectors = [tuple(rng.standard_normal(64)) for _ in range(400)]
    first, second = ([value(f"embedding:{k}", genome, vector=one) for one in vectors] for k in (0, 1))
    assert np.mean(first) == pytest.approx(0, abs=0.2)
    assert np.std(first) == pytest.approx(1, abs=0.15)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.3
    assert math.isnan(value("embedding:0", genome))
    assert math.isnan(value("embedding:0", genome, vector=(0.0, 0.0)))


@pytest.mark.parametrize(
    ("name", "subject", "reason"),
    [
        ("sise", Subject(), r"unknown descriptor 'sise'; did you mean 'size'\? known: branches, calls"),
        ("speed", Subject(), r"unknown descriptor 'speed'.*evaluation:\.\.\., .*x:\.\.\."),
        ("gain:x", Subject(), "unknown descriptor 'gain:x'"),
        ("x:-1", Subject(), "'x:-1' needs a number from 0 up"),
        ("embedding:first", Subject(), "'embedding:first' needs a number from 0 up"),
        ("x:2", Subject(space=Box((0.0, 0.0), (1.0, 1.0))), "the space has 2 coordinates"),
        ("objective:cots", Subject((Objective("cost", "min"),)), "unknown objective 'cots'; did you mean 'cost'"),
        ("slot:ob", Subject(space=SPACE), "unknown slot 'ob'; did you mean 'op'"),
        ("share:con", Subject(space=Slots({"op": ("conv", "pool")})), "unknown share 'con'; did you mean 'conv'"),
        ("share:cals", Subject(kind="program"), "unknown share 'cals'; did you mean 'calls'"),
        ("loops", Subject(kind="vector"), "'loops' is of genomes of kind program, not vector"),
        ("slot:op", Subject(kind="prompt"), "'slot:op' is of genomes of kind architecture, not prompt"),
    ],
)
def test_a_name_that_such_individuals_can_never_have_is_refused(name: str, subject: Subject, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        descriptor(name, subject)
