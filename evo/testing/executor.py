"""The reference executor: evaluates in this process, for tests and for problems that run no program."""

from __future__ import annotations

import asyncio

from evo.genomes import Genome
from evo.models import Model
from evo.protocols import Job
from evo.registry import make_problem
from evo.scoring import scored
from evo.testing.in_process import InProcessRun, run_in_process
from evo.values import Evaluation, Part


class InProcessExecutor:
    """No isolation: the candidate runs right here. Trusted programs only.

    Attributes:
        capacity: `workers` of the job, 1 unless it says so.
    """

    def __init__(self, job: Job) -> None:
        self._problem = make_problem(job.problem, job.options)
        self.capacity = job.workers or 1

    async def evaluate(self, genome: Genome, part: Part = "train", *, model: Model | None = None) -> Evaluation:
        # Later genomes overtake earlier ones, so that who relies on the order of arrival is found out.
        for _ in range(int(genome.digest, 16) % 7):
            await asyncio.sleep(0)
        if model is None:
            return scored(self._problem, genome, run_in_process, part)
        run = InProcessRun(model, asyncio.get_running_loop())
        return await asyncio.to_thread(scored, self._problem, genome, run, part)

    async def close(self) -> None:
        """Nothing was started."""
