"""Laws of declared spaces: designs, their texts, and what is made of hostile choices and hostile JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError, GenomeError
from evo.genomes import Architecture, genome_from_json
from evo.spaces import Real, Slots, Whole

SPACE = Slots(
    {
        # Declared before what it depends on.
        "patience": Whole(1, 9, 3),
        "layers": Whole(1, 3),
        "width": Whole(8, 128, 8),
        "second": Whole(8, 128, 8),
        "solver": ("adam", "sgd", 1, True),
        "rate": Real(1e-5, 1.0, log=True),
        "momentum": Real(-1.0, 0.95),
        "stop": (False, True),
    },
    {
        "second": {"layers": (2, 3)},
        "rate": {"solver": ("adam", "sgd")},
        "momentum": {"solver": ("sgd",), "layers": (1, 2)},
        "stop": {"solver": ("sgd", 1)},
        "patience": {"stop": (True,)},
    },
)
NUMBERS = (
    Whole(0, 10),
    Whole(-7, 8, 4),
    Whole(5, 5),
    Real(0.0, 1.0),
    Real(-3.3, 1e6),
    Real(1 / 3, 2 / 3),
    Real(2.0, 2.0),
    Real(1e-6, 10.0, log=True),
    Real(1e-300, 1e300, log=True),
    Real(1.0, 1.0001, log=True),
    Real(1, 10, log=True),
)
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.just(10**400),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
HOSTILE = st.dictionaries(st.sampled_from([*SPACE.options, "colour", ""]), ANYTHING)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def design(seed: int) -> dict[str, Any]:
    return dict(SPACE.sample(rng(seed)))


SEEDS = st.integers(0, 10_000)


@given(SEEDS)
def test_a_sample_is_a_design_and_the_same_randomness_gives_it_again(seed: int) -> None:
    assert SPACE.contains(design(seed))
    assert design(seed) == design(seed)


def test_samples_hold_every_slot_and_every_option() -> None:
    designs = [design(seed) for seed in range(300)]
    assert {slot for one in designs for slot in one} == set(SPACE.options)
    assert {repr(one["solver"]) for one in designs} == {"'adam'", "'sgd'", "1", "True"}
    assert {one["width"] for one in designs} == set(range(8, 129, 8))


@given(HOSTILE, SEEDS)
def test_whatever_is_mended_is_a_design_and_a_design_stays_as_it_is(choices: dict[str, object], seed: int) -> None:
    mended = SPACE.repair(choices, rng(seed))
    assert SPACE.contains(mended)
    assert SPACE.repair(mended, rng(seed + 1)) == mended


@given(SEEDS, HOSTILE, SEEDS)
def test_designs_that_differ_in_inactive_slots_only_are_the_same(
    seed: int, more: dict[str, object], other: int
) -> None:
    one = design(seed)
    inactive = {slot: choice for slot, choice in more.items() if slot not in one}
    assert Architecture(SPACE.repair({**inactive, **one}, rng(other))).digest == Architecture(one).digest


@given(SEEDS)
def test_a_slot_is_there_exactly_where_its_condition_holds(seed: int) -> None:
    one = design(seed)
    assert ("second" in one) == (one["layers"] > 1)
    assert ("momentum" in one) == (one["solver"] == "sgd" and one["layers"] < 3)
    assert ("stop" in one) == (one["solver"] == "sgd" or one["solver"] is 1)  # noqa: F632 - True is another option
    assert ("patience" in one) == one.get("stop", False)


@given(SEEDS, st.sampled_from(list(SPACE.options)), ANYTHING)
def test_one_choice_that_is_not_offered_makes_it_no_design(seed: int, slot: str, choice: Any) -> None:
    one = design(seed)
    changed = {**one, slot: choice}
    offered = slot in one and choice in SPACE.domain(slot)
    if SPACE.contains(changed):
        assert offered
    assert not SPACE.contains({**one, "colour": 1})
    assert not SPACE.contains({other: one[other] for other in list(one)[1:]})


@pytest.mark.parametrize("choices", [None, 5, "text", [], [("layers", 1)], {}, {1: 2}])
def test_what_is_no_mapping_of_choices_is_no_design(choices: object) -> None:
    assert not SPACE.contains(choices)


@pytest.mark.parametrize("domain", NUMBERS, ids=str)
@given(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers()))
def test_numbers_are_snapped_once_and_for_all(domain: Whole | Real, value: float) -> None:
    snapped = domain.nearest(value)
    assert snapped is not None
    assert snapped in domain
    assert domain.nearest(snapped) == snapped
    assert domain.low <= snapped <= domain.high
    assert json.loads(json.dumps(snapped)) == snapped
    assert math.copysign(1.0, snapped) == 1.0 or snapped != 0


@pytest.mark.parametrize("domain", NUMBERS, ids=str)
@given(st.floats(-0.5, 1.5))
def test_a_place_and_its_choice_belong_together(domain: Whole | Real, share: float) -> None:
    choice = domain.at(share)
    assert choice in domain
    assert domain.at(domain.share(choice)) == choice
    assert 0 <= domain.share(choice) <= 1
    assert all(other in domain and other != choice for other in domain.neighbours(choice))


@pytest.mark.parametrize("domain", NUMBERS, ids=str)
def test_neighbours_are_there_unless_there_is_one_choice_only(domain: Whole | Real) -> None:
    only = domain.at(0.0) == domain.at(1.0)
    assert bool(domain.neighbours(domain.at(0.3))) != only


def test_a_real_keeps_three_digits_of_itself_or_of_its_width() -> None:
    assert Real(1e-5, 1.0, log=True).nearest(0.00012345) == 0.000123
    assert Real(0.0, 1.0).nearest(0.12345) == 0.123
    assert Real(1000.0, 1001.0).nearest(1000.12345) == 1000.123
    assert Real(0.0, 5e6).nearest(1234567) == 1230000 or Real(0.0, 5e6).nearest(1234567) == 1235000


def test_draws_are_even_on_the_domains_own_scale() -> None:
    log = [math.log10(Real(1e-6, 1.0, log=True).draw(one)) for one in [rng()] for _ in range(2000)]
    assert abs(np.mean(log) + 3) < 0.16  # 4 standard errors
    whole = [Whole(0, 30, 10).draw(one) for one in [rng()] for _ in range(2000)]
    assert min(whole.count(number) for number in (0, 10, 20, 30)) > 420


@given(SEEDS)
def test_a_design_fits_the_schema_and_json_gives_it_again(seed: int) -> None:
    one = design(seed)
    told = {slot: one.get(slot) for slot in SPACE.options}
    jsonschema.Draft202012Validator(SPACE.json_schema()).validate(told)
    read = SPACE.from_json(json.loads(json.dumps(told)))
    assert Architecture(read).digest == Architecture(one).digest


def test_the_schema_refuses_what_is_out_of_range() -> None:
    told = {slot: design(3).get(slot) for slot in SPACE.options}
    schema = jsonschema.Draft202012Validator(SPACE.json_schema())
    for wrong in ({"width": 200}, {"width": 9}, {"solver": "lion"}, {"layers": None}, {"colour": 1}):
        assert not schema.is_valid({**told, **wrong}), wrong


@given(st.one_of(ANYTHING, HOSTILE))
def test_hostile_json_is_a_design_or_is_refused_in_one_sentence(found: object) -> None:
    try:
        read = SPACE.from_json(found)
    except GenomeError as error:
        text = str(error)
        text.encode()
        assert len(text.split()) > 3
        assert len(text.splitlines()) == 1
        assert len(text) < 500
    else:
        assert SPACE.contains(read)


BASE = {"layers": 2, "width": 64, "second": 32, "solver": "sgd", "rate": 0.1, "momentum": 0.9, "stop": False}


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ([], "expected a JSON object with a member for each slot, got a list"),
        ({"widht": 8}, 'there is no slot "widht"; the slots are .*"width"'),
        ({"width": 129}, 'slot "width" cannot be 129; expected a whole number from 8 to 128 in steps of 8'),
        ({"width": "wide\n" * 99}, 'slot "width" cannot be "wide.n'),
        ({"width": True}, 'slot "width" cannot be true'),
        ({"width": {"a": 1}}, 'slot "width" cannot be an object'),
        ({"rate": math.nan}, 'slot "rate" cannot be NaN; expected a number from 1e-05 to 1 on a log scale; only where'),
        ({"rate": 10**400}, 'slot "rate" cannot be 1000.* [.]{3}; expected'),
        ({"solver": "\ud800"}, r'slot "solver" cannot be "\?"; expected one of "adam", "sgd", 1, true'),
    ],
)
def test_a_refusal_names_the_slot_and_what_it_may_hold(found: object, reason: str) -> None:
    with pytest.raises(GenomeError, match=reason):
        SPACE.from_json(found, BASE)


def test_a_slot_that_nothing_is_said_of_is_missing_or_the_bases() -> None:
    with pytest.raises(GenomeError, match='slot "layers" is missing; expected a whole number from 1 to 3'):
        SPACE.from_json({"width": 8})
    assert SPACE.from_json({"width": 8}, BASE) == {**BASE, "width": 8}
    assert SPACE.from_json({"layers": 1, "momentum": None}, BASE) == {
        slot: 1 if slot == "layers" else choice for slot, choice in BASE.items() if slot != "second"
    }
    with pytest.raises(GenomeError, match='slot "patience" is missing'):
        SPACE.from_json({"stop": True}, BASE)


def test_numbers_from_outside_are_snapped_and_read_whatever_their_type() -> None:
    read = SPACE.from_json({"width": 61.0, "rate": 1, "solver": 1.0 and "adam"}, BASE)
    assert (read["width"], read["rate"]) == (64, 1.0)
    assert Slots({"a": (1, 2.5)}).from_json({"a": 1.0}) == {"a": 1}
    assert repr(Slots({"a": (1, 1.0)}).from_json({"a": 1.0})) == "{'a': 1.0}"
    with pytest.raises(GenomeError, match='"a" cannot be true'):
        Slots({"a": (1, 2)}).from_json({"a": True})


def test_it_is_described_a_line_a_slot() -> None:
    assert SPACE.describe().splitlines() == [
        '- "layers": a whole number from 1 to 3',
        '- "width": a whole number from 8 to 128 in steps of 8',
        '- "second": a whole number from 8 to 128 in steps of 8; only where "layers" is 2 or 3',
        '- "solver": one of "adam", "sgd", 1, true',
        '- "rate": a number from 1e-05 to 1 on a log scale; only where "solver" is "adam" or "sgd"',
        '- "momentum": a number from -1 to 0.95; only where "solver" is "sgd" and "layers" is 1 or 2',
        '- "stop": one of false, true; only where "solver" is "sgd" or 1',
        '- "patience": a whole number from 1 to 7 in steps of 3; only where "stop" is true',
    ]


@pytest.mark.parametrize(
    ("options", "when", "reason"),
    [
        ({"a": (1,)}, {"b": {"a": (1,)}}, "the condition of slot 'b' names 'b', which is no slot"),
        ({"a": (1,)}, {"a": {"b": (1,)}}, "the condition of slot 'a' names 'b', which is no slot"),
        ({"a": (1,)}, {"a": {"a": (1,)}}, "the conditions of slots 'a' wait for one another"),
        (
            {"a": (1,), "b": (1,), "c": (1,), "d": (1,)},
            {"a": {"b": (1,)}, "b": {"c": (1,)}, "c": {"a": (1,)}},
            "the conditions of slots 'a', 'b', 'c' wait for one another",
        ),
        ({"a": (1,), "b": (1,)}, {"a": {"b": (True,)}}, "slot 'a' waits for 'b' to be True; it is one of 1"),
        ({"a": (1,), "b": Whole(1, 3)}, {"a": {"b": (4,)}}, "slot 'a' waits for 'b' to be 4; it is a whole number"),
        ({"a": (1,), "b": ("x",)}, {"a": {"b": "x"}}, "the condition of slot 'a' needs a tuple of choices of 'b'"),
        ({"a": (1,), "b": ("x",)}, {"a": {"b": ()}}, "the condition of slot 'a' needs a tuple of choices of 'b'"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(options: Any, when: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Slots(options, when)


@pytest.mark.parametrize("bounds", [(2, 1), (1, 2, 0), (1.0, 2), (True, 2), (0, 2**60)])
def test_whole_numbers_need_bounds_in_order(bounds: Any) -> None:
    with pytest.raises(ConfigError, match="a slot needs whole numbers from low up to high"):
        Whole(*bounds)


@pytest.mark.parametrize("bounds", [(2, 1), (math.nan, 1), (0, math.inf), (-1e308, 1e308), (0, 1, True), ("a", 1)])
def test_reals_need_finite_bounds_in_order(bounds: Any) -> None:
    with pytest.raises(ConfigError, match="a slot needs finite numbers from low up to high, above 0 on a log scale"):
        Real(*bounds)


@pytest.mark.parametrize("choices", [{"a": None}, {"a": [1]}, {"a": math.nan}, {"a": math.inf}, {1: 2}, 5, ["a"]])
def test_an_architecture_holds_choices_and_nothing_else(choices: Any) -> None:
    with pytest.raises(GenomeError, match="a choice is a text|these fields make no architecture"):
        genome_from_json({"kind": "architecture", "choices": choices})
