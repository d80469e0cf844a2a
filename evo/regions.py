"""The marked regions of a program: the only text that a search may change.

A region lies between a line that contains EVOLVE-BLOCK-START and a line that contains EVOLVE-BLOCK-END, each in a
comment of the file's own language. A file without markers is a region as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from evo.errors import GenomeError

START = "EVOLVE-BLOCK-START"
END = "EVOLVE-BLOCK-END"


@dataclass(frozen=True, slots=True)
class Region:
    """Lines `first` (included) to `last` (excluded) of a text, counted from 0, markers left out."""

    first: int
    last: int


def find_regions(text: str) -> tuple[Region, ...]:
    """The regions of `text`, in order.

    Raises:
        GenomeError: a marker without its partner, or a region inside a region.
    """
    lines = text.split("\n")
    regions: list[Region] = []
    opened: int | None = None
    for number, line in enumerate(lines):
        if START in line:
            if opened is not None:
                raise GenomeError(f"line {number + 1}: {START} inside the region opened at line {opened}")
            opened = number + 1
        elif END in line:
            if opened is None:
                raise GenomeError(f"line {number + 1}: {END} without {START}")
            regions.append(Region(opened, number))
            opened = None
    if opened is not None:
        raise GenomeError(f"line {opened}: {START} without {END}")
    return tuple(regions) if regions else (Region(0, len(lines) - text.endswith("\n")),)


def region_texts(text: str) -> tuple[str, ...]:
    """The text of each region, in order, lines joined by newlines."""
    lines = text.split("\n")
    return tuple("\n".join(lines[region.first : region.last]) for region in find_regions(text))


def with_regions(text: str, replacements: tuple[str, ...]) -> str:
    """`text` with its regions replaced, in order; everything outside them is kept, byte for byte.

    Raises:
        GenomeError: as many replacements as regions are expected.
    """
    regions = find_regions(text)
    if len(regions) != len(replacements):
        raise GenomeError(f"expected {len(regions)} replacements, one for each region, got {len(replacements)}")
    lines = text.split("\n")
    for region, replacement in reversed(list(zip(regions, replacements, strict=True))):
        lines[region.first : region.last] = replacement.split("\n") if replacement else []
    return "\n".join(lines)


def frozen_text(text: str) -> str:
    """What may not change: `text` with every region emptied."""
    return with_regions(text, ("",) * len(find_regions(text)))
