"""Randomness by name: the same for the same, other for another; numpy's own generators and spawning stand on it."""

from __future__ import annotations

import copy
from itertools import product
from typing import get_args

import numpy as np

from evo.randomness import Named, Use, generator


def test_a_name_gives_the_same_numbers_wherever_and_whenever_it_is_asked_for() -> None:
    one, other = generator(3, 7, "parents"), generator(3, 7, "parents")
    assert one.random(5).tolist() == other.random(5).tolist()
    assert generator(3, 7, "parents").random(2).tolist() == [0.9146514205591144, 0.9159182095399981]


def test_another_seed_number_or_use_gives_other_numbers() -> None:
    first = [generator(*one).random() for one in product(range(12), range(12), get_args(Use))]
    assert len(set(first)) == len(first)
    assert generator(1, 11, "parents").random() != generator(11, 1, "parents").random()
    assert abs(np.mean(first) - 0.5) < 0.05


def test_a_generator_travels_and_has_children_of_its_own() -> None:
    one = generator(0, 0, "proposal")
    assert copy.deepcopy(one).random() == generator(0, 0, "proposal").random()
    children = [*one.spawn(2), *one.spawn(1)]
    assert len({child.random() for child in [one, *children]}) == 4


def test_as_many_words_are_given_as_a_bit_generator_asks_for() -> None:
    assert Named("any").generate_state(624).dtype == np.uint32
    assert len(Named("any").generate_state(3, np.uint64)) == 3
