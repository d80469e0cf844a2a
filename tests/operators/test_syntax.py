"""Laws of reading a region, of the places in it, and of what is grown there."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.genomes import Program
from evo.regions import find_regions
from evo.testing.contracts.operator_contract import frozen_pieces
from evo.testing.contracts.parents import ORDINARY_TEXTS
from operators.grammar import Grammar, Grower
from operators.nodes import clone, count_nodes, loaded_names, number, number_of
from operators.points import BUILTINS, Scan, Scope, scan
from operators.refusal import RefusalError
from operators.sampling import rounded, weighted
from operators.source import ParsedSource, parse_source, regions_of
from operators.swaps import swapped

BINDINGS = """import numpy
A = 1
B = 'text'
def f(x, *rest, y=2):
    if x:
        a = y
    for i in x:
        b = i
    c, d = x
    e = 7
    return 8
"""
NAMED = Scope(("x", "bins"), BUILTINS | {"np"}, "np")
PLAIN = Scope(("x",))


def sources(text: str) -> list[ParsedSource]:
    return [parse_source(text, region) for region in find_regions(text)]


def scanned(text: str) -> Scan:
    return scan(sources(text)[0])


def role(text: str, expression: str) -> list[str]:
    """The roles of the points that hold an expression."""
    return [point.role for point in scanned(text).points if ast.unparse(point.node) == expression]


@pytest.mark.parametrize("text", ORDINARY_TEXTS)
def test_a_region_that_is_written_back_unchanged_means_the_same(text: str) -> None:
    for source in sources(text):
        written = source.render()
        assert ast.dump(ast.parse(written)) == ast.dump(ast.parse(text))
        assert frozen_pieces(written) == frozen_pieces(text)


@pytest.mark.parametrize("text", ORDINARY_TEXTS)
def test_to_write_back_twice_is_to_write_back_once(text: str) -> None:
    once = sources(text)[0].render()
    assert sources(once)[0].render() == once


@given(st.integers(0, 10_000), st.sampled_from([NAMED, PLAIN, Scope()]), st.integers(0, 5))
@settings(max_examples=200)
def test_a_grown_expression_is_what_the_parser_gives_back(seed: int, scope: Scope, depth: int) -> None:
    grow = Grower(np.random.default_rng(seed), scope, Grammar(depth=depth))
    for node in (grow.number(), grow.condition()):
        assert ast.dump(ast.parse(ast.unparse(node), mode="eval").body) == ast.dump(node)
        assert loaded_names(node) <= {*scope.names, *scope.known}


@given(st.integers(0, 10_000))
def test_a_reused_expression_is_a_copy(seed: int) -> None:
    places = scanned("def f(x, bins):\n    return x * (bins + x)\n").points
    before = {id(node) for place in places for node in ast.walk(place.node) if not isinstance(node, ast.expr_context)}
    grown = Grower(np.random.default_rng(seed), Scope(("x", "bins")), Grammar(depth=3, reuse=0.9), places).number()
    assert before.isdisjoint(id(node) for node in ast.walk(grown) if not isinstance(node, ast.expr_context))


@given(st.one_of(st.integers(-(10**12), 10**12), st.floats(-1e12, 1e12)))
def test_a_number_is_read_as_it_was_written(value: float) -> None:
    node = ast.parse(ast.unparse(number(value)), mode="eval").body
    assert number_of(node) == value


@pytest.mark.parametrize("text", ["True", "None", "'1'", "1j", "1e999", "10**400", str(10**400), "+1", "--1", "x"])
def test_what_is_no_plain_number_is_not_read_as_one(text: str) -> None:
    assert number_of(ast.parse(text, mode="eval").body) is None


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(2, 3))
def test_a_rounded_number_is_near_and_short(value: float, digits: int) -> None:
    near = rounded(value, digits)
    assert abs(near) <= 1e12
    if 1e-9 < abs(value) < 1e12:
        assert near == pytest.approx(value, rel=0.06)
        assert type(near) is int or not float(near).is_integer()


def test_a_weighted_draw_follows_the_weights() -> None:
    rng = np.random.default_rng(0)
    drawn = [weighted(rng, {"a": 3.0, "b": 1.0, "c": 0.0}) for _ in range(2000)]
    assert drawn.count("a") / len(drawn) == pytest.approx(0.75, abs=0.03)
    assert "c" not in drawn


@pytest.mark.parametrize("text", ORDINARY_TEXTS)
def test_a_copy_is_equal_and_shares_nothing(text: str) -> None:
    tree = ast.parse(text)
    copied = clone(tree)
    assert ast.dump(copied, include_attributes=True) == ast.dump(tree, include_attributes=True)
    shared = {id(node) for node in ast.walk(tree)} & {id(node) for node in ast.walk(copied)}
    assert not shared


@pytest.mark.parametrize("text", ORDINARY_TEXTS)
def test_nodes_are_counted_as_the_genome_counts_them(text: str) -> None:
    plain = text.replace("EVOLVE-BLOCK", "marker").replace("\u2028", "")
    assert count_nodes(ast.parse(plain)) == Program.single(plain).size


@pytest.mark.parametrize(
    ("expression", "part", "expected"),
    [
        ("x + 2", "2", ["number"]),
        ("x < 2", "x < 2", ["condition"]),
        ("not x", "x", ["condition"]),
        ("x and y", "y", ["condition"]),
        ("y if x else 3", "x", ["condition"]),
        ("np.where(x, y, 3)", "x", ["condition"]),
        ("np.where(y, x, 3)", "x", ["number"]),
        ("(x > 2) * 3", "x > 2", ["condition"]),
        ("x[2]", "2", ["integer"]),
        ("x[y + 2:]", "2", ["integer"]),
        ("x[x > 2]", "x > 2", ["condition"]),
        ("x[x > 2]", "2", ["number"]),
        ("np.zeros(2)", "2", ["integer"]),
        ("x ** 2", "2", ["exponent"]),
        ("x ** y", "y", []),
        ("x << 2", "2", []),
        ("x in (1, 2)", "x", []),
        ("x is None", "x", []),
        ("x[0]", "x", []),
        ("f(y)", "f", []),
        ("x.size", "x", []),
        ("f(y, k=2)", "2", []),
        ("[z * 2 for z in x]", "2", []),
        ("f'{2}'", "2", []),
        ("'words'", "'words'", []),
        ("-2", "-2", ["number"]),
        ("-2", "2", []),
    ],
)
def test_what_an_expression_is_follows_from_where_it_stands(expression: str, part: str, expected: list[str]) -> None:
    assert role(f"import numpy as np\ndef f(x, y):\n    return {expression}\n", part) == expected


def test_a_place_knows_the_names_that_are_bound_before_it() -> None:
    places = {ast.unparse(point.node): point.scope for point in scanned(BINDINGS).points}
    assert places["i"].names == ("A", "x", "y", "i")
    assert places["7"].names == ("A", "x", "y", "c", "d")
    assert places["8"].names == ("A", "x", "y", "c", "d", "e")
    assert places["8"].numpy == "numpy"
    assert {"f", "numpy", "len"} <= places["8"].known


def test_a_method_does_not_see_what_its_class_binds() -> None:
    places = scanned("class C:\n    a = 1\n    def m(self, x):\n        return 5\n").points
    assert [point.scope.names for point in places if ast.unparse(point.node) == "5"] == [("x",)]


def test_what_lies_outside_the_region_is_no_place_but_binds_names() -> None:
    text = "def f(x):\n    y = 1\n    # EVOLVE-BLOCK-START\n    z = 2\n    # EVOLVE-BLOCK-END\n    return z + 3\n"
    places = scanned(text)
    assert [ast.unparse(point.node) for point in places.points] == ["2"]
    assert [insertion.scope.names for insertion in places.insertions] == [("x", "y")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = (\n", "does not parse: '\\(' was never closed"),
        ("# EVOLVE-BLOCK-START\n# EVOLVE-BLOCK-END\n", "holds no whole statement"),
        ("x = 1\n" * 2001, "a region of 2001 lines; at most 2000"),
    ],
)
def test_a_region_that_cannot_be_varied_is_refused(text: str, reason: str) -> None:
    with pytest.raises(RefusalError, match=reason):
        parse_source(text, regions_of(text)[0])


def test_markers_that_do_not_pair_are_refused() -> None:
    with pytest.raises(RefusalError, match="its markers do not pair: line 1: EVOLVE-BLOCK-END without"):
        regions_of("# EVOLVE-BLOCK-END\n")


def test_a_statement_that_straddles_the_end_of_a_region_is_left_alone() -> None:
    text = "if a:\n    # EVOLVE-BLOCK-START\n    x = 1\nelse:\n    # EVOLVE-BLOCK-END\n    x = 2\n"
    (source,) = sources(text)
    source.block.statements[0].value = ast.Constant(5)  # type: ignore[attr-defined]
    assert source.render() == text.replace("x = 1", "x = 5")


@pytest.mark.parametrize(
    ("expression", "others"),
    [
        ("x + y", {"x + y", "x - y", "x * y", "x / y"}),
        ("x - y", {"x + y", "x - y", "x * y", "x / y", "y - x"}),
        ("x // y", {"x // y", "x % y", "x / y", "y // x"}),
        ("x < y", {"x < y", "x <= y", "x > y", "x >= y"}),
        ("x and y", {"x or y"}),
        ("x if y else z", {"z if y else x"}),
        ("np.minimum(x, y)", {"np.minimum(x, y)", "np.maximum(x, y)"}),
        ("np.where(x, y, z)", {"np.where(x, z, y)"}),
        ("math.floor(x)", {"math.floor(x)", "math.ceil(x)"}),
        ("max(x, y)", {"max(x, y)", "min(x, y)"}),
        ("x ** 2", {"2 ** x"}),
    ],
)
def test_an_operator_is_swapped_for_one_of_the_same_signature(expression: str, others: set[str]) -> None:
    node = ast.parse(expression, mode="eval").body
    made = [swapped(node, NAMED, np.random.default_rng(seed)) for seed in range(200)]
    assert {ast.unparse(node) for node in made if node is not None} == others


@pytest.mark.parametrize("expression", ["x", "-x", "7", "x.min", "x @ y", "[x]", "f(x)", "x in y"])
def test_what_has_no_alternative_keeps_its_operator(expression: str) -> None:
    node = ast.parse(expression, mode="eval").body
    made = [swapped(node, NAMED, np.random.default_rng(seed)) for seed in range(40)]
    assert {ast.unparse(node) for node in made if node is not None} <= {expression, "y @ x"}
