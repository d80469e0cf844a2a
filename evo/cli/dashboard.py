"""Starting the dashboard: Streamlit in a process of its own, on this machine only."""

from __future__ import annotations

import importlib.util
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from evo.errors import UserError

HOST = "127.0.0.1"
TIMEOUT_SECONDS = 30.0
STOP_SECONDS = 5.0
# The server answers to no other host name, so that a foreign page cannot reach it by DNS rebinding.
HOSTS = (HOST, "localhost")
SETTINGS = {
    "server.address": HOST,
    # This module opens the browser: Streamlit would ask for an e-mail address first.
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.enableStaticServing": "false",
    "server.enableAgentApi": "false",
    "browser.gatherUsageStats": "false",
    "runner.magicEnabled": "false",
    "client.toolbarMode": "viewer",
    "client.showErrorLinks": "false",
    # Error details may quote what candidates and models wrote: they go to the terminal only.
    "client.showErrorDetails": "type",
    "logger.level": "warning",
}


def serve(places: Sequence[Path], *, port: int, browser: bool) -> None:
    """Serve the dashboard until Ctrl-C.

    Args:
        places: run folders, or folders of them; none means runs/.

    Raises:
        UserError: a place does not exist, the port is taken, or Streamlit does not start.
    """
    places = list(places) or [Path("runs")]
    check_missing(places)
    check_taken(port)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a script it would be ignored
    server = subprocess.Popen(command(places, port))
    try:
        _wait_until_it_answers(server, port)
        address = f"http://{HOST}:{port}"
        print(f"dashboard of {', '.join(map(str, places))}: {address} (Ctrl-C ends it)", flush=True)
        if browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        server.wait()
    except KeyboardInterrupt:
        return
    finally:
        _end(server)
    raise UserError(f"the dashboard ended by itself (exit code {server.returncode}); its own message is above")


def command(places: Sequence[Path], port: int) -> list[str]:
    """The command that starts the server."""
    found = importlib.util.find_spec("dashboard")  # by name: the engine imports no sibling
    if found is None or found.origin is None:
        raise UserError("the dashboard is not installed; `pip install evo-platform` has it")
    folder = Path(found.origin).parent
    settings = {**SETTINGS, "server.port": str(port), "theme.base": str(folder / "theme.toml")}
    flags = [f"--{name}={value}" for name, value in settings.items()]
    flags += [f"--server.allowedHosts={host}" for host in HOSTS]
    app = str(folder / "app.py")
    # -P: a click.py in the current folder must not be taken for the library.
    return [
        sys.executable,
        "-P",
        "-m",
        "streamlit",
        "run",
        app,
        *flags,
        "--",
        *(str(place.resolve()) for place in places),
    ]


def check_missing(places: Sequence[Path]) -> None:
    """Check that the named places exist; the default folder may be created later.

    Raises:
        UserError: a place does not exist.
    """
    for place in places:
        if not place.exists() and place != Path("runs"):
            raise UserError(f"no run at {place}; expected a run folder or a folder of runs, as in runs/")


def check_taken(port: int) -> None:
    """Check that the port is free: Streamlit would silently take another port.

    Raises:
        UserError: another process listens there, or this user may not.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"port {port} of {HOST} cannot be used ({error.strerror}); choose another: --port {port % 65535 + 1}"
            ) from error


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise UserError(f"the dashboard did not start (exit code {server.returncode}); its own message is above")
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise UserError(f"the dashboard did not answer at port {port} within {TIMEOUT_SECONDS:.0f} s")


def _end(server: subprocess.Popen[bytes]) -> None:
    """Terminate the server, and kill it if it does not end."""
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
