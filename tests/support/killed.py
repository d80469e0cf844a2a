"""Runs the command line and dies by SIGKILL at a chosen moment: python -m tests.support.killed PLACE COUNT ARGUMENTS...

It dies when the place (see `PLACES`) is reached for the COUNT-th time; a run that ends before exits as it would have.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from evo import cli
from evo.engine.driver import Driver
from evo.engine.evaluator import Evaluator
from evo.engine.holdout import HoldoutEvaluation
from evo.engine.metering import AskModel
from evo.journal.log import Journal
from evo.journal.recorder import Recorder
from evo.lineage import live, projection
from operators.gateway import Gateway

PERIOD_SECONDS = 0.03
BATCH_EVENTS = 20
DURING_SECONDS = 0.002

Fuse = Callable[[], None]
Trap = Callable[[Fuse], None]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # in a thread the signal may take an instant to come


def fuse_of(count: int) -> Fuse:
    """To be called each time that a place is reached."""
    left = iter(range(count - 1, -1, -1))

    def burn() -> None:
        if next(left, None) == 0:
            die()

    return burn


def before(owner: Any, name: str) -> Trap:
    """Die when a function is called."""

    def laid(burn: Fuse) -> None:
        whole = getattr(owner, name)

        @functools.wraps(whole)
        def wrapped(*given: Any, **named: Any) -> Any:
            burn()
            return whole(*given, **named)

        setattr(owner, name, wrapped)

    return laid


def after(owner: Any, name: str) -> Trap:
    """Die when a function has done its work, and nobody knows yet."""

    def laid(burn: Fuse) -> None:
        whole = getattr(owner, name)

        @functools.wraps(whole)
        def wrapped(*given: Any, **named: Any) -> Any:
            answer = whole(*given, **named)
            burn()
            return answer

        @functools.wraps(whole)
        async def awaited(*given: Any, **named: Any) -> Any:
            answer = await whole(*given, **named)
            burn()
            return answer

        setattr(owner, name, awaited if inspect.iscoroutinefunction(whole) else wrapped)

    return laid


def during(owner: Any, name: str) -> Trap:
    """Die a little after a coroutine has begun."""

    def laid(burn: Fuse) -> None:
        whole = getattr(owner, name)

        @functools.wraps(whole)
        async def wrapped(*given: Any, **named: Any) -> Any:
            begun = asyncio.ensure_future(whole(*given, **named))
            await asyncio.sleep(DURING_SECONDS)
            burn()
            return await begun

        setattr(owner, name, wrapped)

    return laid


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

    def laid(burn: Fuse) -> None:
        opened = projection._writing

        @contextmanager
        def writing(*given: Any) -> Iterator[duckdb.DuckDBPyConnection]:
            with opened(*given) as connection:
                yield connection
                at(burn)

        projection._writing = writing  # type: ignore[assignment]

    return laid


def soon(burn: Fuse) -> None:
    """In a few hundred microseconds, while the database writes its file."""
    threading.Timer(0.0004, burn).start()


PLACES: Mapping[str, Trap] = {
    "never": lambda burn: None,
    "proposing": before(Driver, "_propose"),
    "announced": before(Gateway, "complete"),
    "asking": during(Gateway, "complete"),
    "replied": after(Gateway, "complete"),
    "noted": after(Recorder, "completed"),
    "paid": after(AskModel, "complete"),
    "proposed": after(Driver, "_propose"),
    "admitted": after(Recorder, "admitted"),
    "evaluating": before(Evaluator, "_tried"),
    "half_evaluated": during(Evaluator, "_tried"),
    "evaluated": after(Evaluator, "_tried"),
    "told": after(Recorder, "result"),
    "committing": before(Journal, "_write"),
    "half_committed": half_written,
    "unsynced": unsynced,
    "committed": after(Journal, "_write"),
    "opening_database": after(projection, "_writing"),
    "projecting": before(projection, "_insert"),
    "half_projected": after(projection, "_insert"),
    "closing_database": while_closing(lambda burn: burn()),
    "writing_database": while_closing(soon),
    "projected": after(projection.Projection, "_append"),
    "renaming": before(Path, "replace"),
    "renamed": after(Path, "replace"),
    "finale": during(HoldoutEvaluation, "measure"),
    "stopping": before(Recorder, "stopped"),
    "closing_journal": before(Journal, "close"),
    "closed_journal": after(Journal, "close"),
    "closing_lineage": before(live.LiveLineage, "close"),
    "closed_lineage": after(live.LiveLineage, "close"),
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
