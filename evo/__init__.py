"""Evolutionary search with language models as operators, every ancestor in a database.

    import evo

    result = evo.run("bin_packing", budget={"evaluations": 200})
    print(result.best.evaluation.objectives, result.folder)
    print(evo.open_run(result.folder).sql("FROM best_so_far"))

Names resolve when they are first used, so that `import evo` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evo.engine.run import RunResult as RunResult
    from evo.engine.run import resume as resume
    from evo.engine.run import run as run
    from evo.genomes import Architecture as Architecture
    from evo.genomes import Genome as Genome
    from evo.genomes import Program as Program
    from evo.genomes import Prompt as Prompt
    from evo.genomes import Vector as Vector
    from evo.lineage import open_run as open_run
    from evo.lineage import open_runs as open_runs
    from evo.protocols import Operator as Operator
    from evo.protocols import Problem as Problem
    from evo.values import Objective as Objective
    from evo.values import Proposal as Proposal
    from evo.values import Score as Score

    __version__: str

_HOMES = {
    "RunResult": "evo.engine.run",
    "resume": "evo.engine.run",
    "run": "evo.engine.run",
    "Architecture": "evo.genomes",
    "Genome": "evo.genomes",
    "Program": "evo.genomes",
    "Prompt": "evo.genomes",
    "Vector": "evo.genomes",
    "open_run": "evo.lineage",
    "open_runs": "evo.lineage",
    "Operator": "evo.protocols",
    "Problem": "evo.protocols",
    "Objective": "evo.values",
    "Proposal": "evo.values",
    "Score": "evo.values",
}
__all__ = ["__version__", *_HOMES]  # strings, of which a linter sees a part


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("evo-platform")
    if name not in _HOMES:
        raise AttributeError(f"module 'evo' has no attribute {name!r}; it has {', '.join(__all__)}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
