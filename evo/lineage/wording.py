"""Genomes as text for a reader, and diffs of two genomes."""

from __future__ import annotations

import difflib
import json

from evo.genomes import Genome, Program, Prompt


def written(genome: Genome) -> str:
    """A genome as text for a reader."""
    if isinstance(genome, Program):
        return "\n".join(f"--- {name}\n{text.rstrip()}" for name, text in genome.files.items())
    if isinstance(genome, Prompt):
        return "\n".join(f"--- {name}\n{text}" for name, text in genome.parts.items())
    return "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in genome.fields().items())


def difference(old: Genome, new: Genome, old_id: int, new_id: int) -> str:
    """A unified diff of two genomes."""
    before, after = written(old).splitlines(), written(new).splitlines()
    return "\n".join(difflib.unified_diff(before, after, str(old_id), str(new_id), lineterm="", n=2)) or "none"
