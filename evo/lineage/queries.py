"""The queries of the command line and of `Run`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evo.errors import LineageError, command
from evo.lineage.reading import LineageReader
from evo.lineage.table import Table


def objectives(reader: LineageReader) -> tuple[tuple[str, str, str], ...]:
    """Name, direction and unit of each objective, the first objective first."""
    return tuple(reader.sql("SELECT name, direction, unit FROM objective_names ORDER BY position").rows)


def top(reader: LineageReader, count: int) -> Table:
    """The best individuals by the first objective, with all objectives and, where measured, the hold-out.

    Where some are infeasible, their violations are shown, and the feasible come first, then the least infeasible.
    """
    return _ranked(reader, "i.outcome = 'ok'", f"LIMIT {count}")


def front(reader: LineageReader) -> Table:
    """All of the front, as `top` has it."""
    return _ranked(reader, "i.id IN (SELECT id FROM front)")


def _ranked(reader: LineageReader, condition: str, limit: str = "") -> Table:
    named = _named(reader)
    first, direction, _ = named[0]
    infeasible = reader.sql("SELECT count(*) FROM evaluations WHERE violation > 0").scalar()
    return reader.sql(f"""
        SELECT i.id, {"any_value(e.violation) AS violation, " if infeasible else ""}{_columns(named)},
            max(h.value) AS {_identifier(first + " held out")},
            any_value(i.operator) AS operator, any_value(i.tell) AS tell, any_value(i.size) AS size
        FROM individuals i JOIN scores o ON o.individual = i.id
        JOIN evaluations e ON e.individual = i.id AND e.stage = 'train' AND e.attempt = 0
        LEFT JOIN holdout h ON h.individual = i.id AND h.name = {quoted(first)}
        WHERE {condition} GROUP BY i.id
        ORDER BY any_value(e.violation),
            max(o.compared) FILTER (o.name = {quoted(first)}) {"ASC" if direction == "min" else "DESC"}, i.id
        {limit}
    """)


def ancestors(reader: LineageReader, individual: int) -> Table:
    """An individual and all that it came from, the latest first, with all objectives.

    Raises:
        LineageError: there is none of that id.
    """
    table = reader.sql(
        f"""
        SELECT a.id, a.generation, {_columns(_named(reader))}, any_value(i.operator) AS operator,
            any_value(i.model) AS model, any_value(i.tell) AS tell, any_value(i.thought) AS thought
        FROM ancestors(?) a JOIN individuals i ON i.id = a.id LEFT JOIN scores o ON o.individual = a.id
        GROUP BY a.id, a.generation ORDER BY max(i.tell) DESC
        """,
        [individual],
    )
    if not table.rows:
        raise none_of(reader, individual)
    return table


def base(reader: LineageReader, individual: int) -> int | None:
    """The parent that an individual was varied from; None for a seed."""
    query = "SELECT parent FROM parents WHERE child = ? AND role = 'base'"
    parent: int | None = reader.sql(query, [individual]).scalar()
    return parent


def none_of(reader: LineageReader, individual: int) -> LineageError:
    """The error where there is no individual of an id."""
    count = reader.sql("SELECT count(*) FROM individuals").scalar()
    return LineageError(f"no individual {individual} in {reader.path.parent}; it has {count}, numbered from 0")


def _named(reader: LineageReader) -> tuple[tuple[str, str, str], ...]:
    named = objectives(reader)
    if not named:
        raise LineageError(
            f"{reader.path} holds no run yet; wait a second, or run `{command('index', reader.path.parent)}`"
        )
    return named


def _columns(named: tuple[tuple[str, str, str], ...]) -> str:
    """The objectives of the scores `o` as a column each."""
    return ", ".join(f"max(o.mean) FILTER (o.name = {quoted(name)}) AS {_identifier(name)}" for name, _, _ in named)


@dataclass(frozen=True, slots=True)
class Portrait:
    """An individual as the lineage knows it.

    Attributes:
        fields: column to value of its row in individuals.
        measurements: each measurement with the mean up to it, where there are several; else empty.
        parents: (id, role) pairs.
        ancestors: how many there are, itself left out.
    """

    fields: dict[str, Any]
    objectives: Table
    measurements: Table
    evaluations: Table
    parents: tuple[tuple[int, str], ...]
    children: tuple[int, ...]
    ancestors: int


def portrait(reader: LineageReader, individual: int) -> Portrait:
    """All about an individual.

    Raises:
        LineageError: there is none of that id.
    """
    found = reader.sql("FROM individuals WHERE id = ?", [individual])
    if not found.rows:
        raise none_of(reader, individual)
    scores = (
        "SELECT o.name, o.value AS train, h.value AS holdout FROM objectives o "
        "LEFT JOIN holdout h ON h.individual = o.individual AND h.name = o.name WHERE o.individual = ?"
    )
    measured = (
        "SELECT number AS measurement, name, value, mean, compared FROM measurements "
        "WHERE individual = ? ORDER BY number, name"
    )
    stages = "SELECT stage, outcome, cases, seconds, isolation, worker, feedback FROM evaluations WHERE individual = ?"
    children = reader.sql("SELECT DISTINCT child FROM parents WHERE parent = ? ORDER BY child", [individual]).rows
    return Portrait(
        fields=dict(zip(found.columns, found.rows[0], strict=True)),
        objectives=reader.sql(scores, [individual]),
        measurements=reader.sql(measured, [individual]),
        evaluations=reader.sql(stages, [individual]),
        parents=tuple(reader.sql("SELECT parent, role FROM parents WHERE child = ?", [individual]).rows),
        children=tuple(row[0] for row in children),
        ancestors=reader.sql("SELECT count(*) - 1 FROM ancestors(?)", [individual]).scalar(),
    )


def genome_json(reader: LineageReader, individual: int) -> str | None:
    """The genome of an individual as JSON; None where there is none of that id."""
    genome: str | None = reader.sql("SELECT genome FROM individuals WHERE id = ?", [individual]).scalar()
    return genome


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _identifier(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
