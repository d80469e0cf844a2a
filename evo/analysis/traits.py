"""Analyses of what the winners' ancestors have in common, with what chance alone would give."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from evo.analysis.pedigree import EDGES, TELLS, Pedigree
from evo.lineage.queries import top
from evo.lineage.reading import LineageReader
from evo.lineage.table import Table

LEAST = 5  # individuals with a trait; fewer show nothing
CONFIDENCE = 0.95
LONGEST = 200  # characters of a thought or a lesson
TRAITS = f"""
    WITH line AS (SELECT unnest(?::BIGINT[]) AS id),
    offspring AS (
        SELECT i.id, i.operator, i.model, left(i.thought, {LONGEST}) AS thought, l.id IS NOT NULL AS won
        FROM individuals i LEFT JOIN line l ON l.id = i.id WHERE i.operator <> 'seed'
    ),
    traits AS (
        SELECT won, '' AS kind, '' AS trait FROM offspring
        UNION ALL SELECT won, 'operator', operator FROM offspring
        UNION ALL SELECT won, 'model', model FROM offspring WHERE model IS NOT NULL
        UNION ALL SELECT won, 'thought', thought FROM offspring WHERE thought <> ''
        UNION ALL SELECT any_value(won), 'lesson', left(t.lesson, {LONGEST}) FROM offspring o
            JOIN lessons t ON t.individual = o.id GROUP BY o.id, left(t.lesson, {LONGEST})
    )
    SELECT kind, trait, count(*) FILTER (won) AS ancestors, count(*) AS individuals
    FROM traits GROUP BY kind, trait HAVING count(*) >= {LEAST} OR kind = '' ORDER BY kind, trait
"""


def traits_of_ancestors(reader: LineageReader, best: int | None = None) -> Table:
    """What is more or less frequent among winners and their ancestors than among all offspring; seeds are left out.

    Lift is the first share over the second, with a confidence interval by Clopper and Pearson. `p` is that
    of Fisher's exact test, two-sided, corrected by Holm for all of the table: below 0.05 it is hardly chance.
    It says nothing on causes: early individuals had more time to have offspring, and failed ones cannot have any.

    Args:
        best: how many of the best by the first objective are the winners; None takes the front.
    """
    found = reader.sql(TRAITS, [[individual for individual, _ in _line(reader, best)[1]]]).rows
    totals = [row[2:] for row in found if not row[0]]
    rows = [row for row in found if row[0]]
    columns = ("kind", "trait", "ancestors", "individuals", "lift", "low", "high", "p")
    types = ("VARCHAR", "VARCHAR", "BIGINT", "BIGINT", *["DOUBLE"] * 4)
    if not totals or not totals[0][0]:
        return Table(columns, (), types)
    among, everyone = totals[0]
    shown = _judged(np.array([row[2:] for row in rows], dtype=np.int64).reshape(-1, 2), among, everyone)
    judged = [(*row, *figures) for row, figures in zip(rows, shown.tolist(), strict=True)]
    return Table(columns, tuple(sorted(judged, key=lambda row: (row[7], -abs(np.log(row[4] or 1e-9)), row[1]))), types)


def common_ancestors(reader: LineageReader, best: int | None = None) -> Table:
    """How many winners there are, how many ancestors they have, how many of those all have, and the latest of these.

    A winner counts as its own ancestor here, as in the macro `ancestors`.

    Args:
        best: as in `traits_of_ancestors`.
    """
    winners, line = _line(reader, best)
    common = [individual for individual, bits in line if bits == (1 << len(winners)) - 1]
    latest = common[0] if common else None
    tell = reader.sql("SELECT tell FROM individuals WHERE id = ?", [latest]).scalar()
    columns = ("winners", "ancestors", "of_all", "latest", "tell")
    return Table(columns, ((len(winners), len(line), len(common), latest, tell),), ("BIGINT",) * 5)


def _line(reader: LineageReader, best: int | None) -> tuple[list[int], list[tuple[int, int]]]:
    """The winners; then they and their ancestors, the youngest first, each with the bits of its winners."""
    winners = [
        row[0] for row in (reader.sql("SELECT id FROM front ORDER BY id") if best is None else top(reader, best)).rows
    ]
    edges, tells = reader.arrays(EDGES, TELLS)
    pedigree = Pedigree.of(edges, tells)
    return winners, list(pedigree.ancestors(winner for winner in winners if winner in pedigree.tells))


def _judged(counts: np.ndarray[Any, Any], among: int, everyone: int) -> np.ndarray[Any, Any]:
    """Lift, both ends of its interval and p of each trait.

    Args:
        counts: ancestors and individuals with the trait; shape (traits, 2).
        among: how many ancestors there are, of `everyone`.
    """
    ancestors, individuals = counts.T
    share = individuals / everyone
    tail = (1 - CONFIDENCE) / 2
    low = np.where(ancestors > 0, stats.beta.ppf(tail, np.maximum(ancestors, 1), among - ancestors + 1), 0.0)
    high = np.where(ancestors < among, stats.beta.ppf(1 - tail, ancestors + 1, np.maximum(among - ancestors, 1)), 1.0)
    chance = stats.hypergeom(everyone, individuals, among)
    p = np.minimum(1, 2 * np.minimum(chance.cdf(ancestors), chance.sf(ancestors - 1)))
    return np.column_stack([ancestors / among / share, low / share, high / share, _holm(p)])


def _holm(p: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Holm's correction (1979) of many p-values: the chance that any as small is noise."""
    order = np.argsort(p)
    corrected = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    result = np.empty(len(p))
    result[order] = np.minimum(1, corrected)
    return result
