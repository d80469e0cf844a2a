"""Descriptors: numbers that describe an individual and span an archive of niches, each by its name.

| name | of | what |
| --- | --- | --- |
| `size` | any genome | its size, in its kind's own unit |
| `depth` | programs | depth of the syntax tree, a statement at the top being 1 |
| `nesting` | programs | how deep loops, conditions, functions and the like are nested |
| `loops`, `branches`, `calls`, `functions`, `comprehensions` | programs | how many |
| `constants` | programs | how many numbers |
| `words`, `parts`, `demonstrations` | prompts | how many |
| `share:STYLE` | programs | share of the syntax nodes, for instance `share:calls` |
| `share:CHOICE` | architectures | share of the slots in which that choice was made |
| `slot:NAME` | architectures | position of the choice among the options, from 0; the number itself for numbers |
| `x:I` | vectors | a coordinate, counted from 0 |
| `embedding:K` | any with an embedding | length along the K-th fixed random direction; mostly within -3 to 3 |
| `objective:NAME` | any | that objective, in its own direction |
| `evaluation:NAME` | any | that descriptor of the evaluation, as the problem gave it |

Of a program the marked regions in Python count. A descriptor that an individual does not have is NaN.
"""

from __future__ import annotations

import ast
import math
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from evo.errors import ConfigError, unknown
from evo.genomes import UNPARSABLE, Architecture, Genome, Program, Prompt, Vector, parse_python
from evo.regions import region_texts
from evo.values import Box, Individual, Objective, Slots, Space

Descriptor: TypeAlias = Callable[[Individual], float]

NODES: Mapping[str, tuple[type[ast.AST], ...]] = {
    "loops": (ast.For, ast.AsyncFor, ast.While),
    "branches": (ast.If, ast.IfExp, ast.Match),
    "calls": (ast.Call,),
    "functions": (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda),
    "comprehensions": (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
}
STYLES = (*NODES, "constants")
BLOCKS = frozenset(
    (*NODES["loops"], ast.FunctionDef, ast.AsyncFunctionDef, ast.If, ast.Match, ast.With, ast.AsyncWith, ast.Try)
)
# Contexts and operators' own symbols, which the size of a program leaves out too.
SYMBOLS = frozenset(
    kind
    for family in (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)
    for kind in family.__subclasses__()
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known in advance of the individuals to describe; what is not known is not checked.

    Attributes:
        objectives: of all individuals.
        space: of their genomes.
        kind: of their genomes; "" where it is not known.
    """

    objectives: tuple[Objective, ...] = ()
    space: Space | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Syntax:
    """Counts over the syntax of a program's regions.

    Attributes:
        counts: how many of each of `STYLES`.
        nodes: how many syntax nodes in all.
        depth: of the deepest region.
        nesting: of the region whose blocks are nested deepest.
    """

    counts: Mapping[str, int]
    nodes: int
    depth: int
    nesting: int


def descriptor(name: str, subject: Subject | None = None) -> Descriptor:
    """The number of that name as a function of an individual.

    Raises:
        ConfigError: an unknown name, or a descriptor that such individuals can never have.
    """
    about = subject or Subject()
    prefix, colon, rest = name.partition(":")
    if not colon and name in _PLAIN:
        kinds, plain = _PLAIN[name]
        _check_kind(name, kinds, about)
        return plain
    if colon and prefix in _PREFIXED:
        kinds, made = _PREFIXED[prefix]
        _check_kind(name, kinds, about)
        return made(rest, about)
    raise ConfigError(unknown("descriptor", name, [*_PLAIN, *(f"{prefix}:..." for prefix in _PREFIXED)]))


# Several descriptors of the same program are asked for in a row; its digest, which is its hash, is known by then.
@lru_cache(maxsize=64)
def syntax_of(program: Program) -> Syntax | None:
    """Counts over its Python regions together; None where there are none, or where a region does not parse."""
    texts = [region for name, text in program.files.items() if name.endswith(".py") for region in region_texts(text)]
    regions = [_counted(tree) for tree in map(_parsed, texts) if tree is not None]
    if not regions or len(regions) < len(texts):
        return None
    counts = {style: sum(syntax.counts[style] for syntax in regions) for style in STYLES}
    nodes = sum(syntax.nodes for syntax in regions)
    return Syntax(counts, nodes, max(syntax.depth for syntax in regions), max(syntax.nesting for syntax in regions))


def _parsed(text: str) -> ast.Module | None:
    for form in (text, textwrap.dedent(text)):
        try:
            return parse_python(form)
        except UNPARSABLE:
            continue
    return None


def _counted(tree: ast.Module) -> Syntax:
    """With an explicit stack, since a program may be nested deeper than Python's stack."""
    kinds: dict[type[ast.AST], int] = {}
    numbers = deepest = most = 0
    stack: list[tuple[ast.AST, int, int]] = [(statement, 1, 0) for statement in tree.body]
    while stack:
        node, depth, nesting = stack.pop()
        kind = type(node)
        if kind in SYMBOLS:
            continue
        kinds[kind] = kinds.get(kind, 0) + 1
        numbers += kind is ast.Constant and type(node.value) in (int, float, complex)  # type: ignore[attr-defined]
        nesting += kind in BLOCKS
        deepest = depth if depth > deepest else deepest
        most = nesting if nesting > most else most
        for name in kind._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                stack.append((value, depth + 1, nesting))
            elif isinstance(value, list):
                stack.extend((child, depth + 1, nesting) for child in value if isinstance(child, ast.AST))
    counts = {style: sum(kinds.get(kind, 0) for kind in family) for style, family in NODES.items()}
    return Syntax({**counts, "constants": numbers}, sum(kinds.values()), deepest, most)


def _check_kind(name: str, kinds: tuple[str, ...], about: Subject) -> None:
    if kinds and about.kind and about.kind not in kinds:
        raise ConfigError(f"descriptor {name!r} is of genomes of kind {' or '.join(kinds)}, not {about.kind}")


def _of_syntax(read: Callable[[Syntax], float]) -> Descriptor:
    def value(individual: Individual) -> float:
        syntax = syntax_of(individual.genome) if isinstance(individual.genome, Program) else None
        return math.nan if syntax is None else float(read(syntax))

    return value


def _of_style(style: str) -> Descriptor:
    return _of_syntax(lambda syntax: syntax.counts[style])


def _of_prompt(read: Callable[[Prompt], int]) -> Descriptor:
    return lambda individual: float(read(individual.genome)) if isinstance(individual.genome, Prompt) else math.nan


def _objective(name: str, about: Subject) -> Descriptor:
    known = {objective.name: objective for objective in about.objectives}
    if known and name not in known:
        raise ConfigError(unknown("objective", name, known))
    return lambda individual: float(individual.evaluation.objectives.get(name, math.nan))


def _evaluation(name: str, about: Subject) -> Descriptor:
    return lambda individual: float(individual.evaluation.descriptors.get(name, math.nan))


def _coordinate(place: str, about: Subject) -> Descriptor:
    index = _whole("x", place)
    if isinstance(about.space, Box) and index >= len(about.space.lower):
        raise ConfigError(f"descriptor 'x:{index}': the space has {len(about.space.lower)} coordinates, from 0")

    def value(individual: Individual) -> float:
        values = individual.genome.values if isinstance(individual.genome, Vector) else ()
        return values[index] if index < len(values) else math.nan

    return value


def _embedding(place: str, about: Subject) -> Descriptor:
    index = _whole("embedding", place)
    return lambda individual: _projected(individual.vector, index)


def _projected(vector: tuple[float, ...], index: int) -> float:
    """A vector of length 1 along a random direction of plus and minus ones: mean 0 and variance 1 over directions.

    Summed exactly, so that every machine finds the same cell. Source: Achlioptas, "Database-friendly random
    projections", 2003.
    """
    length = math.sqrt(math.fsum(value * value for value in vector))
    if not length:
        return math.nan
    return math.fsum(map(float.__mul__, vector, _direction(index, len(vector)))) / length


@lru_cache(maxsize=256)
def _direction(index: int, count: int) -> tuple[float, ...]:
    bits = np.random.default_rng((index, count)).integers(0, 2, size=count)
    return tuple((2.0 * bits - 1.0).tolist())


def _slot(name: str, about: Subject) -> Descriptor:
    options = about.space.options if isinstance(about.space, Slots) else {}
    if options and name not in options:
        raise ConfigError(unknown("slot", name, options))
    offered = options.get(name, ())
    # With types, since 1, 1.0 and True are equal and yet different choices.
    places = {
        (type(choice), choice): place for place, choice in enumerate(offered if isinstance(offered, tuple) else ())
    }

    def value(individual: Individual) -> float:
        choice = individual.genome.choices.get(name) if isinstance(individual.genome, Architecture) else None
        number = choice if isinstance(choice, int | float) else math.nan
        return float(places.get((type(choice), choice), number))  # type: ignore[arg-type]

    return value


def _share(what: str, about: Subject) -> Descriptor:
    known = _known_shares(about)
    if known and what not in known:
        raise ConfigError(unknown("share", what, known))
    return lambda individual: _share_of(individual.genome, what)


def _known_shares(about: Subject) -> tuple[str, ...]:
    """What a share can be of; () where that is not known."""
    if not isinstance(about.space, Slots):
        return STYLES if about.kind == "program" else ()
    choices = [offered for offered in about.space.options.values() if isinstance(offered, tuple)]
    return (
        tuple(str(choice) for offered in choices for choice in offered)
        if len(choices) == len(about.space.options)
        else ()
    )


def _share_of(genome: Genome, what: str) -> float:
    if isinstance(genome, Architecture) and genome.choices:
        return sum(str(choice) == what for choice in genome.choices.values()) / len(genome.choices)
    syntax = syntax_of(genome) if isinstance(genome, Program) and what in STYLES else None
    return syntax.counts[what] / syntax.nodes if syntax and syntax.nodes else math.nan


def _whole(prefix: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"descriptor '{prefix}:{text}' needs a number from 0 up, as in '{prefix}:0'")
    return int(text)


# Name to the kinds of genome that have it (none named: all kinds), and the descriptor.
_PLAIN: Mapping[str, tuple[tuple[str, ...], Descriptor]] = {
    "size": ((), lambda individual: float(individual.genome.size)),
    "depth": (("program",), _of_syntax(lambda syntax: syntax.depth)),
    "nesting": (("program",), _of_syntax(lambda syntax: syntax.nesting)),
    **{style: (("program",), _of_style(style)) for style in STYLES},
    "words": (("prompt",), _of_prompt(lambda prompt: prompt.size)),
    "parts": (("prompt",), _of_prompt(lambda prompt: len(prompt.parts))),
    "demonstrations": (("prompt",), _of_prompt(lambda prompt: len(prompt.demonstrations))),
}
_PREFIXED: Mapping[str, tuple[tuple[str, ...], Callable[[str, Subject], Descriptor]]] = {
    "share": (("program", "architecture"), _share),
    "slot": (("architecture",), _slot),
    "x": (("vector",), _coordinate),
    "embedding": ((), _embedding),
    "objective": ((), _objective),
    "evaluation": ((), _evaluation),
}
