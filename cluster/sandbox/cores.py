"""Pins a sandbox and the thread that calls it to the same processor core, which no other sandbox is pinned to."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress


class Core:
    """A processor core that no other sandbox of this machine is pinned to, claimed by an abstract socket's unique name.

    The name is free again when the process ends, however it ends.
    """

    def __init__(self, claim: socket.socket, cpu: int) -> None:
        self._claim = claim
        self.cpu = cpu

    def release(self) -> None:
        """Give it up to another sandbox."""
        self._claim.close()


def claim_core() -> Core | None:
    """A core that this thread may use and no other sandbox has; None where there is none, or elsewhere than on Linux.

    Request and answer alternate, so two processes lose nothing on the same core, and a round trip there costs a tenth
    of a round trip between cores.
    """
    if sys.platform != "linux":
        return None
    for cpu in sorted(os.sched_getaffinity(0)):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0evo-core-{cpu}")
        except OSError:
            claim.close()
        else:
            return Core(claim, cpu)
    return None


class Pin:
    """Keeps the calling thread on a core until released."""

    def __init__(self, cpu: int | None) -> None:
        self._before: set[int] | None = None
        if cpu is not None:
            before = os.sched_getaffinity(0)
            with suppress(OSError):
                os.sched_setaffinity(0, {cpu})
                self._before = before

    def release(self) -> None:
        if self._before is not None:
            os.sched_setaffinity(0, self._before)
