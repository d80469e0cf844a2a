"""What the driver of a submitted run does on the head: take its variables, find its folder, and search.

It tells `evo submit` by way of its log that it waits for variables, that it has begun, or why it will not.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from cluster.jobs.entrypoint import LINKS, say
from cluster.jobs.runs import FAILED_LATER, REFUSED
from cluster.jobs.sealing import Party, place_of
from evo.cli.progress import Progress
from evo.cli.report import Home, report
from evo.config.loading import config_from_json
from evo.engine import session
from evo.engine.factories import check_without_access, with_access
from evo.engine.session import Ended
from evo.errors import EvoError, RunFolderError, StoppedError, UserError
from evo.journal.folder import JOURNAL, create_run_folder, locked
from evo.registry import SHIPPED

TIMEOUT_SECONDS, LOOK_SECONDS = 180.0, 0.3

Order = Mapping[str, Any]
Taken = Callable[[str], bytes | None]


def drive(order: Order) -> int:
    """Do what was ordered; the exit code."""
    driver = Driver(order)
    with _stopped_by_a_signal():
        try:
            return driver.drive()
        except EvoError as error:
            said = str(error).replace(f"evo resume {driver.folder}", driver.home.resume)
            code = 130 if isinstance(error, StoppedError) else FAILED_LATER if driver.has_begun else REFUSED
        except OSError as error:  # a disk that is full, a folder that cannot be written
            said = f"cannot write {error.filename or 'on the head'}: {error.strerror}"
            code = FAILED_LATER if driver.has_begun else REFUSED
        except KeyboardInterrupt:
            said, code = "interrupted; what was recorded is safe", 130
    say({"refused": said})
    print(f"evo: {said}", file=sys.stderr)
    return code


class Driver:
    """One order, carried out.

    Attributes:
        folder: of the run.
        home: how it is called where it was submitted.
        has_begun: whether the search is under way.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self.folder = Path.home() / Path(order["run_dir"]).expanduser() / order["run"]
        self.home = _home(order)
        self.has_begun = False

    def drive(self) -> int:
        order = self._order
        if order["do"] == "link":
            return self._link_alone()
        if order["sender"]:
            os.environ.update(received(order["sender"], order["job"], _take_from_cluster))
        os.environ[SHIPPED] = "1"
        ended = self._resume() if order["do"] == "resume" else self._run()
        report(ended, self.home)
        if ended.reason == "interrupted":
            return 130
        return int(ended.reason == "exhausted" and ended.search.count_told <= ended.search.settings.seeds)

    def _run(self) -> Ended:
        config = with_access(config_from_json(self._order["config"]), os.environ)
        prepared = session.prepare(config)
        asyncio.run(check_without_access(config, os.environ))
        create_run_folder(self.folder.parent, self.folder.name, config.problem.name)
        with locked(self.folder):  # a disk that is full refuses here, while somebody waits to hear it
            self._begin()
        with Progress(prepared, self.folder) as progress:
            return session.start(prepared, self.folder, watch=progress.on_tell)

    def _resume(self) -> Ended:
        with session.reopened(self.folder, self._order["overrides"]) as prepared:
            asyncio.run(check_without_access(prepared.config, os.environ))
            self._begin()
            with Progress(prepared, self.folder) as progress:
                return session.go_on(prepared, self.folder, watch=progress.on_tell)

    def _begin(self) -> None:
        _link(self.folder)
        self.has_begun = True
        say({"begun": str(self.folder)})

    def _link_alone(self) -> int:
        if not (self.folder / JOURNAL).is_file():
            raise RunFolderError(f"{self.folder} holds no run; --run-dir says where else run folders lie there")
        _link(self.folder)
        say({"linked": str(self.folder)})
        return 0


def received(sender: str, job: str, take: Taken, timeout_seconds: float = TIMEOUT_SECONDS) -> dict[str, str]:
    """The variables that were sealed for this driver.

    Args:
        sender: public key of who submitted it.
        take: what lies under a name among the cluster's packages, and takes it away.

    Raises:
        UserError: they did not come in time, or are not by the sender.
    """
    driver = Party()
    say({"reader": driver.public_key})
    deadline = time.monotonic() + timeout_seconds
    while (envelope := take(place_of(driver.public_key, job))) is None:
        if time.monotonic() > deadline:
            raise UserError(
                f"no variables came within {timeout_seconds:.0f} s; "
                "was `evo submit` ended before it could hand them over? submit again"
            )
        time.sleep(LOOK_SECONDS)
    return driver.opened(envelope, sender, job)


def _take_from_cluster(name: str) -> bytes | None:
    store, key = _store(), f"gcs://{name}".encode()
    envelope: bytes | None = store.internal_kv_get(key)
    if envelope is not None:
        store.internal_kv_del(key, False)
    return envelope


@cache
def _store() -> Any:
    """Where Ray keeps the packages that were uploaded."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled

    return GcsClient(address=os.environ["RAY_ADDRESS"])


def _link(folder: Path) -> None:
    """Let Ray serve the run's folder: a link among its logs, where `evo fetch` finds it."""
    logs = _logs_folder()
    if logs is None:
        return
    (logs / LINKS).mkdir(exist_ok=True)
    link = logs / LINKS / folder.name
    with suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(folder.resolve(), target_is_directory=True)


def _logs_folder() -> Path | None:
    """Where this node's Ray keeps its logs: a job's output goes there. None where this is no job."""
    try:
        output = Path(os.readlink("/proc/self/fd/1"))
    except OSError:
        return None
    return output.parent if output.name.startswith("job-driver-") else None


def _home(order: Order) -> Home:
    run, address = order["run"], shlex.quote(order["address"])
    return Home(
        folder=f"runs/{run}",
        fetch=f"evo fetch {run} --address {address} --to runs/{run}",
        resume=f"evo resume {run} --address {address}",
    )


@contextmanager
def _stopped_by_a_signal() -> Iterator[None]:
    """SIGTERM, which `evo stop` sends, interrupts as Ctrl-C does where no session has taken it for itself."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
