"""A run on a terminal: what Ctrl-C shows and does, whatever hangs."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SLEEPY = """
import time
from evo.genomes import Vector
from evo.protocols import Problem
from evo.values import Box, Objective, Score


class P(Problem):
    '''Its scorer hangs, but for the seed.'''
    objectives = (Objective("size", "min"),)
    space = Box((-1.0,), (1.0,))
    final_parts = ()

    def seeds(self, count, rng):
        return [Vector((0.5,))]

    def evaluate(self, genome, run, part):
        if genome.values[0] != 0.5:
            time.sleep({seconds})
        return Score({{"size": abs(genome.values[0])}})
"""
SHOWN = b"\x1b[?25h"
SECONDS = 40.0


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self.written = b""
        self._descriptor = descriptor

    def read_until(self, what: bytes) -> None:
        """Until this is written; fails after SECONDS."""
        self._read(lambda: what in self.written)
        assert what in self.written, self.written[-2000:]

    def end(self) -> int:
        """The exit code, all that was written read."""
        self._read(lambda: False)
        return self.process.wait(SECONDS)

    def _read(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        with suppress(OSError):  # how a terminal ends
            while not done() and time.monotonic() < deadline:
                if select.select([self._descriptor], [], [], 0.2)[0]:
                    self.written += os.read(self._descriptor, 65536)
                elif self.process.poll() is not None:
                    return


@contextmanager
def terminal(folder: Path, seconds: float) -> Iterator[Terminal]:
    (folder / "sleepy.py").write_text(SLEEPY.format(seconds=seconds), "utf-8")
    ours, theirs = pty.openpty()
    words = ["run", "sleepy.py:P", "--set", "executor.name=local", "--set", "budget.evaluations=50"]
    process = subprocess.Popen(
        [sys.executable, "-m", "evo", *words], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_the_first_interrupt_is_confirmed_and_what_is_in_flight_is_finished(tmp_path: Path) -> None:
    with terminal(tmp_path, 0.5) as shown:
        shown.read_until(b"best size 0.5")
        shown.process.send_signal(signal.SIGINT)
        shown.read_until(b"interrupted: finishing what is in flight; interrupt again to stop at once")
        assert shown.end() == 130
    assert b"it was interrupted" in shown.written
    assert shown.written.rindex(SHOWN) > shown.written.rindex(b"\x1b[?25l")


@pytest.mark.parametrize("pause", [0.2, 2.0])
def test_the_second_interrupt_ends_a_run_whose_scorer_hangs(tmp_path: Path, pause: float) -> None:
    with terminal(tmp_path, 3600.0) as shown:
        shown.read_until(b"best size 0.5")
        shown.process.send_signal(signal.SIGINT)
        shown.read_until(b"interrupt again to stop at once")
        time.sleep(pause)
        asked = time.monotonic()
        shown.process.send_signal(signal.SIGINT)
        assert shown.end() == 130
        assert time.monotonic() - asked < SECONDS / 2
    assert shown.written.rindex(SHOWN) > shown.written.rindex(b"\x1b[?25l")
