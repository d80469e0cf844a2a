"""Operators on architectures: a choice for each active slot of a declared space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from evo.genomes import Architecture, SlotValue
from evo.protocols import Context
from evo.spaces import Design, Domain, Options, Slots, same
from evo.values import Individual, Proposal, Space
from operators.parent_genomes import genomes_of
from operators.refusal import RefusalError
from operators.sampling import pick

REDRAWS = 10
STEP = 0.15
"""Standard deviation of a number's step, as a share of its range on its own scale."""


class ArchitectureOperator(ABC):
    """Varies the first of several designs, after repairing choices that the space does not offer.

    Attributes:
        weight: its share where several operators are mixed.
    """

    arity: ClassVar[int] = 1
    kind: ClassVar[str] = "architecture"
    weight: ClassVar[float] = 1.0

    @abstractmethod
    def vary(self, parents: Sequence[Design], space: Slots, rng: np.random.Generator) -> Design:
        """Another design of the space."""

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        try:
            genomes = genomes_of(parents, Architecture, self.arity)
            space = slots_of(context.space)
        except RefusalError as refusal:
            return Proposal(refusal.outcome, thought=str(refusal))
        designs = [space.repair(genome.choices, context.rng) for genome in genomes]
        child = Architecture(self.vary(designs, space, context.rng))
        if child.canonical == genomes[0].canonical:
            return Proposal("duplicate", thought="no slot has another option")
        return Proposal("ok", child)


class ResampleSlot(ArchitectureOperator):
    """Changes a single slot to any other option; a number takes a step or a new sample, equally often."""

    def vary(self, parents: Sequence[Design], space: Slots, rng: np.random.Generator) -> Design:
        return _resampled(parents[0], space, rng)


class MixSlots(ArchitectureOperator):
    """Takes each slot from either parent; where that gives a parent again, changes a single slot.

    A slot of a single parent comes from there.
    """

    arity: ClassVar[int] = 2

    def vary(self, parents: Sequence[Design], space: Slots, rng: np.random.Generator) -> Design:
        base, mate = parents
        taken = {slot: (mate, base) if rng.random() < 0.5 else (base, mate) for slot in space.order}
        mixed = space.repair(
            {slot: first[slot] if slot in first else other.get(slot) for slot, (first, other) in taken.items()}, rng
        )
        if not any(_same(mixed, parent) for parent in parents):
            return mixed
        # A change may turn the mate into the base, where they differ in a single slot; a change of the base cannot.
        changed = _resampled(mixed, space, rng)
        return _resampled(base, space, rng) if _same(changed, base) else changed


class UniformSlots(ArchitectureOperator):
    """Any design of the space, whatever its parent's: random search. Weight 0: for mixtures that name it."""

    weight: ClassVar[float] = 0.0

    def vary(self, parents: Sequence[Design], space: Slots, rng: np.random.Generator) -> Design:
        for _ in range(REDRAWS):
            if not _same(drawn := space.sample(rng), parents[0]):
                return drawn
        return _resampled(parents[0], space, rng)


def slots_of(space: Space | None) -> Slots:
    """A problem's space, where designs can be sampled from it.

    Raises:
        RefusalError: it is no space of slots, or has none.
    """
    if not isinstance(space, Slots):
        raise RefusalError("refused", f"architectures need slots as their space, got {type(space).__name__}")
    if not space.options:
        raise RefusalError("refused", "the space has no slots")
    return space


def _resampled(design: Design, space: Slots, rng: np.random.Generator) -> Design:
    free = [slot for slot, choice in design.items() if space.domain(slot).neighbours(choice)]
    if not free:
        return design
    slot = pick(rng, free)
    return space.repair({**design, slot: _another(space.domain(slot), design[slot], rng)}, rng)


def _another(domain: Domain, choice: SlotValue, rng: np.random.Generator) -> SlotValue:
    others = domain.neighbours(choice)
    if isinstance(domain, Options):
        return pick(rng, others)
    for _ in range(REDRAWS):
        steps = rng.random() < 0.5
        moved = domain.at(domain.share(choice) + STEP * rng.standard_normal()) if steps else domain.draw(rng)
        if moved != choice:
            return moved
    return pick(rng, others)


def _same(first: Mapping[str, SlotValue], other: Mapping[str, SlotValue]) -> bool:
    return first.keys() == other.keys() and all(same(first[slot], other[slot]) for slot in first)
