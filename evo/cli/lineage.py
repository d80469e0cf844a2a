"""`evo lineage`: the ancestors of an individual as a tree, the operators that made them, and what changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evo.cli.tables import lines
from evo.errors import LineageError
from evo.genomes import genome_from_json
from evo.lineage import LineageReader, Table
from evo.lineage.wording import difference

# Bounded, unlike the macro `ancestors`: what is further back than asked for costs nothing.
GENERATIONS = """
    WITH RECURSIVE line(id, generation) AS (
        SELECT ?::BIGINT, 0
        UNION
        SELECT p.parent, l.generation + 1 FROM line l JOIN parents p ON p.child = l.id WHERE l.generation < ?
    )
    SELECT id, min(generation) FROM line GROUP BY id
"""
MEMBERS = "SELECT id, operator, model, genome FROM individuals WHERE id IN (SELECT unnest(?::BIGINT[]))"
# By its role, so that the parent whose line goes straight on comes first.
PARENTS = """
    SELECT child, parent, role FROM parents WHERE child IN (SELECT unnest(?::BIGINT[]))
    ORDER BY child, role <> 'base', parent
"""
SCORES = "SELECT individual, name, mean FROM scores WHERE individual IN (SELECT unnest(?::BIGINT[]))"


@dataclass(frozen=True, slots=True)
class Member:
    """An individual of a family.

    Attributes:
        generation: distance from the individual asked for, by the shortest path.
        genome: as JSON.
        parents: (id, role) pairs, the base first.
        scores: objective to mean; empty where it failed.
    """

    id: int
    generation: int
    operator: str
    model: str | None
    genome: str
    parents: Sequence[tuple[int, str]]
    scores: Mapping[str, float]


def show_lineage(reader: LineageReader, individual: int, generations: int) -> None:
    """Print the ancestors of an individual as a tree: a base stands below its child, other parents to the right.

    Args:
        generations: how far to go back.

    Raises:
        LineageError: there is none of that id.
    """
    # Another generation: what changed in the last that is shown is seen against it.
    members = family(reader, individual, generations + 1)
    if individual not in members:
        count = reader.sql("SELECT count(*) FROM individuals").scalar()
        raise LineageError(f"no individual {individual} in {reader.path.parent}; it has {count}, numbered from 0")
    shown = {member.id: member for member in members.values() if member.generation <= generations}
    names = [row[0] for row in reader.sql("SELECT name FROM objective_names ORDER BY position").rows]
    rows = [
        (drawn, *_about(shown[ancestor], names), change(shown[ancestor], members) if first else "above")
        for ancestor, drawn, first in tree(individual, shown)
    ]
    print("\n".join(lines(Table(("individual", "operator", "model", *names, "what changed"), tuple(rows)))))
    if more := len(members) - len(shown):
        print(f"\n{more} parents of these are not shown; --generations N goes further back")


def family(reader: LineageReader, individual: int, generations: int) -> dict[int, Member]:
    """An individual and its ancestors of so many generations, by id."""
    generation = dict(reader.sql(GENERATIONS, [individual, generations]).rows)
    asked = [list(generation)]
    parents: dict[int, list[tuple[int, str]]] = {}
    for child, parent, role in reader.sql(PARENTS, asked).rows:
        parents.setdefault(child, []).append((parent, role))
    scores: dict[int, dict[str, float]] = {}
    for ancestor, name, mean in reader.sql(SCORES, asked).rows:
        scores.setdefault(ancestor, {})[name] = mean
    return {
        ancestor: Member(
            ancestor, generation[ancestor], operator, model, genome, parents.get(ancestor, ()), scores.get(ancestor, {})
        )
        for ancestor, operator, model, genome in reader.sql(MEMBERS, asked).rows
    }


def tree(root: int, members: Mapping[int, Member]) -> Iterator[tuple[int, str, bool]]:
    """Ids in the order of drawing, each with what stands for it, and whether it is there for the first time.

    Bases go straight down, so that a line of a thousand is no wider than a line of two. An individual that was drawn
    before is named again, without its ancestors.
    """
    seen: set[int] = set()
    waiting: list[tuple[int, int, str]] = [(root, 0, "")]
    while waiting:
        individual, depth, role = waiting.pop()
        first = individual not in seen
        seen.add(individual)
        yield individual, "│ " * depth + str(individual) + (f" {role}" if role else ""), first
        if first:
            parents = [(parent, role) for parent, role in members[individual].parents if parent in members]
            # The last added is drawn next: the others first, and the base below them.
            waiting += [(parent, depth + (role != "base"), role) for parent, role in parents]


def change(member: Member, members: Mapping[int, Member]) -> str:
    """What changed from the base to an individual, on a line: how many lines, and the first of them."""
    base = next((parent for parent, role in member.parents if role == "base" and parent in members), None)
    if base is None:
        return "a seed" if not member.parents else ""
    old, new = (genome_from_json(json.loads(each.genome)) for each in (members[base], member))
    changed = [line for line in difference(old, new, base, member.id).splitlines()[2:] if line[:1] in ("+", "-")]
    added = [line[1:].strip() for line in changed if line[0] == "+"]
    removed = [line[1:].strip() for line in changed if line[0] == "-"]
    telling = next((line for line in (*added, *removed) if line), "nothing")
    return f"+{len(added)} -{len(removed)}: {telling}"


def _about(member: Member, names: Sequence[str]) -> tuple[object, ...]:
    return member.operator, member.model, *(member.scores.get(name) for name in names)
