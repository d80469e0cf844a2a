"""Operators on architectures: a choice for each slot of a declared space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from evo.genomes import Architecture, Choice
from evo.protocols import Context
from evo.values import Individual, Proposal, Slots, Space
from operators.draws import pick
from operators.parents import genomes_of
from operators.refusal import RefusalError

Choices = dict[str, Choice]
Options = Mapping[str, tuple[Choice, ...]]
REDRAWS = 10


class ArchitectureOperator(ABC):
    """Varies the first of several sets of choices. Choices that the space does not offer are drawn anew first.

    Attributes:
        weight: its share where several operators are mixed.
    """

    arity: ClassVar[int] = 1
    kind: ClassVar[str] = "architecture"
    weight: ClassVar[float] = 1.0

    @abstractmethod
    def vary(self, parents: Sequence[Choices], options: Options, rng: np.random.Generator) -> Choices:
        """New choices, one for each slot."""

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        try:
            genomes = genomes_of(parents, Architecture, self.arity)
            options = _options(context.space)
        except RefusalError as refusal:
            return Proposal(refusal.outcome, thought=str(refusal))
        offered = [_offered(genome.choices, options, context.rng) for genome in genomes]
        child = Architecture(self.vary(offered, options, context.rng))
        if child.canonical == genomes[0].canonical:
            return Proposal("duplicate", thought="no slot has another option")
        return Proposal("ok", child)


class ResampleSlot(ArchitectureOperator):
    """Makes another choice in one slot."""

    def vary(self, parents: Sequence[Choices], options: Options, rng: np.random.Generator) -> Choices:
        return _resampled(parents[0], options, rng)


class MixSlots(ArchitectureOperator):
    """Takes each slot from either parent; makes another choice in one slot where that gives a parent again."""

    arity: ClassVar[int] = 2

    def vary(self, parents: Sequence[Choices], options: Options, rng: np.random.Generator) -> Choices:
        base, mate = parents
        mixed = {slot: mate[slot] if rng.random() < 0.5 else base[slot] for slot in options}
        if not any(_same(mixed, parent) for parent in parents):
            return mixed
        # Another choice may turn the mate into the base, where they differ in one slot; one made in the base cannot.
        changed = _resampled(mixed, options, rng)
        return _resampled(base, options, rng) if _same(changed, base) else changed


class UniformSlots(ArchitectureOperator):
    """Any choices of the space, whatever its parent's: random search. Weight 0: for mixtures that name it."""

    weight: ClassVar[float] = 0.0

    def vary(self, parents: Sequence[Choices], options: Options, rng: np.random.Generator) -> Choices:
        for _ in range(REDRAWS):
            drawn = {slot: pick(rng, offered) for slot, offered in options.items()}
            if not _same(drawn, parents[0]):
                return drawn
        return _resampled(parents[0], options, rng)


def _resampled(choices: Choices, options: Options, rng: np.random.Generator) -> Choices:
    free = {slot: [one for one in offered if not _equal(one, choices[slot])] for slot, offered in options.items()}
    slots = [slot for slot, others in free.items() if others]
    if not slots:
        return choices
    slot = pick(rng, slots)
    return {**choices, slot: pick(rng, free[slot])}


def _offered(choices: Mapping[str, Choice], options: Options, rng: np.random.Generator) -> Choices:
    def kept(slot: str) -> bool:
        return slot in choices and any(_equal(choices[slot], one) for one in options[slot])

    return {slot: choices[slot] if kept(slot) else pick(rng, options[slot]) for slot in options}


def _same(one: Choices, other: Choices) -> bool:
    return all(_equal(one[slot], other[slot]) for slot in one)


def _equal(one: Choice, other: Choice) -> bool:
    """Equal as a genome's canonical text sees it: 1, 1.0 and True are three choices."""
    return type(one) is type(other) and one == other


def _options(space: Space | None) -> Options:
    if not isinstance(space, Slots):
        raise RefusalError("refused", f"architectures need slots as their space, got {type(space).__name__}")
    empty = [slot for slot, offered in space.options.items() if not offered]
    if empty or not space.options:
        raise RefusalError("refused", f"every slot needs an option; without one: {', '.join(empty) or 'the space'}")
    return space.options
