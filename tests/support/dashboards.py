"""Runs for the tests of the dashboard, and a dashboard in this process."""

from __future__ import annotations

import json
import re
import shutil
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from streamlit.testing.v1 import AppTest

from evo.journal.log import VERSION, Journal
from evo.lineage import Projection, rebuild
from tests.benchmarks.histories import History
from tests.support.paths import ROOT

APP = ROOT / "dashboard" / "app.py"
HOSTILE = "<img src=x onerror=alert(1)>[a](javascript:alert(1)) **b** $x$ `c` <script>"


def grown(folder: Path, *counts: int) -> History:
    """A simulated run of three objectives, projected after each of these numbers of individuals."""
    folder.mkdir(parents=True)
    history, projection = History(folder, population=20), Projection(folder)
    for count in counts:
        history.grow(count)
        projection.catch_up()
    return history


def begun(folder: Path, *, objectives: int = 2) -> Path:
    """A run without a result yet."""
    folder.mkdir(parents=True)
    journal = Journal(folder / "journal.jsonl")
    names = [{"name": f"goal {number}", "direction": "min", "unit": "s"} for number in range(objectives)]
    config = {"problem": {"name": "made"}, "seed": 1, "budget": {"evaluations": 10}}
    rest: dict[str, Any] = {"description": HOSTILE, "versions": {}, "pid": 1, "host": "made"}
    journal.append("run", version=VERSION, run=folder.name, problem="made", config=config, objectives=names, **rest)
    journal.close()
    rebuild(folder)
    return folder


def evaluated(folder: Path, evaluations: list[dict[str, Any]], *, objectives: int = 1) -> Path:
    """A run with these evaluations, with hostile text wherever candidates and models write."""
    begun(folder, objectives=objectives)
    journal = Journal(folder / "journal.jsonl")
    for number, evaluation in enumerate(evaluations):
        parents = [[number - 1, "base"]] if number else []
        journal.append("ask", ask=number, operator=HOSTILE, parents=parents, island=0, model=HOSTILE)
        completion = {
            "outcome": "ok",
            "text": HOSTILE,
            "model": HOSTILE,
            "endpoint": HOSTILE,
            "input_tokens": 10,
            "cached_tokens": 0,
            "output_tokens": 5,
            "cost_usd": 0.01,
            "seconds": 0.5,
            "requests": 1,
            "error": "",
        }
        request = {"purpose": HOSTILE, "messages": [["user", HOSTILE]]}
        journal.append("completion", ask=number, stage="proposal", digest="d", request=request, completion=completion)
        genome = {"kind": "program", "files": {"main.py": f"x = {number}\n# {HOSTILE}\n"}}
        fields: dict[str, Any] = {"genome": genome, "digest": f"d{number}", "size": 3, "thought": HOSTILE}
        journal.append("proposal", ask=number, outcome="ok", individual=number, **fields)
        journal.append("tell", individual=number, tell=number, **_tell(evaluation, number))
    journal.close()
    rebuild(folder)
    return folder


def _tell(evaluation: dict[str, Any], number: int) -> dict[str, Any]:
    whole = {
        "outcome": "ok",
        "objectives": {},
        "violations": {},
        "feedback": HOSTILE,
        "seconds": 0.1,
        "cpu_seconds": 0.1,
        "memory_bytes": 1,
        "started": 1e9 + number,
        "worker": HOSTILE,
        "node": HOSTILE,
        "isolation": "process",
        **evaluation,
    }
    ok = whole["outcome"] == "ok"
    best = next(iter(whole["objectives"].values()), None)
    return {
        "evaluation": whole,
        "generation": number,
        "survived": ok,
        "removed": [],
        "entered_front": ok,
        "left_front": [],
        "front": 1,
        "population": 1,
        "best": ["goal 0", best],
        "hypervolume": None,
        "diversity": None,
    }


def dashboard(monkeypatch: pytest.MonkeyPatch, *places: Path, view: str = "", **address: object) -> AppTest:
    """The dashboard of these places, at a view and its address."""
    monkeypatch.setattr("sys.argv", [str(APP), *map(str, places)])
    app = AppTest.from_file(str(APP), default_timeout=30)
    for name, value in address.items():
        app.query_params[name] = str(value)
    return visit(app, view)


def visit(app: AppTest, view: str) -> AppTest:
    """Go to a view; the default view has no name."""
    return app.switch_page(f"views/{view or 'overview'}.py").run()


def said(app: AppTest) -> str:
    """All text of the page."""
    kinds = (app.markdown, app.caption, app.header, app.subheader, app.warning, app.error, app.info, app.code)
    texts = [str(element.value) for kind in kinds for element in kind]
    return "\n".join([*texts, *(f"{metric.label} {metric.value} {metric.delta}" for metric in app.metric)])


def copied(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder))


def figures(app: AppTest) -> list[dict[str, Any]]:
    """The figures of the page, as they are sent to the browser."""
    return [json.loads(json.loads(element.proto.json)["figure"]) for element in app.get("bidi_component")]


def figures_of_page(text: str) -> list[dict[str, Any]]:
    """The figures of an exported page."""
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    assert found
    figures: list[dict[str, Any]] = json.loads(found[1])
    return figures


NOON = datetime(2026, 5, 1, 12)
ARMS = (("diff", "large"), ("diff", "small"), ("nudge", ""))


def worked(folder: Path, count: int = 60, *, seed: int = 1) -> Path:
    """A run with times of its own: proposed in 2 s, queued for 1 s, evaluated for 4 s, recorded 0.5 s later.

    There is an ask each second from NOON on. Four workers on two machines, three arms; every sixth evaluation fails, in
    three different ways, and every tenth ask has no candidate. Machines join and leave.
    """
    begun(folder, objectives=1)
    with duckdb.connect(str(folder / "lineage.duckdb")) as client:
        client.execute("UPDATE runs SET started = ?, seed = ?", [NOON, seed])
        rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for ask in range(count):
            _work(ask, rows)
        rows["events"] += [
            (NOON + timedelta(seconds=at), kind, json.dumps({"event": kind, **detail}))
            for at, kind, detail in CLUSTER_EVENTS
        ]
        for table, values in rows.items():
            marks = ", ".join("?" * len(values[0]))
            client.executemany(f"INSERT INTO {table} VALUES ({marks})", values)
    return folder


CLUSTER_EVENTS: tuple[tuple[float, str, dict[str, Any]], ...] = (
    (4.0, "node_joined", {"node": "a", "host": "host-a", "nodes": 2}),
    (20.0, "no_room", {"takes": "1 GPU", "reason": HOSTILE}),
    (24.0, "room", {"takes": "1 GPU", "places": 1}),
    (30.0, "node_left", {"node": "b", "host": "host-b", "nodes": 1}),
    (31.0, "reissued", {"digests": ["d"], "node": "a", "winner": "second"}),
    (35.0, "stop", {"reason": "budget"}),
)
TRACEBACK = "Traceback, innermost call last:\n  main.py, line {at}, in pack\n    x = 1\nValueError: {at} is no 'size'"
WAYS = (("crash", TRACEBACK), ("timeout", "no answer within {at} s"), ("oom", "took more than {at} MB"))


def _work(ask: int, rows: dict[str, list[tuple[Any, ...]]]) -> None:
    at = NOON + timedelta(seconds=ask)
    operator, model = ARMS[ask % 3]
    called, began, told_at = (at + timedelta(seconds=seconds) for seconds in (2, 3, 7.5))
    failed = ask % 10 == 9
    individual = None if failed else ask - ask // 10
    if model:
        outcome, error, reply = ("timeout", f"no reply within {ask} s", "")
        if ask % 10 != 3:
            outcome, error, reply = ("ok", "", f"reply {ask} {HOSTILE}")
        prompt = json.dumps([["user", f"prompt {ask}"]])
        tokens = (10, 0, 5, 0.01, 2.0, 1)
        rows["completions"].append(
            (ask, "proposal", operator, model, "made", outcome, *tokens, prompt, reply, "", error, called)
        )
    outcome = "unparsable" if failed else "ok"
    thought = f"block {ask} does not match" if failed else ""
    rows["proposals"].append((ask, individual, 0, operator, model, outcome, thought, called))
    if individual is None:
        return
    way, said = WAYS[individual // 6 % 3] if individual % 6 == 5 else ("ok", "")
    genome = json.dumps({"kind": "program", "files": {"main.py": f"x = {ask}"}})
    identity = (individual, individual, 0, "program", genome, f"d{individual}", 3, operator, model)
    rows["individuals"].append((*identity, way == "ok", "", way, told_at, 0))
    worker, feedback = individual % 4, said.format(at=individual)
    where = (f"w{worker}", "ab"[worker // 2], "process", 0.0, feedback, 0)
    rows["evaluations"].append((individual, 0, "train", way, 4.0, 4.0, 1, began, *where))
    value = 100.0 - individual
    best = value if way == "ok" else value + 1
    rows["indicators"].append((individual, 1, 1, "goal 0", best, None, None, None, None))
    if way == "ok":
        rows["objectives"].append((individual, "goal 0", value))
        rows["front_moves"].append((individual, individual, True))
