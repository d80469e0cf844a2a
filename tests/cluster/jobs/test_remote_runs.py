"""Runs on a head, from elsewhere: fetched, followed, listed, stopped, resumed; against a fake job server."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.jobs import copying, following, launching, verbs
from cluster.jobs.contract import ORDER
from cluster.jobs.copying import Piece, bring_up_to_date
from cluster.jobs.remote_driver import RemoteDriver, drive
from cluster.jobs.server import LostError
from evo.errors import UserError
from evo.journal.log import read_events
from tests.cluster.jobs.test_submitting import begins, refused
from tests.conftest import TOY, Answer, Evo
from tests.evo.lineage.test_lineage import contents
from tests.support.fake_job_server import NODE, FakeJobServer, Fields
from tests.support.paths import ROOT

METADATA = {"evo_run": "toy", "evo_problem": "valley", "evo_run_dir": "~/runs", "evo_variables": ""}
JOURNAL = "evo-runs/toy/journal.jsonl"


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first_toy_run: Path) -> Iterator[FakeJobServer]:
    """A head on which the toy run ended."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(launching, "POLL_SECONDS", 0.02)
    for name in ("POLL_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(following, name, 0.05)
    monkeypatch.setattr(copying, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(verbs, "STOP_POLL_SECONDS", 0.02)
    with FakeJobServer(driver=begins).serving() as server:
        server.jobs["toy"] = job("toy", "SUCCEEDED", 0)
        server.files[JOURNAL] = (first_toy_run / "journal.jsonl").read_bytes()
        yield server


def job(name: str, status: str, exit_code: int | None = None, run: str = "toy", began: int = 1000) -> Fields:
    return {
        "type": "SUBMISSION",
        "submission_id": name,
        "status": status,
        "driver_exit_code": exit_code,
        "start_time": began,
        "end_time": None if status == "RUNNING" else began + 1,
        "message": "",
        "driver_node_id": NODE,
        "driver_agent_http_address": "http://192.0.2.7:52365",
        "metadata": METADATA | {"evo_run": run},
    }


def fetch(evo: Evo, head: FakeJobServer, to: str = "home", run: str = "toy") -> Answer:
    return evo("fetch", run, "--address", head.url, "--to", to)


# Fetching


def test_a_fetched_folder_is_the_run_byte_for_byte_and_row_for_row(
    evo: Evo, head: FakeJobServer, tmp_path: Path, first_toy_run: Path
) -> None:
    answer = fetch(evo, head)
    assert answer.code == 0, answer.err
    assert answer.out.startswith("home: 60 individuals")
    assert (tmp_path / "home/journal.jsonl").read_bytes() == (first_toy_run / "journal.jsonl").read_bytes()
    assert contents(tmp_path / "home") == contents(first_toy_run)
    assert evo("doctor", "home").code == 0


def test_a_run_that_goes_on_is_fetched_as_far_as_it_is_and_later_the_rest(
    evo: Evo, head: FakeJobServer, tmp_path: Path, first_toy_run: Path
) -> None:
    whole = head.files[JOURNAL]
    torn = whole[: whole.index(b"\n", len(whole) // 2) - 5]
    head.files[JOURNAL] = torn
    head.jobs["toy"] = job("toy", "RUNNING")
    answer = fetch(evo, head)
    assert answer.code == 0, answer.err
    assert answer.out.rstrip().endswith("it is running")
    assert (tmp_path / "home/journal.jsonl").read_bytes() == torn[: torn.rindex(b"\n") + 1]
    assert evo("doctor", "home").code == 0
    head.files[JOURNAL] = whole
    assert fetch(evo, head).code == 0
    assert (tmp_path / "home/journal.jsonl").read_bytes() == whole
    assert contents(tmp_path / "home") == contents(first_toy_run)
    assert fetch(evo, head).code == 0, "nothing new is no mistake"


def test_a_connection_that_breaks_again_and_again_costs_no_byte(evo: Evo, head: FakeJobServer, tmp_path: Path) -> None:
    size = len(head.files[JOURNAL])
    # Asked for: whether it is served, its last line, and then all or the end of it.
    head.cuts = [size, size, size // 3, size, size // 2, 0, size, 5]
    answer = fetch(evo, head)
    assert answer.code == 0, answer.err
    assert head.cuts == []
    assert (tmp_path / "home/journal.jsonl").read_bytes() == head.files[JOURNAL]


def test_what_is_in_the_way_is_reported_in_a_sentence_and_stays(evo: Evo, head: FakeJobServer, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.tex").write_text("x")
    refused(fetch(evo, head), "home exists and holds no run")
    assert evo("run", *TOY, "--set", "budget.evaluations=5", "--name", "other").code == 0
    before = (tmp_path / "runs/other/journal.jsonl").read_bytes()
    refused(fetch(evo, head, "runs/other"), "holds another run, or a changed copy", "another folder")
    assert (tmp_path / "runs/other/journal.jsonl").read_bytes() == before


def test_a_run_that_went_on_here_is_left_as_it_is(evo: Evo, head: FakeJobServer, tmp_path: Path) -> None:
    assert fetch(evo, head).code == 0
    assert evo("resume", "home", "--set", "budget.evaluations=70").code == 0
    before = (tmp_path / "home/journal.jsonl").read_bytes()
    assert fetch(evo, head).code == 0
    assert (tmp_path / "home/journal.jsonl").read_bytes() == before


def test_a_restarted_head_is_asked_for_the_folder(evo: Evo, head: FakeJobServer, tmp_path: Path) -> None:
    journal = head.files.pop(JOURNAL)
    head.jobs.clear()
    orders = []

    def links(server: FakeJobServer, job: Fields) -> None:
        with server.opened(job["runtime_env"]["working_dir"]) as package:
            orders.append(json.loads(package.read(ORDER)))
        server.files[JOURNAL] = journal
        server.say(job, linked="/home/evo/runs/toy")
        server.end(job, "SUCCEEDED", 0)

    head.driver = links
    assert fetch(evo, head).code == 0
    assert [(order["do"], order["run"], order["run_dir"]) for order in orders] == [("link", "toy", "~/runs")]
    assert head.jobs == {}, "the little job is gone"
    assert (tmp_path / "home/journal.jsonl").read_bytes() == journal


class Remote:
    """A growing file, served in pieces that may break off."""

    def __init__(self, content: bytes, rng: random.Random | None = None) -> None:
        self.content = content
        self._rng = rng
        self.sent = 0

    @contextmanager
    def piece(self, lines: int) -> Iterator[Iterator[bytes]]:
        content = self.content if lines < 0 else b"".join(self.content.splitlines(keepends=True)[-lines:])
        yield self._blocks(content)

    def _blocks(self, content: bytes) -> Iterator[bytes]:
        for at in range(0, len(content), 4096):
            if self._rng and self._rng.random() < 0.03:
                raise LostError("the connection broke")
            self.sent += len(content[at : at + 4096])
            yield content[at : at + 4096]


LINES = [b'{"event": %d, "text": "%s"}\n' % (n, b"x" * (n * 37 % 900)) for n in range(5000)]


@pytest.mark.parametrize("seed", range(8))
def test_however_a_copy_is_interrupted_it_ends_as_the_journal(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PAUSE_SECONDS", 0.001)
    rng = random.Random(seed)
    copy, remote = tmp_path / "journal.jsonl", Remote(b"", rng)
    for _ in range(6):
        more = LINES[len(remote.content.splitlines()) :][: rng.randrange(1, 1500)]
        torn = rng.choice((b"", b'{"event": '))
        remote.content += b"".join(more)
        whole, remote.content = remote.content, remote.content + torn
        assert bring_up_to_date(copy, remote.piece, timeout_seconds=30.0)
        assert copy.read_bytes() == whole
        remote.content = whole


def test_what_is_there_already_does_not_travel_again(tmp_path: Path) -> None:
    copy, remote = tmp_path / "journal.jsonl", Remote(b"".join(LINES[:4500]))
    bring_up_to_date(copy, remote.piece)
    remote.sent, remote.content = 0, b"".join(LINES[:4600])
    bring_up_to_date(copy, remote.piece)
    assert copy.read_bytes() == remote.content
    assert remote.sent < len(remote.content) / 3


def test_a_copy_that_is_not_of_this_journal_stays_and_is_reported_in_a_sentence(tmp_path: Path) -> None:
    copy = tmp_path / "journal.jsonl"
    for start in (b"another\n", b"".join(LINES[:50]) + b"changed\n", LINES[0].replace(b"x", b"y") + LINES[1]):
        copy.write_bytes(start)
        with pytest.raises(UserError, match="holds another run, or a changed copy"):
            bring_up_to_date(copy, Remote(b"".join(LINES[:60])).piece)
        assert copy.read_bytes() == start


def test_a_head_that_does_not_come_back_is_reported_in_a_sentence(tmp_path: Path) -> None:
    @contextmanager
    def broken(lines: int) -> Iterator[Iterator[bytes]]:
        raise LostError("the connection to http://head broke")
        yield iter(())

    piece: Piece = broken
    with pytest.raises(UserError, match="the connection to http://head broke; fetch again"):
        bring_up_to_date(tmp_path / "journal.jsonl", piece, timeout_seconds=0.1)


# Following


def test_the_log_is_shown_to_its_end_without_what_is_rays_or_ours(evo: Evo, head: FakeJobServer) -> None:
    log = (
        "2026-11-28 01:04:16,617\tINFO job_manager.py:581 -- Runtime env is setting up.\n"
        "Running entrypoint for job toy: exec env\n"
        'evo-driver: {"begun": "/there"}\n'
        "/there: 60 evaluations\n\nbest ü\n"
    )
    head.files["job-driver-toy.log"] = log.encode()
    head.logs["toy"] = log + "its last words"
    head.jobs["toy"] = job("toy", "RUNNING")

    def ends(server: FakeJobServer) -> None:
        server.end(server.jobs["toy"], "SUCCEEDED", 0)

    head.after_answers = (12, ends)
    answer = evo("jobs", "--address", head.url, "--log", "toy")
    assert answer.code == 0, answer.err
    assert answer.out == "/there: 60 evaluations\n\nbest ü\nits last words\n"


def test_a_connection_that_is_lost_is_taken_up_again_where_it_was(evo: Evo, head: FakeJobServer) -> None:
    head.files["job-driver-toy.log"] = b"one\ntwo\n"
    head.jobs["toy"] = job("toy", "RUNNING")

    def back(server: FakeJobServer) -> None:
        server.is_down = False
        server.files["job-driver-toy.log"] += b"three\n"
        server.logs["toy"] = "one\ntwo\nthree\nfour\n"
        server.after_answers = (9, lambda server: server.end(server.jobs["toy"], "SUCCEEDED", 0))

    def lost(server: FakeJobServer) -> None:
        server.is_down = True
        server.after_answers = (6, back)

    head.after_answers = (9, lost)
    answer = evo("jobs", "--address", head.url, "--log", "toy")
    assert answer.code == 0, answer.err
    assert answer.out == "one\ntwo\nthree\nfour\n"
    said = answer.err.splitlines()
    assert len(said) == 2
    assert "the run goes on there, and the connection is tried again" in said[0]
    assert said[1] == "connected again"


@pytest.mark.parametrize(
    ("status", "exit_code", "code"), [("SUCCEEDED", 0, 0), ("FAILED", 1, 1), ("FAILED", 3, 2), ("STOPPED", None, 130)]
)
def test_waiting_ends_with_the_exit_code_of_the_driver(
    evo: Evo, head: FakeJobServer, status: str, exit_code: int | None, code: int
) -> None:
    def runs(server: FakeJobServer, job: Fields) -> None:
        server.say(job, begun="/there")
        server.end(job, status, exit_code)

    head.driver = runs
    assert evo("submit", "sphere", "--address", head.url, "--name", "new", "--wait").code == code


# Jobs and stopping


def test_runs_are_listed_once_each_the_latest_first(evo: Evo, head: FakeJobServer) -> None:
    head.jobs |= {
        "toy.2": job("toy.2", "RUNNING", began=5_000),
        "toy.3": job("toy.3", "FAILED", 2, began=6_000),  # refused, since the second was running
        "old": job("old", "FAILED", 1, run="old", began=500),
        "link": job("link", "SUCCEEDED", 0, run="", began=7_000),
        "foreign": job("foreign", "RUNNING") | {"metadata": {}},
    }
    answer = evo("jobs", "--address", head.url)
    _, _, *rows = answer.out.splitlines()
    assert [re.split(r"  +", row)[:3] for row in rows] == [
        ["toy", "valley", "running"],
        ["old", "valley", "failed (exit code 1)"],
    ]
    assert "~/runs/toy on 192.0.2.7" in rows[0]


def test_stopping_waits_until_it_is_over_and_says_how_to_go_on(evo: Evo, head: FakeJobServer) -> None:
    head.jobs["toy"] = job("toy", "RUNNING")
    answer = evo("stop", "toy", "--address", head.url)
    assert answer.code == 0
    assert answer.out == f"toy stopped; `evo resume toy --address {head.url}` goes on with it\n"
    refused(evo("stop", "toy", "--address", head.url), "toy is not running: it stopped")
    refused(evo("stop", "tyo", "--address", head.url), "no run tyo", "known: toy")


# Going on


def test_going_on_takes_the_configuration_of_the_journal_and_the_next_number(evo: Evo, head: FakeJobServer) -> None:
    answer = evo("resume", "toy", "--address", head.url, "--set", "budget.evaluations=90")
    assert answer.code == 0, answer.err
    assert list(head.jobs) == ["toy", "toy.2"]
    with head.opened(head.jobs["toy.2"]["runtime_env"]["working_dir"]) as package:
        order = json.loads(package.read(ORDER))
    assert (order["do"], order["run"], order["run_dir"]) == ("resume", "toy", "~/runs")
    assert order["overrides"] == ["executor.address=auto", "budget.evaluations=90"]


def test_going_on_with_what_runs_or_without_its_variables_is_reported_in_a_sentence(
    evo: Evo, head: FakeJobServer
) -> None:
    head.jobs["toy"]["metadata"] = METADATA | {"evo_variables": "LAB_KEY"}
    refused(evo("resume", "toy", "--address", head.url), "hand them over once more: --env LAB_KEY")
    head.jobs["toy"] = job("toy", "RUNNING")
    refused(evo("resume", "toy", "--address", head.url), "toy is running", "evo stop toy")


@pytest.mark.parametrize("option", [("--wait",), ("--env", "HOME"), ("--run-dir", "/x")], ids=" ".join)
def test_what_is_for_a_run_far_away_is_refused_for_one_here(evo: Evo, toy_run: Path, option: tuple[str, ...]) -> None:
    refused(evo("resume", toy_run, *option), f"{option[0]} goes with --address")


def test_what_the_driver_says_as_it_begins_is_shown(evo: Evo, head: FakeJobServer) -> None:
    def begins_otherwise(server: FakeJobServer, job: Fields) -> None:
        server.logs[job["submission_id"]] = "no OPENAI_API_KEY: searching without m\n"
        server.say(job, begun="/there")

    head.driver = begins_otherwise
    answer = evo("submit", "sphere", "--address", head.url, "--name", "new")
    assert "no OPENAI_API_KEY: searching without m\n" in answer.err
    assert f"evo stop new --address {head.url} " in answer.out


# The driver itself, without a cluster


def ordered(tmp_path: Path, **more: object) -> Fields:
    return {
        "do": "run",
        "job": "toy",
        "run": "toy",
        "run_dir": str(tmp_path / "far"),
        "sender": None,
        "address": "http://head:8265",
        "overrides": [],
        **more,
    }


def config_of(run: Path) -> Fields:
    found: Fields = next(read_events(run / "journal.jsonl"))[1]["config"]
    return found


def said(out: str) -> list[Fields]:
    return [json.loads(line.removeprefix("evo-driver: ")) for line in out.splitlines() if line.startswith("evo-d")]


def test_a_driver_runs_goes_on_and_refuses_what_is_there(
    tmp_path: Path, first_toy_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVO_SHIPPED", "1")
    order = ordered(tmp_path, config=config_of(first_toy_run))
    assert drive(order) == 0
    folder = tmp_path / "far/toy"
    out = capsys.readouterr().out
    assert said(out) == [{"begun": str(folder)}]
    assert "evo fetch toy --address http://head:8265 --to runs/toy" in out
    assert "evo show runs/toy" in out
    assert sum(event["event"] == "tell" for _, event in read_events(folder / "journal.jsonl")) == 60
    assert drive(order) == 2
    [refusal] = said(capsys.readouterr().out)
    assert "exists; `evo resume toy --address http://head:8265` continues it" in refusal["refused"]
    assert drive({**order, "do": "resume", "overrides": ["budget.evaluations=70"]}) == 0
    assert sum(event["event"] == "tell" for _, event in read_events(folder / "journal.jsonl")) == 70


def test_a_folder_that_cannot_be_made_is_refused(
    tmp_path: Path, first_toy_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVO_SHIPPED", "1")
    (tmp_path / "far").write_text("a file")
    assert drive(ordered(tmp_path, config=config_of(first_toy_run))) == 2
    assert "cannot make" in said(capsys.readouterr().out)[0]["refused"]


def test_run_folders_lie_in_the_home_of_the_heads_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/evo")
    for run_dir, folder in (("~/runs", "/home/evo/runs/toy"), ("kept", "/home/evo/kept/toy"), ("/d", "/d/toy")):
        assert str(RemoteDriver(ordered(tmp_path, run_dir=run_dir)).folder) == folder


def test_a_python_without_what_evo_needs_is_reported_in_a_sentence(tmp_path: Path) -> None:
    """As on a head whose `python3` lacks evo."""
    (tmp_path / "cluster").symlink_to(ROOT / "cluster")
    command = [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, '.'); import runpy; "]
    command[-1] += "runpy.run_module('cluster.jobs.entrypoint', run_name='__main__')"
    # It has gone over to the Python of its parent already, which may have Ray loaded as Ray's supervisor has.
    environment = {**os.environ, "EVO_DRIVERS_PYTHON": sys.executable}
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert answer.returncode == 2, answer.stderr
    assert "lacks what evo needs" in said(answer.stdout)[0]["refused"]
    assert answer.stderr == ""
