"""Workers: each keeps a problem and a warm sandbox between evaluations; threads that are workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

from cluster.evaluation import Answerer, Work, evaluate
from cluster.sandbox.sandbox import Sandbox
from evo.protocols import Job, Problem
from evo.registry import make_problem
from evo.values import Evaluation, Part


class Worker:
    """Evaluates genomes in sequence, in the calling thread.

    Args:
        problem: of the job, where it has been made already.
    """

    def __init__(self, job: Job, problem: Problem | None = None) -> None:
        self._problem = problem or make_problem(job.problem, job.options)
        limits = job.limits or self._problem.limits
        self._sandbox = Sandbox(
            limits, self._problem.imports, isolation="bubblewrap" if job.require_namespace else "auto"
        )

    def evaluate(self, works: Sequence[Work], part: Part, *, ask: Answerer | None = None) -> list[Evaluation]:
        return [evaluate(self._problem, work, part, self._sandbox, ask=ask) for work in works]

    def close(self) -> None:
        self._sandbox.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Scoring:
    """What scoring has cost the process that scores.

    Attributes:
        count: evaluations that have ended.
        cpu_seconds: of the threads that scored; not of candidates, which run in processes of their own.
    """

    count: int = 0
    cpu_seconds: float = 0.0


class WorkerThreads:
    """Threads of this process that evaluate at the same time, each with a worker of its own.

    A thread, its problem and its sandbox are made when an evaluation finds no idle thread, so no more than ever ran at
    once. Candidates run in the sandboxes' processes; only scoring shares the interpreter.

    Attributes:
        pool: where `evaluate` is to be called.
        scoring: what its threads have used so far.

    Args:
        problem: of the job, where it has been made already; the first thread takes it.
    """

    def __init__(self, job: Job, width: int, problem: Problem | None = None) -> None:
        self.pool = ThreadPoolExecutor(width, thread_name_prefix="evaluate")
        self._job = job
        self._made = [] if problem is None else [problem]
        self.scoring = Scoring()
        self._lock = threading.Lock()
        self._own = threading.local()
        self._workers: list[Worker] = []

    def evaluate(self, work: Work, part: Part, *, ask: Answerer | None = None) -> Evaluation:
        """Evaluate in the calling thread, a thread of the pool."""
        if not hasattr(self._own, "worker"):
            self._own.worker = Worker(self._job, self._made.pop() if self._made else None)
            self._workers.append(self._own.worker)
        worker: Worker = self._own.worker
        began = time.thread_time()
        try:
            [evaluation] = worker.evaluate([work], part, ask=ask)
        finally:
            used = time.thread_time() - began
            with self._lock:
                self.scoring = Scoring(self.scoring.count + 1, self.scoring.cpu_seconds + used)
        return evaluation

    def close(self) -> None:
        """Wait for what runs, cancel what does not, and end every sandbox."""
        self.pool.shutdown(wait=True, cancel_futures=True)
        for worker in self._workers:
            worker.close()
