"""Analyses of who descends from whom: which lineages live, how far one of them took over, what the front came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from evo.analysis.pedigree import EDGES, TOLD, Arrays, Pedigree, weighed
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
    """Those without parents, by how much of the population goes back to them: seeds, and what was made from nothing.

    A lineage lasts until its last member has left the population; `lasted` is in tells, from the founder's own.

    Args:
        count: how many; those of the most living descendants, then those that lasted longest.
    """
    edges, told, moves, left, front = reader.arrays(EDGES, TOLD, MOVES, LEFT, FRONT)
    pedigree = Pedigree.of(edges, told)
    families = _Families.of(pedigree, moves, left, front)
    first = sorted(pedigree.founders(), key=lambda one: (-families.living[one], -families.lasted(one), one))[:count]
    descendants = pedigree.descendants(first)
    made = dict(reader.sql("SELECT id, operator FROM individuals WHERE id IN (SELECT unnest(?))", [first]).rows)
    rows = tuple(
        (
            *(one, made[one], pedigree.tells[one], issue, int(families.living[one]), families.share(one)),
            *(int(families.front[one]), families.lasted(one), bool(families.living[one])),
        )
        for one, issue in zip(first, descendants, strict=True)
    )
    columns = ("founder", "operator", "tell", "descendants", "living", "share", "front", "lasted", "lives")
    types = ("BIGINT", "VARCHAR", "BIGINT", "BIGINT", "BIGINT", "DOUBLE", "BIGINT", "BIGINT", "BOOLEAN")
    return Table(columns, rows, types)


def fates(reader: LineageReader) -> Table:
    """How many founders have living descendants and how many have none left, and how many tells their lineages last.

    Those that live last to the end of the run, or to now.
    """
    edges, told, moves, left = reader.arrays(EDGES, TOLD, MOVES, LEFT)
    pedigree = Pedigree.of(edges, told)
    families = _Families.of(pedigree, moves, left, {"id": np.array([], dtype=np.int64)})
    lasted: dict[bool, list[int]] = {}
    for one in pedigree.founders():
        lasted.setdefault(bool(families.living[one]), []).append(families.lasted(one))
    rows = tuple(
        ("living" if lives else "extinct", len(tells), min(tells), float(median(tells)), max(tells))
        for lives, tells in sorted(lasted.items(), reverse=True)
    )
    columns = ("fate", "founders", "shortest", "median", "longest")
    return Table(columns, rows, ("VARCHAR", "BIGINT", "BIGINT", "DOUBLE", "BIGINT"))


def takeover(reader: LineageReader) -> Table:
    """After each tenth of the tells: how many founders still count, the share that goes back to the commonest of them.

    `common` is the most recent individual that all who live then go back to, itself included, and `common_tell` its
    tell; NULL while there is none.
    """
    edges, told, moves = reader.arrays(EDGES, TOLD, MOVES)
    pedigree = Pedigree.of(edges, told)
    rows = tuple(_standing(pedigree, tell, living) for tell, living in _populations(told, moves))
    columns = ("tell", "living", "founders", "share", "common", "common_tell")
    return Table(columns, rows, ("BIGINT", "BIGINT", "BIGINT", "DOUBLE", "BIGINT", "BIGINT"))


def front_ancestry(reader: LineageReader) -> Table:
    """What each member of the front came from: how many ancestors, and how fruitful these were on the average.

    `children` are those made from an ancestor, `descendants` all that go back to it from base to base; the row without
    an individual is the average of all that were told.
    """
    edges, told, front = reader.arrays(EDGES, TOLD, FRONT)
    pedigree, members = Pedigree.of(edges, told), front["id"].tolist()
    issue = np.column_stack([np.ones(len(pedigree)), pedigree.issue()])
    found = list(pedigree.ancestors(members))
    ids = [one for one, _ in found]
    total = weighed([bits for _, bits in found], issue[ids], len(members)) - issue[members]
    rows: list[tuple[Any, ...]] = [
        (one, int(count), *((children / count, line / count) if count else (None, None)))
        for one, (count, children, line) in zip(members, total.tolist(), strict=True)
    ]
    if pedigree.tells:
        rows.append((None, None, *issue[list(pedigree.tells)].mean(axis=0).tolist()[1:]))
    columns = ("individual", "ancestors", "children", "descendants")
    return Table(columns, tuple(rows), ("BIGINT", "BIGINT", "DOUBLE", "DOUBLE"))


@dataclass(frozen=True, slots=True)
class _Families:
    """What became of each individual's descendants, itself included.

    Attributes:
        living: how many live, by id; front: how many are in the front.
        until: by id, the tell at which the last left; -1 where there is none.
        population: how many live in all.
    """

    pedigree: Pedigree
    living: np.ndarray[Any, Any]
    front: np.ndarray[Any, Any]
    until: list[int]
    population: int

    @classmethod
    def of(cls, pedigree: Pedigree, moves: Arrays, left: Arrays, front: Arrays) -> _Families:
        residents = _residents(moves, len(moves["tell"]))
        until = pedigree.tells | dict(zip(left["individual"].tolist(), left["tell"].tolist(), strict=True))
        until |= dict.fromkeys(residents, max(pedigree.tells.values(), default=0))
        living, leading = (_counted(pedigree, one) for one in (residents, front["id"].tolist()))
        return cls(pedigree, living, leading, pedigree.latest(until), len(residents))

    def lasted(self, founder: int) -> int:
        return self.until[founder] - self.pedigree.tells[founder]

    def share(self, founder: int) -> float:
        return float(self.living[founder] / self.population) if self.population else 0.0


def _counted(pedigree: Pedigree, of: list[int]) -> np.ndarray[Any, Any]:
    """By id: how many of these it leads to, itself included."""
    counts = np.zeros(len(pedigree), dtype=np.int64)
    for one, bits in pedigree.ancestors(of):
        counts[one] = bits.bit_count()
    return counts


def _standing(pedigree: Pedigree, tell: int, living: list[int]) -> tuple[Any, ...]:
    everybody, common, largest, founders = (1 << len(living)) - 1, None, 0, 0
    for one, bits in pedigree.ancestors(living):
        if common is None and bits == everybody:
            common = one
        if not pedigree.parents_of(one):
            founders, largest = founders + 1, max(largest, bits.bit_count())
    share = largest / len(living) if living else None
    return tell, len(living), founders, share, common, None if common is None else pedigree.tells[common]


def _populations(told: Arrays, moves: Arrays) -> Iterator[tuple[int, list[int]]]:
    """Who lived after each tenth of the tells, once each where there were fewer."""
    tells = int(told["tell"].max()) + 1 if len(told["tell"]) else 0
    for end in sorted({tells * part // MOMENTS for part in range(1, MOMENTS + 1)} - {0}):
        yield end - 1, _residents(moves, int(np.searchsorted(moves["tell"], end)))


def _residents(moves: Arrays, count: int) -> list[int]:
    """Who lives after so many moves, each once, on whatever island."""
    individuals, came = moves["individual"][:count], moves["came"][:count]
    if not count:
        return []
    # On no island anybody is more than once, so that what came and did not leave is who is there.
    balance = np.bincount(individuals, weights=came)
    return np.flatnonzero(balance > 0).tolist()
