"""`evo dashboard`: serves this machine only, says what is wrong in a sentence, and ends without a trace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from evo.cli.dashboard import HOST, command
from tests.conftest import Evo
from tests.support.browser import free_port


def test_a_port_that_is_taken_is_one_sentence(evo: Evo) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = evo("dashboard", "--port", port, "--no-browser")
    assert answer.code == 2
    assert answer.err.startswith(f"evo: port {port} of 127.0.0.1 cannot be used (Address already in use)")
    assert len(answer.err.splitlines()) == 1


def test_a_run_that_is_not_there_is_one_sentence(evo: Evo) -> None:
    answer = evo("dashboard", "runs/nowhere", "--no-browser")
    assert (answer.code, answer.err) == (
        2,
        "evo: no run at runs/nowhere; expected a run folder or a folder of runs, as in runs/\n",
    )


def test_the_server_is_told_to_keep_to_itself() -> None:
    flags = command([Path("runs")], 8501)
    for flag in ("server.address=127.0.0.1", "browser.gatherUsageStats=false", "runner.magicEnabled=false"):
        assert f"--{flag}" in flags
    assert "--server.fileWatcherType=none" in flags
    assert flags[-2:] == ["--", str(Path("runs").resolve())]


def test_what_lies_where_it_is_called_from_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('run')\n")
    (tmp_path / "streamlit.py").write_text("raise SystemExit('run')\n")
    before = command([tmp_path], 8501)
    words = before[: before.index("run")]
    answer = subprocess.run([*words, "version"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (answer.returncode, answer.stdout.partition(",")[0]) == (0, "Streamlit")


def test_ctrl_c_ends_it_with_nothing_left_behind(toy_run: Path, tmp_path: Path) -> None:
    port = free_port()
    started = [sys.executable, "-m", "evo", "dashboard", str(toy_run), "--port", str(port), "--no-browser"]
    home = tmp_path / "home"
    home.mkdir()
    dashboard = subprocess.Popen(
        started,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOME": str(home), "OPENAI_API_KEY": "sk-not-to-be-seen"},
        start_new_session=True,
    )
    try:
        assert dashboard.stdout is not None
        assert any(f"http://{HOST}:{port} (Ctrl-C ends it)" in line for line in dashboard.stdout)
        servers = psutil.Process(dashboard.pid).children(recursive=True)
        page = urllib.request.urlopen(f"http://{HOST}:{port}/", timeout=5).read()
        assert b"sk-not-to-be-seen" not in page
        above = f"http://{HOST}:{port}/_stcore/bidi-components/evo.plotly/../../setup.py"
        with pytest.raises(urllib.error.HTTPError, match="40[04]"):
            urllib.request.urlopen(above, timeout=5)
    finally:
        os.killpg(dashboard.pid, signal.SIGINT)
    _, err = dashboard.communicate(timeout=20)
    assert dashboard.returncode == 0, err
    assert "Traceback" not in err
    assert servers
    assert not any(server.is_running() for server in servers)
    assert list(home.iterdir()) == []
