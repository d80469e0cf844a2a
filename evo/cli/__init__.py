"""The command line: results on stdout, progress and complaints on stderr.

It exits with 2 for a mistake, 1 for a failure, 130 if interrupted.

SIGTERM, as batch systems send it before they take a machine away, interrupts as Ctrl-C does.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from types import FrameType
from typing import Any, NoReturn, TextIO, cast

from evo.errors import FULL, EvoError, StoppedError, place_of, printable


class _PlainTerminal:
    """Standard output on a terminal, where programs, feedback and replies are hostile text. Rich sees no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(printable(text))

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _interrupt(number: int, frame: FrameType | None) -> None:
    print("evo: interrupted; what was recorded is safe", file=sys.stderr)
    raise KeyboardInterrupt


def _complain(sentence: str, error: BaseException) -> None:
    """A sentence on stderr, without what would steer a terminal; with -v the stack above it."""
    if logging.getLogger("evo").isEnabledFor(logging.INFO):
        traceback.print_exception(error)
    print(printable(f"evo: {sentence}"), file=sys.stderr)


def _confess(error: Exception) -> NoReturn:
    """Nobody foresaw this error."""
    place = f" at {found}" if (found := place_of(error)) else ""
    message = " ".join(str(error).split())[:500]
    _complain(f"{type(error).__name__}{place}: {message} (not foreseen; `evo -v` shows the stack)", error)
    sys.exit(1)


def main() -> None:
    """Entry point of `evo`."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    if sys.stdout.isatty():
        sys.stdout = cast(TextIO, _PlainTerminal(sys.stdout))
    try:
        from evo.cli.app import app

        app()
    except EvoError as error:
        _complain(str(error), error)
        sys.exit(130 if isinstance(error, StoppedError) else 2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader went away (`evo sql ... | head`); Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.errno not in FULL:
            _confess(error)
        _complain(f"cannot write {error.filename or 'the answer'}: {error.strerror}; make room", error)
        sys.exit(2)
    except Exception as error:
        _confess(error)
    finally:
        signal.signal(signal.SIGTERM, before)
