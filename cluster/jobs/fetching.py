"""Fetches a run from a head: its journal, from which its lineage is rebuilt."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import uuid4

from cluster.jobs.contract import LINKS, ORDER
from cluster.jobs.copying import bring_up_to_date
from cluster.jobs.launching import POLL_SECONDS, launch, wait_for_message
from cluster.jobs.packages import Package
from cluster.jobs.runs import NO_RUN, check_name, latest
from cluster.jobs.server import JobServer
from evo.config.loading import config_from_json
from evo.config.schema import Config
from evo.errors import RunFolderError, UserError
from evo.journal.folder import JOURNAL, locked
from evo.lineage import Projection


class FarRun:
    """A run whose folder lies on a head, which serves its journal.

    Raises:
        UserError: no run of that name there.
    """

    def __init__(self, server: JobServer, run: str, run_dir: str) -> None:
        check_name(run)
        self._server, self.run = server, run
        self._node = self._node_of_its_driver() or self._node_of_a_link(run_dir)

    def piece(self, lines: int) -> AbstractContextManager[Iterator[bytes]]:
        """A number of lines of the journal's end, or all for -1."""
        return self._piece(self._node, lines)

    def config(self) -> Config:
        """Its configuration when it was started."""
        read = b""
        with self.piece(-1) as blocks:
            for block in blocks:
                read += block
                if b"\n" in read:
                    break
        try:
            return config_from_json(json.loads(read.partition(b"\n")[0])["config"])
        except (ValueError, KeyError) as error:
            raise UserError(f"the journal of {self.run} on the head does not begin as a journal does") from error

    def fetch(self, to: Path) -> None:
        """Copy its journal into a folder, or bring it up to date there, and the lineage with it.

        Raises:
            UserError: the folder holds something else, is in use or cannot be written; or the head cannot be reached.
        """
        if to.exists() and not (to / JOURNAL).is_file() and (not to.is_dir() or any(to.iterdir())):
            raise RunFolderError(f"{to} exists and holds no run; fetch into another folder")
        try:
            to.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"cannot make {to}: {error.strerror}; fetch into another folder") from error
        with locked(to):
            bring_up_to_date(to / JOURNAL, self.piece)
            Projection(to).catch_up()

    def _piece(self, node: str, lines: int) -> AbstractContextManager[Iterator[bytes]]:
        return self._server.file(node, f"{LINKS}/{self.run}/{JOURNAL}", lines=lines)

    def _serves(self, node: str) -> bool:
        """Whether a node serves the journal. For a missing file Ray now and then answers with nothing."""
        with self._piece(node, 1) as blocks:
            return next(blocks, b"") != b""

    def _node_of_its_driver(self) -> str | None:
        job = latest(self._server.jobs(), self.run)
        return job.node if job and job.node and self._serves(job.node) else None

    def _node_of_a_link(self, run_dir: str) -> str:
        """By a job that makes the link: the head was restarted, and knows nothing of earlier jobs."""
        job_id = f"evo-link-{uuid4().hex[:12]}"
        order = {"do": "link", "run": self.run, "run_dir": run_dir, "address": self._server.address}
        launch(self._server, Package("an order", {}, {ORDER: json.dumps(order)}), job_id, NO_RUN)
        wait_for_message(self._server, job_id, "linked")
        while not (job := self._server.job(job_id)).over:
            time.sleep(POLL_SECONDS)
        self._server.delete(job_id)
        assert job.node is not None, "a job that sent a message has a node"
        return job.node
