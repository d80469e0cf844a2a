"""Laws of genomes and their marked regions."""

from __future__ import annotations

import ast
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import GenomeError
from evo.genomes import Architecture, Genome, Program, Prompt, Vector, genome_from_json, parse_python
from evo.regions import find_regions, frozen_text, region_texts, with_regions

MARKED = """import numpy as np

# EVOLVE-BLOCK-START
def f(x):
    return x + 1
# EVOLVE-BLOCK-END

print(f(1))
"""

words = st.text(st.characters(codec="utf-8"), max_size=20)
genomes = st.one_of(
    st.builds(Vector, st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5).map(tuple)),
    st.builds(Program, st.dictionaries(st.sampled_from(["a.py", "b.py", "c.txt"]), words, min_size=1)),
    st.builds(Prompt, st.dictionaries(words, words, min_size=1), st.lists(st.dictionaries(words, words)).map(tuple)),
    st.builds(Architecture, st.dictionaries(words, st.one_of(st.integers(), st.booleans(), words))),
)


def copy_of(genome: Genome) -> Genome:
    copy: Genome = pickle.loads(pickle.dumps(genome))  # noqa: S301 - our own
    return copy


@given(genomes)
def test_a_genome_survives_json_and_pickle(genome: Genome) -> None:
    for copy in (genome_from_json(json.loads(json.dumps(genome.to_json()))), copy_of(genome)):
        assert copy == genome
        assert copy.digest == genome.digest
        assert copy.size == genome.size


def test_comments_and_spacing_do_not_change_a_program_but_meaning_does() -> None:
    plain = Program.single("def f(x):\n    return x+1\n")
    assert plain.digest == Program.single("# why\ndef f( x ):\n\n    return (x + 1)  # so\n").digest
    assert plain.digest != Program.single("def f(x):\n    return x+2\n").digest
    assert plain.digest != Program({"other.py": plain.text}).digest


def test_the_size_of_a_program_counts_the_nodes_of_its_regions_only() -> None:
    inside = Program.single("def f(x):\n    return x + 1\n")
    assert Program.single(MARKED).size == inside.size
    assert inside.size == 7  # def, arguments, their one name, return, sum, x, 1


def test_the_size_of_another_language_counts_lines() -> None:
    assert Program({"a.c": "// EVOLVE-BLOCK-START\nint a;\n\nint b;\n// EVOLVE-BLOCK-END\nint c;\n"}).size == 2


def test_what_lies_outside_the_regions_stays() -> None:
    changed = with_regions(MARKED, ("def f(x):\n    return 0",))
    assert region_texts(changed) == ("def f(x):\n    return 0",)
    assert frozen_text(changed) == frozen_text(MARKED)


@pytest.mark.parametrize("text", ["f = " + "1 + " * 3000 + "1", "f = " + "0x" + "f" * 9000, "f = " + "(" * 500])
def test_a_program_that_python_cannot_write_again_still_has_a_canonical_text(text: str) -> None:
    assert Program.single(text).canonical == f"# main.py\n{text}"
    assert Program.single(text).size >= 1


@given(
    st.lists(st.sampled_from(["a", "b\r", "c\u2028d", "e\x0c", "", "# EVOLVE-BLOCK-START\n# x\n# EVOLVE-BLOCK-END"]))
)
def test_putting_the_same_regions_back_changes_no_byte(pieces: list[str]) -> None:
    text = "\n".join(pieces)
    assert with_regions(text, region_texts(text)) == text


def test_a_file_without_markers_is_one_region() -> None:
    assert region_texts("a\nb\n") == ("a\nb",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("# EVOLVE-BLOCK-START\n", "line 1: EVOLVE-BLOCK-START without"),
        ("x\n# EVOLVE-BLOCK-END\n", "line 2: EVOLVE-BLOCK-END without"),
        ("# EVOLVE-BLOCK-START\n# EVOLVE-BLOCK-START\n", "inside the region opened at line 1"),
    ],
)
def test_a_marker_without_its_partner_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(GenomeError, match=complaint):
        find_regions(text)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"kind": "tree"}, "unknown genome kind 'tree'"),
        ({"kind": "vector", "values": [float("nan")]}, "finite"),
        ({"kind": "vector"}, "make no vector"),
        ({"kind": "program", "files": {}}, "at least one file"),
        ({"kind": "program", "files": 3}, "make no program"),
        ({"kind": "prompt", "parts": {}}, "at least one part"),
    ],
)
def test_what_is_no_genome_is_refused(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(GenomeError, match=complaint):
        genome_from_json(fields)


@pytest.mark.parametrize(
    "fields", [{"parts": {"a": 7}}, {"parts": {"a": "b"}, "demonstrations": [{"c": None}]}, {"parts": {"a": []}}]
)
def test_a_prompt_of_anything_but_text_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(GenomeError, match="are texts by name"):
        genome_from_json({"kind": "prompt", **fields})


class InterruptedParser:
    """CPython's parser before 3.11.8, when another thread parses in the midst of so many of its first parses."""

    def __init__(self, interrupted: int) -> None:
        self.interrupted = interrupted
        self._parse = ast.parse

    def __call__(self, text: str) -> ast.Module:
        self.interrupted -= 1
        if self.interrupted >= 0:
            raise SystemError("AST constructor recursion depth mismatch (before=16, after=18)")
        return self._parse(text)


def test_a_parse_that_another_thread_interrupts_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ast, "parse", InterruptedParser(3))
    assert ast.unparse(parse_python("x = 1")) == "x = 1"


def test_a_parser_that_never_succeeds_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ast, "parse", InterruptedParser(1000))
    with pytest.raises(SystemError):
        parse_python("x = 1")


def test_a_text_that_is_no_program_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = InterruptedParser(0)
    monkeypatch.setattr(ast, "parse", parser)
    with pytest.raises(SyntaxError):
        parse_python("x = = 1")
    assert parser.interrupted == -1
