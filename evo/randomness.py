"""All randomness of a run: a generator for each use and number, from the run's seed alone."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

Use = Literal["parents", "proposal", "islands", "again", "contest", "batch"]
"""In this order: a use that is put in between would change what earlier runs repeat."""


def generator(seed: int, number: int, use: Use) -> np.random.Generator:
    """The randomness of one ask, tell or contest, which no other shares."""
    return np.random.default_rng((seed, number, get_args(Use).index(use)))
