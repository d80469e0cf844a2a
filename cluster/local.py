"""Evaluation on this machine without Ray: a thread and a sandbox a worker."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

from cluster.worker import Worker
from evo.genomes import Genome
from evo.protocols import Job
from evo.values import Evaluation, Part


class LocalExecutor:
    """Threads of this process; candidates run in the sandboxes' processes, so only scoring shares the interpreter."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._width = job.workers or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        self._threads = ThreadPoolExecutor(self._width, thread_name_prefix="evaluate")
        self._own = threading.local()
        self._workers: list[Worker] = []

    @property
    def capacity(self) -> int:
        return self._width if self._width == 1 else 2 * self._width

    async def evaluate(self, genome: Genome, part: Part = "train") -> Evaluation:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._evaluate, genome, part)

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        for worker in self._workers:
            worker.close()

    def _evaluate(self, genome: Genome, part: Part) -> Evaluation:
        if not hasattr(self._own, "worker"):
            self._own.worker = Worker(self._job)
            self._workers.append(self._own.worker)
        worker: Worker = self._own.worker
        return worker.evaluate([genome], part)[0]
