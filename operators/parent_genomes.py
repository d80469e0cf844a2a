"""The check that every operator makes of its parents: their number and their kind of genome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from evo.genomes import Genome
from evo.values import Individual
from operators.refusal import RefusalError

G = TypeVar("G", bound=Genome)


def genomes_of(parents: Sequence[Individual], kind: type[G], arity: int) -> list[G]:
    """The genomes of the first `arity` parents, base first.

    Raises:
        RefusalError: too few parents, or a parent of another kind.
    """
    if len(parents) < arity:
        raise RefusalError("refused", f"expected {arity} parents, got {len(parents)}")
    genomes = [parent.genome for parent in parents[:arity]]
    fitting = [genome for genome in genomes if isinstance(genome, kind)]
    if len(fitting) < arity:
        kinds = ", ".join(genome.kind for genome in genomes)
        raise RefusalError("refused", f"expected parents of kind {kind.kind}, got {kinds}")
    return fitting
