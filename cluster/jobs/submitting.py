"""Starts the driver of a configuration on a cluster's head, or resumes a run there."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.jobs.launching import launch, wait_for_message
from cluster.jobs.packages import user_package
from cluster.jobs.runs import RayJob, about, check_name, latest, next_id
from cluster.jobs.sealing import Party, place_of
from cluster.jobs.server import JobServer
from evo.config.loading import load_config
from evo.config.schema import Config
from evo.engine.setup import prepare
from evo.errors import ConfigError, StoppedError, UserError

ON_THE_CLUSTER = "executor.address=auto"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run that is to be started on a cluster.

    Attributes:
        run: its name.
        run_dir: where its folder is to lie on the head.
        variables: environment variables for its driver, by name.
    """

    run: str
    run_dir: str
    variables: Mapping[str, str]


def name_for(config: Config) -> str:
    """A name for a run that was given none, by its problem and the time."""
    problem = config.problem.name.rpartition(":")[2]
    return f"{re.sub('[^A-Za-z0-9_-]', '-', problem)[:40]}-{time.strftime('%m%d-%H%M%S')}"


def variables_named(names: Sequence[str], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Environment variables by name.

    Raises:
        UserError: a variable is not set.
    """
    for name in names:
        if "=" in name:  # the message must not show the value
            raise UserError(f"--env {name.partition('=')[0]}=...: expected a name alone; its value is read from here")
        if not environment.get(name):
            raise UserError(f"--env {name}: there is no such environment variable here; export it first")
    return {name: environment[name] for name in names}


def checked_config(target: str, overrides: Sequence[str]) -> Config:
    """The configuration of a run on a cluster, checked as `evo run` does.

    Raises:
        UserError: as `evo run` does; or its evaluations would not go to the cluster.
    """
    config = load_config(target, [ON_THE_CLUSTER, *overrides]).config
    return checked(config)


def checked(config: Config) -> Config:
    """The same configuration, if a cluster can run it."""
    if config.executor.name == "local":
        raise ConfigError("executor: local would evaluate on the head alone, where the keys are; take it out")
    prepare(config)
    return config


def submit(server: JobServer, wanted: Wanted, config: Config) -> RayJob:
    """Start a run on a cluster; it does not need this machine any more.

    Raises:
        UserError: the name is taken, the cluster has no room or is not compatible, or the driver refused.
    """
    check_name(wanted.run)
    server.check_python()
    server.check_cpus()
    jobs = server.jobs()
    before = latest(jobs, wanted.run)
    if before and not before.never_began:
        raise _taken(wanted.run, server.address)
    order = {"do": "run", "config": config.model_dump(mode="json")}
    return _started(server, wanted, config, order, next_id(jobs, wanted.run))


def resume(server: JobServer, wanted: Wanted, config: Config, overrides: Sequence[str]) -> RayJob:
    """Resume a run whose folder is on the head.

    Args:
        config: of the run, as its journal has it.

    Raises:
        UserError: it is under way, the cluster is not compatible, or the driver refused.
    """
    server.check_python()
    server.check_cpus()
    jobs = server.jobs()
    order = {"do": "resume", "overrides": [ON_THE_CLUSTER, *overrides]}
    return _started(server, wanted, config, order, next_id(jobs, wanted.run))


def _taken(run: str, address: str) -> UserError:
    return UserError(
        f"{run} is taken by a run on this cluster; --name OTHER starts another, "
        f"`evo resume {run} --address {address}` resumes that run"
    )


def _started(server: JobServer, wanted: Wanted, config: Config, order: Mapping[str, Any], job_id: str) -> RayJob:
    laptop = Party()
    sender = laptop.public_key if wanted.variables else None
    full = {**_order(server, wanted, job_id), **order, "sender": sender}
    kept = about(wanted.run, config.problem.name, wanted.run_dir, list(wanted.variables))
    if not launch(server, user_package(config, full), job_id, kept):
        raise _taken(wanted.run, server.address)
    try:
        _hand_over(server, laptop, wanted.variables, job_id)
        return _begun(server, job_id)
    except KeyboardInterrupt:
        server.stop(job_id)
        raise StoppedError(f"interrupted before {wanted.run} had begun; its driver was told to stop") from None


def _order(server: JobServer, wanted: Wanted, job_id: str) -> dict[str, Any]:
    return {"job": job_id, "run": wanted.run, "run_dir": wanted.run_dir, "address": server.address}


def _hand_over(server: JobServer, laptop: Party, variables: Mapping[str, str], job_id: str) -> None:
    if not variables:
        return
    reader = str(wait_for_message(server, job_id, "reader"))
    server.put_package(place_of(reader, job_id), laptop.seal(variables, reader, job_id))


def _begun(server: JobServer, job_id: str) -> RayJob:
    wait_for_message(server, job_id, "begun")
    return server.job(job_id)
