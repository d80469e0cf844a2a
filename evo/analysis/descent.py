"""Analyses of descent: which lineages are alive, how far the largest took over, and what the front came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from evo.analysis.pedigree import EDGES, TELLS, Arrays, Pedigree, weighed
from evo.lineage.reading import LineageReader
from evo.lineage.table import Table

MOMENTS = 10
MOVES = """
    SELECT tell, individual, island, 1 AS came FROM arrivals UNION ALL SELECT tell, individual, island, -1 FROM removals
    ORDER BY tell, came
"""
LEFT = "SELECT individual, max(tell) AS tell FROM removals GROUP BY individual"
FRONT = "SELECT id FROM front ORDER BY id"


def founders(reader: LineageReader, count: int = 20) -> Table:
    """Individuals without parents, by how much of the population descends from them.

    A lineage lasts until its last member has left the population; `lasted` is in tells, from the founder's own.

    Args:
        count: how many; those with most living descendants first, then those that lasted longest.
    """
    edges, tells, moves, left, front = reader.arrays(EDGES, TELLS, MOVES, LEFT, FRONT)
    pedigree = Pedigree.of(edges, tells)
    families = _Families.of(pedigree, moves, left, front)
    first = sorted(
        pedigree.founders(), key=lambda founder: (-families.surviving[founder], -families.lasted(founder), founder)
    )[:count]
    descendants = pedigree.descendants(first)
    operators = dict(reader.sql("SELECT id, operator FROM individuals WHERE id IN (SELECT unnest(?))", [first]).rows)
    rows = tuple(
        (
            founder,
            operators[founder],
            pedigree.tells[founder],
            count,
            int(families.surviving[founder]),
            families.share(founder),
            int(families.front[founder]),
            families.lasted(founder),
            bool(families.surviving[founder]),
        )
        for founder, count in zip(first, descendants, strict=True)
    )
    columns = ("founder", "operator", "tell", "descendants", "living", "share", "front", "lasted", "lives")
    types = ("BIGINT", "VARCHAR", "BIGINT", "BIGINT", "BIGINT", "DOUBLE", "BIGINT", "BIGINT", "BOOLEAN")
    return Table(columns, rows, types)


def fates(reader: LineageReader) -> Table:
    """How many founders have living descendants and how many have none left, and how many tells their lineages last.

    Lineages that are alive last to the end of the run, or to now.
    """
    edges, tells, moves, left = reader.arrays(EDGES, TELLS, MOVES, LEFT)
    pedigree = Pedigree.of(edges, tells)
    families = _Families.of(pedigree, moves, left, {"id": np.array([], dtype=np.int64)})
    lasted: dict[bool, list[int]] = {}
    for founder in pedigree.founders():
        lasted.setdefault(bool(families.surviving[founder]), []).append(families.lasted(founder))
    rows = tuple(
        ("living" if lives else "extinct", len(spans), min(spans), float(median(spans)), max(spans))
        for lives, spans in sorted(lasted.items(), reverse=True)
    )
    columns = ("fate", "founders", "shortest", "median", "longest")
    return Table(columns, rows, ("VARCHAR", "BIGINT", "BIGINT", "DOUBLE", "BIGINT"))


def takeover(reader: LineageReader) -> Table:
    """After each tenth of the tells: how many founders have living descendants, and the largest family's share.

    `common` is the most recent individual that all of the population descend from, itself included, and `common_tell`
    its tell; NULL while there is none.
    """
    edges, tells, moves = reader.arrays(EDGES, TELLS, MOVES)
    pedigree = Pedigree.of(edges, tells)
    rows = tuple(_dominance(pedigree, tell, members) for tell, members in _populations(tells, moves))
    columns = ("tell", "living", "founders", "share", "common", "common_tell")
    return Table(columns, rows, ("BIGINT", "BIGINT", "BIGINT", "DOUBLE", "BIGINT", "BIGINT"))


def front_ancestry(reader: LineageReader) -> Table:
    """What each member of the front came from: how many ancestors, and how many offspring these had on average.

    `children` are those made from an ancestor, `descendants` all that descend from it by bases; the row without
    an individual is the average of all individuals.
    """
    edges, tells, front = reader.arrays(EDGES, TELLS, FRONT)
    pedigree, members = Pedigree.of(edges, tells), front["id"].tolist()
    counts = np.column_stack([np.ones(len(pedigree)), pedigree.offspring()])
    found = list(pedigree.ancestors(members))
    ids = [member for member, _ in found]
    total = weighed([bits for _, bits in found], counts[ids], len(members)) - counts[members]
    rows: list[tuple[Any, ...]] = [
        (member, int(count), children / count if count else None, line / count if count else None)
        for member, (count, children, line) in zip(members, total.tolist(), strict=True)
    ]
    if pedigree.tells:
        rows.append((None, None, *counts[list(pedigree.tells)].mean(axis=0).tolist()[1:]))
    columns = ("individual", "ancestors", "children", "descendants")
    return Table(columns, tuple(rows), ("BIGINT", "BIGINT", "DOUBLE", "DOUBLE"))


@dataclass(frozen=True, slots=True)
class _Families:
    """What became of each individual's descendants, itself included.

    Attributes:
        surviving: how many are in the population, by id; front: how many are in the front.
        until: by id, the tell at which the last left; -1 where there is none.
        population: how many are in the population in all.
    """

    pedigree: Pedigree
    surviving: np.ndarray[Any, Any]
    front: np.ndarray[Any, Any]
    until: list[int]
    population: int

    @classmethod
    def of(cls, pedigree: Pedigree, moves: Arrays, left: Arrays, front: Arrays) -> _Families:
        present = _present(moves, len(moves["tell"]))
        until = pedigree.tells | dict(zip(left["individual"].tolist(), left["tell"].tolist(), strict=True))
        until |= dict.fromkeys(present, max(pedigree.tells.values(), default=0))
        surviving, leading = (_counted(pedigree, members) for members in (present, front["id"].tolist()))
        return cls(pedigree, surviving, leading, pedigree.latest(until), len(present))

    def lasted(self, founder: int) -> int:
        return self.until[founder] - self.pedigree.tells[founder]

    def share(self, founder: int) -> float:
        return float(self.surviving[founder] / self.population) if self.population else 0.0


def _counted(pedigree: Pedigree, of: list[int]) -> np.ndarray[Any, Any]:
    """By id: how many of these descend from it, itself included."""
    counts = np.zeros(len(pedigree), dtype=np.int64)
    for individual, bits in pedigree.ancestors(of):
        counts[individual] = bits.bit_count()
    return counts


def _dominance(pedigree: Pedigree, tell: int, members: list[int]) -> tuple[Any, ...]:
    everyone, common, largest, founders = (1 << len(members)) - 1, None, 0, 0
    for individual, bits in pedigree.ancestors(members):
        if common is None and bits == everyone:
            common = individual
        if not pedigree.parents_of(individual):
            founders, largest = founders + 1, max(largest, bits.bit_count())
    share = largest / len(members) if members else None
    return tell, len(members), founders, share, common, None if common is None else pedigree.tells[common]


def _populations(tells: Arrays, moves: Arrays) -> Iterator[tuple[int, list[int]]]:
    """The population after each tenth of the tells; fewer times where there are fewer tells."""
    count = int(tells["tell"].max()) + 1 if len(tells["tell"]) else 0
    for end in sorted({count * part // MOMENTS for part in range(1, MOMENTS + 1)} - {0}):
        yield end - 1, _present(moves, int(np.searchsorted(moves["tell"], end)))


def _present(moves: Arrays, count: int) -> list[int]:
    """The individuals in the population after so many moves, each once, on any island."""
    individuals, came = moves["individual"][:count], moves["came"][:count]
    if not count:
        return []
    # An individual is on an island at most once, so those that arrived more often than they left are there.
    balance = np.bincount(individuals, weights=came)
    return np.flatnonzero(balance > 0).tolist()
