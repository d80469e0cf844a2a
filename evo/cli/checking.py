"""`evo check` and `evo evaluate`: one evaluation, as a run would do it, without a run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from evo.cli.tables import lines
from evo.config import Config, Loaded, load_config
from evo.errors import GenomeError
from evo.genomes import Genome, Program, genome_from_json
from evo.lineage import Table
from evo.registry import make_problem
from evo.session import make_executor, prepare
from evo.values import Evaluation, Part


def check(target: str, overrides: list[str]) -> None:
    """Print what a run would do."""
    import asyncio

    loaded = load_config(target, overrides)
    prepared = prepare(loaded.config)
    rows = tuple((key, "" if value is None else str(value), source) for key, value, source in loaded.values())
    print("\n".join(lines(Table(("key", "value", "from"), rows))))
    print(f"\noperators: {', '.join(prepared.operators)}")
    evaluation = asyncio.run(_evaluate(loaded.config, prepared.seeds[0], "train"))
    print("\nthe seed:")
    print_evaluation(evaluation, as_json=False)
    print("\n" + "\n".join([*_isolation(evaluation), _forecast(loaded.config, evaluation)]))


async def evaluate_file(loaded: Loaded, file: Path, part: Part) -> Evaluation:
    """Score the genome in a file.

    Raises:
        GenomeError: unreadable, or no genome.
    """
    return await _evaluate(loaded.config, read_genome(file), part)


def read_genome(file: Path) -> Genome:
    """A genome from JSON as `to_json` writes it, or a program from any other file.

    Raises:
        GenomeError: unreadable, or no genome.
    """
    try:
        text = file.read_text("utf-8")
        return genome_from_json(json.loads(text)) if file.suffix == ".json" else Program.single(text)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise GenomeError(f"cannot read a genome from {file}: {error}") from error


def print_evaluation(evaluation: Evaluation, *, as_json: bool) -> None:
    """Write an evaluation, as JSON or for a person."""
    if as_json:
        print(json.dumps(evaluation.to_json(), ensure_ascii=False))
        return
    print(f"outcome {evaluation.outcome}, {evaluation.seconds:.3f} s, isolation {evaluation.isolation}")
    for name, value in evaluation.objectives.items():
        print(f"{name} = {value:.10g}")
    if evaluation.feedback:
        print(evaluation.feedback.rstrip())


async def _evaluate(config: Config, genome: Genome, part: Part) -> Evaluation:
    alone = config.model_copy(update={"executor": config.executor.model_copy(update={"name": "local", "workers": 1})})
    executor = make_executor(alone, make_problem(config.problem.name, config.problem.options))
    try:
        return await executor.evaluate(genome, part)
    finally:
        await executor.close()


def _isolation(evaluation: Evaluation) -> list[str]:
    if evaluation.isolation != "process" or shutil.which("bwrap"):
        return []
    return [
        "bubblewrap is not installed, so candidates run as plain processes with limits: they can read your files and "
        "use the network. Install it: `apt install bubblewrap`, `dnf install bubblewrap`, `pacman -S bubblewrap`."
    ]


def _forecast(config: Config, evaluation: Evaluation) -> str:
    workers = config.executor.workers or os.cpu_count() or 1
    count = config.budget.evaluations
    seconds = evaluation.seconds * count / workers
    return f"forecast: {count} evaluations like this one take about {seconds:.0f} s on {workers} workers"
