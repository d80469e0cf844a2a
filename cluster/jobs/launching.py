"""Starts a driver as a job: sends the packages, makes the job, and waits for its messages."""

from __future__ import annotations

import json
import shlex
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from cluster.jobs.contract import LOG_MARK
from cluster.jobs.following import is_internal
from cluster.jobs.packages import Package, our_package
from cluster.jobs.server import JobServer, LostError
from evo.errors import UserError

START_SECONDS, POLL_SECONDS = 900.0, 0.5
STOP_SECONDS = 120
"""The time that `evo stop` leaves a driver to finish what is under way."""

# PYTHONSAFEPATH: no module of the job's folder takes the place of our packages.
ENTRYPOINT = "exec env PYTHONSAFEPATH=1 python3 -m cluster.jobs.entrypoint"


def launch(server: JobServer, user: Package, job_id: str, kept: Mapping[str, str]) -> bool:
    """Make a job that starts in the folder of a package; False where there is a job of its name.

    Args:
        kept: metadata of the job.
    """
    with tempfile.TemporaryDirectory(prefix="evo-") as folder:
        packages = [package.packed(Path(folder)) for package in (our_package(), user)]
        for package in packages:
            if not server.has_package(package.name):
                server.put_package(package.name, package)
        ours, beside = (f"gcs://{package.name}" for package in packages)
    runtime = {
        "py_modules": [ours],
        "working_dir": beside,
        "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)},
    }
    job = {"entrypoint": ENTRYPOINT, "submission_id": job_id, "runtime_env": runtime, "metadata": dict(kept)}
    return server.submit(job)


def wait_for_message(server: JobServer, job_id: str, word: str) -> object:
    """Wait until a driver sends a message, and return what it says.

    Raises:
        UserError: it refuses, fails, or does not send it in time.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            over, log = server.job(job_id).over, server.log(job_id)
        except LostError:
            over, log = False, ""
        words: dict[str, object] = {}
        for line in log.splitlines():
            if line.startswith(LOG_MARK):
                words |= json.loads(line.removeprefix(LOG_MARK))
        if word in words:
            return words[word]
        if "refused" in words:
            raise UserError(f"the driver on the head: {words['refused']}")
        if over:
            raise UserError(_why_not(server, job_id, log))
        time.sleep(POLL_SECONDS)
    raise UserError(
        f"the driver did not begin within {START_SECONDS:.0f} s; "
        f"`evo jobs --address {shlex.quote(server.address)}` says how it stands"
    )


def _why_not(server: JobServer, job_id: str, log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip() and not is_internal(line)]
    why = lines[-1] if lines else " ".join(server.job(job_id).message.split())[-500:]
    return f"the driver on the head ended before it began: {why or 'it said nothing'}"
