"""Problems whose evaluations sleep, so that many workers fit on two cores; another is slow or kills its worker once."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evo.genomes import Genome, Vector
from evo.protocols import Runner
from evo.testing.toys import Valley
from evo.values import Part, Score


class Napping(Valley):
    """Takes a while.

    Args:
        folder: where is noted that an evaluation began, by the genome's digest; None notes nothing.
        slow: the n-th that begins in `folder` takes this long, once.
        slow_seconds: see `slow`.
    """

    def __init__(
        self, seconds: float = 0.4, folder: str | None = None, slow: int | None = None, slow_seconds: float = 120.0
    ) -> None:
        super().__init__(wall=float("inf"))
        self._seconds = seconds
        self._folder = Path(folder) if folder else None
        self._slow = slow
        self._slow_seconds = slow_seconds

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        time.sleep(self._slow_seconds if self._is_slow(genome) else self._seconds)
        return super().evaluate(genome, run, part)

    def _is_slow(self, genome: Genome) -> bool:
        if self._folder is None:
            return False
        (self._folder / f"{time.time_ns()}-{os.getpid()}-{genome.digest}").touch()
        if self._slow is None or len(list(self._folder.iterdir())) < self._slow:
            return False
        try:
            (self._folder.parent / "slow").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


class Deadly(Valley):
    """Kills the worker that evaluates a vector whose first value is above 1, and notes that it did.

    Args:
        folder: of the notes.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = Path(folder)

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [Vector((0.1, 0.2, 0.3))]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        assert isinstance(genome, Vector)
        if genome.values[0] > 1:
            (self._folder / f"{genome.values[0]}-{time.time_ns()}").touch()
            os._exit(1)
        return super().evaluate(genome, run, part)
