"""One individual on screen: genome, objectives, parents, and the difference from its base."""

from __future__ import annotations

import difflib
import json

from evo.cli.tables import lines
from evo.genomes import Genome, Program, Prompt, genome_from_json
from evo.lineage import LineageReader
from evo.lineage.queries import Portrait, genome_json, portrait


def show(reader: LineageReader, individual: int) -> None:
    """Print an individual."""
    seen = portrait(reader, individual)
    genome = genome_from_json(json.loads(seen.fields["genome"]))
    print("\n".join(_headline(seen)))
    print("\n" + "\n".join(lines(seen.objectives)))
    if len(seen.measurements.rows) > len(seen.objectives.rows):
        print("\n" + "\n".join(lines(seen.measurements)))
    print("\n" + "\n".join(lines(seen.evaluations)))
    print("\n" + written(genome))
    base = next((parent for parent, role in seen.parents if role == "base"), None)
    if base is not None and (other := genome_json(reader, base)):
        print(f"\ndifference from its base, individual {base}:\n")
        print(difference(genome_from_json(json.loads(other)), genome, base, individual))


def _headline(seen: Portrait) -> list[str]:
    fields = seen.fields
    parents = ", ".join(f"{parent} ({role})" for parent, role in seen.parents) or "none: a seed"
    children = f"{len(seen.children)} children" + (f", the first {seen.children[0]}" if seen.children else "")
    return [
        f"individual {fields['id']}: {fields['kind']} of size {fields['size']}, outcome {fields['outcome']}, "
        f"{'survived' if fields['survived'] else 'did not survive'} its tell ({fields['tell']})",
        f"made by {fields['operator']}" + (f" with {fields['model']}" if fields["model"] else "") + f" from {parents}",
        f"{seen.ancestors} ancestors, {children}",
        *([f"thought: {fields['thought']}"] if fields["thought"] else []),
    ]


def written(genome: Genome) -> str:
    """A genome as a person reads it."""
    if isinstance(genome, Program):
        return "\n".join(f"--- {name}\n{text.rstrip()}" for name, text in genome.files.items())
    if isinstance(genome, Prompt):
        return "\n".join(f"--- {name}\n{text}" for name, text in genome.parts.items())
    return "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in genome.fields().items())


def difference(old: Genome, new: Genome, old_id: int, new_id: int) -> str:
    """A unified diff of two genomes."""
    before, after = written(old).splitlines(), written(new).splitlines()
    return "\n".join(difflib.unified_diff(before, after, str(old_id), str(new_id), lineterm="", n=2)) or "none"
