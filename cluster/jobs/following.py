"""Shows the log of a driver as it is written, to its end; a connection that is lost is made again."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cluster.jobs.contract import LOG_MARK
from cluster.jobs.runs import RayJob
from cluster.jobs.server import JobServer, LostError, UnreachableError, connected
from evo.errors import UserError

TIMEOUT_SECONDS, POLL_SECONDS, RETRY_SECONDS = 600.0, 1.0, 3.0

Show = Callable[[str], None]


@dataclass
class Shown:
    """Shows lines as they arrive, without Ray's own and those that are for `evo submit`.

    Attributes:
        taken: bytes of the log so far, so that a log that is read from its beginning continues there.
    """

    show: Show
    taken: int = 0
    _partial: bytes = field(default=b"")

    def take(self, block: bytes) -> None:
        self.taken += len(block)
        *lines, self._partial = (self._partial + block).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace")
            if not is_internal(text):
                self.show(text)


def is_internal(line: str) -> bool:
    """Whether a line of a driver's log is Ray's own or for `evo submit`, and so not to be shown."""
    return line.startswith((LOG_MARK, "Running entrypoint for job ")) or line.endswith("-- Runtime env is setting up.")


def follow(server: JobServer, job: RayJob, show: Show, complain: Show) -> RayJob:
    """Show a driver's log from its beginning to its end.

    Args:
        complain: called with a sentence when the connection is lost, and when it is there again.

    Returns:
        The job, over.

    Raises:
        UserError: the head could not be reached for ten minutes.
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


def _until_over(server: JobServer, job: RayJob, between: Callable[[], None], complain: Show) -> RayJob:
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
            time.sleep(RETRY_SECONDS)
            continue
        if lost_since is not None:
            complain("connected again")
            lost_since = None
    return job


def _show_what_came(blocks: queue.SimpleQueue[bytes], shown: Shown) -> None:
    deadline = time.monotonic() + POLL_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        try:
            shown.take(blocks.get(timeout=left))
        except queue.Empty:
            return


def _read(address: str, job: RayJob, blocks: queue.SimpleQueue[bytes], over: threading.Event) -> None:
    """Put the log into the queue, from where the connection was lost; in a thread, since Ray never ends the log."""
    read = 0
    while not over.wait(POLL_SECONDS):
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
        except UserError:  # such as a connection that broke: the main thread says so, and this thread tries again
            continue


def _show_the_rest(server: JobServer, job: RayJob, shown: Shown) -> None:
    """Show what was written after the last block."""
    for _ in range(3):
        try:
            log = server.log(job.id).encode()
        except LostError:
            time.sleep(RETRY_SECONDS)
            continue
        shown.take(log[shown.taken :] + (b"" if log.endswith(b"\n") else b"\n"))
        return


def log_name(job: RayJob) -> str:
    """Of a driver's log, in the folder of Ray's logs."""
    return f"job-driver-{job.id}.log"
