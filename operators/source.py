"""A marked region of a Python file as statements to vary, and back to text; what lies outside stays byte for byte."""

from __future__ import annotations

import ast
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evo.errors import GenomeError
from evo.genomes import UNPARSABLE, parse_python
from evo.regions import Region, find_regions
from operators.refusal import RefusalError

MAX_LINES = 2000


class StatementBlock(NamedTuple):
    """A run of statements that may be varied in place: `body[start : len(body) - after]`."""

    body: list[ast.stmt]
    start: int
    after: int

    @property
    def statements(self) -> list[ast.stmt]:
        return self.body[self.start : len(self.body) - self.after]


@dataclass(frozen=True, slots=True)
class ParsedSource:
    """A parsed file with a region to vary. The caller that parsed it owns the tree and changes it in place.

    Attributes:
        lines: the text, cut where the parser counts a new line, ends kept.
        tree: the whole file.
        block: the whole statements that lie in the region.
        first, last: the lines that they take, `lines[first:last]`.
    """

    lines: tuple[str, ...]
    tree: ast.Module
    block: StatementBlock
    first: int
    last: int

    def encloses(self, statement: ast.stmt) -> bool:
        """Whether the region lies within a statement, as in the body of a frozen function."""
        return first_line(statement) <= self.first and last_line(statement) >= self.last

    def render(self) -> str:
        """The file with its statements as they are now.

        Raises:
            RefusalError: the statements cannot be written, or what was written does not parse.
        """
        try:
            region = _indented(ast.unparse(ast.Module(self.block.statements, [])), self._indent)
            text = "".join((*self.lines[: self.first], region.replace("\n", self._newline), *self._rest))
            parse_python(text)
        except UNPARSABLE as error:
            raise RefusalError("unparsable", f"the varied program does not parse: {error}") from error
        return text

    @property
    def _indent(self) -> str:
        line = self.lines[self.first]
        return line[: len(line) - len(line.lstrip())]

    @property
    def _newline(self) -> str:
        line = self.lines[0]
        return line[len(line.rstrip("\r\n")) :] or "\n"

    @property
    def _rest(self) -> tuple[str, ...]:
        end = self.lines[self.last - 1]
        return (end[len(end.rstrip("\r\n")) :], *self.lines[self.last :])


def regions_of(text: str) -> tuple[Region, ...]:
    """The regions of a text.

    Raises:
        RefusalError: markers that do not pair.
    """
    try:
        return find_regions(text)
    except GenomeError as error:
        raise RefusalError("refused", f"its markers do not pair: {error}") from error


def parse_source(text: str, region: Region) -> ParsedSource:
    """Parse a file and find the statements of a region.

    Raises:
        RefusalError: the file does not parse, or the region is too long or holds no whole statement.
    """
    if region.last - region.first > MAX_LINES:
        raise RefusalError("refused", f"a region of {region.last - region.first} lines; at most {MAX_LINES} are varied")
    try:
        tree = parse_python(text)
    except UNPARSABLE as error:
        raise RefusalError("unparsable", f"the program to vary does not parse: {error}") from error
    first, last = _parser_lines(text, region)
    block = _find_block(tree.body, first, last)
    if block is None:
        raise RefusalError("refused", "the region holds no whole statement")
    lines = tuple(io.StringIO(text, newline="").readlines())
    statements = block.statements
    return ParsedSource(lines, tree, block, first_line(statements[0]), last_line(statements[-1]))


def first_line(statement: ast.stmt) -> int:
    """Index of a statement's first line, decorators included."""
    decorators: Sequence[ast.expr] = getattr(statement, "decorator_list", ())
    return min((statement.lineno, *(decorator.lineno for decorator in decorators))) - 1


def last_line(statement: ast.stmt) -> int:
    """Index past a statement's last line."""
    return statement.end_lineno or statement.lineno


def bodies_of(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The statement lists within a statement, in the order of the text."""
    bodies = [getattr(statement, field, None) for field in ("body", "orelse", "finalbody")]
    clauses = (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ()))
    return [body for body in (*bodies, *(clause.body for clause in clauses)) if body]


def _parser_lines(text: str, region: Region) -> tuple[int, int]:
    """A region in the parser's lines, which unlike those of str.splitlines do not end at form feeds and the like."""
    lines = text.splitlines(keepends=True)
    before = sum(line.endswith(("\n", "\r")) for line in lines[: region.first])
    within = sum(line.endswith(("\n", "\r")) for line in lines[region.first : region.last])
    return before, before + within + (region.last == len(lines))


def _find_block(body: list[ast.stmt], first: int, last: int) -> StatementBlock | None:
    inside = [
        index for index, statement in enumerate(body) if first_line(statement) >= first and last_line(statement) <= last
    ]
    if inside:
        return StatementBlock(body, inside[0], len(body) - 1 - inside[-1])
    around = (statement for statement in body if first_line(statement) < first and last_line(statement) >= last)
    blocks = (_find_block(inner, first, last) for statement in around for inner in bodies_of(statement))
    return next((block for block in blocks if block is not None), None)


def _indented(text: str, indent: str) -> str:
    """Indent a program, but not the later lines of strings that span several."""
    if not indent:
        return text
    strings = (node for node in ast.walk(parse_python(text)) if isinstance(node, ast.Constant | ast.JoinedStr))
    kept = {line for node in strings for line in range(node.lineno + 1, (node.end_lineno or 0) + 1)}
    lines = text.split("\n")
    return "\n".join(line if number in kept else indent + line for number, line in enumerate(lines, 1))
