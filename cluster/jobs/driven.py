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
from pathlib import Path
from types import FrameType
from typing import Any

from cluster.jobs.driving import LINKS, say
from cluster.jobs.sealing import Party, place_of
from evo import session
from evo.cli.progress import Progress
from evo.cli.report import Home, report
from evo.config import config_from_json
from evo.endpoints import refuse_without_access, with_access
from evo.errors import EvoError, StoppedError, UserError
from evo.registry import SHIPPED
from evo.run_folder import create_run_folder, existing_run_folder
from evo.session import Ended

PATIENCE_SECONDS, LOOK_SECONDS = 180.0, 0.3

Order = Mapping[str, Any]
Taken = Callable[[str], bytes | None]


def drive(order: Order) -> int:
    """Do what was ordered; the exit code."""
    with _stopped_by_a_signal():
        try:
            return _drive(order)
        except EvoError as error:
            say({"refused": str(error)})
            print(f"evo: {error}", file=sys.stderr)
            return 130 if isinstance(error, StoppedError) else 2
        except KeyboardInterrupt:
            return 130
        except OSError as error:  # a disk that is full, a folder that cannot be written
            say({"refused": f"cannot write {error.filename or 'on the head'}: {error.strerror}"})
            return 2


def _drive(order: Order) -> int:
    folder = Path(order["run_dir"]).expanduser() / order["run"]
    if order["do"] == "link":
        _link(existing_run_folder(folder))
        say({"linked": str(folder)})
        return 0
    if order["sender"]:
        os.environ.update(received(order["sender"], order["job"], _take_from_cluster))
    os.environ[SHIPPED] = "1"
    ended = _resume(order, folder) if order["do"] == "resume" else _run(order, folder)
    report(ended, _home(order))
    if ended.reason == "interrupted":
        return 130
    return int(ended.reason == "exhausted" and ended.search.told <= ended.search.settings.seeds)


def received(sender: str, job: str, take: Taken, patience_seconds: float = PATIENCE_SECONDS) -> dict[str, str]:
    """The variables that were sealed for this driver.

    Args:
        sender: public key of who submitted it.
        take: what lies under a name among the cluster's packages, and takes it away.

    Raises:
        UserError: they did not come in time, or are not by the sender.
    """
    driver = Party()
    say({"reader": driver.public_key})
    deadline = time.monotonic() + patience_seconds
    while (envelope := take(place_of(driver.public_key, job))) is None:
        if time.monotonic() > deadline:
            raise UserError(
                f"no variables came within {patience_seconds:.0f} s; "
                "was `evo submit` ended before it could hand them over? submit again"
            )
        time.sleep(LOOK_SECONDS)
    return driver.opened(envelope, sender, job)


def _take_from_cluster(name: str) -> bytes | None:
    from ray._raylet import GcsClient

    store, key = GcsClient(address=os.environ["RAY_ADDRESS"]), f"gcs://{name}".encode()
    envelope: bytes | None = store.internal_kv_get(key)
    if envelope is not None:
        store.internal_kv_del(key, False)
    return envelope


def _run(order: Order, folder: Path) -> Ended:
    config = with_access(config_from_json(order["config"]), os.environ)
    prepared = session.prepare(config)
    asyncio.run(refuse_without_access(config, os.environ))
    create_run_folder(folder.parent, folder.name, config.problem.name)
    _begun(folder)
    with Progress(prepared, folder) as progress:
        return session.start(prepared, folder, watch=progress.told)


def _resume(order: Order, folder: Path) -> Ended:
    with session.reopened(folder, order["overrides"]) as prepared:
        asyncio.run(refuse_without_access(prepared.config, os.environ))
        _begun(folder)
        with Progress(prepared, folder) as progress:
            return session.go_on(prepared, folder, watch=progress.told)


def _begun(folder: Path) -> None:
    _link(folder)
    say({"begun": str(folder)})


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
