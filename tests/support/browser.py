"""A real browser before a real dashboard."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

HOST = "127.0.0.1"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Streamlit looks for its server under the page's own address first, and then at the root.
PROBES = ("/_stcore/health", "/_stcore/host-config")


@dataclass
class Watched:
    """A page, and all that it complained of or asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    root: str = ""

    def open(self, address: str) -> None:
        self.page.goto(self.root + address)

    def note_console(self, message: Any) -> None:
        where = message.location.get("url", "")
        if message.type == "error" and not (where.endswith(PROBES) and "404" in message.text):
            self.complaints.append(f"{message.text} ({where})")

    def note_request(self, request: Any) -> None:
        if not request.url.startswith((self.root, self.root.replace("http", "ws"), "data:", "blob:")):
            self.strangers.append(request.url)


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        assert CHROMIUM is not None
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield started
        finally:
            started.close()


@contextmanager
def window(
    started: Browser, root: str, *, width: int = 1280, height: int = 1000, dark: bool = False
) -> Iterator[Watched]:
    """A page in a window of this size; it has to be left without a complaint, and without a request to elsewhere."""
    context = started.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(30_000)
    watched = Watched(page, root=root)
    page.on("console", watched.note_console)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    context.on("request", watched.note_request)
    try:
        yield watched
    finally:
        context.close()
    assert watched.complaints == []
    assert watched.strangers == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(*places: Path, home: Path) -> Iterator[str]:
    """The address of a dashboard that the command line serves."""
    port = free_port()
    command = [sys.executable, "-m", "evo", "dashboard", *map(str, places), "--port", str(port), "--no-browser"]
    log = (home / "dashboard.log").open("wb")
    server = subprocess.Popen(
        command, stdout=log, stderr=log, env={**os.environ, "HOME": str(home)}, start_new_session=True
    )
    try:
        wait_for(f"http://{HOST}:{port}/_stcore/health", server)
        yield f"http://{HOST}:{port}"
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def wait_for(address: str, server: subprocess.Popen[bytes], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert server.poll() is None, f"it ended with {server.returncode}"
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{address} did not answer")
