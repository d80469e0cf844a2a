"""Niches: what one newcomer costs, and how a map fills beside that of ribs at equal evaluations."""

from __future__ import annotations

import statistics
import time

import numpy as np
from ribs.archives import GridArchive
from ribs.emitters import EvolutionStrategyEmitter, GaussianEmitter, IsoLineEmitter
from ribs.schedulers import Scheduler

from evo.genomes import Vector
from evo.protocols import FloatArray, Operator
from evo.search.descriptors import Subject
from evo.search.niches import Archive, Dimension, Niches, NicheSettings
from evo.survival import Lexicographic
from evo.values import Ask, Box, Evaluation, Individual, Objective
from operators.vectors import Gaussian, IsoLine
from tests.benchmarks.optimisers import Engine, Landscape, searched
from tests.benchmarks.rows import Row

HEIGHT = Objective("height", "max")
CELLS = (1_000, 10_000)
ADDS = 2_000

# The linear projection of Fontaine et al., "Covariance matrix adaptation for the rapid illumination of behavior space",
# 2020: a sphere of height 0 to 100, its middle away from the middle of the map, and two sums as descriptors.
DIMENSIONS, REACH, MIDDLE = 20, 5.12, 2.048
BOX = Box((-REACH,) * DIMENSIONS, (REACH,) * DIMENSIONS)
SIDE, BOUND = 50, REACH * DIMENSIONS / 2
EVALUATIONS, BATCH = 10_000, 50
SEEDS = range(3)


def projected(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Heights, shape (k,), and descriptors, shape (k, 2), of points of shape (k, n)."""
    lowest = DIMENSIONS * (REACH + MIDDLE) ** 2
    heights = 100 * (1 - ((points - MIDDLE) ** 2).sum(axis=1) / lowest)
    folded = np.where(np.abs(points) <= REACH, points, REACH / np.where(points == 0, 1.0, points))
    halves = folded.reshape(len(points), 2, -1)
    return heights, halves.sum(axis=2)


def evaluated(point: FloatArray) -> Evaluation:
    heights, sums = projected(point[np.newaxis])
    return Evaluation("ok", {"height": heights[0]}, descriptors={"left": sums[0, 0], "right": sums[0, 1]})


def by_search(operator: Operator, seed: int) -> tuple[float, float]:
    """QD score, as a share of the most there could be, and coverage."""
    sides = {f"evaluation:{name}": Dimension(-BOUND, BOUND, SIDE) for name in ("left", "right")}
    archive = Archive(NicheSettings(sides, qd_score_offset=0.0), Subject((HEIGHT,)))
    made: list[Niches] = []

    def living() -> Niches:
        made.append(Niches(archive, (HEIGHT,), Lexicographic()))
        return made[-1]

    engine = Engine(operator, living, BATCH, parents="uniform")
    searched(Landscape("projection", evaluated, BOX, (HEIGHT,)), engine, evaluations=EVALUATIONS, seed=seed)
    return (made[0].qd_score or 0.0) / (100 * archive.count), made[0].coverage


def by_ribs(kind: str, seed: int) -> tuple[float, float]:
    """The same by one emitter of ribs."""
    archive = GridArchive(solution_dim=DIMENSIONS, dims=[SIDE] * 2, ranges=[(-BOUND, BOUND)] * 2, seed=seed)
    first = np.random.default_rng(seed).uniform(-REACH, REACH, (BATCH, DIMENSIONS))
    low, high, width = BOX.lower[0], BOX.upper[0], 2 * REACH
    common = {
        "batch_size": BATCH,
        "seed": seed,
        "lower_bounds": [low] * DIMENSIONS,
        "upper_bounds": [high] * DIMENSIONS,
    }
    if kind == "iso_line":
        emitter = IsoLineEmitter(archive, iso_sigma=0.01 * width, line_sigma=0.2, initial_solutions=first, **common)
    elif kind == "gaussian":
        emitter = GaussianEmitter(archive, sigma=0.05 * width, initial_solutions=first, **common)
    else:
        emitter = EvolutionStrategyEmitter(archive, x0=np.zeros(DIMENSIONS), sigma0=0.05 * width, **common)
    scheduler = Scheduler(archive, [emitter])
    for _ in range(EVALUATIONS // BATCH):
        scheduler.tell(*projected(np.asarray(scheduler.ask())))
    return float(archive.stats.qd_score) / (100 * archive.cells), float(archive.stats.coverage)


def medians(found: list[tuple[float, float]]) -> tuple[float, float]:
    """Of QD scores and of coverages."""
    scores, coverages = zip(*found, strict=True)
    return statistics.median(scores), statistics.median(coverages)


def seconds_per_add(kind: str, cells: int) -> float:
    """Of a newcomer to a map that is nearly full, by two descriptors."""
    rng, side = np.random.default_rng(0), round(cells**0.5)
    sides = {f"x:{place}": Dimension(0.0, 1.0, side) for place in range(2)}
    settings = NicheSettings(sides, kind, cells=side * side, qd_score_offset=0.0)  # type: ignore[arg-type]
    niches = Niches(Archive(settings), (HEIGHT,), Lexicographic())
    individuals = [
        Individual(number, number, Ask(number, "seed"), Vector(tuple(point)), Evaluation("ok", {"height": height}))
        for number, (height, *point) in enumerate(rng.random((3 * cells + ADDS, 3)).tolist())
    ]
    for individual in individuals[:-ADDS]:
        niches.add(individual)
    began = time.perf_counter()
    for individual in individuals[-ADDS:]:
        niches.add(individual)
    return (time.perf_counter() - began) / ADDS


def measure() -> list[Row]:
    rows = [
        Row(
            f"one newcomer to a {kind} of {cells:,} cells", 1000 * seconds_per_add(kind, cells), "ms", 1.0, at_most=True
        )
        for kind in ("grid", "cvt")
        for cells in CELLS
    ]
    ours = medians([by_search(IsoLine(), seed) for seed in SEEDS])
    theirs = {kind: medians([by_ribs(kind, seed) for seed in SEEDS]) for kind in ("iso_line", "gaussian", "cma_me")}
    what = f"linear projection, {EVALUATIONS:,} evaluations"
    return [
        *rows,
        Row(f"{what}: QD score by iso_line", 100 * ours[0], "%"),
        *(Row(f"  by ribs, {kind}", 100 * score, "%") for kind, (score, _) in theirs.items()),
        Row("  coverage by iso_line", 100 * ours[1], "%"),
        *(Row(f"  by ribs, {kind}", 100 * coverage, "%") for kind, (_, coverage) in theirs.items()),
        # The same operator twice: medians of three runs of ribs differ by 2 % among themselves.
        Row("  QD score by iso_line over that of ribs' own", ours[0] / theirs["iso_line"][0], "x", 0.95),
        Row("  QD score by our gaussian", 100 * medians([by_search(Gaussian(), seed) for seed in SEEDS])[0], "%"),
    ]
