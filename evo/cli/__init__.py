"""The command line: results on stdout, progress and complaints on stderr; exit 2 for a mistake, 130 if interrupted.

SIGTERM, as batch systems send it before they take a machine away, interrupts as Ctrl-C does.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from types import FrameType

from evo.errors import FULL, EvoError, StoppedError


def _interrupt(number: int, frame: FrameType | None) -> None:
    print("evo: interrupted; what was recorded is safe", file=sys.stderr)
    raise KeyboardInterrupt


OURS = ("evo", "operators", "problems", "cluster", "dashboard")


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to what sys.stderr is at that moment, as a progress bar or a test may have replaced it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.setStream(sys.stderr)
        super().emit(record)


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


def main() -> None:
    """Entry point of `evo`."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        from evo.cli.app import app

        app()
    except EvoError as error:
        print(f"evo: {error}", file=sys.stderr)
        sys.exit(130 if isinstance(error, StoppedError) else 2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader went away (`evo sql ... | head`); Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.errno not in FULL:
            raise
        print(f"evo: cannot write {error.filename or 'the answer'}: {error.strerror}; make room", file=sys.stderr)
        sys.exit(2)
    finally:
        signal.signal(signal.SIGTERM, before)
