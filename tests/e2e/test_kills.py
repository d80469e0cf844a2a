"""A run that is killed at any moment goes on as if it had not been: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import inspect
import json
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from evo.lineage import open_run, rebuild
from operators.scripted import ScriptedServer
from tests.conftest import Evo, exit_code_of
from tests.evo.lineage.test_lineage import TABLES, contents
from tests.support.killed import PLACES as TRAPS
from tests.support.killed import owner_of
from tests.support.paths import ROOT
from tests.support.priced_models import priced, serving
from tests.support.runs import events, overrides, spawn, wait_until

SEED = 5
EVALUATIONS, CONCURRENCY, MAX_IN_FLIGHT = 40, 4, 6
SIZES = overrides(
    f"budget.evaluations={EVALUATIONS}", "search.deterministic=true", f"search.max_in_flight={MAX_IN_FLIGHT}"
)
MIXED = ("--set", "search.operators={model_rewrite: 2, evo.testing.toys:Count: 1}")
PAID = ("evo.testing.toys:Nothing", "--model", "scripted", *MIXED, *SIZES)
PROMPT_CASES, PAID_EVALUATIONS = "{cases_per_evaluation: 6}", 20
VALLEY, FREE_EVALUATIONS = "evo.testing.toys:Valley", 80
LOCAL = ("--set", "executor.name=local", "--set", "executor.workers=2")
IN_PROCESS = ("--set", "executor=evo.testing.executor:InProcessExecutor")
CLOCKS_AND_PLACES = {"seconds", "cpu_seconds", "memory_bytes", "worker", "node", "isolation"}
OF_SESSIONS = {"projection", "runs", "events"}

# The place, and how often a run surely comes there.
PLACES = {
    "proposing": 40,
    "announced": 15,
    "asking": 15,
    "replied": 15,
    "completion_recorded": 15,
    "paid": 15,
    "proposed": 40,
    "admitted": 40,
    "evaluating": 40,
    "half_evaluated": 40,
    "evaluated": 40,
    "recorded": 40,
    "committing": 12,
    "half_committed": 12,
    "unsynced": 12,
    "committed": 12,
    "opening_database": 6,
    "projecting": 30,
    "half_projected": 30,
    "closing_database": 6,
    "writing_database": 6,
    "projected": 6,
    "renaming": 1,
    "renamed": 1,
    "holdout": 1,
    "stopping": 1,
    "closing_journal": 1,
    "closed_journal": 1,
    "closing_lineage": 1,
    "closed_lineage": 1,
}
QUICK = ("replied:3", "half_committed:3")


def moments(seed: int) -> list[Any]:
    """Every place, at a random time; for some of them the session that goes on is killed as well.

    The quick case is a run that is killed at several places, one after the other.
    """
    chance = random.Random(seed)
    found = [pytest.param(QUICK, IN_PROCESS, id="quick")]
    for number, (place, most) in enumerate(PLACES.items()):
        again = chance.choice(["proposing", "replied", "recorded", "half_committed", "half_projected"])
        kills = (f"{place}:{chance.randint(1, most)}", *((f"{again}:1",) if number % 3 == 1 and most > 1 else ()))
        executor = LOCAL if number % 4 == 2 else IN_PROCESS
        name = "-then-".join((*kills, "local")[: len(kills) + (executor is LOCAL)])
        found.append(pytest.param(kills, executor, id=name, marks=pytest.mark.slow))
    return found


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving("constant_jitter", 0.005) as server:
        yield server


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same search by a model, never killed."""
    folder = tmp_path_factory.mktemp("whole")
    with serving("constant_jitter", 0.005) as server:
        options = (*PAID, *IN_PROCESS, *endpoint(server))
        assert exit_code_of("run", *options, "--run-dir", folder, "--name", "run") == 0
    return folder / "run"


def endpoint(server: ScriptedServer) -> tuple[str, str]:
    return priced(server, concurrency=CONCURRENCY, timeout_seconds=30.0)


def started(kill: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command that dies at a place."""
    command = [sys.executable, "-m", "tests.support.killed", *kill.split(":"), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def killed(kills: Sequence[str], folder: Path, *options: object) -> None:
    """Begin a run, which is killed, and go on with it until all kills are done."""
    arguments: tuple[object, ...] = ("run", *options, "--run-dir", folder.parent, "--name", folder.name)
    for kill in kills:
        done = started(kill, *arguments)
        # Where the first kill came late, as the lineage was last written, there may be too little left for a second.
        over = arguments[0] == "resume" and (done.returncode == 0 or "is finished" in done.stderr)
        assert over or done.returncode == -signal.SIGKILL, f"{kill} was never reached: {done.stdout}{done.stderr}"
        if (folder / "lineage.duckdb").exists():  # then it is whole
            assert open_run(folder).sql("SELECT count(*) FROM projection").scalar() == 1
        arguments = ("resume", folder)


def gone_on(evo: Evo, folder: Path) -> None:
    """Finish the run; where its search was over, `evo resume` says so."""
    over = any(event["event"] == "stop" for event in events(folder))
    answer = evo("resume", folder)
    assert answer.code == (2 if over else 0), answer.err
    assert over == ("is finished" in answer.err)


def timeless(folder: Path) -> dict[str, list[Any]]:
    """All rows but for clocks, places and sessions, and for calls that were lost with their process."""
    reader = open_run(folder)
    columns = "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND data_type <> 'TIMESTAMP'"
    kept: dict[str, list[str]] = {table: [] for (table,) in reader.sql(TABLES).rows if table not in OF_SESSIONS}
    for table, column in reader.sql(f"{columns} ORDER BY ALL").rows:
        if table in kept and column not in CLOCKS_AND_PLACES:
            kept[table].append(column)
    found = {table: reader.sql(f"SELECT {', '.join(names)} FROM {table}").rows for table, names in kept.items()}
    found["completions"] = tuple(row for row in found["completions"] if "cancelled" not in row)
    return {table: sorted(rows, key=str) for table, rows in found.items()}


def assert_consistent(evo: Evo, folder: Path) -> None:
    """Each result is recorded once; database and replay agree with the journal."""
    tells = [event["tell"] for event in events(folder, "tell", "reevaluation")]
    assert tells == list(range(len(tells)))
    evaluated = [event["individual"] for event in events(folder, "tell")]
    assert len(evaluated) == len(set(evaluated))
    live, there = contents(folder), {path.name for path in folder.iterdir()}
    assert there == {"journal.jsonl", "lineage.duckdb", "lock"}
    rebuild(folder)
    assert contents(folder) == live
    assert evo("doctor", folder).code == 0
    assert evo("replay", folder).code == 0


def test_every_place_at_which_a_run_is_killed_is_one_of_the_table() -> None:
    assert set(TRAPS) == set(PLACES)
    functions = [inspect.getclosurevars(trap).nonlocals.get("function") for trap in TRAPS.values()]
    places = [owner_of(function) for function in functions if function is not None]
    assert all(callable(getattr(owner, name)) for owner, name in places)
    assert len(places) > 20


@pytest.mark.parametrize(("kills", "executor"), moments(seed=SEED))
def test_killed_anywhere_and_resumed_a_paid_run_ends_as_if_it_had_not_been(
    evo: Evo, tmp_path: Path, server: ScriptedServer, whole: Path, kills: Sequence[str], executor: Sequence[str]
) -> None:
    run = tmp_path / "runs" / "run"
    killed(kills, run, *PAID, *executor, *endpoint(server))
    gone_on(evo, run)
    assert_consistent(evo, run)
    assert timeless(run) == timeless(whole)
    assert_paid_once(run, whole, server, kills=len(kills))


def assert_paid_once(run: Path, whole: Path, server: ScriptedServer, *, kills: int) -> None:
    """No recorded completion was paid for again; calls under way at a kill are accounted for."""
    recorded, lost = paid(run)
    assert recorded == paid(whole)[0]
    assert set(recorded.values()) == {1}
    assert lost.total() <= kills * MAX_IN_FLIGHT
    exchanges = server.stats()
    assert exchanges.requests == len(exchanges.last), "more than the server remembers"
    answered = Counter(exchange.digest for exchange in exchanges.last if exchange.status == "200")
    by_digest = Counter(digest for _, digest in (recorded + lost).elements())
    assert answered <= by_digest


def paid(folder: Path) -> tuple[Counter[tuple[int, str]], Counter[tuple[int, str]]]:
    """By ask and digest, how many completions are known, and how many were lost."""
    known: Counter[tuple[int, str]] = Counter()
    lost: Counter[tuple[int, str]] = Counter()
    for event in events(folder, "completion"):
        found = lost if event["completion"]["outcome"] == "cancelled" else known
        found[event["ask"], event["digest"]] += 1
    return known, lost


def paid_kind(name: str, rule: str, *options: object, deterministic: bool = False) -> Any:
    """A search that pays for completions, by the rule of the model that it asks."""
    marks = () if name == "prompts" else pytest.mark.slow
    return pytest.param(rule, (*options, "--set", f"search.deterministic={deterministic}"), id=name, marks=marks)


ECHO = ("evo.testing.toys:Echo", "--set", "search.noise.reevaluation_rate=0.8")
PAID_KINDS = [
    paid_kind("programs", "constant_jitter", "evo.testing.toys:Nothing", *MIXED),
    paid_kind("prompts", "prompt_writer_and_arithmetic", "prompt_task", "--set", f"problem.options={PROMPT_CASES}"),
    paid_kind("re-evaluations", "echo", *ECHO),
    paid_kind("re-evaluations-deterministic", "echo", *ECHO, deterministic=True),
]


@pytest.mark.parametrize(("rule", "options"), PAID_KINDS)
def test_killed_and_resumed_a_run_of_any_order_pays_for_no_completion_twice(
    evo: Evo, tmp_path: Path, rule: str, options: Sequence[object]
) -> None:
    run = tmp_path / "runs/killed"
    with serving(rule, 0.005) as server:
        sizes = overrides(f"budget.evaluations={PAID_EVALUATIONS}", f"search.max_in_flight={MAX_IN_FLIGHT}")
        kills = ("recorded:5", "paid:9")
        killed(kills, run, *options, "--model", "scripted", *IN_PROCESS, *sizes, *endpoint(server))
        gone_on(evo, run)
        recorded, lost = paid(run)
        assert set(recorded.values()) == {1}
        # Calls under way at a kill are sent again, and counted at their worst case: all that was sent counts.
        assert server.stats().requests <= recorded.total() + lost.total()
    assert len(events(run, "tell", "reevaluation")) == PAID_EVALUATIONS
    assert open_run(run).sql("SELECT count(*) FROM completions").scalar() == recorded.total() + lost.total()
    assert_consistent(evo, run)


def test_calls_under_way_at_a_kill_count_at_their_worst_case_when_the_run_goes_on(evo: Evo, tmp_path: Path) -> None:
    run = tmp_path / "runs/dead"
    with serving("constant_jitter", 1.0) as server:
        endpoint = priced(server, concurrency=4, timeout_seconds=30.0, retries=0)
        rewrite = ("--set", "search.operators={model_rewrite: 1}")
        options = (*PAID[:3], *IN_PROCESS, *rewrite, *endpoint, "--set", "budget.calls=6")
        with spawn("run", *options, "--name", "dead", "--run-dir", tmp_path / "runs") as process:
            wait_until(lambda: server.stats().requests >= 4)
            process.send_signal(signal.SIGKILL)
        answer = evo("resume", run)
        assert server.stats().requests <= 6
    assert "might have passed its budget" in answer.out
    completions = [event["completion"] for event in events(run, "completion")]
    lost = [completion for completion in completions if completion["outcome"] == "cancelled"]
    assert len(completions) == 6
    assert 4 <= len(lost) <= 5  # the fifth waited for its place, and the journal does not say that it did
    assert all(completion["cost_usd"] > 0 and "its process died" in completion["error"] for completion in lost)
    assert open_run(run).sql("SELECT count(*) FROM completions WHERE outcome = 'cancelled'").scalar() == len(lost)
    assert evo("replay", run).code == 0


def of_kind(name: str, problem: str, **sections: object) -> Any:
    """A kind of search by its configuration; all but the last of them are slow tests."""
    options = [text for key, value in sections.items() for text in ("--set", f"search.{key}={json.dumps(value)}")]
    return pytest.param((problem, *options), id=name, marks=() if name == "all_at_once" else pytest.mark.slow)


NUDGED = {"evo.testing.toys:Nudge": 1, "gaussian": 1}
LEARNT = {"cma_es": 1, "gaussian": 1}
ISLANDS = {"count": 3, "every": 10, "reset_every": 40, "own": [{}, {"survival": "newest"}]}
BANDIT = {"name": "thompson", "options": {"half_life": 20}}
SIDES = {"objective:near": {"low": 0, "high": 9, "cells": 5}, "x:0": {"low": -2, "high": 2, "cells": 4}}
KINDS = [
    of_kind("islands", VALLEY, islands=ISLANDS),
    of_kind("born_islands", VALLEY, islands={"birth_after": 10, "most": 3}),
    of_kind("niches", VALLEY, niches={"dimensions": SIDES}, parents="uniform", survival="lexicographic"),
    of_kind("ucb1", VALLEY, selector="ucb1", operators=NUDGED),
    of_kind("thompson", VALLEY, selector=BANDIT, operators=NUDGED),
    of_kind("cma_es", VALLEY, operators=LEARNT),
    of_kind("generations", VALLEY, generation_size=7),
    of_kind("noise", VALLEY, noise={"reevaluation_rate": 0.3, "repeats": 2}),
    of_kind("near duplicates", VALLEY, duplicate_filter={"text": 0.7}),
    of_kind("racing", "evo.testing.exam:Exam"),
    of_kind("all_at_once", VALLEY, islands=ISLANDS, selector=BANDIT, operators=LEARNT | NUDGED, noise={"repeats": 2}),
]
HEIRS = (VALLEY, *IN_PROCESS, "--set", "search.deterministic=true", "--set", "budget.evaluations=40")
FREE_PLACES = ("proposed", "admitted", "half_evaluated", "recorded", "half_committed", "unsynced", "half_projected")


@pytest.mark.parametrize("deterministic", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_search_of_any_kind_is_rebuilt_from_its_journal_alone(
    evo: Evo, tmp_path: Path, kind: Sequence[str], deterministic: bool
) -> None:
    raced = ("--set", "evaluation={policy: racing, options: {batch_size: 8}}") if kind[0].endswith("Exam") else ()
    sizes = overrides(f"budget.evaluations={FREE_EVALUATIONS}", "search.max_in_flight=8", "executor.workers=4")
    options = (*kind, *IN_PROCESS, *raced, *sizes, "--set", f"search.deterministic={deterministic}")
    chance = random.Random(f"{kind}{deterministic}")
    place = chance.choice(FREE_PLACES)
    run = tmp_path / "runs" / "killed"
    killed([f"{place}:{chance.randint(1, min(PLACES[place], 6))}"], run, *options)
    gone_on(evo, run)
    assert_consistent(evo, run)
    assert len(events(run, "tell", "reevaluation")) == FREE_EVALUATIONS
    if deterministic:
        assert evo("run", *options, "--name", "whole").code == 0
        assert timeless(run) == timeless(tmp_path / "runs" / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("kill", ["half_projected:5", "closing_database:2", "renaming:1", "renamed:1"])
def test_a_rebuild_that_is_killed_over_a_database_whose_log_was_not_taken_up_loses_nothing(
    evo: Evo, tmp_path: Path, kill: str
) -> None:
    run = tmp_path / "runs" / "killed"
    assert evo("run", *HEIRS, "--name", "killed").code == 0
    further = "--set", "budget.evaluations=80"
    assert started("closing_database:2", "resume", run, *further).returncode == -signal.SIGKILL
    assert (run / "lineage.duckdb.wal").exists()
    assert started(kill, "index", run).returncode == -signal.SIGKILL
    gone_on(evo, run)
    assert_consistent(evo, run)


UCB1 = ("--set", "search.selector=ucb1", "--set", f"search.operators={json.dumps(NUDGED)}")


def test_killed_before_it_recorded_what_it_inherits_a_run_inherits_it_when_it_goes_on(evo: Evo, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert evo("run", *HEIRS, *UCB1, "--name", "first").code == 0
    learning = ("--set", f"search.learn_from={runs / 'first'}")
    assert evo("run", *HEIRS, *UCB1, *learning, "--name", "whole").code == 0
    begun, inherited, *_ = (runs / "whole/journal.jsonl").read_bytes().splitlines(keepends=True)
    assert json.loads(inherited)["records"]
    (runs / "torn").mkdir()
    (runs / "torn/journal.jsonl").write_bytes(begun + inherited[:30])
    gone_on(evo, runs / "torn")
    assert timeless(runs / "torn") == timeless(runs / "whole")
    # From here on it needs nothing but its journal.
    shutil.rmtree(runs / "first")
    assert_consistent(evo, runs / "torn")


def test_a_database_that_is_ahead_of_its_journal_is_rebuilt(evo: Evo, tmp_path: Path) -> None:
    run = tmp_path / "runs/cut"
    assert evo("run", *HEIRS, "--name", "cut").code == 0
    before = timeless(run)
    lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (run / "journal.jsonl").write_bytes(b"".join(lines[:60]) + lines[60][:20])
    gone_on(evo, run)
    assert_consistent(evo, run)
    assert timeless(run) == before


@pytest.mark.parametrize("written", [pytest.param(None, marks=pytest.mark.slow), b'{"event": "run", "at": 17'])
def test_a_run_that_was_killed_before_its_first_event_can_be_started_again_under_its_name(
    evo: Evo, tmp_path: Path, written: bytes | None
) -> None:
    run = tmp_path / "runs/born"
    run.mkdir(parents=True)
    (run / "lock").touch()
    if written is not None:
        (run / "journal.jsonl").write_bytes(written)
    assert re.search("start the run again|`evo run PROBLEM` starts one", evo("resume", run).err)
    answer = evo("run", *HEIRS, "--name", "born")
    assert answer.code == 0, answer.err
    assert_consistent(evo, run)
    assert "exists; `evo resume" in evo("run", *HEIRS, "--name", "born").err
