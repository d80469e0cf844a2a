"""A run, queried from Python: `open_run("runs/toy").front().to_pandas()`."""

from __future__ import annotations

import json
from pathlib import Path

from evo.errors import LineageError
from evo.genomes import Genome, genome_from_json
from evo.lineage import queries
from evo.lineage.opening import FILE_NAME, TIMEOUT_SECONDS, Settings, check_missing
from evo.lineage.queries import Portrait
from evo.lineage.reading import LineageReader
from evo.lineage.table import Table
from evo.lineage.wording import difference


class Run(LineageReader):
    """A run's lineage: any SQL, and the most common questions.

    Raises:
        LineageError: from each question, as `sql` does; no individual of that id.
    """

    def best(self) -> Table:
        """The best feasible individual by each objective, the first objective first."""
        return self.sql("FROM best")

    def front(self) -> Table:
        """Individuals that no result so far dominates, with all objectives, the best by the first objective first."""
        return queries.front(self)

    def ancestors(self, individual: int) -> Table:
        """An individual and all that it came from, the latest first, with all objectives."""
        return queries.ancestors(self, individual)

    def individual(self, individual: int) -> Portrait:
        """All about an individual."""
        with self.at_once() as reader:
            return queries.portrait(reader, individual)

    def diff(self, child: int, parent: int | None = None) -> str:
        """How a genome differs from another, as a unified diff of their texts.

        Args:
            parent: any individual; None takes the child's base.

        Raises:
            LineageError: also where the child is a seed and no parent was named.
        """
        genome = self._genome(child)
        if parent is None:
            parent = queries.base(self, child)
        if parent is None:
            raise LineageError(f"individual {child} has no base, as a seed has none; name the other: diff({child}, ID)")
        return difference(self._genome(parent), genome, parent, child)

    def snapshot(self, target: str | Path, *, force: bool = False) -> Run:
        """A copy of the lineage, with all that the journal holds by now, which may be kept open for any time.

        Args:
            target: a file, or a folder for a file of the run's name.
            force: write over what is there.

        Raises:
            LineageError: also where the target exists or cannot be written.
        """
        from evo.lineage.snapshot import snapshot  # not at the top: it writes, which no query needs

        copy = snapshot(self.path, Path(target), force=force, timeout_seconds=self._timeout_seconds)
        return Run(copy, self._timeout_seconds)

    def _genome(self, individual: int) -> Genome:
        genome = queries.genome_json(self, individual)
        if genome is None:
            raise queries.none_of(self, individual)
        return genome_from_json(json.loads(genome))


def open_run(
    folder: str | Path,
    timeout_seconds: float = TIMEOUT_SECONDS,
    settings: Settings | None = None,
    *,
    often: bool = False,
) -> Run:
    """The lineage of a run folder (or of a database file), during the run or after it; arguments as of `LineageReader`.

    Raises:
        LineageError: there is none.
    """
    path = Path(folder)
    if path.suffix == ".duckdb" and not path.is_dir():
        path = path.resolve() if path.is_symlink() else path  # as its user named it, unlike what lies in a folder
    else:
        path /= FILE_NAME
    check_missing(path)
    return Run(path, timeout_seconds, settings, often=often)
