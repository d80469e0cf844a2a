"""Results of runs, and their comparison: for the command line and for Python."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from evo.analysis.comparison import Comparison, Result, compare, differing, grouped, labels_of
from evo.config.schema import Config
from evo.errors import ConfigError, LineageError, command
from evo.journal.folder import JOURNAL, existing_run_folder
from evo.journal.replay import latest_config
from evo.lineage.queries import objectives
from evo.lineage.reading import LineageReader
from evo.lineage.run import open_run
from evo.lineage.runs import Runs
from evo.lineage.table import Table
from evo.values import Direction, Objective, Part

FINAL_PARTS: tuple[Part, ...] = ("holdout", "validation")  # the last part first
BEST = """
    SELECT o.mean, f.value FROM scores o
    JOIN evaluations e ON e.individual = o.individual AND e.stage = 'train' AND e.attempt = 0 AND e.outcome = 'ok'
        AND e.violation <= 0
    LEFT JOIN finals f ON f.individual = o.individual AND f.name = o.name AND f.part = $1
    WHERE o.name = $2 ORDER BY $3 * o.compared, f.value IS NULL, o.individual LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """A run's result, and what its figures are figures of."""

    result: Result
    objective: Objective
    part: Part | None


@dataclass(frozen=True, slots=True)
class Compared:
    """Runs by method and folder, as far as they got.

    Attributes:
        left_out: sentences on those that have no result.
    """

    methods: Sequence[str]
    measured: Sequence[Measured]
    left_out: Sequence[str]
    remarks: Sequence[str] = ()


def existing(folders: Sequence[Path]) -> Compared:
    """The results of runs; runs that differ in their seed alone are of the same method.

    Raises:
        RunFolderError: one of the folders holds no run.
    """
    groups = grouped({folder: latest_config(existing_run_folder(folder) / JOURNAL) for folder in folders})
    labels = labels_of([next(iter(group)) for group in groups])
    measured: dict[tuple[str, int], Measured] = {}
    left_out: list[str] = []
    for label, group in zip(labels, groups, strict=True):
        for folder, config in group.items():
            outcome = measured_run(label, folder, config.seed)
            if isinstance(outcome, str):
                left_out.append(outcome)
            elif (label, config.seed) in measured:
                left_out.append(f"{folder}: {label} has a run with seed {config.seed} already")
            else:
                measured[label, config.seed] = outcome
    firsts = [next(iter(group.values())) for group in groups]
    return Compared(labels, list(measured.values()), left_out, list(_what_differs(labels, firsts)))


def compare_runs(runs: Runs) -> Table:
    """The results of the methods among finished runs over their seeds, and by how much each beat the reference.

    Runs that differ in nothing but the seed are of the same method; `evo compare` also says what was unequal.

    Raises:
        ConfigError: the runs have different first objectives, or none has a result.
        RunFolderError: a copy without a journal is among them.
    """
    return table_of(comparison_of(existing([run.path.parent for run in runs.values()])))


def _what_differs(labels: Sequence[str], configs: Sequence[Config]) -> Iterator[str]:
    for label, config in zip(labels[1:], configs[1:], strict=True):
        keys = [key for key in differing(configs[0], config) if key != "seed"]
        yield f"{label} differs from {labels[0]} in {', '.join(keys)}"


def measured_run(method: str, folder: Path, seed: int) -> Measured | str:
    """The result of a run, or a sentence that says why it has none."""
    try:
        with open_run(folder).at_once() as reader:
            return measured_by(reader, method, folder, seed)
    except LineageError as error:
        return f"{folder}: {error}"


def measured_by(reader: LineageReader, method: str, folder: Path, seed: int) -> Measured | str:
    """The same by a reader of the run.

    Raises:
        LineageError: its lineage cannot be read.
    """
    reason = _reason(reader)
    if reason in (None, "interrupted"):
        return f"{folder} is not finished; `{command('resume', folder)}` goes on with it"
    first = _first_objective(reader)
    part = _last_part(reader)
    best = reader.sql(BEST, [part or "", first.name, first.sign]).rows
    if not best:
        return f"{folder} failed: none of its individuals is feasible"
    evaluations = reader.sql("SELECT count(*) FROM individuals").scalar()
    usd = reader.sql("SELECT coalesce(sum(cost_usd), 0) FROM completions").scalar()
    train, final = best[0]
    return Measured(Result(method, seed, train, final, evaluations, usd, str(reason)), first, part)


def _first_objective(reader: LineageReader) -> Objective:
    name, direction, unit = objectives(reader)[0]
    return Objective(name, cast(Direction, direction), unit)


def _reason(reader: LineageReader) -> str | None:
    """Why the run ended; None where it has not."""
    latest = reader.sql("SELECT kind, detail FROM events ORDER BY rowid DESC LIMIT 1").rows
    return json.loads(latest[0][1])["reason"] if latest and latest[0][0] == "stop" else None


def _last_part(reader: LineageReader) -> Part | None:
    measured = {row[0] for row in reader.sql("SELECT DISTINCT part FROM finals").rows}
    return next((part for part in FINAL_PARTS if part in measured), None)


def _common(compared: Compared) -> tuple[Objective, Part | None]:
    if not compared.measured:
        raise ConfigError(f"no run has a result: {'; '.join(compared.left_out)}")
    first = compared.measured[0]
    for measured in compared.measured:
        if measured.objective != first.objective:
            raise ConfigError(
                f"{first.result.method} has {goal(first.objective)} as its first objective, "
                f"{measured.result.method} has "
                f"{goal(measured.objective)}; compare runs of measured problem"
            )
    parts = {measured.part for measured in compared.measured}
    return first.objective, next((part for part in FINAL_PARTS if part in parts), None)


def goal(objective: Objective) -> str:
    """An objective with its direction, as a person reads it."""
    return f"{objective.name} ({objective.direction})"


def comparison_of(compared: Compared) -> Comparison:
    """The figures, with all remarks but those on runs that were left out.

    Raises:
        ConfigError: the runs have different first objectives, or none has a result.
    """
    objective, part = _common(compared)
    results = [
        measured.result if measured.part == part else replace(measured.result, final=None)
        for measured in compared.measured
    ]
    comparison = compare(results, compared.methods, objective, part=part)
    return replace(comparison, remarks=(*comparison.remarks, *compared.remarks))


def table_of(comparison: Comparison) -> Table:
    """A row a method: medians and means over its seeds, and its gain over the reference on the last part that it has.

    `low` and `high` are the ends of the gain's 95 % confidence interval; NULL where there is none.
    """
    gains = {gain.method: gain for gain in comparison.gains}  # the last part comes last
    rows = []
    for summary in comparison.summaries:
        gain = gains.get(summary.method)
        low, high = gain.interval if gain and gain.interval else (None, None)
        won = (gain.part, gain.over, gain.mean, low, high, gain.won, gain.lost, gain.tied) if gain else (None,) * 8
        rows.append(
            (summary.method, len(summary.seeds), summary.train, summary.final, summary.evaluations, summary.usd, *won)
        )
    columns = ("method", "seeds", "train", "final", "evaluations", "usd")
    gained = ("part", "over", "gain", "low", "high", "won", "lost", "tied")
    types = ("VARCHAR", "BIGINT", *["DOUBLE"] * 4, "VARCHAR", "VARCHAR", *["DOUBLE"] * 3, *["BIGINT"] * 3)
    return Table((*columns, *gained), tuple(rows), types)
