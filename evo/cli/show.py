"""`evo show`: an individual with its genome, objectives, parents, and the difference from its base."""

from __future__ import annotations

import json

from evo.cli.tables import lines
from evo.genomes import genome_from_json
from evo.lineage import LineageReader
from evo.lineage.queries import Portrait, genome_json, portrait
from evo.lineage.wording import difference, written


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
