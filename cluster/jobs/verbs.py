"""The commands `evo submit`, `jobs`, `stop`, `fetch` and `resume --address`, and what they print."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cluster.jobs.contract import FAILED_LATER, REFUSED
from cluster.jobs.fetching import FarRun
from cluster.jobs.following import follow, is_internal
from cluster.jobs.runs import RayJob, latest
from cluster.jobs.server import JobServer, LostError, connected
from cluster.jobs.submitting import Wanted, checked, checked_config, name_for, variables_named
from cluster.jobs.submitting import resume as resume_there
from cluster.jobs.submitting import submit as submit_there
from evo.config.loading import overridden
from evo.config.schema import Config
from evo.engine.factories import endpoints_of
from evo.errors import UnknownNameError, UserError
from evo.lineage import Table, open_run

STOP_POLL_SECONDS = 0.5


def submit(
    target: str,
    overrides: Sequence[str],
    *,
    address: str,
    name: str | None,
    run_dir: str,
    variables: Sequence[str],
    wait: bool,
) -> int:
    """Start a run on a cluster; returns the exit code.

    Raises:
        UserError: an invalid configuration, a name that is taken, a cluster that is not compatible or has no room.
    """
    config = checked_config(target, overrides)
    wanted = Wanted(name or name_for(config), run_dir, variables_named(variables))
    _hint_at_keys(config, wanted.variables)
    with connected(address) as server:
        _say(f"{wanted.run}: starting a driver on the head of {server.address}")
        job = submit_there(server, wanted, config)
        return _begun(server, job, wait=wait)


def resume(
    run: str, overrides: Sequence[str], *, address: str, run_dir: str, variables: Sequence[str], wait: bool
) -> int:
    """Resume a run whose folder is on a head; returns the exit code.

    Raises:
        UserError: no such run, a run that is under way or finished, a cluster that is not compatible.
    """
    values = variables_named(variables)
    with connected(address) as server:
        before = latest(server.jobs(), run)
        if before and not before.over:
            raise UserError(f"{run} is {before.status}; `evo stop {run} --address {shlex.quote(address)}` stops it")
        if before and (missing := [name for name in before.variables if name not in values]):
            named = " ".join(f"--env {name}" for name in missing)
            raise UserError(f"{run} had variables that are kept nowhere; hand them over once more: {named}")
        place = before.run_dir if before else run_dir
        config = overridden(FarRun(server, run, place).config(), overrides)
        try:
            checked(config)
        except UnknownNameError as error:
            raise UserError(f"{error}; go on with {run} in the folder from which it was submitted") from error
        _say(f"{run}: starting a driver on the head of {server.address}")
        job = resume_there(server, Wanted(run, place, values), config, overrides)
        return _begun(server, job, wait=wait)


def jobs(address: str) -> Table:
    """Runs on a cluster, the latest first, each with the latest of its drivers."""
    with connected(address) as server:
        drivers = server.jobs()
    runs = dict.fromkeys(job.run for job in drivers)
    found = [job for run in runs if (job := latest(drivers, run))]
    rows = [(job.run, job.problem, _status(job), _moment(job.ended or job.began), _where(job)) for job in found]
    return Table(("name", "problem", "status", "since", "where"), tuple(rows))


def log(run: str, address: str) -> int:
    """Show the log of a run's latest driver, until that ends; returns the exit code."""
    with connected(address) as server:
        return _followed(server, _existing(server, run))


def stop(run: str, address: str) -> None:
    """Let a run's driver finish what is under way and end.

    Raises:
        UserError: it is not running.
    """
    with connected(address) as server:
        job = _existing(server, run)
        if job.over:
            raise UserError(f"{run} is not running: it {_status(job)} {_moment(job.ended or job.began)}")
        server.stop(job.id)
        _say(f"{run}: finishing what is under way")
        while not job.over:
            time.sleep(STOP_POLL_SECONDS)
            try:
                job = server.job(job.id)
            except LostError:
                continue
    print(f"{run} {_status(job)}; `evo resume {run} --address {shlex.quote(address)}` goes on with it")


def fetch(run: str, to: Path, *, address: str, run_dir: str) -> None:
    """Copy a run's folder here, or bring it up to date.

    Raises:
        UserError: no such run there, or something else in the folder here.
    """
    with connected(address) as server:
        before = latest(server.jobs(), run)
        FarRun(server, run, before.run_dir if before else run_dir).fetch(to)
        job = latest(server.jobs(), run)
    count = open_run(to).sql("SELECT count(*) FROM individuals").scalar()
    size = sum(file.stat().st_size for file in to.iterdir() if file.is_file()) / 1e6
    how = f"; it is {_status(job)}" if job and not job.over else ""
    print(f"{to}: {count} individuals, {size:.1f} MB{how}")


def _begun(server: JobServer, job: RayJob, *, wait: bool) -> int:
    if wait:
        return _followed(server, job)
    for line in server.log(job.id).splitlines():
        if line.strip() and not is_internal(line):
            _say(line)  # such as that it searches without a model
    run, where = job.run, f"--address {shlex.quote(server.address)}"
    commands = (
        (f"evo jobs {where}", "its status"),
        (f"evo jobs {where} --log {run}", "what it prints, as it does"),
        (f"evo fetch {run} {where} --to runs/{run}", "bring its folder here, during the run or after it"),
        (f"evo stop {run} {where}", "let it finish what is under way, and end"),
    )
    width = max(len(command) for command, _ in commands)
    print(f"{run} runs on {job.host}, its folder is {_folder(job)}\n\nnext:")
    print("\n".join(f"  {command.ljust(width)}  # {why}" for command, why in commands))
    return 0


def _followed(server: JobServer, job: RayJob) -> int:
    try:
        job = follow(server, job, lambda line: print(line, flush=True), _say)
    except KeyboardInterrupt:
        again = f"evo jobs --address {shlex.quote(server.address)} --log {job.run}"
        _say(f"\n{job.run} runs on; `{again}` shows its log again, `evo stop {job.run}` stops it")
        return 130
    if job.status == "stopped":
        return 130
    return REFUSED if job.exit_code == FAILED_LATER else 1 if job.exit_code is None else job.exit_code


def _existing(server: JobServer, run: str) -> RayJob:
    drivers = server.jobs()
    job = latest(drivers, run)
    if job is None:
        known = ", ".join(dict.fromkeys(driver.run for driver in drivers)) or "none"
        raise UserError(f"no run {run} on the cluster at {server.address}; known: {known}")
    return job


def _hint_at_keys(config: Config, variables: object) -> None:
    """Hint at keys that are set here and not handed over, where the run has a model."""
    if config.model.name is None:
        return
    named = set(variables) if isinstance(variables, dict) else set()
    for name in dict.fromkeys(endpoint.key_variable for endpoint in endpoints_of(config)):
        if name and name in os.environ and name not in named:
            _say(f"{name} is set here and not handed over; --env {name} would do so")


def _status(job: RayJob) -> str:
    return f"failed (exit code {job.exit_code})" if job.status == "failed" and job.exit_code else job.status


def _where(job: RayJob) -> str:
    return f"{_folder(job)} on {job.host}" if job.host else _folder(job)


def _folder(job: RayJob) -> str:
    return f"{job.run_dir}/{job.run}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
