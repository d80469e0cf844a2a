"""What `evo submit` and the driver of a submitted run agree on: names of files, marks in a log, exit codes.

Standard library only, and no new features of Python: `entrypoint` imports this in whatever `python3` a head has.
"""

from __future__ import annotations

import json

LOG_MARK = "evo-driver: "
"""Begins the lines of a driver's log that are for `evo submit`."""

ORDER = ".evo-order.json"
"""The file, in the folder that the job begins in, that says what the driver is to do."""

LINKS = "evo-runs"
"""Among Ray's logs on a node: links to the folders of the runs that were driven there."""

REFUSED, FAILED_LATER = 2, 3
"""How a driver exits after a user's mistake: before it had begun, and after."""


def say(fields: dict[str, object]) -> None:
    """Send a message to `evo submit`, by way of the job's log."""
    print(LOG_MARK + json.dumps(fields), flush=True)
