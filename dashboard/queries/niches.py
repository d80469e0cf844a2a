"""The archive of niches: the elite of each cell.

The lineage has no cells, but it has the populations, and what most descriptors are computed from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from dashboard.filters import Stretch
from dashboard.queries.islands import MOST_ISLANDS, PARTS
from dashboard.queries.objectives import first_cost
from dashboard.queries.sampling import tell_stride
from evo.config.old_keys import renamed
from evo.genomes import genome_from_json
from evo.lineage import LineageReader, Table
from evo.lineage.queries import quoted
from evo.search.descriptors import Descriptor, Subject, descriptor
from evo.search.niches import Archive, Dimension, NicheSettings, centroids
from evo.values import SEED_OPERATOR, Ask, Evaluation, Individual

MOST_ELITES = 5000
# Descriptors that need what the lineage does not have: a space of slots, an embedding.
UNKNOWN = ("slot:", "embedding:")
Centroids = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Elite:
    """The elite of a cell.

    Attributes:
        cell: the number of the cell.
        at: its descriptors, in the order of the archive's dimensions.
        value: by the first objective; the mean, where it was re-evaluated.
        others: how many other members the cell has, on all islands.
    """

    individual: int
    cell: int
    at: tuple[float, ...]
    value: float
    feasible: bool
    maker: str
    island: int
    others: int = 0


@dataclass(frozen=True, slots=True)
class NicheMap:
    """An archive of niches as it can be drawn.

    Attributes:
        settings: of the archive; None where the run has none.
        unknown: descriptors that cannot be computed from the lineage; then there are no elites.
        elites: the best individual of each cell.
        population: how many members the islands have that are looked at.
        left_out: how many of them, the earliest, were not placed in a cell.
        placed: the descriptors of all members that were ever placed, so that each is computed once.
    """

    settings: NicheSettings | None = None
    unknown: tuple[str, ...] = ()
    elites: tuple[Elite, ...] = ()
    population: int = 0
    left_out: int = 0
    placed: Mapping[int, tuple[float, ...]] = field(default_factory=dict)

    @property
    def cells(self) -> int:
        """The number of cells."""
        if self.settings is None:
            return 0
        if self.settings.kind == "cvt":
            return self.settings.cells
        return math.prod(side.cells for side in self.settings.dimensions)

    @property
    def feasible(self) -> int:
        """The number of cells with a feasible elite."""
        return sum(elite.feasible for elite in self.elites)


def settings(reader: LineageReader) -> NicheSettings | None:
    """The archive of a run's configuration; None where it has none."""
    config = reader.sql("SELECT config FROM runs").scalar()
    known = renamed(json.loads(config), say=lambda sentence: None) if config else {}
    stated = (known.get("search") or {}).get("niches")
    if not stated:
        return None
    sides = tuple(Dimension(name, **side) for name, side in stated["dimensions"].items())
    return NicheSettings(sides, **{name: value for name, value in stated.items() if name != "dimensions"})


def niche_map(reader: LineageReader, before: NicheMap | None, stretch: Stretch) -> NicheMap:
    """The elite of each cell after the last tell of a stretch; over several islands the best of all.

    Raises:
        ConfigError: an archive that this version of the platform does not know.
    """
    how = settings(reader)
    if how is None:
        return NicheMap()
    if unknown := tuple(side.descriptor for side in how.dimensions if side.descriptor.startswith(UNKNOWN)):
        return NicheMap(how, unknown)
    members = _members(reader, stretch)
    looked = members[:MOST_ELITES]
    known = {} if before is None or before.settings != how else before.placed
    placed = {member: known[member] for member in looked if member in known}
    placed |= _placed(reader, how, [member for member in looked if member not in placed])
    return NicheMap(
        settings=how,
        elites=_elites(reader, how, placed),
        population=len(members),
        left_out=len(members) - len(looked),
        placed=placed,
    )


def over_time(reader: LineageReader, stretch: Stretch) -> Table:
    """Coverage and QD score of each island over time: columns tell, island, coverage, qd_score."""
    width = tell_stride(reader, stretch, PARTS)
    return reader.sql(f"""
        SELECT max(n.tell) AS tell, i.island, arg_max(n.coverage, n.tell) AS coverage,
            arg_max(n.qd_score, n.tell) AS qd_score
        FROM (SELECT tell, coverage, qd_score FROM indicators WHERE coverage IS NOT NULL) n
        JOIN (SELECT tell, island FROM individuals) i ON i.tell = n.tell
        WHERE {stretch.individuals()} AND i.island < {MOST_ISLANDS}
        GROUP BY i.island, n.tell // {width} ORDER BY tell, i.island
    """)


@lru_cache(maxsize=4)
def archive_of(how: NicheSettings) -> Archive:
    """The archive itself; that of a CVT with many cells takes a second or more."""
    return Archive(how)


@lru_cache(maxsize=4)
def cell_centroids(how: NicheSettings) -> Centroids:
    """The centroids of a CVT's cells, each dimension scaled to 0 to 1; shape (cells, dimensions)."""
    return centroids(how.cells, len(how.dimensions), seed=how.seed)


def grid_place(how: NicheSettings, cell: int) -> tuple[int, ...]:
    """The place of a grid's cell: its number along each dimension."""
    return tuple(int(place) for place in np.unravel_index(cell, [side.cells for side in how.dimensions]))


def _members(reader: LineageReader, stretch: Stretch) -> list[int]:
    """The members of the populations after the last tell of a stretch, the latest first."""
    until = f"tell <= {stretch.last:d}" if stretch.last is not None else "true"
    island = f"AND island = {stretch.island:d}" if stretch.island is not None else ""
    found = reader.sql(f"""
        SELECT individual FROM (
            SELECT individual, island, 1 AS came FROM arrivals WHERE {until} {island}
            UNION ALL SELECT individual, island, -1 FROM removals WHERE {until} {island}
        ) GROUP BY individual HAVING sum(came) > 0 ORDER BY individual DESC
    """)
    return [individual for (individual,) in found.rows]


def _placed(reader: LineageReader, how: NicheSettings, fresh: Sequence[int]) -> dict[int, tuple[float, ...]]:
    """The descriptors of individuals; NaN for a descriptor that an individual does not have."""
    if not fresh:
        return {}
    sides: list[Descriptor] = [descriptor(side.descriptor, Subject()) for side in how.dimensions]
    ids = ", ".join(map(str, fresh))
    named: dict[str, dict[int, dict[str, float]]] = {"objectives": {}, "descriptors": {}}
    for table, values in named.items():
        query = f"SELECT individual, name, value FROM {table} WHERE individual IN ({ids})"
        for identity, name, value in reader.sql(query).rows:
            values.setdefault(identity, {})[name] = value
    placed = {}
    for identity, genome in reader.sql(f"SELECT id, genome FROM individuals WHERE id IN ({ids})").rows:
        known = named["objectives"].get(identity, {}), named["descriptors"].get(identity, {})
        evaluation = Evaluation("ok", known[0], descriptors=known[1])
        individual = Individual(identity, 0, Ask(0, SEED_OPERATOR), genome_from_json(json.loads(genome)), evaluation)
        placed[identity] = tuple(side(individual) for side in sides)
    return placed


def _elites(reader: LineageReader, how: NicheSettings, placed: Mapping[int, tuple[float, ...]]) -> tuple[Elite, ...]:
    """The best of each cell, feasible before infeasible."""
    if not placed:
        return ()
    first, sign = first_cost(reader)
    rows = reader.sql(f"""
        WITH chosen AS (SELECT unnest({list(placed)}::BIGINT[]) AS id)
        SELECT i.id, s.mean, s.compared, coalesce(e.violation, 0) <= 0 AS feasible,
            i.operator || coalesce(' with ' || i.model, '') AS maker, i.island
        FROM (SELECT id, operator, model, island FROM individuals WHERE id IN (FROM chosen)) i
        JOIN (SELECT individual, mean, compared FROM scores WHERE name = {quoted(first)}
            AND individual IN (FROM chosen)) s ON s.individual = i.id
        LEFT JOIN (SELECT individual, violation FROM evaluations WHERE stage = 'train' AND attempt = 0
            AND individual IN (FROM chosen)) e ON e.individual = i.id
    """).rows
    archive, count = archive_of(how), dict[int, int]()
    best: dict[int, tuple[tuple[bool, float, int], Elite]] = {}
    for individual, mean, compared, feasible, maker, island in rows:
        at = placed[individual]
        if (cell := archive.cell_at(at)) is None:
            continue
        cost = (not feasible, sign * compared, individual)
        count[cell] = count.get(cell, -1) + 1
        if cell not in best or cost < best[cell][0]:
            best[cell] = cost, Elite(individual, cell, at, mean, feasible, maker, island)
    return tuple(replace(elite, others=count[cell]) for cell, (_, elite) in sorted(best.items()))
