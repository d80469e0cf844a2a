"""The driver of a submitted run, on the head: it receives its variables, finds its folder, and searches.

By its log it sends messages to `evo submit`: that it waits for variables, that it has begun, or why it refuses.
"""

from __future__ import annotations

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

from cluster.jobs.contract import FAILED_LATER, LINKS, REFUSED, say
from cluster.jobs.sealing import Party, place_of
from evo.cli.progress import Progress
from evo.cli.report import Home, report
from evo.config.loading import config_from_json
from evo.engine.run import OnStart, RunResult, resume, run
from evo.engine.setup import Setup
from evo.errors import EvoError, RunFolderError, StoppedError, UserError, command
from evo.journal.folder import JOURNAL
from evo.registry import SHIPPED

TIMEOUT_SECONDS, POLL_SECONDS = 180.0, 0.3

Order = Mapping[str, Any]
Take = Callable[[str], bytes | None]


def drive(order: Order) -> int:
    """Carry out an order; returns the exit code."""
    driver = RemoteDriver(order)
    with _stopped_by_a_signal():
        try:
            return driver.drive()
        except EvoError as error:
            reason = str(error).replace(f"{command('resume', driver.folder)}", driver.home.resume)
            code = 130 if isinstance(error, StoppedError) else FAILED_LATER if driver.has_begun else REFUSED
        except OSError as error:  # a disk that is full, a folder that cannot be written
            reason = f"cannot write {error.filename or 'on the head'}: {error.strerror}"
            code = FAILED_LATER if driver.has_begun else REFUSED
        except KeyboardInterrupt:
            reason, code = "interrupted; what was recorded is safe", 130
    say({"refused": reason})
    print(f"evo: {reason}", file=sys.stderr)
    return code


class RemoteDriver:
    """Carries out an order.

    Attributes:
        folder: of the run.
        home: what it is called where it was submitted.
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
        with Progress() as progress:
            result = self._resume(progress) if order["do"] == "resume" else self._run(progress)
        report(result, self.home)
        if result.reason == "interrupted":
            return 130
        return int(result.reason == "exhausted" and result.search.count_told <= result.search.settings.seeds)

    def _run(self, progress: Progress) -> RunResult:
        return run(
            config_from_json(self._order["config"]),
            self.folder,
            on_start=self._begin(progress),
            on_tell=progress.on_tell,
        )

    def _resume(self, progress: Progress) -> RunResult:
        overrides = self._order["overrides"]
        return resume(self.folder, overrides, on_start=self._begin(progress), on_tell=progress.on_tell)

    def _begin(self, progress: Progress) -> OnStart:
        """What happens once the folder is held: a disk that is full refuses before, while the submitter waits."""

        def begin(setup: Setup, folder: Path) -> None:
            _link(folder)
            self.has_begun = True
            say({"begun": str(folder)})
            progress.begin(setup, folder)

        return begin

    def _link_alone(self) -> int:
        if not (self.folder / JOURNAL).is_file():
            raise RunFolderError(f"{self.folder} holds no run; --run-dir says where else run folders lie there")
        _link(self.folder)
        say({"linked": str(self.folder)})
        return 0


def received(sender: str, job: str, take: Take, timeout_seconds: float = TIMEOUT_SECONDS) -> dict[str, str]:
    """The variables that were sealed for this driver.

    Args:
        sender: public key of the side that submitted it.
        take: returns what lies under a name among the cluster's packages, and deletes it there.

    Raises:
        UserError: they did not arrive in time, or are not by the sender.
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
        time.sleep(POLL_SECONDS)
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
