"""Runs that dashboards are shown, and a dashboard in this process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from evo.journal import Journal
from evo.lineage import Projection, rebuild
from tests.benchmarks.histories import History

APP = Path(__file__).parents[1] / "dashboard" / "app.py"
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
    """A run of which nothing has been told."""
    folder.mkdir(parents=True)
    journal = Journal(folder / "journal.jsonl")
    names = [{"name": f"goal {number}", "direction": "min", "unit": "s"} for number in range(objectives)]
    config = {"problem": {"name": "made"}, "seed": 1, "budget": {"evaluations": 10}}
    rest: dict[str, Any] = {"description": HOSTILE, "versions": {}, "pid": 1, "host": "made"}
    journal.append("run", version=1, run=folder.name, problem="made", config=config, objectives=names, **rest)
    journal.close()
    rebuild(folder)
    return folder


def told(folder: Path, evaluations: list[dict[str, Any]], *, objectives: int = 1) -> Path:
    """A run with these evaluations, whatever they hold."""
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
        "depth": number,
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
    app.run()
    if view:
        app.switch_page(f"views/{view}.py").run()
    return app


def said(app: AppTest) -> str:
    """All that the page says in words."""
    kinds = (app.markdown, app.caption, app.header, app.subheader, app.warning, app.error, app.info, app.code)
    texts = [str(one.value) for kind in kinds for one in kind]
    return "\n".join([*texts, *(f"{one.label} {one.value} {one.delta}" for one in app.metric)])


def copied(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder))


def figures(app: AppTest) -> list[dict[str, Any]]:
    """The figures of the page, as the browser gets them."""
    return [json.loads(json.loads(one.proto.json)["figure"]) for one in app.get("bidi_component")]
