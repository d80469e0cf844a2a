"""What runs in a Ray worker process; it keeps the problem and the sandbox for the next task."""

from __future__ import annotations

import asyncio
import hashlib
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import ray

from cluster.capacity import label
from cluster.evaluation import Work
from cluster.keys import forget_keys
from cluster.mailbox import answerer
from cluster.worker import Worker, WorkerThreads
from evo.genomes import Genome
from evo.protocols import Job
from evo.values import Evaluation, Part

Mail: TypeAlias = tuple[Any, int] | None
"""A mailbox, and the ticket with which to ask; None where the evaluation has no model."""
Found: TypeAlias = list[Evaluation] | None
"""Evaluations, in the order of the works; None where they were cancelled."""

_workers: dict[bytes, Worker] = {}


@dataclass(frozen=True, slots=True, weakref_slot=True)
class StoredGenome:
    """A genome in Ray's object store, so that each node gets it once."""

    reference: Any


Sent: TypeAlias = tuple[Genome | StoredGenome, tuple[str, ...] | None]
"""A `Work`, or the same with its genome in the object store."""


def evaluator(job: Job) -> Callable[[bytes, Sequence[Any], Part, Mail], Found]:
    """The function that tasks call.

    Ray ships a function to each worker once, with the job; a task carries only genomes.
    """
    pickled = pickle.dumps(job)
    digest = hashlib.sha256(pickled).digest()

    def _evaluate(works: bytes, references: Sequence[Any], part: Part, mail: Mail) -> Found:
        return evaluate_here(digest, pickled, _opened(works, references), part, mail)

    return _evaluate


def packed(works: Sequence[Sent]) -> tuple[bytes, list[Any]]:
    """Works as bytes, and the references, which Ray has to see; Ray's own pickling takes ten times as long."""
    references = [genome.reference for genome, _ in works if isinstance(genome, StoredGenome)]
    return pickle.dumps(
        [(None if isinstance(genome, StoredGenome) else genome, cases) for genome, cases in works]
    ), references


def evaluate_here(digest: bytes, job: bytes, works: Sequence[Work], part: Part, mail: Mail) -> Found:
    """Evaluate in this process."""
    if digest not in _workers:
        made: Job = pickle.loads(job)  # noqa: S301 - by our own driver
        forget_keys(made.key_variables)  # left by those who started a cluster that is not ours
        _workers[digest] = Worker(made)
    node = ray.get_runtime_context().get_node_id()
    try:
        found = _workers[digest].evaluate(works, part, ask=answerer(*mail) if mail else None)
    except asyncio.CancelledError:
        return None
    return [replace(evaluation, node=label(evaluation.node, node)) for evaluation in found]


class SharedProcess:
    """An actor: a process that holds several evaluations side by side, each in a thread.

    Args:
        threads: evaluations that it is given at once.
    """

    def __init__(self, job: Job, threads: int) -> None:
        forget_keys(job.key_variables)
        self._threads = WorkerThreads(job, threads)

    async def ready(self) -> None:
        """Answer as soon as the process runs."""

    async def evaluate(self, works: bytes, references: Sequence[Any], part: Part, mail: Mail) -> Found:
        """Evaluate in a thread; takes and returns lists, as tasks do."""
        node = ray.get_runtime_context().get_node_id()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads.pool, self._evaluate, works, references, part, mail, node)

    def _evaluate(self, works: bytes, references: Sequence[Any], part: Part, mail: Mail, node: str) -> Found:
        ask = answerer(*mail) if mail else None
        try:
            found = [self._threads.evaluate(work, part, ask=ask) for work in _opened(works, references)]
        except asyncio.CancelledError:
            return None
        return [replace(evaluation, node=label(evaluation.node, node)) for evaluation in found]


def _opened(works: bytes, references: Sequence[Any]) -> list[Work]:
    sent: list[tuple[Genome | None, tuple[str, ...] | None]] = pickle.loads(works)  # noqa: S301 - by our own driver
    stored = iter(ray.get(list(references)) if references else ())
    return [(next(stored) if genome is None else genome, cases) for genome, cases in sent]
