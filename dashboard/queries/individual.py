"""An individual: its genome beside its base's, its objectives, cost, cases and descriptors, its line of bases."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dashboard.queries.sampling import stride
from evo.genomes import Genome, SlotValue, genome_from_json
from evo.lineage import LineageReader, Table
from evo.lineage.queries import Portrait, base, genome_json, objectives, portrait, quoted

MOST_CASES = 2000
MOST_BASES = 40
SEEN = 400
# A thought without the braces that a model may put around it (see `dashboard.words.thought`).
IDEA = r"left(regexp_replace(trim(i.thought), '^\{([^{}]*)\}$', '\1'), 300)"


@dataclass(frozen=True, slots=True)
class SideBySide:
    """An individual and the individual that it is compared with.

    Attributes:
        other: the id of the latter; None for a seed.
    """

    portrait: Portrait
    genome: Genome
    other: int | None
    other_genome: Genome | None


def best(reader: LineageReader) -> int | None:
    """The best by the first objective; where there is none, the latest individual."""
    found: int | None = reader.sql("SELECT id FROM best LIMIT 1").scalar()
    if found is None:
        found = reader.sql("SELECT max(id) FROM individuals").scalar()
    return found


def side_by_side(reader: LineageReader, individual: int, other: int | None) -> SideBySide:
    """An individual beside its base, or beside any other individual.

    Raises:
        LineageError: no individual has that id.
    """
    seen = portrait(reader, individual)
    other = base(reader, individual) if other is None else other
    text = genome_json(reader, other) if other is not None else None
    genome = genome_from_json(json.loads(seen.fields["genome"]))
    return SideBySide(seen, genome, other, genome_from_json(json.loads(text)) if text else None)


def values(reader: LineageReader, individual: int, other: int | None) -> Table:
    """Its objectives: columns name, unit, direction, value (mean), holdout, other (the other's value), gain."""
    return reader.sql(
        """
        SELECT n.name, n.unit, n.direction, s.mean AS value, h.value AS holdout, o.mean AS other,
            if(n.direction = 'min', o.mean - s.mean, s.mean - o.mean) AS gain
        FROM objective_names n
        LEFT JOIN scores s ON s.name = n.name AND s.individual = $1
        LEFT JOIN holdout h ON h.name = n.name AND h.individual = $1
        LEFT JOIN scores o ON o.name = n.name AND o.individual = $2
        ORDER BY n.position
        """,
        [individual, other],
    )


def cost(reader: LineageReader, individual: int) -> tuple[float, float, int]:
    """Dollars for the individual alone, dollars with all its ancestors, and the number of all their completions."""
    own = reader.sql(
        "SELECT coalesce(sum(cost_usd), 0) FROM completions WHERE ask IN "
        "(SELECT ask FROM proposals WHERE individual = ?)",
        [individual],
    ).scalar()
    found = reader.sql("SELECT usd, completions FROM cost_of(?)", [individual]).rows
    usd, completions = found[0] if found else (0.0, 0)
    return own, usd, completions


def cases(reader: LineageReader, individual: int, other: int | None) -> Table:
    """Scores by case, the largest changes first: columns name, score, other, change; larger is better."""
    return reader.sql(
        f"""
        SELECT c.name, c.score, o.score AS other, c.score - o.score AS change
        FROM cases c LEFT JOIN cases o ON o.name = c.name AND o.individual = $2
        WHERE c.individual = $1 ORDER BY abs(change) DESC NULLS LAST, c.name LIMIT {MOST_CASES}
        """,
        [individual, other],
    )


def descriptors(reader: LineageReader, individual: int) -> Table:
    """Its descriptors: columns name, value."""
    return reader.sql("SELECT name, value FROM descriptors WHERE individual = ? ORDER BY name LIMIT 200", [individual])


def line_of_bases(reader: LineageReader, individual: int) -> Table:
    """Its line of bases, itself first: columns id, tell, operator, model, a column for each objective, thought."""
    named = objectives(reader)
    columns = "".join(
        f', max(s.mean) FILTER (s.name = {quoted(name)}) AS "{name.replace(chr(34), chr(34) * 2)}"'
        for name, _, _ in named
    )
    return reader.sql(
        f"""
        WITH RECURSIVE line(id, back) AS (
            SELECT ?::BIGINT, 0
            UNION ALL
            SELECT p.parent, l.back + 1 FROM line l JOIN parents p ON p.child = l.id AND p.role = 'base'
            WHERE l.back < {MOST_BASES}
        )
        SELECT i.id, i.tell, i.operator, i.model{columns}, {IDEA} AS thought
        FROM line l JOIN individuals i ON i.id = l.id
        LEFT JOIN (FROM scores WHERE individual IN (SELECT id FROM line)) s ON s.individual = i.id
        GROUP BY i.id, i.tell, i.operator, i.model, i.thought, l.back ORDER BY l.back
        """,
        [individual],
    )


def seen(reader: LineageReader, kind: str) -> Mapping[str, tuple[SlotValue, ...]]:
    """What a sample of the run holds: the values of each slot of architectures, the range of each number of vectors.

    At most SEEN individuals, the same ones until the run doubles.
    """
    every = stride(reader.sql("SELECT count(*) FROM individuals").scalar(), SEEN)
    rows = reader.sql(
        f"SELECT genome FROM individuals WHERE hash(id) % {every} = 0 AND kind = ? LIMIT {SEEN}", [kind]
    ).rows
    held: dict[str, dict[Any, SlotValue]] = defaultdict(dict)
    for (text,) in rows:
        fields = json.loads(text)
        pairs = fields["choices"].items() if kind == "architecture" else enumerate(fields.get("values", ()))
        for slot, value in pairs:
            held[str(slot)][type(value).__name__, value] = value
    if kind == "vector":
        return {slot: (min(of.values()), max(of.values())) for slot, of in held.items()}
    return {slot: tuple(sorted(of.values(), key=_order)) for slot, of in held.items()}


def _order(value: SlotValue) -> tuple[int, float, str]:
    """Numbers by size, before texts."""
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, value)
