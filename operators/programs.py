"""Model-free operators on programs: small changes of the syntax tree within the marked regions of Python files."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from evo.genomes import Program
from evo.protocols import Context
from evo.values import Individual, Proposal
from operators import edits
from operators.editable import EditableRegion, read_editable
from operators.grammar import Grammar, Grower
from operators.nodes import Number, count_nodes, number, number_of
from operators.parent_genomes import genomes_of
from operators.points import MutationPoint, PointRole
from operators.refusal import RefusalError
from operators.sampling import pick, rounded
from operators.swaps import swapped

SAMPLES = 20
LARGEST_EXPONENT = 10


class ProgramOperator(ABC):
    """Changes a parsed region of the base. What changes nothing, does not parse or grows too big is tried again.

    Attributes:
        weight: its share where several operators are mixed.
        grows: whether an offspring may be bigger than its base.
    """

    arity: ClassVar[int] = 1
    kind: ClassVar[str] = "program"
    weight: ClassVar[float] = 1.0
    grows: ClassVar[bool] = True

    def __init__(self, *, attempts: int = 3, again: float = 0.2, max_nodes: int = 400) -> None:
        """Options.

        Args:
            attempts: how many offspring are tried before giving up.
            again: chance of a second change on top of the first, which crosses plateaus that single steps do not.
            max_nodes: syntax nodes of a region, at most, for operators that grow it.
        """
        self.attempts = attempts
        self.again = again
        self.max_nodes = max_nodes

    @abstractmethod
    def edit(self, editable: EditableRegion, rng: np.random.Generator) -> str | None:
        """Change the region in place and say what was done; None, with nothing changed, where a sample did not fit.

        Raises:
            RefusalError: no sample would fit.
        """

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        try:
            return self._first_fit(genomes_of(parents, Program, self.arity), context.rng)
        except RefusalError as refusal:
            return Proposal(refusal.outcome, thought=str(refusal))
        except (RecursionError, ValueError) as error:
            return Proposal("error", thought=f"the program cannot be written back: {error}")

    def _first_fit(self, programs: Sequence[Program], rng: np.random.Generator) -> Proposal:
        refusal = RefusalError("refused", "no attempt was allowed")
        for _ in range(self.attempts):
            base, *others = programs
            editable = read_editable(base, rng, tuple(read_editable(mate, rng) for mate in others))
            try:
                return self._offspring(editable, rng)
            except RefusalError as reason:
                refusal = reason
        raise refusal

    def _offspring(self, editable: EditableRegion, rng: np.random.Generator) -> Proposal:
        changes = [self._change(editable, rng)]
        if rng.random() < self.again and (more := self.edit(editable.scanned(), rng)):
            changes.append(more)
        if self.grows and (nodes := count_nodes(editable.statements)) > self.max_nodes:
            raise RefusalError("refused", f"the region would have {nodes} syntax nodes; at most {self.max_nodes}")
        child, thought = editable.render(), "; ".join(changes)
        # A single change always shows; only a second can undo it, so only then are the two texts worth comparing.
        if len(changes) > 1 and child.canonical == editable.program.canonical:
            raise RefusalError("duplicate", f"the second change undid the first: {thought}")
        return Proposal("ok", child, thought=thought)

    def _change(self, editable: EditableRegion, rng: np.random.Generator) -> str:
        done = next(filter(None, (self.edit(editable, rng) for _ in range(SAMPLES))), None)
        if done is None:
            raise RefusalError("refused", f"none of {SAMPLES} samples fitted the region")
        return done


class JitterConstant(ProgramOperator):
    """Moves a numeric constant: by a factor, by a step, to the other sign, or to a new value."""

    weight: ClassVar[float] = 2.0
    grows: ClassVar[bool] = False

    def edit(self, editable: EditableRegion, rng: np.random.Generator) -> str | None:
        constants = [(point, value) for point in editable.points if (value := number_of(point.node)) is not None]
        if not constants:
            raise RefusalError("refused", "the region holds no numeric constant")
        point, value = pick(rng, constants)
        return edits.replace(point, number(_moved(point, value, rng)))


class SwapOperator(ProgramOperator):
    """Puts another operator or function of the same signature, or reverses the operands."""

    weight: ClassVar[float] = 1.0
    grows: ClassVar[bool] = False

    def edit(self, editable: EditableRegion, rng: np.random.Generator) -> str | None:
        for index in rng.permutation(len(editable.points)):
            point = editable.points[index]
            other = swapped(point.node, point.scope, rng)
            if other is not None and (done := edits.replace(point, other)):
                return done
        return None


class ReplaceSubtree(ProgramOperator):
    """Replaces an expression by a grown expression."""

    weight: ClassVar[float] = 2.0

    def edit(self, editable: EditableRegion, rng: np.random.Generator) -> str | None:
        point = pick(rng, _points(editable, "number", "condition"))
        grow = Grower(rng, point.scope, Grammar(depth=int(rng.integers(0, 4))), editable.points)
        if point.role == "condition":
            return edits.replace(point, grow.condition())
        node = grow.number() if number_of(point.node) is not None else grow.variable()
        return edits.replace_similar(point, node, rng)


class CrossoverSubtree(ProgramOperator):
    """Replaces an expression of the base by an expression of the mate."""

    arity: ClassVar[int] = 2
    weight: ClassVar[float] = 3.0

    def edit(self, editable: EditableRegion, rng: np.random.Generator) -> str | None:
        point = pick(rng, _points(editable, "number", "condition"))
        donor = pick(rng, _points(editable.mates[0], "number", "condition"))
        node = edits.adapted(donor.node, point.scope, rng) if donor.role == point.role else None
        return edits.replace_similar(point, node, rng) if node is not None else None


class InsertExpression(ProgramOperator):
    """Combines an expression with a grown expression, in its place or in a statement of its own."""

    weight: ClassVar[float] = 3.0

    def edit(self, editable: EditableRegion, rng: np.random.Generator) -> str | None:
        point = pick(rng, _points(editable, "number"))
        grammar = Grammar(depth=int(rng.integers(0, 3)))
        if rng.random() < 0.7:
            return edits.replace(point, edits.combined(point.node, Grower(rng, point.scope, grammar, editable.points)))
        insertion = pick(rng, editable.insertions)
        insert = edits.rebind if rng.random() < 0.7 else edits.introduce
        return insert(editable, insertion, Grower(rng, insertion.scope, grammar, editable.points))


class EditStatement(ProgramOperator):
    """Deletes, doubles or swaps statements, where no variable loses its value by it."""

    weight: ClassVar[float] = 0.3

    def edit(self, editable: EditableRegion, rng: np.random.Generator) -> str | None:
        if not editable.insertions:
            raise RefusalError("refused", "the region holds no statement to edit")
        return pick(rng, (edits.delete, edits.double, edits.exchange))(editable, pick(rng, editable.insertions))


class Simplify(ProgramOperator):
    """Puts a part of an expression in its place, or a variable's expression in the place of the variable."""

    weight: ClassVar[float] = 1.0
    grows: ClassVar[bool] = False

    def edit(self, editable: EditableRegion, rng: np.random.Generator) -> str | None:
        if not editable.points:
            raise RefusalError("refused", "the region holds no expression to simplify")
        return edits.inline(editable, rng) if rng.random() < 0.2 else edits.hoist(editable, rng)


def _points(editable: EditableRegion, *roles: PointRole) -> list[MutationPoint]:
    points = [point for point in editable.points if point.role in roles]
    if not points:
        raise RefusalError("refused", f"the region holds no expression that is a {' or '.join(roles)}")
    return points


def _moved(point: MutationPoint, value: Number, rng: np.random.Generator) -> Number:
    if point.role == "integer":
        return int(value) + pick(rng, (-2, -1, 1, 2))
    moved, digits = _drawn(point, value, rng), pick(rng, (2, 3))
    # A larger exponent can take whole numbers, and so the sandbox's time, beyond all bounds.
    limit = LARGEST_EXPONENT if point.role == "exponent" else math.inf
    return rounded(min(max(moved, -limit), limit), digits)


def _drawn(point: MutationPoint, value: Number, rng: np.random.Generator) -> float:
    share = rng.random()
    if share < 0.6:
        return value * math.exp(pick(rng, (0.05, 0.3, 1.0)) * rng.standard_normal())
    if share < 0.8:
        return value + pick(rng, (0.1, 1.0, 10.0)) * rng.standard_normal()
    return -value if share < 0.85 else Grower(rng, point.scope).constant()
