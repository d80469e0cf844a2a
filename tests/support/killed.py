"""Runs the command line and dies by SIGKILL at a chosen moment: python -m tests.support.killed PLACE COUNT ARGUMENTS...

The process dies when the place (see `PLACES`) is reached for the COUNT-th time. A run that ends before exits as usual.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import duckdb

from evo import cli
from evo.lineage import live, projection

PERIOD_SECONDS = 0.03
BATCH_EVENTS = 20
DURING_SECONDS = 0.002

Fuse = Callable[[], None]
Trap = Callable[[Fuse], None]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # in a thread the signal may take an instant to come


def fuse_of(count: int) -> Fuse:
    """A function to be called each time that a place is reached; the process dies at the `count`-th call."""
    left = iter(range(count - 1, -1, -1))

    def burn() -> None:
        if next(left, None) == 0:
            die()

    return burn


def before(function: str) -> Trap:
    """Die when a function is called."""

    def lay(burn: Fuse) -> None:
        owner, name = owner_of(function)
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            burn()
            return original(*args, **kwargs)

        setattr(owner, name, wrapped)

    return lay


def after(function: str) -> Trap:
    """Die when a function has done its work, before its caller has the result."""

    def lay(burn: Fuse) -> None:
        owner, name = owner_of(function)
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            answer = original(*args, **kwargs)
            burn()
            return answer

        @functools.wraps(original)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            answer = await original(*args, **kwargs)
            burn()
            return answer

        setattr(owner, name, awaited if inspect.iscoroutinefunction(original) else wrapped)

    return lay


def during(function: str) -> Trap:
    """Die a little after a coroutine has begun."""

    def lay(burn: Fuse) -> None:
        owner, name = owner_of(function)
        original = getattr(owner, name)

        @functools.wraps(original)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            begun = asyncio.ensure_future(original(*args, **kwargs))
            await asyncio.sleep(DURING_SECONDS)
            burn()
            return await begun

        setattr(owner, name, wrapped)

    return lay


def owner_of(function: str) -> tuple[Any, str]:
    """The module or class that holds a function given as `module:name` or `module:Class.name`, and its name there."""
    module, _, path = function.partition(":")
    *owners, name = path.split(".")
    return functools.reduce(getattr, owners, importlib.import_module(module)), name


def half_written(burn: Fuse) -> None:
    """Die when half of the bytes of a group commit are in the file."""
    write, halves = os.write, itertools.cycle((1, 0))

    def write_half(file: int, block: bytes) -> int:
        if threading.current_thread().name != "journal" or not next(halves):
            return write(file, block)
        written = write(file, block[: len(block) // 2])
        burn()
        return written

    os.write = write_half


def unsynced(burn: Fuse) -> None:
    """Die when all bytes of a group commit are written, and before they are on the disk."""
    fdatasync = os.fdatasync

    def sync(file: int) -> None:
        burn()
        fdatasync(file)

    os.fdatasync = sync


def while_closing(at: Callable[[Fuse], None]) -> Trap:
    """Die when the database has a transaction and is about to be closed; `at` says when."""

    def lay(burn: Fuse) -> None:
        opened = projection._writing

        @contextmanager
        def writing(*args: Any) -> Iterator[duckdb.DuckDBPyConnection]:
            with opened(*args) as connection:
                yield connection
                at(burn)

        projection._writing = writing  # type: ignore[assignment]

    return lay


def soon(burn: Fuse) -> None:
    """In a few hundred microseconds, while the database writes its file."""
    threading.Timer(0.0004, burn).start()


PLACES: Mapping[str, Trap] = {
    "proposing": before("evo.engine.driver:Driver._propose"),
    "announced": before("operators.gateway:EndpointGateway.complete"),
    "asking": during("operators.gateway:EndpointGateway.complete"),
    "replied": after("operators.gateway:EndpointGateway.complete"),
    "completion_recorded": after("evo.journal.recorder:Recorder.completed"),
    "paid": after("evo.engine.metering:ProposalModel.complete"),
    "proposed": after("evo.engine.driver:Driver._propose"),
    "admitted": after("evo.journal.recorder:Recorder.admitted"),
    "evaluating": before("evo.engine.evaluator:Evaluator._tried"),
    "half_evaluated": during("evo.engine.evaluator:Evaluator._tried"),
    "evaluated": after("evo.engine.evaluator:Evaluator._tried"),
    "recorded": after("evo.journal.recorder:Recorder.result"),
    "committing": before("evo.journal.log:Journal._write"),
    "half_committed": half_written,
    "unsynced": unsynced,
    "committed": after("evo.journal.log:Journal._write"),
    "opening_database": after("evo.lineage.projection:_writing"),
    "projecting": before("evo.lineage.projection:_insert"),
    "half_projected": after("evo.lineage.projection:_insert"),
    "closing_database": while_closing(lambda burn: burn()),
    "writing_database": while_closing(soon),
    "projected": after("evo.lineage.projection:Projection._append"),
    "renaming": before("pathlib:Path.replace"),
    "renamed": after("pathlib:Path.replace"),
    "holdout": during("evo.engine.holdout:HoldoutEvaluation.evaluate_best"),
    "stopping": before("evo.journal.recorder:Recorder.stopped"),
    "closing_journal": before("evo.journal.log:Journal.close"),
    "closed_journal": after("evo.journal.log:Journal.close"),
    "closing_lineage": before("evo.lineage.live:LiveLineage.close"),
    "closed_lineage": after("evo.lineage.live:LiveLineage.close"),
}


def main() -> None:
    place, count, *arguments = sys.argv[1:]
    # Often and little at a time, so that a short run has many of these moments.
    live.PERIOD_SECONDS = PERIOD_SECONDS
    projection.BATCH_EVENTS = BATCH_EVENTS
    PLACES[place](fuse_of(int(count)))
    sys.argv = ["evo", *arguments]
    cli.main()


if __name__ == "__main__":
    main()
