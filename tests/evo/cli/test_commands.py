"""The commands that look at a run: its lineage as files, an individual's ancestors, its health, its standing."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import platform
import threading
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest

from evo.cli.export import _field, _key
from evo.cli.lineage import Member, change, tree
from evo.genomes import Program
from evo.journal.folder import holder, locked
from evo.journal.log import VERSION
from evo.lineage import open_run, rebuild
from evo.lineage.status import run_status
from tests.conftest import Evo
from tests.support.made import unsealed

TABLES = "SELECT table_name FROM duckdb_tables() WHERE table_name <> 'projection'"
GRAPHML = "{http://graphml.graphdrawing.org/xmlns}"


def test_every_table_is_exported_row_for_row(evo: Evo, toy_run: Path, tmp_path: Path) -> None:
    answer = evo("export", toy_run, "--format", "parquet", "--to", tmp_path / "it's here" / "tables")
    assert answer.code == 0, answer.err
    reader = open_run(toy_run)
    tables = {row[0] for row in reader.sql(TABLES).rows}
    written = {one.stem: one for one in (tmp_path / "it's here" / "tables").iterdir()}
    assert set(written) == tables
    for table, path in written.items():
        rows = duckdb.execute("FROM read_parquet(?)", [str(path)]).fetchall()
        assert sorted(rows, key=str) == sorted(reader.sql(f"FROM {table}").rows, key=str), table


def test_csv_and_json_hold_the_same_individuals(evo: Evo, toy_run: Path, tmp_path: Path) -> None:
    assert evo("export", toy_run, "--format", "csv", "--to", "tables").code == 0
    assert evo("export", toy_run, "--format", "json", "--to", "all.json").code == 0
    document = json.loads((tmp_path / "all.json").read_text("utf-8"))
    with (tmp_path / "tables" / "individuals.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["id"]: row["genome"] for row in rows} == {
        str(one["id"]): one["genome"] for one in document["individuals"]
    }
    assert len(rows) == 60
    assert document["completions"] == []


def test_the_graph_has_every_individual_and_every_parent(evo: Evo, toy_run: Path, tmp_path: Path) -> None:
    assert evo("export", toy_run, "--format", "graphml", "--to", "lineage.graphml").code == 0
    root = ElementTree.parse(tmp_path / "lineage.graphml").getroot()
    names = {key.get("id"): key.get("attr.name") for key in root.iter(f"{GRAPHML}key")}
    near = {
        int(node.attrib["id"][1:]): float(one.text or "")
        for node in root.iter(f"{GRAPHML}node")
        for one in node
        if names[one.get("key")] == "near"
    }
    reader = open_run(toy_run)
    assert near == dict(reader.sql("SELECT individual, mean FROM scores WHERE name = 'near'").rows)
    edges = [
        (int(edge.attrib["target"][1:]), int(edge.attrib["source"][1:]), edge[0].text)
        for edge in root.iter(f"{GRAPHML}edge")
    ]
    assert sorted(edges) == sorted(reader.sql("SELECT child, parent, role FROM parents").rows)
    assert len(edges) > 20


def test_whatever_a_name_holds_the_graph_is_well_formed() -> None:
    hostile = 'a"b<c>&\x00\x1b\ud800]]>\ufffe'
    text = f"<r>{_key('one', 'node', hostile, 'string')}{_field('one', hostile)}</r>"
    root = ElementTree.fromstring(text)
    assert root[0].get("attr.name") == root[1].text == 'a"b<c>&\ufffd\ufffd\ufffd]]>\ufffd'


@pytest.mark.parametrize("command", [("export", "--format", "json"), ("sql", "FROM best", "--format", "csv")])
def test_nothing_is_overwritten_unless_forced(
    evo: Evo, toy_run: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "kept").write_text("mine")
    name, *rest = command
    refused = evo(name, toy_run, *rest, "--to", "kept")
    assert refused.code == 2
    assert "kept exists; choose another" in refused.err
    assert (tmp_path / "kept").read_text() == "mine"
    assert evo(name, toy_run, *rest, "--to", "kept", "--force").code == 0
    assert (tmp_path / "kept").read_text() != "mine"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["kept", "runs"]


def test_sql_writes_parquet_into_a_file_only(evo: Evo, toy_run: Path, tmp_path: Path) -> None:
    query = "SELECT id FROM individuals ORDER BY id -- all"
    refused = evo("sql", toy_run, query, "--format", "parquet")
    assert refused.code == 2
    assert "name a file with --to" in refused.err
    assert evo("sql", toy_run, query, "--format", "parquet", "--to", "ids.parquet").code == 0
    assert duckdb.execute("FROM 'ids.parquet'").fetchall() == [(number,) for number in range(60)]
    wrong = evo("sql", toy_run, "FROM nowhere", "--format", "parquet", "--to", "wrong.parquet")
    assert wrong.code == 2
    assert "nowhere does not exist" in wrong.err
    assert not (tmp_path / "wrong.parquet").exists()


def member(identity: int, parents: list[tuple[int, str]], code: str = "x = 1\n") -> Member:
    genome = json.dumps(Program.single(code).to_json())
    return Member(identity, 0, "op", None, genome, parents, {})


def test_a_line_of_bases_stays_in_its_column_however_long() -> None:
    family = {number: member(number, [(number - 1, "base")]) for number in range(1, 3000)} | {0: member(0, [])}
    drawn = list(tree(2999, family))
    assert [one for one, _, _ in drawn] == list(range(2999, -1, -1))
    assert not any("│" in text for _, text, _ in drawn)


def test_other_parents_stand_aside_and_nobody_is_drawn_twice_with_all_ancestors() -> None:
    family = {
        3: member(3, [(1, "base"), (2, "mate")]),
        2: member(2, [(0, "base")]),
        1: member(1, [(0, "base")]),
        0: member(0, []),
    }
    assert list(tree(3, family)) == [
        (3, "3", True),
        (2, "│ 2 mate", True),
        (0, "│ 0 base", True),
        (1, "1 base", True),
        (0, "0 base", False),
    ]


def test_a_change_is_told_against_the_base() -> None:
    family = {0: member(0, [], "x = 1\ny = 2\n"), 1: member(1, [(0, "base")], "x = 1\ny = 3\nz = 4\n")}
    assert change(family[1], family) == "+2 -1: y = 3"
    assert change(family[0], family) == "a seed"


def test_the_lineage_of_an_individual_names_all_its_ancestors(evo: Evo, toy_run: Path) -> None:
    reader = open_run(toy_run)
    deepest = reader.sql("SELECT id FROM individuals ORDER BY generation DESC, id").rows[0][0]
    answer = evo("lineage", toy_run, deepest, "--generations", 100)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[0].split() == ["individual", "operator", "model", "near", "far", "what", "changed"]
    named = {int(line.lstrip("│ ").split()[0]) for line in answer.out.splitlines()[2:]}
    assert named == {row[0] for row in reader.sql("SELECT id FROM ancestors(?)", [deepest]).rows}
    assert len(named) > 3


def test_ancestors_that_are_not_shown_are_counted(evo: Evo, toy_run: Path) -> None:
    count = open_run(toy_run).sql("SELECT count(DISTINCT parent) FROM parents WHERE child = 59").scalar()
    assert count > 0
    answer = evo("lineage", toy_run, 59, "--generations", 0)
    assert f"{count} parents of these are not shown" in answer.out
    missing = evo("lineage", toy_run, 4000)
    assert missing.code == 2
    assert "no individual 4000" in missing.err


def wrong(report: str) -> list[str]:
    """The subjects that the doctor found something wrong with."""
    return [line.split("  ", 1)[1].partition(":")[0] for line in report.splitlines() if line.startswith("WRONG")]


def test_a_finished_run_is_healthy(evo: Evo, toy_run: Path) -> None:
    answer = evo("doctor", toy_run)
    assert (answer.code, wrong(answer.out)) == (0, [])
    assert "finished (budget), 60 of 60 evaluations done" in answer.out
    assert "as many as the journal makes" in answer.out
    assert "lock: free" in answer.out


def test_the_doctor_looks_and_touches_nothing(evo: Evo, toy_run: Path) -> None:
    before = {one.name: one.read_bytes() for one in toy_run.iterdir()}
    evo("doctor", toy_run)
    assert {one.name: one.read_bytes() for one in toy_run.iterdir()} == before


def test_a_torn_line_is_found_and_what_mends_it_does(evo: Evo, toy_run: Path) -> None:
    with (toy_run / "journal.jsonl").open("ab") as file:
        file.write(b'{"event": "te')
    answer = evo("doctor", toy_run)
    assert (answer.code, wrong(answer.out)) == (1, ["last line"])
    assert "torn: 13 bytes" in answer.out
    assert evo("resume", toy_run, "--set", "budget.evaluations=70").code == 0
    assert evo("doctor", toy_run).code == 0


def test_a_corrupt_line_is_found_by_its_byte(evo: Evo, toy_run: Path) -> None:
    journal = toy_run / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:50], b"#!?\n", *lines[51:]]))
    answer = evo("doctor", toy_run)
    assert (answer.code, wrong(answer.out)) == (1, ["journal", "rows", "state"])
    byte = len(b"".join(lines[:50]))
    assert f"is corrupt at byte {byte}" in answer.out
    assert f"head -c {byte} journal.jsonl" in answer.out


@pytest.mark.parametrize(
    ("damage", "subject", "says"),
    [
        ("DELETE FROM parents WHERE child = 59", "rows", "parents has"),
        ("INSERT INTO individuals SELECT * FROM individuals LIMIT 1", "rows", "individuals has 61, the journal 60"),
        ("UPDATE projection SET version = 1", "lineage", "schema 1"),
        ("UPDATE projection SET next_offset = next_offset + 7", "lag", "7 bytes more than the journal holds"),
    ],
)
def test_a_lineage_that_is_not_the_journals_is_found_and_mended(
    evo: Evo, toy_run: Path, damage: str, subject: str, says: str
) -> None:
    with duckdb.connect(str(toy_run / "lineage.duckdb")) as connection:
        connection.execute(damage)
    answer = evo("doctor", toy_run)
    assert answer.code == 1
    assert subject in wrong(answer.out)
    assert says in answer.out
    assert evo("index", toy_run).code == 0
    assert evo("doctor", toy_run).code == 0


def test_a_lineage_that_lags_or_lacks_is_found_and_mended(evo: Evo, toy_run: Path) -> None:
    journal = toy_run / "journal.jsonl"
    whole = journal.read_bytes()
    (toy_run / "lineage.duckdb").unlink()
    assert wrong(evo("doctor", toy_run).out) == ["lineage"]
    cut = b"".join(whole.splitlines(keepends=True)[:100])
    journal.write_bytes(cut)
    assert evo("index", toy_run).code == 0
    journal.write_bytes(whole)
    answer = evo("doctor", toy_run)
    assert wrong(answer.out) == ["lag"]
    assert f"{len(whole) - len(cut)} bytes behind" in answer.out
    assert evo("index", toy_run).code == 0
    assert evo("doctor", toy_run).code == 0


def test_an_event_that_fits_nothing_before_it_is_found(evo: Evo, toy_run: Path) -> None:
    journal = toy_run / "journal.jsonl"
    lines = unsealed(journal.read_bytes()).splitlines(keepends=True)
    asked = next(number for number, line in enumerate(lines) if number > 30 and line.startswith(b'{"event": "ask"'))
    journal.write_bytes(b"".join([*lines[:asked], *lines[asked + 1 :]]))
    answer = evo("doctor", toy_run)
    assert answer.code == 1
    assert "does not fit what came before" in answer.out


def test_a_run_that_was_cut_short_is_resumable_and_one_that_is_held_is_running(evo: Evo, toy_run: Path) -> None:
    journal = toy_run / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:100]))
    assert evo("index", toy_run).code == 0
    cut = evo("doctor", toy_run)
    assert (cut.code, "resumable (cut short)" in cut.out) == (0, True)
    with locked(toy_run):
        running = evo("doctor", toy_run)
    assert running.code == 0
    assert f"locked by process {os.getpid()} on {platform.node()} since " in running.out
    assert "UTC: it is running" in running.out


def test_a_folder_without_a_run_is_no_healthy_run(evo: Evo, tmp_path: Path) -> None:
    answer = evo("doctor", tmp_path)
    assert (answer.code, wrong(answer.out)) == (1, ["folder"])
    assert "holds no journal.jsonl" in answer.out
    assert "is not there" in evo("doctor", tmp_path / "none").out


def test_the_status_of_a_finished_run(evo: Evo, toy_run: Path) -> None:
    answer = evo("status", toy_run)
    assert answer.code == 0, answer.err
    said = {line[:9].strip(): line[9:].strip() for line in answer.out.splitlines()}
    name, individual, value = open_run(toy_run).sql("SELECT name, id, value FROM best LIMIT 1").rows[0]
    assert said["best"] == f"{name} {value:.10g}, individual {individual}"
    assert said["state"] == "finished (budget)"
    assert said["results"].startswith("60 of 60 evaluations")
    assert said["under way"] == "0 proposals, 0 evaluations"


@pytest.mark.parametrize("projected", [0, 40, 150])
@pytest.mark.parametrize("lines", [90, 151, 176])
def test_a_run_stands_the_same_wherever_its_lineage_has_got_to(toy_run: Path, lines: int, projected: int) -> None:
    journal = toy_run / "journal.jsonl"
    whole = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(whole[: min(lines, projected)]))
    if projected:
        rebuild(toy_run)
    else:
        (toy_run / "lineage.duckdb").unlink()
    journal.write_bytes(b"".join(whole[:lines]))
    partly = run_status(toy_run, journal)
    (toy_run / "lineage.duckdb").unlink(missing_ok=True)
    without = run_status(toy_run, journal)
    # The lineage keeps microseconds.
    assert list(partly.latest) == [(tell, pytest.approx(at, abs=1e-3)) for tell, at in without.latest]
    partly.latest = without.latest
    assert partly == without
    assert without.count_told > 20


def test_what_is_under_way_is_what_the_journal_has_no_end_of(toy_run: Path) -> None:
    journal = toy_run / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    asked = max(number for number, line in enumerate(lines) if line.startswith(b'{"event": "ask"'))
    journal.write_bytes(b"".join(lines[: asked + 1]))
    rebuild(toy_run)
    events = [json.loads(line) for line in lines[: asked + 1]]
    proposed = {one["ask"] for one in events if one["event"] == "proposal"}
    admitted = {one["individual"] for one in events if one["event"] == "proposal" and one["outcome"] == "ok"}
    told = {one["individual"] for one in events if one["event"] == "tell"}
    standing = run_status(toy_run, journal)
    assert set(standing.asks) == {one["ask"] for one in events if one["event"] == "ask"} - proposed
    assert standing.asks
    assert standing.candidates == admitted - told


def test_the_status_names_who_runs_it_and_says_how_to_go_on(evo: Evo, toy_run: Path) -> None:
    journal = toy_run / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:100]))
    assert evo("index", toy_run).code == 0
    with locked(toy_run):
        assert f"running, by process {os.getpid()} on {platform.node()}" in evo("status", toy_run).out
    assert f"not running (cut short); `evo resume {toy_run}` continues it" in evo("status", toy_run).out
    journal.write_bytes(b"")
    (toy_run / "lineage.duckdb").unlink()
    assert "does not begin with a 'run' event" in evo("status", toy_run).err
    missing = evo("status", "runs/none")
    assert missing.code == 2
    assert "holds no run" in missing.err


def test_who_only_looks_keeps_nobody_out(toy_run: Path) -> None:
    # What `holder` does, for a moment longer: somebody who takes the folder meanwhile gets it.
    looker = os.open(toy_run / "lock", os.O_RDONLY)
    fcntl.flock(looker, fcntl.LOCK_SH)
    threading.Timer(0.005, os.close, [looker]).start()
    with locked(toy_run):
        assert (holder(toy_run) or "").startswith(f"process {os.getpid()} on {platform.node()} since 2")
    assert holder(toy_run) is None


@pytest.mark.parametrize("command", ["resume", "replay"])
def test_a_run_of_another_version_is_read_and_neither_resumed_nor_replayed(
    command: str, evo: Evo, toy_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evo.journal.replay.VERSION", VERSION + 1)
    answer = evo(command, toy_run)
    assert answer.code == 2
    assert "begun by another version of evo" in answer.err
    assert "Traceback" not in answer.err
    assert evo("status", toy_run).code == evo("show", toy_run, 3).code == 0
