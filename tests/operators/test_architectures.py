"""Laws of the operators on architectures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.genomes import Architecture, SlotValue
from evo.spaces import Real, Whole
from evo.testing.contracts.operator_contract import lies_in, propose
from evo.testing.contracts.parents import SLOTS
from evo.values import Slots, Space
from operators.architectures import ArchitectureOperator, MixSlots, ResampleSlot, UniformSlots

CHOICES = st.fixed_dictionaries({slot: st.sampled_from(offered) for slot, offered in SLOTS.options.items()})


def varied(operator: ArchitectureOperator, parents: list[dict[str, SlotValue]], seed: int) -> dict[str, SlotValue]:
    child = propose(operator, [Architecture(choices) for choices in parents], SLOTS, seed).genome
    assert isinstance(child, Architecture)
    return dict(child.choices)


@given(CHOICES, st.integers(0, 1000))
def test_resampling_changes_exactly_one_slot(choices: dict[str, SlotValue], seed: int) -> None:
    child = varied(ResampleSlot(), [choices], seed)
    assert sum(child[slot] != choices[slot] for slot in choices) == 1


@given(CHOICES, CHOICES, st.integers(0, 1000))
def test_a_mixture_is_neither_parent_and_strange_in_at_most_one_slot(
    base: dict[str, SlotValue], mate: dict[str, SlotValue], seed: int
) -> None:
    child = varied(MixSlots(), [base, mate], seed)
    assert child != base
    assert sum(child[slot] not in (base[slot], mate[slot]) for slot in base) <= 1


def test_a_mixture_takes_from_both() -> None:
    base, mate = ({slot: offered[end] for slot, offered in SLOTS.options.items()} for end in (0, -1))
    children = [varied(MixSlots(), [base, mate], seed) for seed in range(60)]
    for slot in ("depth", "width", "act", "skip"):
        assert {child[slot] for child in children} >= {base[slot], mate[slot]}


def test_one_and_true_are_two_choices() -> None:
    space = Slots({"a": (1, True)})
    child = propose(ResampleSlot(), [Architecture({"a": 1})], space, 0).genome
    assert isinstance(child, Architecture)
    assert child.choices["a"] is True


def test_choices_that_the_space_does_not_offer_are_sampled_again() -> None:
    strange = Architecture({"depth": 99, "act": "relu", "colour": "green"})
    for seed in range(20):
        child = propose(ResampleSlot(), [strange], SLOTS, seed).genome
        assert child is not None
        assert lies_in(child, SLOTS)


@pytest.mark.parametrize(
    ("space", "outcome", "reason"),
    [
        (None, "refused", "architectures need slots as their space, got NoneType"),
        (Slots({}), "refused", "the space has no slots"),
        (Slots({"a": (1,)}), "duplicate", "no slot has another option"),
    ],
)
def test_a_refusal_says_why(space: Space | None, outcome: str, reason: str) -> None:
    proposal = propose(ResampleSlot(), [Architecture({"a": 1})], space, 0)
    assert proposal.outcome == outcome
    assert proposal.thought == reason


CONDITIONAL = Slots(
    {
        "layers": Whole(1, 3),
        "second": Whole(8, 64, 8),
        "third": Whole(8, 64, 8),
        "solver": ("adam", "sgd"),
        "rate": Real(1e-5, 1.0, log=True),
        "momentum": Real(0.0, 0.9),
        "nesterov": (True, False),
        "fixed": Whole(7, 7),
    },
    {
        "second": {"layers": (2, 3)},
        "third": {"layers": (3,)},
        "momentum": {"solver": ("sgd",)},
        "nesterov": {"solver": ("sgd",), "layers": (3,)},
    },
)
DESIGNS = st.integers(0, 10_000).map(lambda seed: CONDITIONAL.sample(np.random.default_rng(seed)))
EVERY = (ResampleSlot, MixSlots, UniformSlots)


def offspring(operator: ArchitectureOperator, designs: list[dict[str, SlotValue]], seed: int) -> dict[str, SlotValue]:
    child = propose(operator, [Architecture(design) for design in designs], CONDITIONAL, seed).genome
    assert isinstance(child, Architecture)
    return dict(child.choices)


@pytest.mark.parametrize("operator", EVERY)
@given(base=DESIGNS, mate=DESIGNS, seed=st.integers(0, 1000))
def test_an_offspring_of_designs_is_another_design(
    operator: type[ArchitectureOperator], base: dict[str, SlotValue], mate: dict[str, SlotValue], seed: int
) -> None:
    child = offspring(operator(), [base, mate][: operator.arity], seed)
    assert CONDITIONAL.contains(child)
    assert Architecture(child).canonical != Architecture(base).canonical


@given(DESIGNS, st.integers(0, 1000))
def test_resampling_changes_one_slot_and_what_depends_on_it(base: dict[str, SlotValue], seed: int) -> None:
    child = offspring(ResampleSlot(), [base], seed)
    both = [slot for slot in base if slot in child]
    changed = [slot for slot in both if base[slot] != child[slot]]
    assert len(changed) == 1
    if changed[0] not in ("layers", "solver"):
        assert child.keys() == base.keys()


def test_a_slot_that_one_parent_has_comes_from_it() -> None:
    base: dict[str, SlotValue] = {"layers": 1, "solver": "adam", "rate": 0.1, "fixed": 7}
    mate: dict[str, SlotValue] = {
        "layers": 3,
        "second": 16,
        "third": 24,
        "solver": "sgd",
        "rate": 0.2,
        "momentum": 0.123,
        "nesterov": True,
        "fixed": 7,
    }
    children = [offspring(MixSlots(), parents, seed) for seed in range(30) for parents in ([base, mate], [mate, base])]
    # The base with three layers is no mixture, but another choice made in it.
    mixed = [child for child in children if child["layers"] == 3 and child["solver"] == "adam" and child["rate"] == 0.2]
    assert mixed
    assert all(design["second"] == 16 and design["third"] == 24 and "momentum" not in design for design in mixed)


def test_numbers_move_in_steps_as_often_as_they_are_sampled_again() -> None:
    space = Slots({"rate": Real(1e-6, 1.0, log=True)})
    base = Architecture({"rate": 1e-3})
    rates = [propose(ResampleSlot(), [base], space, seed).genome for seed in range(400)]
    decades = [abs(math.log10(float(child.choices["rate"])) + 3) for child in rates if isinstance(child, Architecture)]
    # Half are normal steps of 0.9 decades, half are even over 6 decades: 0.5 * 0.74 + 0.5 * 0.33 within one.
    assert abs(sum(distance < 1 for distance in decades) / 400 - 0.53) < 0.1  # 4 standard errors
    assert max(decades) > 2.5


def test_a_genome_with_inactive_or_strange_slots_is_repaired_first() -> None:
    odd = Architecture({"layers": 99, "second": 8.4, "solver": "lion", "rate": -1, "colour": "green"})
    for operator in EVERY:
        for seed in range(20):
            child = propose(operator(), [odd] * operator.arity, CONDITIONAL, seed).genome
            assert isinstance(child, Architecture)
            assert CONDITIONAL.contains(child.choices)


def test_a_space_of_one_design_has_no_other() -> None:
    space = Slots({"a": Whole(1, 1), "b": Real(0.5, 0.5)})
    proposal = propose(ResampleSlot(), [Architecture({"a": 1, "b": 0.5})], space, 0)
    assert (proposal.outcome, proposal.thought) == ("duplicate", "no slot has another option")
