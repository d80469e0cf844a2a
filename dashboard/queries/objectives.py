"""The objectives of a run."""

from __future__ import annotations

from evo.lineage import LineageReader
from evo.lineage.queries import objectives

# Name, direction and unit.
Objective = tuple[str, str, str]


def first_objective(reader: LineageReader) -> Objective | None:
    """The objective that individuals and runs are ranked by; None where the run has only just begun."""
    return next(iter(objectives(reader)), None)


def first_cost(reader: LineageReader) -> tuple[str, int]:
    """The first objective's name, and the sign by which smaller is better: 1 to minimise, -1 to maximise."""
    name, direction, _ = first_objective(reader) or ("", "min", "")
    return name, 1 if direction == "min" else -1
