"""How runs are sampled, so that a figure stays bounded and its points stay where they are while a run grows."""

from __future__ import annotations

from dashboard.filters import Stretch
from evo.lineage import LineageReader


def stride(span: int, parts: int) -> int:
    """The power of two that divides a span into at most `parts` parts, and at least half as many if it is long enough.

    A power of two, so that every other point keeps its place when the stride doubles.
    """
    return 1 << (max(0, span) // max(1, parts)).bit_length()


def tell_stride(reader: LineageReader, stretch: Stretch, parts: int) -> int:
    """The stride between the tells of a stretch."""
    first, last = tell_range(reader, stretch)
    return stride(last - first, parts)


def tell_range(reader: LineageReader, stretch: Stretch) -> tuple[int, int]:
    """The first and the last tell of a stretch; 0 and 0 where there is none."""
    first, last = reader.sql(f"SELECT min(tell), max(tell) FROM indicators WHERE {stretch.tells()}").rows[0]
    return (first, last) if last is not None else (0, 0)
