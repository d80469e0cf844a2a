"""The command line: results on stdout, progress and complaints on stderr; exit 2 for a mistake, 130 if interrupted."""

from __future__ import annotations

import os
import sys

from evo.errors import EvoError, StoppedError


def main() -> None:
    """Entry point of `evo`."""
    from evo.cli.app import app

    try:
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
