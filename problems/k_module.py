"""A pipeline of modules with a known optimum: small enough to enumerate, but not solvable slot by slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evo.errors import CandidateError
from evo.genomes import Architecture, Genome
from evo.protocols import Problem, Runner
from evo.values import Objective, Part, Score, Slots
from problems.checks import genome_of

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "normalisation": ("none", "batch", "layer", "group", "instance"),
    "activation": ("relu", "tanh", "gelu", "sigmoid", "sine"),
    "pooling": ("max", "mean", "attention", "strided", "none"),
    "optimiser": ("sgd", "adam", "lion", "rmsprop", "adagrad"),
}
OPTIMUM: Mapping[str, str] = {
    "normalisation": "layer",
    "activation": "gelu",
    "pooling": "attention",
    "optimiser": "adam",
}
DECOY: Mapping[str, str] = {"normalisation": "batch", "activation": "relu", "pooling": "max", "optimiser": "sgd"}


class KModule(Problem):
    """An option for each of four slots, 625 designs in all; quality is 1 at the optimum only. Both parts are the same.

    A design gains by each module that agrees with the optimum, and again by each agreeing pair of neighbours in a ring.
    The decoy is a second such design of lower worth: next to its other three modules, its fourth module beats the
    optimum's.
    """

    description = (
        "Choose an option for each module of a pipeline so that the whole is as good as can be. Modules work "
        "together: what is best in a slot depends on what is in the others."
    )
    objectives = (Objective("quality", "max"),)
    space = Slots(OPTIONS)

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [
            Architecture({slot: str(rng.choice(options)) for slot, options in OPTIONS.items()}) for _ in range(count)
        ]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        choices = genome_of(genome, Architecture).choices
        if set(choices) != set(OPTIONS) or any(choices[slot] not in options for slot, options in OPTIONS.items()):
            raise CandidateError("invalid", f"expected an option for each of {', '.join(OPTIONS)}, got {dict(choices)}")
        return Score({"quality": quality(choices)})

    def baselines(self, part: Part) -> Mapping[str, Mapping[str, float]]:
        return {"optimum": {"quality": quality(OPTIMUM)}, "decoy": {"quality": quality(DECOY)}}


def quality(choices: Mapping[str, object]) -> float:
    """Between 0 and 1; 1 for the optimum."""
    return round(_agreement(choices, OPTIMUM) + 0.7 * _agreement(choices, DECOY), 6)


def _agreement(choices: Mapping[str, object], design: Mapping[str, str]) -> float:
    agreeing, slots = _agreeing(choices, design), list(design)
    pairs = sum({slot, neighbour} <= agreeing for slot, neighbour in zip(slots, slots[1:] + slots[:1], strict=True))
    return 0.1 * len(agreeing) + 0.15 * pairs


def _agreeing(choices: Mapping[str, object], design: Mapping[str, str]) -> set[str]:
    return {slot for slot, option in design.items() if choices[slot] == option}
