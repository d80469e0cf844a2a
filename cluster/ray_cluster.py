"""Connect to a Ray cluster, or start a cluster on this machine."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from cluster.capacity import MOST_THAT_WAIT, places_in_a_process
from cluster.keys import keys_out_of_sight
from evo.errors import StoppedError, UserError
from evo.protocols import Job
from evo.resources import Resources

CONNECT_SECONDS = 5.0
SHORT_FOLDER = "/tmp/ray"
"""Ray's own choice where no variable names another folder."""
SOCKET = "/ray/session_2026-11-30_23-59-59_999999_4194304/sockets/plasma_store"
"""The longest path of a socket that Ray makes below its folder."""
SOCKET_BYTES = 107 if sys.platform == "linux" else 103
"""How long a socket's path may be."""


def connect(job: Job, cpus: float) -> bool:
    """Connect this process; False where it is connected already, and so is not ours to disconnect.

    Args:
        cpus: cores that an evaluation takes; a cluster that is started here has room for `job.workers` evaluations.

    Raises:
        UserError: it cannot be reached.
        StoppedError: SIGTERM came while it started.
    """
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "namespace": namespace(job)}
    try:
        with _restored(signal.SIGTERM):
            if job.address:
                _check_reachable(job.address)
                ray.init(job.address, **quiet)
            else:
                with _interrupts_ignored(), keys_out_of_sight(job.key_variables):
                    ray.init("local", **_own_cluster(job, cpus), **quiet)
    except SystemExit as error:
        raise StoppedError("stopped while Ray started; what was recorded is safe, `evo resume` goes on") from error
    except Exception as error:  # Ray raises many kinds; each means that there is no cluster
        raise UserError(f"cannot reach a Ray cluster at {job.address or 'this machine'}: {error}") from error
    return True


def _own_cluster(job: Job, cpus: float) -> dict[str, Any]:
    together = places_in_a_process(Resources(cpus))
    cores = math.ceil(math.ceil(job.workers / together) * together * cpus) if job.workers else None
    options: dict[str, Any] = {"num_cpus": cores, "include_dashboard": False, "object_store_memory": 128 << 20}
    if folder := folder_for_sockets(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR")):
        options["_temp_dir"] = folder
    if cpus < 1:
        # Ray warns on the terminal of more processes than cores, which is intended here.
        options["_system_config"] = {"worker_maximum_startup_concurrency": MOST_THAT_WAIT}
    return options


def folder_for_sockets(folder: str | None) -> str | None:
    """Where a cluster that is started here keeps its sockets and logs; None leaves that to Ray.

    Args:
        folder: that Ray would take, by RAY_TMPDIR or TMPDIR.
    """
    return SHORT_FOLDER if folder and len(os.fsencode(folder + SOCKET)) > SOCKET_BYTES else None


def namespace(job: Job) -> str:
    """What Ray's lists and its dashboard show beside all that belongs to this run."""
    return f"evo:{job.run}" if job.run else "evo"


@contextmanager
def _restored(number: int) -> Iterator[None]:
    """Keep the handler of a signal: Ray takes SIGTERM for itself, to exit at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(number)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes that are started within ignore Ctrl-C, which a terminal sends to all: the driver ends its workers."""
    if threading.current_thread() is not threading.main_thread():
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited by what this thread starts
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _check_reachable(address: str) -> None:
    """Fail early: Ray itself tries for ten minutes. Addresses other than HOST:PORT are left to it."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
