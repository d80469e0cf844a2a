"""Arguments that several commands take, and what --verbose shows."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Annotated

import typer

from evo.errors import printable

Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a configuration value.")
]
ModelName = Annotated[str | None, typer.Option(help="Language model that proposes.")]
Target = Annotated[str, typer.Argument(metavar="CONFIG|PROBLEM", help="A YAML file, or the name of a problem.")]

LAST_SECONDS = 4.0
SHOW_CURSOR = "\x1b[?25h"
_ENDING: list[threading.Timer] = []
OURS = ("evo", "operators", "problems", "cluster", "dashboard")


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to what sys.stderr is at that moment, as a progress bar or a test may have replaced it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr  # setStream would flush the one before, which may be closed
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def end_in_time() -> None:
    """End this process a few seconds from now, whatever hangs by then; the cursor, which a bar hides, comes back."""
    timer = threading.Timer(LAST_SECONDS, _end)
    timer.daemon = True
    timer.start()
    _ENDING.append(timer)


def stay() -> None:
    """Take back `end_in_time`; for a process that goes on after a command."""
    while _ENDING:
        _ENDING.pop().cancel()


def _end() -> None:
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None and stream.isatty():
            stream.write(SHOW_CURSOR)
            stream.flush()
    os._exit(130)


def show_logs(verbose: int) -> None:
    """Show our own logs from WARNING on; with 1 from INFO, with 2 from DEBUG and those of all libraries from INFO."""
    handler = _Stderr()
    handler.setFormatter(logging.Formatter("evo: %(message)s" if verbose < 2 else "%(asctime)s %(name)s: %(message)s"))
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    for name in OURS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    if verbose > 1:
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
