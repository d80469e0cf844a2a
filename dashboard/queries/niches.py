"""The map of niches: which cell holds whom.

Cells are not in the lineage; who lives is, and so is what most descriptors are made of.
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
from dashboard.queries.history import objectives
from dashboard.queries.islands import MOST_ISLANDS, PARTS
from evo.genomes import genome_from_json
from evo.lineage import LineageReader, Table
from evo.lineage.queries import quoted
from evo.search.descriptors import Descriptor, Subject, descriptor
from evo.search.niches import Archive, Dimension, NicheSettings, centroids
from evo.values import SEED_OPERATOR, Ask, Evaluation, Individual

MOST_ELITES = 5000
# What they are made of is not in the lineage: a space of slots, an embedding.
UNKNOWN = ("slot:", "embedding:")
Middles = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Elite:
    """Who holds a cell.

    Attributes:
        cell: its number in the map.
        at: its descriptors, in the order of the map's dimensions.
        value: by the first objective; the mean, where it was measured again.
        shared: how many others live in the cell, on all islands.
    """

    individual: int
    cell: int
    at: tuple[float, ...]
    value: float
    feasible: bool
    maker: str
    island: int
    shared: int = 0


@dataclass(frozen=True, slots=True)
class NicheMap:
    """A map, and who holds its cells.

    Attributes:
        settings: of the map; None where the run has none.
        unknown: descriptors that the lineage does not tell; then there are no elites.
        elites: the best of each cell.
        living: how many live, on the islands that are looked at.
        left_out: how many of them were not looked at, the earliest ones.
        placed: descriptors of all that were ever looked at, so that each is measured once.
    """

    settings: NicheSettings | None = None
    unknown: tuple[str, ...] = ()
    elites: tuple[Elite, ...] = ()
    living: int = 0
    left_out: int = 0
    placed: Mapping[int, tuple[float, ...]] = field(default_factory=dict)

    @property
    def cells(self) -> int:
        """How many the map has."""
        if self.settings is None:
            return 0
        if self.settings.kind == "cvt":
            return self.settings.cells
        return math.prod(one.cells for one in self.settings.dimensions.values())

    @property
    def feasible(self) -> int:
        """How many cells hold somebody feasible."""
        return sum(one.feasible for one in self.elites)


def settings(reader: LineageReader) -> NicheSettings | None:
    """The map that a run's configuration describes; None where it has none."""
    config = reader.sql("SELECT config FROM runs").scalar()
    stated = (json.loads(config).get("search") or {}).get("niches") if config else None
    if not stated:
        return None
    sides = {name: Dimension(**one) for name, one in stated["dimensions"].items()}
    return NicheSettings(**{**stated, "dimensions": sides})


def archive(reader: LineageReader, before: NicheMap | None, stretch: Stretch) -> NicheMap:
    """Who holds which cell after the last tell of a stretch; of several islands the best of all.

    Raises:
        ConfigError: a map that this version of the platform does not know.
    """
    how = settings(reader)
    if how is None:
        return NicheMap()
    if unknown := tuple(name for name in how.dimensions if name.startswith(UNKNOWN)):
        return NicheMap(how, unknown)
    residents = _residents(reader, stretch)
    looked = [one for one, _ in residents[:MOST_ELITES]]
    known = {} if before is None or before.settings != how else before.placed
    placed = {one: known[one] for one in looked if one in known}
    placed |= _measured(reader, how, [one for one in looked if one not in placed])
    elites = _elites(reader, how, placed)
    return NicheMap(how, (), elites, len(residents), len(residents) - len(looked), placed)


def over_time(reader: LineageReader, stretch: Stretch) -> Table:
    """Coverage and QD score after tells, an island each: columns tell, island, coverage, qd_score."""
    ends = reader.sql(f"SELECT min(tell), max(tell) FROM indicators WHERE {stretch.tells()}").rows
    first, last = ends[0] if ends and ends[0][1] is not None else (0, 0)
    width = 1 << max(0, (last - first) // PARTS).bit_length()
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
    """The map itself; that of a CVT with many cells takes a second or more."""
    return Archive(how)


@lru_cache(maxsize=4)
def middles(how: NicheSettings) -> Middles:
    """Of the cells of a CVT, each side of the map from 0 to 1; shape (cells, dimensions)."""
    return centroids(how.cells, len(how.dimensions), seed=how.seed)


def grid_place(how: NicheSettings, cell: int) -> tuple[int, ...]:
    """Where a cell of a grid is: its number along each side."""
    return tuple(int(one) for one in np.unravel_index(cell, [one.cells for one in how.dimensions.values()]))


def _residents(reader: LineageReader, stretch: Stretch) -> list[tuple[int, int]]:
    """Who lives after the last tell of a stretch, and where; the latest first."""
    until = f"tell <= {stretch.last:d}" if stretch.last is not None else "true"
    island = f"AND island = {stretch.island:d}" if stretch.island is not None else ""
    return reader.sql(f"""
        SELECT individual, any_value(island) FROM (
            SELECT individual, island, 1 AS came FROM arrivals WHERE {until} {island}
            UNION ALL SELECT individual, island, -1 FROM removals WHERE {until} {island}
        ) GROUP BY individual HAVING sum(came) > 0 ORDER BY individual DESC
    """).rows  # type: ignore[return-value]


def _measured(reader: LineageReader, how: NicheSettings, fresh: Sequence[int]) -> dict[int, tuple[float, ...]]:
    """The descriptors of some individuals; NaN where one cannot be said."""
    if not fresh:
        return {}
    measured: list[Descriptor] = [descriptor(name, Subject()) for name in how.dimensions]
    ids = ", ".join(map(str, fresh))
    named: dict[str, dict[int, dict[str, float]]] = {"objectives": {}, "descriptors": {}}
    for table, by in named.items():
        for one, name, value in reader.sql(
            f"SELECT individual, name, value FROM {table} WHERE individual IN ({ids})"
        ).rows:
            by.setdefault(one, {})[name] = value
    placed = {}
    for one, genome in reader.sql(f"SELECT id, genome FROM individuals WHERE id IN ({ids})").rows:
        known = named["objectives"].get(one, {}), named["descriptors"].get(one, {})
        evaluation = Evaluation("ok", known[0], descriptors=known[1])
        individual = Individual(one, 0, Ask(0, SEED_OPERATOR), genome_from_json(json.loads(genome)), evaluation)
        placed[one] = tuple(read(individual) for read in measured)
    return placed


def _elites(reader: LineageReader, how: NicheSettings, placed: Mapping[int, tuple[float, ...]]) -> tuple[Elite, ...]:
    """The best of each cell, feasible before infeasible."""
    named = objectives(reader)
    if not placed or not named:
        return ()
    first, sign = named[0][0], 1 if named[0][1] == "min" else -1
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
    for one, mean, compared, feasible, maker, island in rows:
        at = placed[one]
        if (cell := archive.cell_at(at)) is None:
            continue
        merit = (not feasible, sign * compared, one)
        count[cell] = count.get(cell, -1) + 1
        if cell not in best or merit < best[cell][0]:
            best[cell] = merit, Elite(one, cell, at, mean, feasible, maker, island)
    return tuple(replace(one, shared=count[cell]) for cell, (_, one) in sorted(best.items()))
