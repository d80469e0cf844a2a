"""Searches by a model, end to end: the real client, a real HTTP server over loopback, and a scripted model behind."""

from __future__ import annotations

import json
import math
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evo.lineage import open_run
from evo.search.search import MAX_UNREADABLE
from operators.scripted import Faults, ScriptedServer, find_rule
from tests.conftest import Evo
from tests.support.paths import ROOT
from tests.support.priced_models import KEY, priced, serving
from tests.support.runs import events, spent_usd

TOY = ("evo.testing.toys:Nothing", "--set", "executor=evo.testing.executor:InProcessExecutor", "--model", "scripted")
REWRITE = ("--set", "search.operators={model_rewrite: 1}")
MIXED = ("--set", "search.operators={model_rewrite: 3, 'evo.testing.toys:Count': 1}")
TROUBLES = {"rate_limited": 0.05, "server_error": 0.05, "hang": 0.05, "malformed_json": 0.05, "no_code": 0.05}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving("constant_jitter", 0.01) as server:
        yield server


def test_what_was_paid_made_the_program_and_replays_at_no_cost(
    evo: Evo, tmp_path: Path, server: ScriptedServer
) -> None:
    answer = evo("run", *TOY, *MIXED, *priced(server), "--set", "budget.evaluations=40", "--name", "paid")
    assert answer.code == 0, answer.err
    run = tmp_path / "runs/paid"
    reader = open_run(run)
    assert reader.sql("SELECT sum(cost_usd) FROM completions").scalar() == pytest.approx(spent_usd(run))
    assert spent_usd(run) > 0
    latest = reader.sql("SELECT max(id) FROM individuals WHERE operator = 'model_rewrite'").scalar()
    made = reader.sql("FROM made_by(?)", [latest]).rows
    assert len(made) == 1
    purpose, model, prompt, reply, cost = made[0]
    assert (purpose, model) == ("rewrite", "scripted")
    assert "def answer" in prompt
    assert "def answer" in reply
    assert cost > 0
    assert reader.sql("SELECT sum(usd) FROM cost_per_improvement").scalar() == pytest.approx(spent_usd(run))
    again = evo("replay", run)
    assert again.code == 0, again.out
    assert "0 dollars" in again.out
    assert "otherwise" not in again.out


def test_another_run_reuses_recorded_completions(evo: Evo, tmp_path: Path, server: ScriptedServer) -> None:
    common = (*TOY, *MIXED, *priced(server), "--set", "budget.evaluations=20", "--set", "search.deterministic=true")
    evo("run", *common, "--name", "first")
    before = server.stats().requests
    answer = evo("run", *common, "--name", "second", "--replay-from", tmp_path / "runs/first")
    assert answer.code == 0, answer.err
    assert server.stats().requests == before
    assert spent_usd(tmp_path / "runs/second") == 0


def test_a_cap_in_dollars_is_never_passed(evo: Evo, tmp_path: Path, server: ScriptedServer) -> None:
    caps = ("--set", "budget.usd=0.05", "--set", "budget.evaluations=5000")
    answer = evo("run", *TOY, *MIXED, *priced(server), *caps, "--name", "capped")
    assert answer.code == 0, answer.err
    assert "might have passed its budget of dollars" in answer.out
    assert 0.02 < spent_usd(tmp_path / "runs/capped") <= 0.05


def test_a_wrong_key_stops_the_run_at_once_and_appears_nowhere(
    evo: Evo, tmp_path: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "sk-a-wrong-key-9876543210"
    monkeypatch.setenv("OPENAI_API_KEY", wrong)
    answer = evo("run", *TOY, *MIXED, *priced(server), "--name", "refused")
    assert answer.code == 2
    assert len(answer.err.strip().splitlines()) <= 3
    assert "Traceback" not in answer.err
    assert wrong not in answer.err + answer.out + (tmp_path / "runs/refused/journal.jsonl").read_text("utf-8")


def test_the_key_is_in_no_file_of_a_run(evo: Evo, tmp_path: Path, server: ScriptedServer) -> None:
    evo("run", *TOY, *MIXED, *priced(server), "--set", "budget.evaluations=20", "--name", "kept")
    for path in (tmp_path / "runs/kept").iterdir():
        assert KEY.encode() not in path.read_bytes(), path


def test_without_a_key_and_an_endpoint_a_search_goes_on_without_a_model(
    evo: Evo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    answer = evo(
        "run", "symbolic_regression", "--model", "some", "--set", "executor=local", "--set", "budget.evaluations=10"
    )
    assert answer.code == 0, answer.err
    assert "no OPENAI_API_KEY, no OPENAI_BASE_URL and no endpoint: searching without some" in answer.err


def test_a_model_for_a_genome_that_no_model_operator_varies_is_refused(evo: Evo, server: ScriptedServer) -> None:
    answer = evo("run", "sphere", "--model", "scripted")
    assert answer.code == 2
    assert "no registered operator asks a model and varies a vector; leave --model out" in answer.err


def test_an_operator_that_needs_a_model_is_refused_without_one(evo: Evo) -> None:
    answer = evo("run", "bin_packing", *REWRITE)
    assert answer.code == 2
    assert "'model_rewrite' needs a language model; name one with --model NAME" in answer.err


def test_every_proposal_of_a_troubled_endpoint_is_accounted_for(
    evo: Evo, tmp_path: Path, server: ScriptedServer
) -> None:
    faults = Faults(shares=TROUBLES, latency_seconds=0.01, hang_seconds=30)
    with ScriptedServer(find_rule("constant_jitter"), faults).in_thread() as troubled:
        endpoint = priced(troubled, concurrency=64, timeout_seconds=1.0, retries=3)
        budget = ("--set", "budget.evaluations=300", "--set", "budget.usd=5")
        answer = evo("run", *TOY, *MIXED, *endpoint, *budget, "--name", "troubled")
    assert answer.code == 0, answer.err
    run = tmp_path / "runs/troubled"
    asks = {event["ask"] for event in events(run, "ask")}
    proposals = [event["ask"] for event in events(run, "proposal")]
    assert len(asks) >= 300
    assert sorted(proposals) == sorted(asks)
    outcomes = {event["outcome"] for event in events(run, "proposal")}
    assert {"ok", "unparsable"} <= outcomes
    assert spent_usd(run) <= 5
    assert open_run(run).sql("SELECT sum(cost_usd) FROM completions").scalar() == pytest.approx(spent_usd(run))
    again, best = evo("replay", run), open_run(run).sql("SELECT arg_max(individual, value) FROM objectives").scalar()
    assert again.code == 0, again.out
    assert f"individual {best}" in again.out


def test_an_endpoint_that_is_down_is_paused_and_shown_and_the_run_goes_on_when_it_is_back(
    evo: Evo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr("evo.cli.progress.LINE_EVERY_SECONDS", 0.5)
    port, over = free_port(), threading.Event()

    def come_back() -> None:
        time.sleep(1.0)
        with ScriptedServer(find_rule("constant_jitter")).in_thread(port):
            over.wait(60)

    thread = threading.Thread(target=come_back)
    thread.start()
    endpoint = {"base_url": f"http://127.0.0.1:{port}/v1", "concurrency": 64, "retries": 0}
    budget = ("--set", "budget.evaluations=30", "--set", f"model.endpoints.here={json.dumps(endpoint)}")
    answer = evo("run", *TOY, *REWRITE, *budget, "--name", "down")
    over.set()
    thread.join()
    assert answer.code == 0, answer.err
    assert re.search(r"here paused after \d+ failures, tried again in \d s", answer.err), answer.err
    assert len(events(tmp_path / "runs/down", "tell")) == 30
    assert {event["outcome"] for event in events(tmp_path / "runs/down", "proposal")} >= {"ok", "unreachable"}


def test_the_questions_about_money_in_the_docs_are_answered(evo: Evo, tmp_path: Path, server: ScriptedServer) -> None:
    page = (ROOT / "docs/models.md").read_text("utf-8")
    evo("run", *TOY, *REWRITE, *priced(server), "--set", "budget.evaluations=20", "--name", "asked")
    run = tmp_path / "runs/asked"
    reader = open_run(run)
    best, name = reader.sql("SELECT id, name FROM best").rows[0]
    made = reader.sql("SELECT max(id) FROM individuals WHERE model IS NOT NULL").scalar()
    queries = re.findall(r'evo sql RUN "(.*)"', page)
    assert len(queries) == 3
    each, prompt, cost = (reader.sql(query.replace("42", str(made))) for query in queries)
    assert {"operator", "model", "usd_each"} <= set(each.columns)
    assert "def answer" in prompt.rows[0][prompt.columns.index("prompt")]
    line = [row[0] for row in reader.sql("SELECT id FROM ancestors(?)", [best]).rows]
    owed = {event["ask"] for event in events(run, "proposal") if event.get("individual") in line}
    paid = math.fsum(event["completion"]["cost_usd"] for event in events(run, "completion") if event["ask"] in owed)
    assert cost.rows[0][cost.columns.index("usd")] == pytest.approx(paid)
    assert paid > 0
    assert name == "answer"


def test_a_run_that_is_over_waits_for_no_call_that_was_not_sent(
    evo: Evo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: ScriptedServer
) -> None:
    sick = Faults(shares={"rate_limited_retry_after": 1.0}, retry_after_seconds=25)
    with ScriptedServer(find_rule("constant_jitter"), sick).in_thread() as refusing:
        began = time.monotonic()
        wall = ("--set", "budget.wall_seconds=2", "--name", "walled")
        answer = evo("run", *TOY, *REWRITE, *priced(refusing, concurrency=4, retries=5), *wall)
    assert answer.code == 0, answer.err
    assert time.monotonic() - began < 15
    assert "its time is used up" in answer.out
    run = tmp_path / "runs/walled"
    assert spent_usd(run) == 0
    assert evo("replay", run).code == 0


def test_thoughts_are_recorded_apart_and_make_no_offspring(evo: Evo, tmp_path: Path) -> None:
    rule = find_rule("constant_jitter")
    draft = "<think>\nFirst:\n```python\ndef answer():\n    return -1\n```\n</think>\n"
    with ScriptedServer(lambda request, rng: draft + rule(request, rng)).in_thread() as thinking:
        answer = evo("run", *TOY, *REWRITE, *priced(thinking), "--set", "budget.evaluations=9", "--name", "thinking")
    assert answer.code == 0, answer.err
    run = tmp_path / "runs/thinking"
    thoughts, replies = open_run(run).sql("SELECT list(DISTINCT reasoning), list(reply) FROM completions").rows[0]
    assert thoughts == ["First:\n```python\ndef answer():\n    return -1\n```"]
    assert not any("<think>" in reply or "return -1" in reply for reply in replies)
    assert evo("replay", run).code == 0


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ('model.endpoints={a: {base_url: "http://u:pw12345678@127.0.0.1:1/v1"}}', "must not hold a user or a password"),
        ('model.endpoints={a: {base_url: "http://127.0.0.1:1/v1?key=pw12345678"}}', "must not hold a key in its query"),
        ("model.endpoints={a: {key_variable: sk-abcdef123456}}", "must name an environment variable in capitals"),
        ("model.endpoints={a: {key: sk-abcdef123456}}", "unknown key in [model.endpoints.a] 'key'; known: "),
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(evo: Evo, override: str, complaint: str) -> None:
    answer = evo("run", *TOY, "--set", override)
    assert answer.code == 2
    assert complaint in answer.err
    assert "pw12345678" not in answer.err
    assert "abcdef" not in answer.err


def test_a_refused_model_leaves_no_folder(evo: Evo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    answer = evo("run", *TOY, "--set", 'model.endpoints={a: {base_url: "ftp://x/v1"}}')
    assert answer.code == 2
    assert not (tmp_path / "runs").exists()


def test_a_run_in_which_no_reply_was_of_use_says_why_and_fails(evo: Evo, server: ScriptedServer) -> None:
    with ScriptedServer(find_rule("constant_jitter"), Faults(shares={"no_code": 1.0})).in_thread() as useless:
        answer = evo("run", *TOY, *REWRITE, *priced(useless), "--name", "useless")
    assert answer.code == 1
    assert "none of the model's replies could be read" in answer.out
    assert int(answer.out.partition("models: ")[2].split()[0]) <= 2 * MAX_UNREADABLE
    assert "unparsable: the reply holds no fenced block of code" in answer.out
    assert re.search(r"models: \d+ completions, \d+ tokens, \$0\.", answer.out)
