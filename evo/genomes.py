"""The four kinds of genome: what a search varies. A genome is data; it never runs outside the sandbox."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, ClassVar

from evo.errors import GenomeError
from evo.regions import find_regions, region_texts

UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What `parse_python` raises for a text that is no program."""
PARSE_ATTEMPTS = 20

SlotValue = str | int | float | bool


class Genome:
    """What a search varies.

    Attributes:
        kind: names the subclass in files and tables.
        canonical: the same text for all genomes that mean the same; the digest is taken of it.
        digest: 128-bit BLAKE2b of kind and canonical text, in hex.
        size: how big it is, in the kind's own unit (see the subclass); an objective where parsimony counts.
    """

    kind: ClassVar[str]

    @property
    def canonical(self) -> str:
        raise TypeError(f"{type(self).__name__} must define canonical")

    @property
    def size(self) -> int:
        raise TypeError(f"{type(self).__name__} must define size")

    @cached_property
    def digest(self) -> str:
        text = f"{self.kind}\0{self.canonical}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=16).hexdigest()

    def fields(self) -> dict[str, Any]:
        """What `to_json` writes beside the kind; the keyword arguments that build it again."""
        raise TypeError(f"{type(self).__name__} must define fields")

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.fields()}


@dataclass(frozen=True, eq=True)
class Program(Genome):
    """Source text in files; the first is the main one. Size: syntax nodes of the marked regions.

    Two programs whose Python regions differ in comments or spacing only have the same canonical text. The size of a
    file in another language, or of a file that does not parse, is its count of non-blank lines.

    Attributes:
        files: file name to text, at least 1; a byte order mark before a text is left out.

    Raises:
        GenomeError: no file, or region markers that do not pair up.
    """

    files: Mapping[str, str]
    kind: ClassVar[str] = "program"

    def __post_init__(self) -> None:
        if not self.files:
            raise GenomeError("a program needs at least one file")
        files = {name: text.removeprefix("\ufeff") for name, text in self.files.items()}
        for text in files.values():
            find_regions(text)
        object.__setattr__(self, "files", MappingProxyType(files))

    @classmethod
    def single(cls, text: str, name: str = "main.py") -> Program:
        """A program of a single file."""
        return cls({name: text})

    @property
    def main(self) -> str:
        """Name of the main file."""
        return next(iter(self.files))

    @property
    def text(self) -> str:
        """Text of the main file."""
        return self.files[self.main]

    @cached_property
    def canonical(self) -> str:
        return "\n".join(f"# {name}\n{_canonical_text(name, text)}" for name, text in self.files.items())

    @cached_property
    def size(self) -> int:
        return sum(_text_size(name, text) for name, text in self.files.items())

    def with_text(self, text: str) -> Program:
        """The same program with another main file."""
        return Program({**self.files, self.main: text})

    def fields(self) -> dict[str, Any]:
        return {"files": dict(self.files)}

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[type[Program], tuple[dict[str, str]]]:
        return Program, (dict(self.files),)


@dataclass(frozen=True, eq=True)
class Prompt(Genome):
    """Named text parts, worked demonstrations, and the format that renders them. Size: words of parts and examples.

    Attributes:
        parts: part name to text, in the order of rendering.
        demonstrations: each a mapping of field name to text.
        format: renderer settings, name to text.

    Raises:
        GenomeError: no part, or a value that is not a text.
    """

    parts: Mapping[str, str]
    demonstrations: tuple[Mapping[str, str], ...] = ()
    format: Mapping[str, str] = field(default_factory=dict)
    kind: ClassVar[str] = "prompt"

    def __post_init__(self) -> None:
        if not self.parts:
            raise GenomeError("a prompt needs at least one part")
        object.__setattr__(self, "demonstrations", tuple(dict(demonstration) for demonstration in self.demonstrations))
        for texts in (self.parts, self.format, *self.demonstrations):
            if not all(isinstance(text, str) for pair in texts.items() for text in pair):
                raise GenomeError(f"parts, demonstrations and format of a prompt are texts by name, got {texts!r:.200}")

    @cached_property
    def canonical(self) -> str:
        # Order matters in a prompt, so keys are not sorted.
        return json.dumps(self.fields(), ensure_ascii=False)

    @cached_property
    def size(self) -> int:
        texts = [
            *self.parts.values(),
            *(text for demonstration in self.demonstrations for text in demonstration.values()),
        ]
        return sum(len(text.split()) for text in texts)

    def fields(self) -> dict[str, Any]:
        return {"parts": dict(self.parts), "demonstrations": list(self.demonstrations), "format": dict(self.format)}

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True, eq=True)
class Architecture(Genome):
    """A choice for each active slot of a declared space. Size: number of choices.

    Whether it is a design of a space, `evo.spaces.Slots.contains` says.

    Attributes:
        choices: slot name to the choice made there; no inactive slot.

    Raises:
        GenomeError: a choice that is neither a text, nor a finite number, nor true or false.
    """

    choices: Mapping[str, SlotValue]
    kind: ClassVar[str] = "architecture"

    def __post_init__(self) -> None:
        for slot, choice in dict(self.choices).items():
            wrong = not isinstance(slot, str) or not isinstance(choice, str | int | float)
            if wrong or choice in (math.inf, -math.inf) or choice != choice:
                raise GenomeError(
                    f"a choice is a text, a finite number, true or false; got {choice!r:.200} for {slot!r}"
                )

    @cached_property
    def canonical(self) -> str:
        return json.dumps(dict(self.choices), sort_keys=True, ensure_ascii=False)

    @property
    def size(self) -> int:
        return len(self.choices)

    def fields(self) -> dict[str, Any]:
        return {"choices": dict(self.choices)}

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True, eq=True)
class Vector(Genome):
    """Bounded reals; the bounds belong to the problem's space. Size: number of dimensions.

    Attributes:
        values: finite numbers, shape (n,).
    """

    values: tuple[float, ...]
    kind: ClassVar[str] = "vector"

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(float(value) for value in self.values))
        if not all(math.isfinite(value) for value in self.values):
            raise GenomeError(f"a vector needs finite values, got {self.values}")

    @cached_property
    def canonical(self) -> str:
        return json.dumps([value + 0.0 for value in self.values])

    @property
    def size(self) -> int:
        return len(self.values)

    def fields(self) -> dict[str, Any]:
        return {"values": list(self.values)}


KINDS: Mapping[str, type[Genome]] = {genome.kind: genome for genome in (Program, Prompt, Architecture, Vector)}


def genome_from_json(fields: Mapping[str, Any]) -> Genome:
    """The genome that `to_json` wrote.

    Raises:
        GenomeError: an unknown kind, or fields that do not fit it.
    """
    rest = dict(fields)
    kind = rest.pop("kind", None)
    if kind not in KINDS:
        raise GenomeError(f"unknown genome kind {kind!r}; known: {', '.join(KINDS)}")
    try:
        return KINDS[kind](**rest)
    except (TypeError, ValueError, AttributeError) as error:
        raise GenomeError(f"these fields make no {kind}: {error}") from error


def _canonical_text(name: str, text: str) -> str:
    tree = parsed(name, text)
    try:
        if tree is not None:
            return ast.unparse(tree)
    except (RecursionError, ValueError):
        pass  # deep nesting, or a number too long to be written: such a text stands for itself
    return "\n".join(line.rstrip() for line in text.splitlines())


def _text_size(name: str, text: str) -> int:
    sizes = []
    for region in region_texts(text):
        tree = parsed(name, region)
        sizes.append(_count_nodes(tree) if tree is not None else sum(1 for line in region.splitlines() if line.strip()))
    return sum(sizes)


@lru_cache(maxsize=2)  # an offspring is read, checked and written in canonical form at once; trees are large
def parsed(name: str, text: str) -> ast.Module | None:
    """The syntax tree of a Python file, to be read only; None for another language, or where it does not parse."""
    if not name.endswith(".py"):
        return None
    try:
        return parse_python(text)
    except UNPARSABLE:
        return None


def parse_python(text: str) -> ast.Module:
    """Python's own parser, in any thread.

    CPython before 3.11.8 and 3.12.2 counts the depth of all threads' trees in one place, and ends a parse during which
    another thread has parsed by a SystemError (gh-106905): such a text is parsed again.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as `ast.parse` does (`UNPARSABLE`).
    """
    for _ in range(PARSE_ATTEMPTS - 1):
        with contextlib.suppress(SystemError):
            return ast.parse(text)
    return ast.parse(text)


def _count_nodes(tree: ast.AST) -> int:
    """Syntax nodes without contexts (Load, Store), operators' own symbols and the module itself."""
    symbols = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop, ast.mod)
    return sum(1 for node in ast.walk(tree) if not isinstance(node, symbols))
