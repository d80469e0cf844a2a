"""A driver as a job: what it needs is sent, it is made, and heard until it has said what is waited for."""

from __future__ import annotations

import json
import shlex
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from cluster.jobs.contract import LOG_MARK
from cluster.jobs.following import for_us_alone
from cluster.jobs.packages import Package, our_package
from cluster.jobs.server import JobServer, LostError
from evo.errors import UserError

START_SECONDS, LOOK_SECONDS = 900.0, 0.5
STOP_SECONDS = 120
"""What `evo stop` leaves a driver to finish what is under way."""

# Nothing of the folder that it begins in takes the place of our packages.
ENTRYPOINT = "exec env PYTHONSAFEPATH=1 python3 -m cluster.jobs.entrypoint"


def launch(server: JobServer, theirs: Package, job_id: str, kept: Mapping[str, str]) -> bool:
    """Make a job that begins in what a package holds; False where there is one of its name.

    Args:
        kept: with the job, for whoever looks at it.
    """
    with tempfile.TemporaryDirectory(prefix="evo-") as folder:
        packages = [one.packed(Path(folder)) for one in (our_package(), theirs)]
        for one in packages:
            if not server.has_package(one.name):
                server.put_package(one.name, one)
        ours, beside = (f"gcs://{one.name}" for one in packages)
    runtime = {
        "py_modules": [ours],
        "working_dir": beside,
        "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)},
    }
    job = {"entrypoint": ENTRYPOINT, "submission_id": job_id, "runtime_env": runtime, "metadata": dict(kept)}
    return server.submit(job)


def said(server: JobServer, job_id: str, word: str) -> object:
    """Wait until a driver says something.

    Raises:
        UserError: it refuses, fails, or says nothing of it in time.
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
        time.sleep(LOOK_SECONDS)
    raise UserError(
        f"the driver did not begin within {START_SECONDS:.0f} s; "
        f"`evo jobs --address {shlex.quote(server.address)}` says how it stands"
    )


def _why_not(server: JobServer, job_id: str, log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip() and not for_us_alone(line)]
    why = lines[-1] if lines else " ".join(server.job(job_id).message.split())[-500:]
    return f"the driver on the head ended before it began: {why or 'it said nothing'}"
