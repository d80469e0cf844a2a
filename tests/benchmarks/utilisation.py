"""How busy the workers are: steady state against a barrier after every generation."""

from __future__ import annotations

import asyncio
import os

from evo.config.loading import load_config
from evo.engine.factories import make_executor
from evo.engine.setup import prepare
from evo.genomes import Genome, Program
from tests.benchmarks.rows import Row
from tests.benchmarks.running import Measured, run_search

MEAN_SECONDS = 0.25
COUNT = 160
GENERATION = 20
PROBLEM = "evo.testing.toys:Nothing"
OPTIONS = (f"problem.options.mean_seconds={MEAN_SECONDS}", f"budget.evaluations={COUNT}", "executor.name=ray")


def utilisation(spans: list[tuple[float, float]], workers: int) -> float:
    """Share of the workers' time that is evaluation, up to the moment when the last one starts.

    Args:
        spans: start and length of each evaluation, in seconds.
    """
    begin, end = min(start for start, _ in spans), max(start for start, _ in spans)
    busy = sum(max(0.0, min(start + length, end) - start) for start, length in spans)
    return busy / (workers * (end - begin))


def spans(run: Measured) -> list[tuple[float, float]]:
    return [(tell["evaluation"]["started"], tell["evaluation"]["seconds"]) for tell in run.tells[5:]]


async def by_generations() -> list[tuple[float, float]]:
    """The same evaluations, each generation waiting for its slowest."""
    config = load_config(PROBLEM, OPTIONS).config
    prepared = prepare(config)
    executor = make_executor(config, prepared.problem)
    genomes: list[Genome] = [Program.single(f"def answer():\n    return {number}\n") for number in range(COUNT)]
    found = []
    try:
        for first in range(0, COUNT, GENERATION):
            batch = await asyncio.gather(*map(executor.evaluate, genomes[first : first + GENERATION]))
            found += [(evaluation.started, evaluation.seconds) for evaluation in batch]
    finally:
        await executor.close()
    return found[GENERATION:]


def measure() -> list[Row]:
    workers = os.cpu_count() or 1
    steady = utilisation(spans(run_search(PROBLEM, *OPTIONS)), workers)
    barrier = utilisation(asyncio.run(by_generations()), workers)
    return [
        Row(f"utilisation of {workers} workers, lognormal evaluations, steady state", steady, "", 0.95),
        Row(f"  with a barrier after every {GENERATION}", barrier),
        Row("  steady state over barrier", steady / barrier, "x"),
    ]
