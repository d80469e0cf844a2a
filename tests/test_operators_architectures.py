"""Laws of the operators on architectures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.genomes import Architecture, Choice
from evo.values import Slots, Space
from operators.architectures import ArchitectureOperator, MixSlots, ResampleSlot
from tests.contracts.operator_contract import SLOTS, lies_in, propose

CHOICES = st.fixed_dictionaries({slot: st.sampled_from(offered) for slot, offered in SLOTS.options.items()})


def varied(operator: ArchitectureOperator, parents: list[dict[str, Choice]], seed: int) -> dict[str, Choice]:
    child = propose(operator, [Architecture(choices) for choices in parents], SLOTS, seed).genome
    assert isinstance(child, Architecture)
    return dict(child.choices)


@given(CHOICES, st.integers(0, 1000))
def test_resampling_changes_exactly_one_slot(choices: dict[str, Choice], seed: int) -> None:
    child = varied(ResampleSlot(), [choices], seed)
    assert sum(child[slot] != choices[slot] for slot in choices) == 1


@given(CHOICES, CHOICES, st.integers(0, 1000))
def test_a_mixture_is_neither_parent_and_strange_in_at_most_one_slot(
    base: dict[str, Choice], mate: dict[str, Choice], seed: int
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


def test_choices_that_the_space_does_not_offer_are_drawn_anew() -> None:
    strange = Architecture({"depth": 99, "act": "relu", "colour": "green"})
    for seed in range(20):
        child = propose(ResampleSlot(), [strange], SLOTS, seed).genome
        assert child is not None
        assert lies_in(child, SLOTS)


@pytest.mark.parametrize(
    ("space", "outcome", "reason"),
    [
        (None, "refused", "architectures need slots as their space, got NoneType"),
        (Slots({}), "refused", "every slot needs an option; without one: the space"),
        (Slots({"a": (1,), "b": ()}), "refused", "every slot needs an option; without one: b"),
        (Slots({"a": (1,)}), "duplicate", "no slot has another option"),
    ],
)
def test_a_refusal_says_why(space: Space | None, outcome: str, reason: str) -> None:
    proposal = propose(ResampleSlot(), [Architecture({"a": 1})], space, 0)
    assert proposal.outcome == outcome
    assert proposal.thought == reason
