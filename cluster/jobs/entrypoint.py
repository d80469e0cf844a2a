"""How the driver of a submitted run starts, as a job on a cluster's head.

It starts in whatever `python3` is on the head's path, so this file and `contract` need the standard library alone, of
an old Python too; the rest (`remote_driver`) runs in the Python that Ray itself runs in.
"""

from __future__ import annotations

import json
import os
import sys

from cluster.jobs.contract import ORDER, say

_TRIED = "EVO_DRIVERS_PYTHON"


def main() -> None:
    """Run the job, in the folder that was shipped."""
    _switch_to_rays_python()
    try:
        from cluster.jobs.remote_driver import drive
    except ImportError as error:
        say({"refused": f"{sys.executable} on the head lacks what evo needs ({error}); install evo-platform there"})
        sys.exit(2)
    with open(ORDER, encoding="utf-8") as file:
        sys.exit(drive(json.load(file)))


def _switch_to_rays_python() -> None:
    """Go on in the interpreter of Ray, which may have been started from an environment that is on no path."""
    python = _rays_python()
    if python is None or _prefix(python) == sys.prefix or os.environ.get(_TRIED):
        return
    os.environ[_TRIED] = python
    os.execv(python, [python, "-m", "cluster.jobs.entrypoint"])


def _rays_python() -> str | None:
    """By the library that our parent, Ray's supervisor of this job, has loaded."""
    try:
        with open(f"/proc/{os.getppid()}/maps", encoding="utf-8", errors="replace") as maps:
            library = next((line.split(None, 5)[5].strip() for line in maps if "/ray/_raylet." in line), "")
    except OSError:
        return None
    # /venv of /venv/lib/python3.11/site-packages/ray/_raylet.so
    python = os.path.join(library.rsplit("/lib/python", 1)[0], "bin", "python3")
    return python if os.access(python, os.X_OK) else None


def _prefix(python: str) -> str:
    return os.path.dirname(os.path.dirname(python))


if __name__ == "__main__":
    main()
