"""What is sent to a cluster, what is not, and what is said where it cannot be: against a fake of Ray's job server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.jobs import launching, packages
from cluster.jobs.contract import ORDER
from cluster.jobs.remote_driver import received
from cluster.jobs.sealing import Party, place_of
from cluster.sandbox import visible
from evo.errors import UserError
from tests.conftest import Answer, Evo
from tests.support.fake_job_server import FakeJobServer, Fields

PROBLEM = """
from pathlib import Path
from evo.testing.toys import Valley
class Own(Valley):
    "A valley."
    depth = float((Path(__file__).parent / "depth.txt").read_text())
"""


def begins(server: FakeJobServer, job: Fields) -> None:
    """A driver that needs no variables and begins at once."""
    server.say(job, begun="/home/evo/runs/x")


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeJobServer]:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(launching, "POLL_SECONDS", 0.02)
    with FakeJobServer(driver=begins).serving() as server:
        yield server


def refused(answer: Answer, *parts: str) -> None:
    """One sentence, exit code 2."""
    assert answer.code == 2, answer
    complaint = answer.err.strip().splitlines()[-1]
    assert complaint.startswith("evo: ")
    for part in parts:
        assert part in complaint, complaint
    assert "Traceback" not in answer.err


def submit(evo: Evo, head: FakeJobServer, *more: str, target: str = "sphere") -> Answer:
    return evo("submit", target, "--address", head.url, "--name", "packing", *more)


# Clusters that do not do


def test_an_address_where_nobody_answers_is_reported_in_a_sentence(evo: Evo) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        for command in (["submit", "sphere"], ["jobs"], ["stop", "x"], ["fetch", "x", "--to", "y"], ["resume", "x"]):
            refused(evo(*command, "--address", url), f"no Ray cluster answers at {url}", "as in http://HEAD:8265")


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "http://", "http://me:secret@head:8265"])
def test_an_address_that_cannot_be_one_is_reported_in_a_sentence(evo: Evo, address: str) -> None:
    answer = evo("jobs", "--address", address)
    refused(answer, "--address")
    assert "secret" not in answer.err


def test_a_server_that_is_not_rays_is_reported_in_a_sentence(evo: Evo, head: FakeJobServer) -> None:
    refused(evo("jobs", "--address", f"{head.url}/elsewhere"), "is no job server of Ray", "http://HEAD:8265")


def test_a_port_that_speaks_otherwise_is_reported_in_a_sentence(evo: Evo) -> None:
    """As 6379, where Ray's nodes meet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

        def mumble() -> None:
            caller, _ = server.accept()
            with caller:
                caller.recv(10_000)
                caller.sendall(b"\0\0\x18\x04\0\0\0")

        thread = threading.Thread(target=mumble)
        thread.start()
        refused(evo("jobs", "--address", url), f"what answers at {url} is no job server of Ray")
        thread.join()


def test_an_old_ray_is_reported_in_a_sentence(evo: Evo, head: FakeJobServer) -> None:
    head.ray_version = "2.9.3"
    refused(submit(evo, head), "runs Ray 2.9.3", ">=2.50", "install such a Ray")
    assert not head.jobs


def test_an_old_python_is_reported_in_a_sentence(evo: Evo, head: FakeJobServer) -> None:
    head.python_version = "3.10.4"
    refused(submit(evo, head), "runs Python 3.10.4", ">=3.11")
    assert not head.jobs


def test_a_cluster_without_a_cpu_is_reported_in_a_sentence_unless_it_grows(evo: Evo, head: FakeJobServer) -> None:
    head.cpus = 0.0
    refused(submit(evo, head), "has a CPU for evaluations (1 nodes are up)", "start workers")
    assert not head.jobs
    head.grows = True
    assert submit(evo, head).code == 0


def test_a_head_that_does_not_count_itself_yet_is_not_taken_for_one_that_grows(evo: Evo, head: FakeJobServer) -> None:
    head.cpus, head.unlisted = 0.0, 1
    refused(submit(evo, head), "has a CPU for evaluations (1 nodes are up)", "start workers")
    assert not head.jobs


def test_a_token_is_sent_only_where_it_is_asked_for(
    evo: Evo, head: FakeJobServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "t0ken")
    assert evo("jobs", "--address", head.url).code == 0
    assert set(head.authorizations) == {None}
    head.token = "t0ken"
    assert evo("jobs", "--address", head.url).code == 0
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    refused(evo("jobs", "--address", head.url), "asks for a token, and there is none", "~/.ray/auth_token")
    (tmp_path / "home/.ray").mkdir(parents=True)
    (tmp_path / "home/.ray/auth_token").write_text("t0ken\n")
    assert evo("jobs", "--address", head.url).code == 0
    (tmp_path / "home/.ray/auth_token").write_text("another")
    refused(evo("jobs", "--address", head.url), "does not take your token")


def test_what_the_driver_refuses_is_reported_in_a_sentence(evo: Evo, head: FakeJobServer) -> None:
    def refuses(server: FakeJobServer, job: Fields) -> None:
        server.say(job, refused="cannot write /home/evo/runs/packing: No space left on device")
        server.end(job, "FAILED", 2)

    head.driver = refuses
    refused(submit(evo, head), "the driver on the head: cannot write", "No space left on device")
    head.driver = begins
    assert submit(evo, head).code == 0, "its name is free again"


def test_a_driver_that_never_came_to_be_is_reported_in_a_sentence(evo: Evo, head: FakeJobServer) -> None:
    def dies(server: FakeJobServer, job: Fields) -> None:
        job |= {"driver_node_id": None, "message": "runtime_env setup failed: Failed to download\n  No space left"}
        server.end(job, "FAILED", None)

    head.driver = dies
    refused(submit(evo, head), "ended before it began: runtime_env setup failed: Failed to download No space left")


def test_a_driver_that_says_nothing_is_given_up(evo: Evo, head: FakeJobServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "START_SECONDS", 0.2)
    head.driver = lambda server, job: None
    refused(submit(evo, head), "did not begin within", f"evo jobs --address {head.url}")


# Names


def test_a_name_that_is_taken_is_reported_in_a_sentence(evo: Evo, head: FakeJobServer) -> None:
    assert submit(evo, head).code == 0
    refused(submit(evo, head), "packing is taken", "--name OTHER", f"evo resume packing --address {head.url}")
    assert list(head.jobs) == ["packing"]


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-x", "a b", "x" * 65, "packing.2"])
def test_a_name_that_could_be_none_is_reported_in_a_sentence(evo: Evo, head: FakeJobServer, name: str) -> None:
    refused(evo("submit", "sphere", "--address", head.url, f"--name={name or ' '}"), "can be called", "letters, digits")


def test_without_a_name_a_run_is_called_by_its_problem(evo: Evo, head: FakeJobServer) -> None:
    assert evo("submit", "evo.testing.toys:Valley", "--address", head.url).code == 0
    [name] = head.jobs
    assert name.startswith("Valley-")


# What goes along


def shipped(head: FakeJobServer) -> tuple[set[str], Any]:
    """Names of the user's files, and the order."""
    uri = head.jobs["packing"]["runtime_env"]["working_dir"]
    with head.opened(uri) as package:
        order = json.loads(package.read(ORDER))
    return head.names_in(uri) - {ORDER}, order


def test_a_problem_goes_with_what_lies_beside_it_and_without_secrets_caches_and_runs(
    evo: Evo, head: FakeJobServer, tmp_path: Path
) -> None:
    for name in (
        *("mine/own.py", "mine/depth.txt", "mine/data/cases.jsonl", "mine/.env", "mine/keys.env", "mine/id.pem"),
        *("mine/.git/config", "mine/runs/old/journal.jsonl", "mine/old/journal.jsonl", "mine/__pycache__/own.pyc"),
        *("mine/.venv/x.py", "mine/env/pyvenv.cfg", "mine/env/x.py", "elsewhere/large.bin", "notes.txt"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    (tmp_path / "mine/own.py").write_text(PROBLEM)
    assert submit(evo, head, target="mine/own.py:Own").code == 0
    files, order = shipped(head)
    assert files == {"mine/own.py", "mine/depth.txt", "mine/data/cases.jsonl"}
    assert order["config"]["problem"]["name"] == "mine/own.py:Own"


def test_a_configuration_takes_along_the_files_that_its_options_name(
    evo: Evo, head: FakeJobServer, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    lines = [json.dumps({"question": f"{n}+1", "answer": str(n + 1)}) for n in range(9)]
    (tmp_path / "data/cases.jsonl").write_text("\n".join(lines))
    (tmp_path / "large.bin").write_text("not named")
    options = {"cases": "data/cases.jsonl", "metric": "numeric"}
    config = {"problem": {"name": "prompt_task", "options": options}, "model": {"name": "m"}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    answer = submit(evo, head, target="mine.yaml")
    assert answer.code == 0, answer.err
    assert shipped(head)[0] == {"data/cases.jsonl"}


def test_nothing_of_the_folder_goes_along_with_a_problem_that_names_nothing_in_it(
    evo: Evo, head: FakeJobServer, tmp_path: Path
) -> None:
    (tmp_path / "private.txt").write_text("x")
    assert submit(evo, head).code == 0
    assert shipped(head)[0] == set()


def test_a_file_outside_of_the_folder_is_reported_in_a_sentence(evo: Evo, head: FakeJobServer, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(PROBLEM)
    (tmp_path / "depth.txt").write_text("1")
    (tmp_path / "inner").mkdir()
    answer = submit(evo, head, target=f"{tmp_path.parent}/{tmp_path.name}/../{tmp_path.name}/own.py:Own")
    assert answer.code == 0, answer.err
    outside = tmp_path.parent / f"{tmp_path.name}-outside.py"
    outside.write_text("from evo.testing.toys import Valley as Own\n")
    try:
        answer = evo("submit", f"{outside}:Own", "--address", head.url, "--name", "other")
    finally:
        outside.unlink()
    refused(answer, str(outside), "not below", "submit from a folder that holds all that it names")


def test_too_large_a_folder_is_reported_in_a_sentence_that_names_the_largest(
    evo: Evo, head: FakeJobServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(PROBLEM)
    (tmp_path / "depth.txt").write_text("1")
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 20_000)
    monkeypatch.setattr(packages, "MOST_BYTES", 1 << 10)
    refused(submit(evo, head, target="own.py:Own"), "larger than", "elsewhere")
    assert not head.jobs


def test_all_packages_of_the_project_go_along_with_what_registers_their_parts(evo: Evo, head: FakeJobServer) -> None:
    assert submit(evo, head).code == 0
    [uri] = head.jobs["packing"]["runtime_env"]["py_modules"]
    names = head.names_in(uri)
    for package in ("evo", "operators", "problems", "cluster", "dashboard"):
        assert f"{package}/__init__.py" in names
    assert {"evo/lineage/schema.sql", "cluster/jobs/remote_driver.py"} <= names
    assert any(name.endswith("dist-info/entry_points.txt") for name in names)
    assert not any("__pycache__" in name or name.startswith("tests/") for name in names)
    before = dict(head.packages)
    assert evo("submit", "sphere", "--address", head.url, "--name", "second").code == 0
    assert uri == head.jobs["second"]["runtime_env"]["py_modules"][0], "the same files are the same package"
    assert len(head.packages) == len(before) + 1


def test_a_configuration_that_means_nothing_goes_nowhere(evo: Evo, head: FakeJobServer) -> None:
    refused(submit(evo, head, "--set", "budget.evaluatoins=5"), "evaluatoins", "did you mean 'evaluations'")
    refused(submit(evo, head, "--set", "executor=local"), "on the head alone")
    assert not head.bodies or not head.jobs


def test_what_is_installed_on_a_node_is_hidden_from_candidates_where_another_was_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("evo_platform-0.1.0.dist-info", "evo", "problems", "numpy"):
        (tmp_path / "site-packages" / name).mkdir(parents=True)
    (tmp_path / "other/site-packages/cluster").mkdir(parents=True)  # not ours
    homes = [str(tmp_path / "site-packages"), str(tmp_path / "other/site-packages")]
    monkeypatch.setattr(visible, "package_folders", lambda: homes)
    hidden = [folder for folder in visible.our_folders.__wrapped__() if folder.startswith(str(tmp_path))]
    assert hidden == [f"{homes[0]}/evo", f"{homes[0]}/problems"]


# Variables


class SealedDriver:
    """Waits for variables as the real driver does, and opens the envelope."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.party = Party()

    def __call__(self, server: FakeJobServer, job: Fields) -> None:
        server.say(job, reader=self.party.public_key)
        server.say(job, begun="/there")
        self.job = job["submission_id"]

    def opened(self, server: FakeJobServer) -> dict[str, str]:
        with server.opened(server.jobs[self.job]["runtime_env"]["working_dir"]) as package:
            order = json.loads(package.read(ORDER))
        envelope = server.packages[place_of(self.party.public_key, self.job)]
        return self.party.opened(envelope, order["sender"], self.job)


def test_variables_reach_the_driver_and_nothing_that_is_sent_holds_them(
    evo: Evo, head: FakeJobServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_KEY", "sk-very-secret")
    driver = head.driver = SealedDriver()
    answer = submit(evo, head, "--env", "LAB_KEY")
    assert answer.code == 0, answer.err
    assert driver.opened(head) == {"LAB_KEY": "sk-very-secret"}
    sent = [*head.bodies, *head.packages.values(), json.dumps(head.jobs).encode(), json.dumps(head.logs).encode()]
    for uri in head.packages:
        if uri != place_of(driver.party.public_key, "packing"):
            with head.opened(uri) as package:
                sent += [package.read(name) for name in package.namelist()]
    assert not any(b"sk-very-secret" in content for content in sent)
    assert "sk-very-secret" not in answer.out + answer.err


def test_a_variable_that_is_not_set_or_given_with_its_value_is_reported_in_a_sentence(
    evo: Evo, head: FakeJobServer
) -> None:
    refused(submit(evo, head, "--env", "NOT_SET_HERE"), "--env NOT_SET_HERE", "export it first")
    answer = submit(evo, head, "--env", "LAB_KEY=sk-very-secret")
    refused(answer, "--env LAB_KEY=...", "a name alone")
    assert "sk-very-secret" not in answer.err
    assert not head.jobs


def test_a_key_that_stays_here_is_hinted_at(evo: Evo, head: FakeJobServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    assert "--env OPENAI_API_KEY" in submit(evo, head, "--model", "m", target="bin_packing").err
    assert "--env" not in evo("submit", "sphere", "--address", head.url, "--name", "other").err


LAPTOP, DRIVER, JOB = Party(), Party(), "packing"
VALUES = {"LAB_KEY": "sk-very-secret", "OTHER": "ü"}


def test_an_envelope_opens_for_its_driver_and_its_job_alone() -> None:
    envelope = LAPTOP.seal(VALUES, DRIVER.public_key, JOB)
    assert DRIVER.opened(envelope, LAPTOP.public_key, JOB) == VALUES
    by_another = Party().seal(VALUES, DRIVER.public_key, JOB)
    for reader, sealed, sender, job in (
        (DRIVER, envelope, LAPTOP.public_key, "packing.2"),  # replayed to the next driver of the run
        (Party(), envelope, LAPTOP.public_key, JOB),  # to another driver
        (DRIVER, by_another, LAPTOP.public_key, JOB),  # by a third party that read both public keys
        (DRIVER, envelope[:-1] + bytes([envelope[-1] ^ 1]), LAPTOP.public_key, JOB),
        (DRIVER, b"", LAPTOP.public_key, JOB),
        (LAPTOP, envelope, DRIVER.public_key, JOB),  # sent back
    ):
        with pytest.raises(UserError, match="not sealed for this job by its sender"):
            reader.opened(sealed, sender, job)


def test_an_envelope_tells_nothing_of_how_long_the_values_are() -> None:
    sizes = {len(LAPTOP.seal({"LAB_KEY": "x" * length}, DRIVER.public_key, JOB)) for length in (1, 50, 164, 2000)}
    assert len(sizes) == 1


@pytest.mark.parametrize("key", ["", "AAAA", "no base64!", "A" * 44])
def test_what_is_no_public_key_is_reported_in_a_sentence(key: str) -> None:
    with pytest.raises(UserError, match="expected a public key of 32 bytes"):
        LAPTOP.seal(VALUES, key, JOB)


def test_a_driver_whose_variables_do_not_come_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="no variables came within 0 s; was `evo submit` ended .* submit again"):
        received(LAPTOP.public_key, JOB, lambda name: None, timeout_seconds=0.0)
    assert '"reader"' in capsys.readouterr().out


def test_each_start_of_a_driver_has_another_key(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with pytest.raises(UserError, match="not sealed"):
            received(LAPTOP.public_key, JOB, lambda name: b"rubbish")
    first, second = capsys.readouterr().out.splitlines()
    assert first != second
