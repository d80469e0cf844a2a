"""Circle packing: place n circles in the unit square so that the sum of their radii is as large as possible."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from evo.errors import CandidateError
from evo.genomes import Genome, Program
from evo.protocols import FloatArray, Problem, Runner
from evo.values import Limits, Objective, Part, Score
from problems.checks import finite_array, genome_of, whole_number
from problems.circle_geometry import gaps, room_to_walls, valid_radii

SEED = '''\
"""Circles in the unit square: pack(n) returns their centres, shape (n, 2), and their radii, shape (n,)."""

import math

import numpy as np


# EVOLVE-BLOCK-START
def pack(n):
    rows = math.isqrt(n - 1) + 1
    columns = math.ceil(n / rows)
    x = (np.arange(n) % columns + 0.5) / columns
    y = (np.arange(n) // columns + 0.5) / rows
    centres = np.stack([x, y], axis=1)
    return centres, grow(centres)


def grow(centres):
    walls = np.minimum(centres, 1.0 - centres).min(axis=1)
    apart = np.linalg.norm(centres[:, None] - centres[None, :], axis=2)
    np.fill_diagonal(apart, 2.0)
    return np.minimum(walls, apart.min(axis=1) / 2.0)
# EVOLVE-BLOCK-END
'''
# Strict sums of the constructions that its authors published.
RECORDS: Mapping[int, Mapping[str, float]] = {
    26: {"AlphaEvolve, white paper": 2.63586275641, "AlphaEvolve, repository of problems": 2.63598308491},
    32: {"AlphaEvolve, white paper": 2.93794452621, "AlphaEvolve, repository of problems": 2.93957277120},
}


class CirclePacking(Problem):
    """Sum of the radii of n disjoint circles in the unit square, strictly valid in exact arithmetic.

    Args:
        n: how many circles.
        holdout_n: how many in the hold-out. A packing proves itself, so nothing can be overfitted: the default is n.
            Another number shows whether the program is a construction or a table of coordinates.

    Raises:
        ConfigError: a number out of range.
    """

    objectives = (Objective("sum_of_radii", "max"),)
    limits = Limits(wall_seconds=60.0)
    imports = ("numpy", "scipy.optimize")

    def __init__(self, *, n: int = 26, holdout_n: int | None = None) -> None:
        whole_number(n, "n", low=1, high=1000)
        held_out = n if holdout_n is None else whole_number(holdout_n, "holdout_n", low=1, high=1000)
        self._n: Mapping[Part, int] = {"train": n, "holdout": held_out}
        self.description = (
            f"Circle packing. Write pack(n), called with n = {n}, which returns the centres, an array of shape (n, 2), "
            "and the radii, an array of shape (n,), of n circles inside the unit square [0, 1] x [0, 1] that do not "
            "overlap. Maximise the sum of the radii. Validity is checked in exact arithmetic: overlaps of up to 1e-9 "
            "are mended by shrinking, larger ones make the program invalid. numpy and scipy can be imported; "
            f"a call may take {self.limits.wall_seconds:.0f} s."
        )

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [Program.single(SEED)]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        n = self._n[part]
        with run(genome_of(genome, Program), "pack") as pack:
            answer = pack(n)
        if not isinstance(answer, list) or len(answer) != 2:
            raise CandidateError("invalid", f"pack({n}) must return (centres, radii), got {type(answer).__name__}")
        centres = finite_array(answer[0], (n, 2), "centres")
        radii = valid_radii(centres, finite_array(answer[1], (n,), "radii"))
        return Score({"sum_of_radii": math.fsum(radii)}, feedback=_feedback(centres, radii))

    def baselines(self, part: Part) -> Mapping[str, Mapping[str, float]]:
        return {name: {"sum_of_radii": total} for name, total in RECORDS.get(self._n[part], {}).items()}


def _feedback(centres: FloatArray, radii: FloatArray) -> str:
    """Which circles have room to grow, as feedback for the next proposal."""
    slack = np.minimum(room_to_walls(centres) - radii, gaps(centres, radii).min(axis=1))
    loose = [int(i) for i in np.argsort(-slack) if slack[i] > 1e-6]
    named = "; ".join(f"circle {i} at ({centres[i, 0]:.4f}, {centres[i, 1]:.4f}) by {slack[i]:.4g}" for i in loose[:5])
    return (
        f"Radii from {radii.min():.5f} to {radii.max():.5f}. "
        f"{len(loose)} of {len(radii)} circles touch nothing and could grow{': ' + named if loose else ''}."
    )
