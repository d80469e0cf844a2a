"""Swapping an expression's operator or function for another of the same signature."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import numpy as np

from operators.nodes import name
from operators.points import Scope
from operators.sampling import pick

_OPERATORS: Sequence[tuple[type[ast.operator], ...]] = (
    (ast.Add, ast.Sub, ast.Mult, ast.Div),
    (ast.FloorDiv, ast.Mod, ast.Div),
    (ast.BitAnd, ast.BitOr, ast.BitXor),
)
_COMPARISONS: Sequence[tuple[type[ast.cmpop], ...]] = (
    (ast.Lt, ast.LtE, ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq, ast.LtE, ast.GtE),
)
_COMMUTATIVE = (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor)
_FUNCTIONS: Sequence[tuple[str, ...]] = (
    ("minimum", "maximum"),
    ("abs", "sqrt", "square", "cbrt", "exp", "log", "log1p", "tanh", "sign"),
    ("sin", "cos", "tanh"),
    ("floor", "ceil", "rint"),
    ("min", "max", "mean", "median"),
    ("sum", "prod", "mean"),
    ("argmin", "argmax"),
    ("cumsum", "cumprod"),
)
_MATH: Sequence[tuple[str, ...]] = (("fabs", "sqrt", "exp", "log", "log1p", "tanh"), ("sin", "cos"), ("floor", "ceil"))
_PLAIN: Sequence[tuple[str, ...]] = (("min", "max"),)


def swapped(node: ast.expr, scope: Scope, rng: np.random.Generator) -> ast.expr | None:
    """The expression with another operator, function or order of operands; None where it has no alternative."""
    match node:
        case ast.BinOp():
            return _swapped_arithmetic(node, rng)
        case ast.Compare():
            return _swapped_comparison(node, rng)
        case ast.BoolOp(op=op, values=values):
            return ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return ast.IfExp(test, orelse, body)
        case ast.Call():
            return _swapped_call(node, scope, rng)
    return None


def _swapped_arithmetic(node: ast.BinOp, rng: np.random.Generator) -> ast.expr | None:
    if rng.random() < 0.2 and not isinstance(node.op, _COMMUTATIVE):
        return ast.BinOp(node.right, node.op, node.left)
    others = [other for family in _OPERATORS if type(node.op) in family for other in family]
    return ast.BinOp(node.left, pick(rng, others)(), node.right) if others else None


def _swapped_comparison(node: ast.Compare, rng: np.random.Generator) -> ast.expr | None:
    chosen = int(rng.integers(len(node.ops)))
    others = [other for family in _COMPARISONS if type(node.ops[chosen]) in family for other in family]
    if not others:
        return None
    return ast.Compare(node.left, [*node.ops[:chosen], pick(rng, others)(), *node.ops[chosen + 1 :]], node.comparators)


def _swapped_call(node: ast.Call, scope: Scope, rng: np.random.Generator) -> ast.expr | None:
    match node.func:
        case ast.Attribute(value=ast.Name(id=module), attr="where") if module == scope.numpy and len(node.args) == 3:
            condition, first, second = node.args
            return ast.Call(node.func, [condition, second, first], node.keywords)
        case ast.Attribute(value=ast.Name(id=module) as held, attr=function) if module in ("math", scope.numpy):
            chosen = _other(function, _MATH if module == "math" else _FUNCTIONS, rng)
            return ast.Call(ast.Attribute(held, chosen, ast.Load()), node.args, node.keywords)
        case ast.Name(id=function):
            return ast.Call(name(_other(function, _PLAIN, rng)), node.args, node.keywords)
    return None


def _other(function: str, families: Sequence[tuple[str, ...]], rng: np.random.Generator) -> str:
    others = [other for family in families if function in family for other in family]
    return pick(rng, others) if others else function
