"""Edits of a region in place: each says what it did, or gives None and changes nothing where it does not fit."""

from __future__ import annotations

import ast

import numpy as np

from operators.editable import EditableRegion
from operators.grammar import Grower
from operators.nodes import clone, loaded_names, name, reads, stored_names
from operators.points import BUILTINS, InsertionPoint, MutationPoint, Scope, bound_names
from operators.sampling import pick

SHOWN_CHARACTERS = 200
LOSS = 0.3
FRESH_NAMES = "abcdpqrstuvw"
_KEPT = (ast.Return, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Global)
_ROOTED = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.NamedExpr, ast.Await, ast.Yield)


def replace(point: MutationPoint, node: ast.expr) -> str | None:
    """Put an expression in the place of another, unless they are the same."""
    old, new = ast.unparse(point.node), ast.unparse(node)
    if old == new:
        return None
    point.put(node)
    return f"{old[:SHOWN_CHARACTERS]} -> {new[:SHOWN_CHARACTERS]}"


def replace_similar(point: MutationPoint, node: ast.expr, rng: np.random.Generator) -> str | None:
    """Put an expression in the place of another; rarely where that reads variables which the new expression does not.

    What a variable holds (a number, an array) is not known, so such an expression is often of another shape.
    """
    lost = loaded_names(point.node).intersection(point.scope.names) - loaded_names(node)
    return replace(point, node) if not lost or rng.random() < LOSS else None


def adapted(node: ast.expr, scope: Scope, rng: np.random.Generator) -> ast.expr | None:
    """A copy of an expression from elsewhere with its unknown variables renamed; None where it cannot be used."""
    parts = list(ast.walk(copied := clone(node)))
    known = {*scope.names, *scope.known, *BUILTINS}
    strangers = [node for node in parts if isinstance(node, ast.Name) and node.id not in known]
    # Something called, indexed or asked for an attribute is more than a number: no variable can stand in for it.
    special = {id(held) for node in parts for held in (getattr(node, "func", None), getattr(node, "value", None))}
    if any(isinstance(node, _ROOTED) for node in parts) or any(id(node) in special for node in strangers):
        return None
    if strangers and not scope.names:
        return None
    for stranger in strangers:
        stranger.id = pick(rng, scope.names)
    return copied


def hoist(editable: EditableRegion, rng: np.random.Generator) -> str | None:
    """Put a part of an expression in its place."""
    point = pick(rng, editable.points)
    parts = [part for part in editable.within(point.node) if part.role == point.role]
    return replace_similar(point, pick(rng, parts).node, rng) if parts else None


def inline(editable: EditableRegion, rng: np.random.Generator) -> str | None:
    """Put a variable's expression where the next statement reads it, if that is the only place that does."""
    insertion = pick(rng, editable.insertions)
    match insertion.statement, insertion.following[:1]:
        case ast.Assign(targets=[ast.Name(id=variable)], value=value), [following]:
            use = _only_use(editable, insertion, variable)
            if use is None or reads(following, variable) != 1:
                return None
            use.put(value)
            del insertion.body[insertion.position]
            return f"inlined {variable}"
    return None


def delete(editable: EditableRegion, insertion: InsertionPoint) -> str | None:
    """Take a statement out, unless a variable would be missing elsewhere or nothing would be left."""
    statement, block = insertion.statement, editable.source.block
    alone = len(insertion.body) == 1 or (insertion.body is block.body and len(block.statements) == 1)
    if alone or isinstance(statement, _KEPT) or _newly_bound(insertion) & _read_elsewhere(editable, statement):
        return None
    del insertion.body[insertion.position]
    return f"deleted {_shown(statement)}"


def double(editable: EditableRegion, insertion: InsertionPoint) -> str | None:
    """Repeat a statement that reads what it binds; to repeat any other has no effect."""
    statement = insertion.statement
    if not isinstance(statement, ast.AugAssign) and not loaded_names(statement).intersection(bound_names(statement)):
        return None
    insertion.body.insert(insertion.position + 1, clone(statement))
    return f"doubled {_shown(statement)}"


def exchange(editable: EditableRegion, insertion: InsertionPoint) -> str | None:
    """Swap two neighbouring statements, unless the second reads what only the first binds."""
    following = next(
        (
            other
            for other in editable.insertions
            if other.body is insertion.body and other.position == insertion.position + 1
        ),
        None,
    )
    if following is None or isinstance(insertion.statement, _KEPT) or isinstance(following.statement, _KEPT):
        return None
    this, other = insertion.statement, following.statement
    if _newly_bound(insertion) & loaded_names(other) or ast.unparse(this) == ast.unparse(other):
        return None
    insertion.body[insertion.position], insertion.body[following.position] = other, this
    return f"swapped {_shown(this)} with {_shown(other)}"


def combined(node: ast.expr, grow: Grower) -> ast.expr:
    """An expression combined with a grown expression, or wrapped in a function."""
    grown = grow.variable() if grow.rng.random() < 0.7 else grow.number()
    pair = (node, grown) if grow.rng.random() < 0.65 else (grown, node)
    draw = grow.rng.random()
    if draw < 0.4:
        return grow.arithmetic(*pair)
    if draw < 0.75:
        return grow.choice(grow.compare(clone(node)) if grow.rng.random() < 0.3 else grow.condition(), *pair)
    return grow.extreme(*pair) if draw < 0.9 else grow.function(node)


def rebind(editable: EditableRegion, insertion: InsertionPoint, grow: Grower) -> str | None:
    """Insert a statement that combines a variable, most often the last that was bound, with a grown expression."""
    names = insertion.scope.names
    if not names:
        return None
    variable = names[-1] if grow.rng.random() < 0.7 else pick(grow.rng, names)
    return _insert(insertion, variable, combined(name(variable), grow))


def introduce(editable: EditableRegion, insertion: InsertionPoint, grow: Grower) -> str | None:
    """Insert a new variable that holds a grown expression, and use it in the statement that follows."""
    points = [point for point in editable.within(insertion.statement) if point.role == "number"]
    taken = {
        *loaded_names(editable.source.tree),
        *stored_names(editable.source.tree),
        *insertion.scope.names,
        *insertion.scope.known,
    }
    fresh = next((letter for letter in FRESH_NAMES if letter not in taken), None)
    if not points or not insertion.scope.names or fresh is None:
        return None
    point = pick(grow.rng, points)
    point.put(grow.arithmetic(point.node, name(fresh)))
    return _insert(insertion, fresh, grow.number())


def _insert(insertion: InsertionPoint, variable: str, value: ast.expr) -> str:
    statement = ast.Assign([ast.Name(variable, ast.Store())], value, lineno=0)
    insertion.body.insert(insertion.position, statement)
    return f"inserted {_shown(statement)}"


def _only_use(editable: EditableRegion, insertion: InsertionPoint, variable: str) -> MutationPoint | None:
    """Where the next statement reads a variable, if no later statement reads it before it is bound again."""
    following, *later = insertion.following
    if variable not in bound_names(following) and any(reads(statement, variable) for statement in later):
        return None
    points = (point for point in editable.within(following) if isinstance(point.node, ast.Name))
    return next((point for point in points if point.node.id == variable), None)  # type: ignore[attr-defined]


def _newly_bound(insertion: InsertionPoint) -> set[str]:
    return stored_names(insertion.statement) - set(insertion.scope.names)


def _read_elsewhere(editable: EditableRegion, statement: ast.stmt) -> set[str]:
    own = {id(node) for node in ast.walk(statement)}
    names = (node for node in ast.walk(editable.source.tree) if isinstance(node, ast.Name) and id(node) not in own)
    return {node.id for node in names if isinstance(node.ctx, ast.Load)}


def _shown(statement: ast.stmt) -> str:
    return ast.unparse(statement)[:SHOWN_CHARACTERS]
