"""The command line: results on stdout, progress and complaints on stderr; exit 2 for a mistake, 130 if interrupted.

SIGTERM, as batch systems send it before they take a machine away, interrupts as Ctrl-C does.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from evo.errors import FULL, EvoError, StoppedError


def _interrupt(number: int, frame: FrameType | None) -> None:
    print("evo: interrupted; what was recorded is safe", file=sys.stderr)
    raise KeyboardInterrupt


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
