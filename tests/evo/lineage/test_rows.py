"""Rows have the columns of the schema, and events are read as they were written."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import duckdb

from evo.journal.events import event_of
from evo.journal.log import read_events
from evo.lineage import rows
from evo.lineage.schema import schema


def test_each_table_has_a_row_class_with_its_columns_in_order() -> None:
    with duckdb.connect(":memory:") as connection:
        connection.execute(schema())
        columns = connection.execute(
            "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
            "WHERE table_name IN (SELECT table_name FROM duckdb_tables()) GROUP BY table_name"
        ).fetchall()
    declared = {table: tuple(names) for table, names in columns if table != "projection"}
    hints = get_type_hints(rows.Rows)
    assert {table.name: get_args(hints[table.name])[0]._fields for table in fields(rows.Rows)} == declared


def test_an_event_is_written_as_it_was_read(toy_run: Path) -> None:
    kinds = set()
    for _, line in read_events(toy_run / "journal.jsonl"):
        event = event_of(line)
        assert {"event": event.kind, "at": event.at, **event.to_json()} == line
        kinds.add(event.kind)
    assert {"run", "ask", "proposal", "tell", "stop"} <= kinds


def test_an_event_of_another_version_is_kept_with_its_fields() -> None:
    line = {"event": "node_joined", "at": 1.5, "node": "a", "cpus": 4}
    event = event_of(line)
    assert (event.kind, event.at, event.to_json()) == ("node_joined", 1.5, {"node": "a", "cpus": 4})


def test_a_field_that_this_version_does_not_know_is_ignored() -> None:
    event = event_of({"event": "stop", "at": 1.0, "reason": "budget", "mood": "good"})
    assert event.to_json() == {"reason": "budget"}
