"""Runs on a cluster: their names, the jobs that were their drivers, and their status."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from cluster.jobs.contract import REFUSED
from evo.errors import UserError

Status = Literal["starting", "running", "ended", "failed", "stopped"]

STATUSES: Mapping[str, Status] = {
    "PENDING": "starting",
    "RUNNING": "running",
    "SUCCEEDED": "ended",
    "FAILED": "failed",
    "STOPPED": "stopped",
}
RUN, PROBLEM, PLACE, VARIABLES = "evo_run", "evo_problem", "evo_run_dir", "evo_variables"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class RayJob:
    """A driver of a run, now or before.

    Attributes:
        id: the run's name, with a number behind it from the second driver on.
        run: its name; empty for a job that drives no run, but makes a link for `evo fetch`.
        run_dir: where run folders lie on the head, as it was given.
        variables: names of the environment variables that were handed over to it.
        began: seconds since 1970; so is `ended`.
        node: Ray's id of the driver's node; None until it starts. `host` is its address.
        exit_code: of a driver that ended by itself.
    """

    id: str
    run: str
    problem: str
    run_dir: str
    variables: tuple[str, ...]
    status: Status
    began: float
    ended: float | None
    node: str | None
    host: str | None
    exit_code: int | None
    message: str

    @property
    def over(self) -> bool:
        """Whether its driver has ended."""
        return self.status in ("ended", "failed", "stopped")

    @property
    def never_began(self) -> bool:
        """Whether it refused to start, or was never started: then its run may be submitted again."""
        return self.status == "failed" and (self.exit_code == REFUSED or self.node is None)


def job_from_json(fields: Mapping[str, Any]) -> RayJob | None:
    """A job from Ray's fields; None if it is no driver of ours."""
    about = fields.get("metadata") or {}
    if fields.get("type") != "SUBMISSION" or RUN not in about:
        return None
    return RayJob(
        id=fields["submission_id"],
        run=about[RUN],
        problem=about.get(PROBLEM, ""),
        run_dir=about.get(PLACE, ""),
        variables=tuple(about.get(VARIABLES, "").split()),
        status=STATUSES[fields["status"]],
        began=(fields.get("start_time") or 0) / 1000,
        ended=fields["end_time"] / 1000 if fields.get("end_time") else None,
        node=fields.get("driver_node_id"),
        host=urlsplit(fields.get("driver_agent_http_address") or "").hostname,
        exit_code=fields.get("driver_exit_code"),
        message=fields.get("message") or "",
    )


NO_RUN = {RUN: ""}
"""Kept with a job that drives no run."""


def about(run: str, problem: str, run_dir: str, variables: Sequence[str]) -> dict[str, str]:
    """Metadata of a driver's job: no value of any variable."""
    return {RUN: run, PROBLEM: problem, PLACE: run_dir, VARIABLES: " ".join(variables)}


def latest(jobs: Sequence[RayJob], run: str) -> RayJob | None:
    """The run's latest driver; a driver that never began only where there is no other."""
    drivers = [job for job in jobs if job.run == run]
    return next((job for job in drivers if not job.never_began), drivers[0] if drivers else None)


def next_id(jobs: Sequence[RayJob], run: str) -> str:
    """An id for the run's next driver."""
    taken = {job.id for job in jobs}
    number = 1
    while (name := run if number == 1 else f"{run}.{number}") in taken:
        number += 1
    return name


def check_name(name: str) -> None:
    """Raises UserError: it could not be a job's, a folder's and a part of an address alike."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"no run on a cluster can be called {name!r}; expected at most 64 letters, digits, - and _, "
            "beginning with a letter or digit"
        )
