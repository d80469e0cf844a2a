"""Where a program may be changed: its expressions with the names in scope there, and its statements.

The scan is light on types. It knows which expressions are numbers (or arrays of them), conditions, integers
(indices, counts) or constant exponents, and skips what is none of these: functions called and their keywords, targets,
signatures, decorators, docstrings, the conditions of while loops, lambdas and comprehensions.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from operators.nodes import number_of
from operators.source import ParsedSource, bodies_of

PointRole: TypeAlias = Literal["number", "condition", "integer", "exponent", "fixed"]

BUILTINS = frozenset(dir(builtins))


class Scope(NamedTuple):
    """What an expression may use.

    Attributes:
        names: variables that may hold numbers or arrays.
        known: functions, classes and modules.
        numpy: the name under which numpy is imported; empty where it is not.
    """

    names: tuple[str, ...] = ()
    known: frozenset[str] = BUILTINS
    numpy: str = ""

    def with_names(self, names: Iterable[str]) -> Scope:
        """The scope after these names were bound."""
        fresh = tuple(name for name in dict.fromkeys(names) if name not in self.names and name not in ("self", "cls"))
        return self._replace(names=self.names + fresh) if fresh else self


class MutationPoint(NamedTuple):
    """A place that holds an expression: `field` of `holder`, at `position` where that field is a list (else -1)."""

    holder: ast.AST
    field: str
    position: int
    role: PointRole
    scope: Scope

    @property
    def node(self) -> ast.expr:
        held: Any = getattr(self.holder, self.field)
        node: ast.expr = held if self.position < 0 else held[self.position]
        return node

    def put(self, node: ast.expr) -> None:
        """Hold another expression instead."""
        if self.position < 0:
            setattr(self.holder, self.field, node)
        else:
            getattr(self.holder, self.field)[self.position] = node


class InsertionPoint(NamedTuple):
    """A statement of the region, `body[position]`, and what is in scope just before it."""

    body: list[ast.stmt]
    position: int
    scope: Scope

    @property
    def statement(self) -> ast.stmt:
        return self.body[self.position]

    @property
    def following(self) -> list[ast.stmt]:
        """The later statements of the same body."""
        return self.body[self.position + 1 :]


class Scan(NamedTuple):
    """The expressions and the statements of a region, in the order of the text."""

    points: list[MutationPoint]
    insertions: list[InsertionPoint]


def scan(source: ParsedSource) -> Scan:
    """Every point of the region that may be changed."""
    walk = _Walk(source)
    walk.enter(source.tree.body, Scope(), inside=False)
    return Scan(walk.points, walk.insertions)


def bound_names(statement: ast.stmt) -> list[str]:
    """The variables that a simple statement binds."""
    if isinstance(statement, ast.Assign):
        return [name for target in statement.targets for name in _target_names(target)]
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        return _target_names(statement.target)
    return []


_EDGES: Mapping[type[ast.AST], Sequence[tuple[str, PointRole]]] = {
    ast.BinOp: (("left", "number"), ("right", "number")),
    ast.UnaryOp: (("operand", "number"),),
    ast.BoolOp: (("values", "condition"),),
    ast.Compare: (("left", "number"), ("comparators", "number")),
    ast.IfExp: (("test", "condition"), ("body", "number"), ("orelse", "number")),
    ast.Call: (("func", "fixed"), ("args", "number")),
    ast.Attribute: (("value", "fixed"),),
    ast.Subscript: (("value", "fixed"), ("slice", "integer")),
    ast.Slice: (("lower", "integer"), ("upper", "integer"), ("step", "integer")),
    ast.Starred: (("value", "fixed"),),
    ast.Tuple: (("elts", "number"),),
    ast.List: (("elts", "number"),),
    ast.Assign: (("value", "number"), ("targets", "fixed")),
    ast.AugAssign: (("value", "number"), ("target", "fixed")),
    ast.AnnAssign: (("value", "number"), ("target", "fixed")),
    ast.Return: (("value", "number"),),
    ast.Expr: (("value", "fixed"),),
    ast.If: (("test", "condition"),),
    ast.For: (("iter", "fixed"),),
}
_VARIABLE = (
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.IfExp,
    ast.Call,
    ast.Attribute,
    ast.Subscript,
    ast.Name,
)
_CONDITION = (ast.Compare, ast.BoolOp)
_CONSTANT = (ast.Constant, ast.UnaryOp)
_COUNTING = frozenset(
    ("len", "range", "zeros", "ones", "empty", "full", "arange", "eye", "reshape", "repeat", "tile", "roll")
)
_UNORDERED = (ast.In, ast.NotIn, ast.Is, ast.IsNot)
_NOT_NUMBERS = (
    ast.Dict,
    ast.List,
    ast.Set,
    ast.Lambda,
    ast.JoinedStr,
    ast.DictComp,
    ast.ListComp,
    ast.SetComp,
    ast.GeneratorExp,
)


class _Walk:
    """Goes through a file in the order of its text, with the scope, and collects the points within the region."""

    def __init__(self, source: ParsedSource) -> None:
        self.source = source
        self.points: list[MutationPoint] = []
        self.insertions: list[InsertionPoint] = []

    def enter(self, body: list[ast.stmt], scope: Scope, *, inside: bool, binds: bool = True) -> None:
        block = self.source.block
        chosen = range(len(body) if inside else 0)
        if body is block.body:
            chosen = range(block.start, len(body) - block.after)
        for index, statement in enumerate(body):
            if index in chosen:
                self.note(InsertionPoint(body, index, scope))
            elif self.source.encloses(statement):
                self.descend(statement, scope, inside=False)
            scope = _scope_after(statement, scope) if binds else scope

    def note(self, insertion: InsertionPoint) -> None:
        statement = insertion.statement
        if not _is_docstring(statement):
            self.insertions.append(insertion)
        self.follow(statement, insertion.scope, integer=False)
        self.descend(statement, insertion.scope, inside=True)

    def descend(self, statement: ast.stmt, scope: Scope, *, inside: bool) -> None:
        # What a class body binds, its methods do not see by bare name.
        binds = not isinstance(statement, ast.ClassDef)
        for body in bodies_of(statement):
            self.enter(body, _scope_within(statement, scope), inside=inside, binds=binds)

    def follow(self, node: ast.AST, scope: Scope, *, integer: bool) -> None:
        """Note the expressions held by a node. Those within an index are integers too."""
        for field, role in _EDGES.get(type(node), ()):
            held = getattr(node, field)
            role = "integer" if integer and role == "number" else role
            if isinstance(held, list):
                for position, child in enumerate(held):
                    self.look(child, MutationPoint(node, field, position, role, scope))
            elif held is not None:
                self.look(held, MutationPoint(node, field, -1, role, scope))

    def look(self, node: ast.expr, point: MutationPoint) -> None:
        role = _role(node, point)
        constant = isinstance(node, _CONSTANT) and number_of(node) is not None
        if role != "fixed" and (constant or isinstance(node, _VARIABLE)):
            self.points.append(point if role == point.role else point._replace(role=role))
        if not constant and type(node) in _EDGES:
            self.follow(node, point.scope, integer=role == "integer")


def _role(node: ast.expr, point: MutationPoint) -> PointRole:
    if isinstance(node, _CONDITION) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
        return "fixed" if point.role == "fixed" else "condition"
    judge = _JUDGES.get(type(point.holder))
    return judge(node, point) if judge else point.role


def _argument_role(node: ast.expr, point: MutationPoint) -> PointRole:
    match point.holder:
        case ast.Call(func=ast.Attribute(attr=function) | ast.Name(id=function)) if point.field == "args":
            if function in _COUNTING:
                return "integer"
            return "condition" if function == "where" and point.position == 0 else point.role
    return point.role


def _operand_role(node: ast.expr, point: MutationPoint) -> PointRole:
    return "condition" if isinstance(point.holder, ast.UnaryOp) and isinstance(point.holder.op, ast.Not) else point.role


def _compared_role(node: ast.expr, point: MutationPoint) -> PointRole:
    holder = point.holder
    ordered = isinstance(holder, ast.Compare) and not any(isinstance(op, _UNORDERED) for op in holder.ops)
    return point.role if ordered else "fixed"


def _exponent_role(node: ast.expr, point: MutationPoint) -> PointRole:
    """Exponents and shifts stay small constants: a large exponent makes whole numbers beyond all bounds."""
    match point.holder:
        case ast.BinOp(op=ast.Pow()) if point.field == "right":
            return "exponent" if number_of(node) is not None else "fixed"
        case ast.BinOp(op=ast.LShift()) if point.field == "right":
            return "fixed"
    return point.role


_JUDGES: Mapping[type[ast.AST], Callable[[ast.expr, MutationPoint], PointRole]] = {
    ast.Call: _argument_role,
    ast.UnaryOp: _operand_role,
    ast.Compare: _compared_role,
    ast.BinOp: _exponent_role,
}


def _scope_after(statement: ast.stmt, scope: Scope) -> Scope:
    """What is in scope once a statement has run; what only a branch or a loop binds is not counted on."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return _scope_after_import(statement, scope)
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return scope._replace(known=scope.known | {statement.name})
    return scope.with_names(bound_names(statement)) if _holds_number(statement) else scope


def _scope_after_import(statement: ast.Import | ast.ImportFrom, scope: Scope) -> Scope:
    bound = {(alias.asname or alias.name.partition(".")[0]): alias.name for alias in statement.names}
    numpy = next((alias for alias, name in bound.items() if name == "numpy"), scope.numpy)
    return scope._replace(known=scope.known.union(bound), numpy=numpy)


def _scope_within(statement: ast.stmt, scope: Scope) -> Scope:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = statement.args
        scope = scope._replace(known=scope.known | {statement.name})
        return scope.with_names(
            argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        )
    if isinstance(statement, ast.For):
        return scope.with_names(_target_names(statement.target))
    return scope


def _holds_number(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    if isinstance(value, ast.Constant):
        return number_of(value) is not None
    return not isinstance(value, _NOT_NUMBERS)


def _target_names(target: ast.expr) -> list[str]:
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, ast.Tuple | ast.List):
        return [name for element in target.elts for name in _target_names(element)]
    return []


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
