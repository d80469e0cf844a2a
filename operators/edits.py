"""Changes of a draft, each made in place: what was done, or None, with nothing changed, where the draw did not fit."""

from __future__ import annotations

import ast

import numpy as np

from operators.drafts import Draft
from operators.draws import pick
from operators.grammar import Grower
from operators.nodes import clone, loaded_names, name, reads, stored_names
from operators.sites import BUILTINS, Scope, Site, Spot, bound_names

SHOWN_CHARACTERS = 200
LOSS = 0.3
FRESH_NAMES = "abcdpqrstuvw"
_KEPT = (ast.Return, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Global)
_ROOTED = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.NamedExpr, ast.Await, ast.Yield)


def replace(site: Site, node: ast.expr) -> str | None:
    """Put an expression in the place of another, unless they are the same."""
    old, new = ast.unparse(site.node), ast.unparse(node)
    if old == new:
        return None
    site.put(node)
    return f"{old[:SHOWN_CHARACTERS]} -> {new[:SHOWN_CHARACTERS]}"


def replace_alike(site: Site, node: ast.expr, rng: np.random.Generator) -> str | None:
    """Put an expression in the place of another; seldom where that read variables that it does not.

    What a variable holds (a number, an array) is not known, so such an expression is often of another shape.
    """
    lost = loaded_names(site.node).intersection(site.scope.names) - loaded_names(node)
    return replace(site, node) if not lost or rng.random() < LOSS else None


def adapted(node: ast.expr, scope: Scope, rng: np.random.Generator) -> ast.expr | None:
    """A copy of an expression from elsewhere with its unknown variables renamed; None where it cannot be used."""
    parts = list(ast.walk(copied := clone(node)))
    known = {*scope.names, *scope.known, *BUILTINS}
    strangers = [one for one in parts if isinstance(one, ast.Name) and one.id not in known]
    # Something called, indexed or asked for an attribute is more than a number: no variable can stand in for it.
    special = {id(held) for one in parts for held in (getattr(one, "func", None), getattr(one, "value", None))}
    if any(isinstance(one, _ROOTED) for one in parts) or any(id(one) in special for one in strangers):
        return None
    if strangers and not scope.names:
        return None
    for one in strangers:
        one.id = pick(rng, scope.names)
    return copied


def hoist(draft: Draft, rng: np.random.Generator) -> str | None:
    """Put a part of an expression in its place."""
    site = pick(rng, draft.sites)
    parts = [one for one in draft.within(site.node) if one.role == site.role]
    return replace_alike(site, pick(rng, parts).node, rng) if parts else None


def inline(draft: Draft, rng: np.random.Generator) -> str | None:
    """Put a variable's expression where the next statement reads it, if that is the only place that does."""
    spot = pick(rng, draft.spots)
    match spot.statement, spot.following[:1]:
        case ast.Assign(targets=[ast.Name(id=variable)], value=value), [following]:
            use = _only_use(draft, spot, variable)
            if use is None or reads(following, variable) != 1:
                return None
            use.put(value)
            del spot.body[spot.position]
            return f"inlined {variable}"
    return None


def delete(draft: Draft, spot: Spot) -> str | None:
    """Take a statement out, unless a variable would be missing elsewhere or nothing would be left."""
    statement, block = spot.statement, draft.source.block
    alone = len(spot.body) == 1 or (spot.body is block.body and len(block.statements) == 1)
    if alone or isinstance(statement, _KEPT) or _newly_bound(spot) & _read_elsewhere(draft, statement):
        return None
    del spot.body[spot.position]
    return f"deleted {_shown(statement)}"


def double(draft: Draft, spot: Spot) -> str | None:
    """Repeat a statement that reads what it binds; to repeat any other has no effect."""
    statement = spot.statement
    if not isinstance(statement, ast.AugAssign) and not loaded_names(statement).intersection(bound_names(statement)):
        return None
    spot.body.insert(spot.position + 1, clone(statement))
    return f"doubled {_shown(statement)}"


def exchange(draft: Draft, spot: Spot) -> str | None:
    """Swap two neighbouring statements, unless the second reads what only the first binds."""
    following = next((one for one in draft.spots if one.body is spot.body and one.position == spot.position + 1), None)
    if following is None or isinstance(spot.statement, _KEPT) or isinstance(following.statement, _KEPT):
        return None
    one, other = spot.statement, following.statement
    if _newly_bound(spot) & loaded_names(other) or ast.unparse(one) == ast.unparse(other):
        return None
    spot.body[spot.position], spot.body[following.position] = other, one
    return f"swapped {_shown(one)} with {_shown(other)}"


def combined(node: ast.expr, grow: Grower) -> ast.expr:
    """An expression combined with a grown one, or wrapped in a function."""
    grown = grow.variable() if grow.rng.random() < 0.7 else grow.number()
    pair = (node, grown) if grow.rng.random() < 0.65 else (grown, node)
    draw = grow.rng.random()
    if draw < 0.4:
        return grow.arithmetic(*pair)
    if draw < 0.75:
        return grow.choice(grow.compare(clone(node)) if grow.rng.random() < 0.3 else grow.condition(), *pair)
    return grow.extreme(*pair) if draw < 0.9 else grow.function(node)


def rebind(draft: Draft, spot: Spot, grow: Grower) -> str | None:
    """Insert a statement that combines a variable, the one bound last more often than not, with a grown expression."""
    names = spot.scope.names
    if not names:
        return None
    variable = names[-1] if grow.rng.random() < 0.7 else pick(grow.rng, names)
    return _insert(spot, variable, combined(name(variable), grow))


def introduce(draft: Draft, spot: Spot, grow: Grower) -> str | None:
    """Insert a new variable that holds a grown expression, and use it in the statement that follows."""
    sites = [site for site in draft.within(spot.statement) if site.role == "number"]
    taken = {*loaded_names(draft.source.tree), *stored_names(draft.source.tree), *spot.scope.names, *spot.scope.known}
    fresh = next((one for one in FRESH_NAMES if one not in taken), None)
    if not sites or not spot.scope.names or fresh is None:
        return None
    site = pick(grow.rng, sites)
    site.put(grow.arithmetic(site.node, name(fresh)))
    return _insert(spot, fresh, grow.number())


def _insert(spot: Spot, variable: str, value: ast.expr) -> str:
    statement = ast.Assign([ast.Name(variable, ast.Store())], value, lineno=0)
    spot.body.insert(spot.position, statement)
    return f"inserted {_shown(statement)}"


def _only_use(draft: Draft, spot: Spot, variable: str) -> Site | None:
    """Where the next statement reads a variable, if no later one reads it before it is bound anew."""
    following, *later = spot.following
    if variable not in bound_names(following) and any(reads(one, variable) for one in later):
        return None
    sites = (site for site in draft.within(following) if isinstance(site.node, ast.Name))
    return next((site for site in sites if site.node.id == variable), None)  # type: ignore[attr-defined]


def _newly_bound(spot: Spot) -> set[str]:
    return stored_names(spot.statement) - set(spot.scope.names)


def _read_elsewhere(draft: Draft, statement: ast.stmt) -> set[str]:
    own = {id(one) for one in ast.walk(statement)}
    names = (one for one in ast.walk(draft.source.tree) if isinstance(one, ast.Name) and id(one) not in own)
    return {one.id for one in names if isinstance(one.ctx, ast.Load)}


def _shown(statement: ast.stmt) -> str:
    return ast.unparse(statement)[:SHOWN_CHARACTERS]
