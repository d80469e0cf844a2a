"""A parent's region, parsed anew for one proposal, with every place where it may be changed."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace

import numpy as np

from evo.genomes import Program
from evo.regions import Region
from operators.refusal import RefusalError
from operators.sites import Site, Spot, survey
from operators.source import Source, parse_source, regions_of


@dataclass(frozen=True, slots=True)
class Draft:
    """A region of one parent, to be changed in place.

    Attributes:
        file: the file that holds the region.
        sites: the expressions that may be changed, in the order of the text.
        spots: the statements that may be changed, in the order of the text.
        mates: drafts of the other parents.
    """

    program: Program
    file: str
    source: Source
    sites: list[Site]
    spots: list[Spot]
    mates: tuple[Draft, ...] = ()

    @property
    def statements(self) -> ast.Module:
        """The region's statements as they are now."""
        return ast.Module(self.source.block.statements, [])

    def within(self, node: ast.AST) -> list[Site]:
        """The sites whose expressions are parts of `node`, not `node` itself."""
        parts = {id(one) for one in ast.walk(node)} - {id(node)}
        return [site for site in self.sites if id(site.node) in parts]

    def surveyed(self) -> Draft:
        """The draft with its places looked up again, after a change."""
        sites, spots = survey(self.source)
        return replace(self, sites=sites, spots=spots)

    def render(self) -> Program:
        """The program as it is now.

        Raises:
            RefusalError: it cannot be written, or does not parse.
        """
        return Program({**self.program.files, self.file: self.source.render()})


def read_draft(program: Program, rng: np.random.Generator, mates: tuple[Draft, ...] = ()) -> Draft:
    """Parse a region of a program: any of those that can be varied.

    Raises:
        RefusalError: no region can be varied; the reason is that of the last one.
    """
    refusal = RefusalError("refused", "the program has no Python file")
    for file, region in _shuffled_regions(program, rng):
        try:
            source = parse_source(program.files[file], region)
        except RefusalError as reason:
            refusal = reason
        else:
            return Draft(program, file, source, *survey(source), mates)
    raise refusal


def _shuffled_regions(program: Program, rng: np.random.Generator) -> list[tuple[str, Region]]:
    texts = {file: text for file, text in program.files.items() if file.endswith(".py")}
    regions = [(file, region) for file, text in texts.items() for region in regions_of(text)]
    return [regions[index] for index in rng.permutation(len(regions))] if len(regions) > 1 else regions
