"""Building, copying, counting and reading syntax nodes. What is built is what the parser would have given."""

from __future__ import annotations

import ast
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Number: TypeAlias = int | float

LARGEST_VARIED = 1e12
_UNCOUNTED = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop, ast.mod)


def number(value: Number) -> ast.expr:
    """A numeric constant; a minus is an operator of its own."""
    return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if value < 0 else ast.Constant(value)


def number_of(node: ast.AST) -> Number | None:
    """The value of a numeric constant, minus included, that arithmetic can handle; None for any other node."""
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as value) if abs(value) <= LARGEST_VARIED:
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant() as operand):
            size = number_of(operand)
            return None if size is None else -size
    return None


def name(text: str) -> ast.Name:
    """A variable that is read."""
    return ast.Name(text, ast.Load())


def call(module: str, function: str, *arguments: ast.expr) -> ast.Call:
    """A call of a function of a module, or of a builtin where `module` is empty."""
    called = ast.Attribute(name(module), function, ast.Load()) if module else name(function)
    return ast.Call(called, list(arguments), [])


def clone(node: T) -> T:
    """A copy of a syntax tree, or of a list of them."""
    if isinstance(node, list):
        return [clone(item) for item in node]  # type: ignore[return-value]
    if isinstance(node, ast.AST):
        return type(node)(**{field: clone(value) for field, value in vars(node).items()})
    return node


def count_nodes(tree: ast.AST) -> int:
    """Syntax nodes without contexts, operators' own symbols and the module itself, as `Program.size` counts them."""
    return sum(not isinstance(node, _UNCOUNTED) for node in ast.walk(tree))


def loaded_names(tree: ast.AST) -> set[str]:
    """The names that a piece of program reads."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def stored_names(tree: ast.AST) -> set[str]:
    """The names that a piece of program binds by assignment or as the target of a loop."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def reads(tree: ast.AST, variable: str) -> int:
    """How many times a piece of program reads a variable."""
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == variable)
    return sum(isinstance(node.ctx, ast.Load) for node in names)
