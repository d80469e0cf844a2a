"""Growing expressions: arithmetic, comparisons and elementary functions over the names in scope and constants.

Generic on purpose: nothing here knows any problem. Where the file imports numpy the functions are numpy's, and so take
arrays; elsewhere they are plain Python's.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from operators.nodes import Number, call, clone, count_nodes, loaded_names, name, number
from operators.points import MutationPoint, Scope
from operators.sampling import pick, rounded, weighted

ExpressionForm: TypeAlias = Callable[["Grower", int], ast.expr]


@dataclass(frozen=True, slots=True)
class Grammar:
    """How expressions grow.

    Attributes:
        depth: levels of forms above the leaves, at most.
        leaf: chance to stop at a leaf, at every level below the first.
        constant: chance that a leaf is a constant, where there are variables too.
        reuse: chance that a leaf is a copy of an expression that is there already.
        reused_nodes: syntax nodes of such a copy, at most.
    """

    depth: int = 3
    leaf: float = 0.4
    constant: float = 0.35
    reuse: float = 0.3
    reused_nodes: int = 12


@dataclass(frozen=True, slots=True)
class Grower:
    """Grows expressions that are valid in a scope.

    Attributes:
        points: places whose expressions may be used again.
    """

    rng: np.random.Generator
    scope: Scope
    grammar: Grammar = Grammar()
    points: Sequence[MutationPoint] = ()

    def number(self, depth: int | None = None) -> ast.expr:
        """An expression that gives a number, or an array of them."""
        depth = self.grammar.depth if depth is None else depth
        if depth <= 0 or (depth < self.grammar.depth and self.rng.random() < self.grammar.leaf):
            return self.leaf()
        return weighted(self.rng, FORMS)(self, depth - 1)

    def variable(self, depth: int | None = None) -> ast.expr:
        """A number that is no bare constant, where there is a variable."""
        node = self.number(depth)
        if self.scope.names and isinstance(node, ast.Constant):
            return name(pick(self.rng, self.scope.names))
        return node

    def condition(self) -> ast.expr:
        """A comparison of something that varies."""
        return self.compare(self.variable(1))

    def compare(self, node: ast.expr) -> ast.expr:
        """A comparison of an expression, with a constant more often than not."""
        order = pick(self.rng, (ast.Lt, ast.LtE, ast.Gt, ast.GtE))
        other = number(self.constant()) if self.rng.random() < 0.6 else self.number(1)
        return ast.Compare(node, [order()], [other])

    def leaf(self) -> ast.expr:
        """A variable, a constant, or a copy of an expression that is there already."""
        if self.points and self.rng.random() < self.grammar.reuse and (found := self._found()):
            return found
        if not self.scope.names or self.rng.random() < self.grammar.constant:
            return number(self.constant())
        return name(pick(self.rng, self.scope.names))

    def constant(self) -> Number:
        """A whole number of at most two digits, or any number between 0.01 and 1,000, all magnitudes equally likely."""
        share = self.rng.random()
        if share < 0.6:
            return int(self.rng.integers(1, 11 if share < 0.3 else 100))
        return rounded(10.0 ** self.rng.uniform(-2, 3), 2)

    def arithmetic(self, first: ast.expr, other: ast.expr) -> ast.expr:
        """A sum, difference, product or quotient of two expressions."""
        return ast.BinOp(first, pick(self.rng, (ast.Add, ast.Sub, ast.Mult, ast.Div))(), other)

    def choice(self, condition: ast.expr, then: ast.expr, other: ast.expr) -> ast.expr:
        """The first expression where the condition holds, the other elsewhere."""
        return self._call("where", condition, then, other) if self.scope.numpy else ast.IfExp(condition, then, other)

    def extreme(self, first: ast.expr, other: ast.expr) -> ast.expr:
        """The smaller or the larger of two expressions."""
        functions = ("minimum", "maximum") if self.scope.numpy else ("min", "max")
        return self._call(pick(self.rng, functions), first, other)

    def function(self, argument: ast.expr) -> ast.expr:
        """An elementary function of an expression, guarded where its domain or its range is bounded."""
        magnitude = self._call("abs", argument)
        if not self.scope.numpy:
            return pick(self.rng, (magnitude, ast.BinOp(magnitude, ast.Pow(), number(0.5))))
        match pick(self.rng, ("abs", "sqrt", "log1p", "exp", "square")):
            case "abs":
                return magnitude
            case "exp":
                return self._call("exp", ast.UnaryOp(ast.USub(), magnitude))
            case "square":
                return self._call("square", argument)
            case guarded:
                return self._call(guarded, magnitude)

    def power(self, base: ast.expr) -> ast.expr:
        """A power with a small exponent; only a whole exponent where the base may be negative."""
        exponent = pick(self.rng, (2, 2, 3, 0.5, 1.5))
        return ast.BinOp(base if isinstance(exponent, int) else self._call("abs", base), ast.Pow(), number(exponent))

    def operands(self, depth: int) -> tuple[ast.expr, ast.expr]:
        """Two numbers, in any order, not both of them constants."""
        pair = self.variable(depth), self.number(depth)
        return pair if self.rng.random() < 0.5 else pair[::-1]

    def _found(self) -> ast.expr | None:
        """A copy of an expression of the region, if it is small and fits the scope."""
        point = pick(self.rng, self.points)
        read = loaded_names(point.node)
        if point.role != "number" or not read or not read <= {*self.scope.names, *self.scope.known}:
            return None
        return clone(point.node) if count_nodes(point.node) <= self.grammar.reused_nodes else None

    def _call(self, function: str, *arguments: ast.expr) -> ast.expr:
        return call(self.scope.numpy, function, *arguments)


def _arithmetic(grow: Grower, depth: int) -> ast.expr:
    return grow.arithmetic(*grow.operands(depth))


def _choice(grow: Grower, depth: int) -> ast.expr:
    return grow.choice(grow.condition(), grow.number(depth), grow.number(depth))


def _extreme(grow: Grower, depth: int) -> ast.expr:
    return grow.extreme(*grow.operands(depth))


def _function(grow: Grower, depth: int) -> ast.expr:
    return grow.function(grow.variable(depth))


def _power(grow: Grower, depth: int) -> ast.expr:
    return grow.power(grow.variable(depth))


def _condition(grow: Grower, depth: int) -> ast.expr:
    return grow.condition()


FORMS: Mapping[ExpressionForm, float] = {
    _arithmetic: 6.0,
    _choice: 3.0,
    _extreme: 1.0,
    _function: 1.0,
    _power: 0.7,
    _condition: 0.3,
}
