"""Reach a Ray cluster, or start one here; how much of it there is."""

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

from cluster.capacity import MOST_THAT_WAIT
from cluster.keys import keys_out_of_sight
from evo.errors import StoppedError, UserError
from evo.protocols import Job

KNOCK_SECONDS = 5.0
SHORT_FOLDER = "/tmp/ray"
"""Ray's own choice where no variable names another folder."""
SOCKET = "/ray/session_2026-11-30_23-59-59_999999_4194304/sockets/plasma_store"
"""The longest path of a socket that Ray makes below its folder."""
SOCKET_BYTES = 107 if sys.platform == "linux" else 103
"""How long a socket's path may be."""


def connect(job: Job, cpus: float) -> bool:
    """Whether a cluster was started or joined here, and so is ours to leave.

    Args:
        cpus: that one evaluation keeps busy; a cluster that is started here has room for `job.workers` of them.

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
        with _ours_again(signal.SIGTERM):
            if job.address:
                _knock(job.address)
                ray.init(job.address, **quiet)
            else:
                with _deaf_to_interrupts(), keys_out_of_sight(job.key_variables):
                    ray.init("local", **_own_cluster(job, cpus), **quiet)
    except SystemExit as error:
        raise StoppedError("stopped while Ray started; what was recorded is safe, `evo resume` goes on") from error
    except Exception as error:  # Ray raises many kinds; each means that there is no cluster
        raise UserError(f"cannot reach a Ray cluster at {job.address or 'this machine'}: {error}") from error
    return True


def _own_cluster(job: Job, cpus: float) -> dict[str, Any]:
    cores = math.ceil(job.workers * cpus) if job.workers else None
    options: dict[str, Any] = {"num_cpus": cores, "include_dashboard": False, "object_store_memory": 128 << 20}
    if folder := folder_for_sockets(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR")):
        options["_temp_dir"] = folder
    if cpus < 1:
        # Without it Ray warns on the terminal that there are more processes than cores, which is as it should be.
        options["_system_config"] = {"worker_maximum_startup_concurrency": MOST_THAT_WAIT}
    return options


def folder_for_sockets(folder: str | None) -> str | None:
    """Where a cluster that is started here keeps its sockets and logs; None leaves that to Ray.

    Args:
        folder: that Ray would take, by RAY_TMPDIR or TMPDIR.
    """
    return SHORT_FOLDER if folder and len(os.fsencode(folder + SOCKET)) > SOCKET_BYTES else None


def namespace(job: Job) -> str:
    """By which Ray's lists and its dashboard tell what belongs to this run."""
    return f"evo:{job.run}" if job.run else "evo"


@contextmanager
def _ours_again(number: int) -> Iterator[None]:
    """Ray takes SIGTERM for itself, to exit at once; afterwards it means again what it meant before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(number)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """What is started here ignores Ctrl-C, which a terminal sends to all: the driver decides when its workers end."""
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


def _knock(address: str) -> None:
    """Ray itself goes on for ten minutes where nobody answers; addresses other than HOST:PORT are left to it."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()
