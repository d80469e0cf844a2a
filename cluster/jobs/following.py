"""The log of a driver, shown as it is written and to its end; a connection that is lost is taken up again."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cluster.jobs.contract import LOG_MARK
from cluster.jobs.runs import Job
from cluster.jobs.server import JobServer, LostError, UnreachableError, connected
from evo.errors import UserError

TIMEOUT_SECONDS, LOOK_SECONDS, AGAIN_SECONDS = 600.0, 1.0, 3.0

Show = Callable[[str], None]


@dataclass
class Shown:
    """Lines as they come in, without those that are Ray's or for us alone.

    Attributes:
        taken: bytes of the log that were taken in, so that a log from its beginning goes on where it was left.
    """

    show: Show
    taken: int = 0
    _partial: bytes = field(default=b"")

    def take(self, block: bytes) -> None:
        self.taken += len(block)
        *lines, self._partial = (self._partial + block).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace")
            if not for_us_alone(text):
                self.show(text)


def for_us_alone(line: str) -> bool:
    """Whether a line of a driver's log is none of the driver's own."""
    return line.startswith((LOG_MARK, "Running entrypoint for job ")) or line.endswith("-- Runtime env is setting up.")


def follow(server: JobServer, job: Job, show: Show, complain: Show) -> Job:
    """Show a driver's log from its beginning to its end.

    Args:
        complain: is told of connections that are lost and found again.

    Returns:
        The job, over.

    Raises:
        UserError: the head was not reached for ten minutes.
    """
    shown = Shown(show)
    over = threading.Event()
    blocks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(server.address, job, blocks, over), daemon=True, name="log")
    reader.start()
    try:
        job = _until_over(server, job, lambda: _show_what_came(blocks, shown), complain)
    finally:
        over.set()
    _show_the_rest(server, job, shown)
    return job


def _until_over(server: JobServer, job: Job, between: Callable[[], None], complain: Show) -> Job:
    lost_since: float | None = None
    while not job.over:
        between()
        try:
            job = server.job(job.id)
        except (LostError, UnreachableError) as error:
            now = time.monotonic()
            if lost_since is None:
                lost_since = now
                complain(f"{error}; the run goes on there, and the connection is tried again")
            if now - lost_since > TIMEOUT_SECONDS:
                raise UserError(f"{error}; the run goes on: `evo jobs --address {server.address}`") from error
            time.sleep(AGAIN_SECONDS)
            continue
        if lost_since is not None:
            complain("connected again")
            lost_since = None
    return job


def _show_what_came(blocks: queue.SimpleQueue[bytes], shown: Shown) -> None:
    deadline = time.monotonic() + LOOK_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        try:
            shown.take(blocks.get(timeout=left))
        except queue.Empty:
            return


def _read(address: str, job: Job, blocks: queue.SimpleQueue[bytes], over: threading.Event) -> None:
    """Put the log into the queue, from where it was lost; runs in a thread of its own, since Ray never ends the log."""
    read = 0
    while not over.wait(LOOK_SECONDS):
        try:
            with connected(address) as server:
                node = job.node or server.job(job.id).node
                if node is None:
                    continue
                with server.file(node, log_name(job), grows=True) as stream:
                    skip = read
                    for block in stream:
                        if over.is_set():
                            return
                        fresh, skip = block[skip:], max(0, skip - len(block))
                        read += len(fresh)
                        blocks.put(fresh)
        except UserError:  # among them a connection that broke: the other thread says so, and this one tries again
            continue


def _show_the_rest(server: JobServer, job: Job, shown: Shown) -> None:
    """What was written last, after the log was left."""
    for _ in range(3):
        try:
            log = server.log(job.id).encode()
        except LostError:
            time.sleep(AGAIN_SECONDS)
            continue
        shown.take(log[shown.taken :] + (b"" if log.endswith(b"\n") else b"\n"))
        return


def log_name(job: Job) -> str:
    """Of a driver's log, in the folder of Ray's logs."""
    return f"job-driver-{job.id}.log"
