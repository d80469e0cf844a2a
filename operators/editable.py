"""The editable region of a parent: parsed for a single proposal, with every point where it may be changed."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace

import numpy as np

from evo.genomes import Program
from evo.regions import Region
from operators.points import InsertionPoint, MutationPoint, scan
from operators.refusal import RefusalError
from operators.source import ParsedSource, parse_source, regions_of


@dataclass(frozen=True, slots=True)
class EditableRegion:
    """A region of a parent, to be changed in place.

    Attributes:
        file: the file that holds the region.
        points: expressions that may be changed, in the order of the text.
        insertions: the statements that may be changed, in the order of the text.
        mates: regions of the other parents.
    """

    program: Program
    file: str
    source: ParsedSource
    points: list[MutationPoint]
    insertions: list[InsertionPoint]
    mates: tuple[EditableRegion, ...] = ()

    @property
    def statements(self) -> ast.Module:
        """The region's statements as they are now."""
        return ast.Module(self.source.block.statements, [])

    def within(self, node: ast.AST) -> list[MutationPoint]:
        """The points whose expressions are parts of `node`, not `node` itself."""
        parts = {id(part) for part in ast.walk(node)} - {id(node)}
        return [point for point in self.points if id(point.node) in parts]

    def scanned(self) -> EditableRegion:
        """The same region, scanned again after a change."""
        points, insertions = scan(self.source)
        return replace(self, points=points, insertions=insertions)

    def render(self) -> Program:
        """The program as it is now.

        Raises:
            RefusalError: it cannot be written, or does not parse.
        """
        return Program({**self.program.files, self.file: self.source.render()})


def read_editable(program: Program, rng: np.random.Generator, mates: tuple[EditableRegion, ...] = ()) -> EditableRegion:
    """Parse a region of a program: any of those that can be varied.

    Raises:
        RefusalError: no region can be varied; the reason is that of the last region tried.
    """
    refusal = RefusalError("refused", "the program has no Python file")
    for file, region in _shuffled_regions(program, rng):
        try:
            source = parse_source(program.files[file], region)
        except RefusalError as reason:
            refusal = reason
        else:
            return EditableRegion(program, file, source, *scan(source), mates)
    raise refusal


def _shuffled_regions(program: Program, rng: np.random.Generator) -> list[tuple[str, Region]]:
    texts = {file: text for file, text in program.files.items() if file.endswith(".py")}
    regions = [(file, region) for file, text in texts.items() for region in regions_of(text)]
    return [regions[index] for index in rng.permutation(len(regions))] if len(regions) > 1 else regions
