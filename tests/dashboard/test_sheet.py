"""A run as a single HTML page: complete, escaped, and with nothing to fetch."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import plotly.graph_objects as go
import pytest

from dashboard import sheet
from evo.lineage import Table
from tests.conftest import Evo
from tests.support.dashboards import HOSTILE, figures_of_page

MOST_BYTES = 8_000_000
KINDS = ("made", "worked", "begun", "broken", "failed")


def scripts(text: str) -> list[str]:
    return re.findall(r"<script>(.*?)</script>", text, re.DOTALL)


@pytest.mark.parametrize("name", KINDS)
def test_a_page_lets_only_its_own_scripts_run(pages: Path, name: str) -> None:
    text = (pages / f"{name}.html").read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    hashes = re.findall(r"'sha256-([^']*)'", policy[1])
    own = scripts(text)
    assert hashes == [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in own]
    assert len(own) == 2
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy[1]
    assert "script-src 'unsafe-inline'" not in policy[1]


@pytest.mark.parametrize("name", KINDS)
def test_a_page_is_whole_and_of_a_reasonable_size(pages: Path, name: str) -> None:
    text = (pages / f"{name}.html").read_text("utf-8")
    assert len(text.encode()) < MOST_BYTES
    places = re.findall(r'data-figure="(\d+)"', text.split("<script", 1)[0])
    assert [int(place) for place in places] == list(range(len(figures_of_page(text))))
    assert not re.search(r"<(?:link|img|iframe|script) [^>]*(?:src|href)=", text.split("<script>", 1)[0])


def test_foreign_text_is_text(pages: Path) -> None:
    text = (pages / "broken.html").read_text("utf-8")
    for script in scripts(text):
        text = text.replace(script, "")
    assert "<img" not in text
    assert text.count("<script") == 3
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    assert "onerror=alert(1)&gt;[a](javascript" in text  # as text, it is harmless


def test_a_page_has_the_figures_of_the_views(pages: Path) -> None:
    text = (pages / "worked.html").read_text("utf-8")
    parts = re.findall(r'<h2 id="(\w+)">', text)
    assert parts[:1] == ["overview"]
    assert {"overview", "front", "best", "lineage", "operators", "failures", "workers"} <= set(parts)
    titles = re.findall(r"<h3>([^<]*)</h3>", text)
    assert {"Best goal 0 so far", "By operator and model", "Messages", "Timeline", "Under way"} <= set(titles)
    assert "block N does not match" in text
    assert "x = 57" in text  # the genome of the best


def test_a_page_of_a_run_without_results_says_so(pages: Path) -> None:
    text = (pages / "begun.html").read_text("utf-8")
    assert figures_of_page(text) == []
    assert "No evaluation has finished yet" in text


def test_json_in_a_script_cannot_end_the_script() -> None:
    assert "<" not in sheet.as_script('{"a": "</script><!--"}')
    assert json.loads(sheet.as_script('{"a": "</script>&"}')) == {"a": "</script>&"}


def test_no_figure_needs_a_graphics_card() -> None:
    figure = go.Figure([go.Scattergl(x=[1, 2], y=[1, 2], marker={"size": 9}), go.Bar(x=[1], y=[1])])
    text = sheet.written(sheet.Head("a"), [sheet.Part("a", "a", shown=[sheet.Drawn("f", figure)])])
    assert [trace["type"] for trace in figures_of_page(text)[0]["data"]] == ["scatter", "bar"]
    assert figures_of_page(text)[0]["data"][0]["marker"] == {"size": 9}
    assert figure.data[0].type == "scattergl"


def test_tables_and_texts_are_cut_and_say_so() -> None:
    rows = tuple((number, HOSTILE) for number in range(sheet.ROWS + 5))
    part = sheet.Part(
        name="a",
        title=HOSTILE,
        summary=HOSTILE,
        shown=[sheet.Listed("t", Table(("n", "x"), rows), [("n", "n"), ("x", "x")]), sheet.Written("w", "<b>" * 9000)],
    )
    text = sheet.written(sheet.Head(HOSTILE, [HOSTILE], [(HOSTILE, HOSTILE, HOSTILE)]), [part])
    assert "and 5 more" in text
    assert text.count("&lt;b&gt;") <= sheet.LONGEST // 3
    assert "<img" not in text.split("<script", 1)[0]


def test_export_writes_a_page_in_either_spelling(evo: Evo, toy_run: Path, tmp_path: Path) -> None:
    for spelling in (("--html",), ("--format", "html")):
        answer = evo("export", *spelling, toy_run, "--to", tmp_path / "toy.html", "--force")
        assert (answer.code, answer.err) == (0, "")
        assert re.fullmatch(rf"{re.escape(str(tmp_path))}/toy.html: written, \d\.\d MB\n", answer.out)
    assert (tmp_path / "toy.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    again = evo("export", "--html", toy_run, "--to", tmp_path / "toy.html")
    assert (again.code, again.out) == (2, "")
    assert "exists; choose another with --to" in again.err
    torn = evo("export", "--html", "--format", "csv", toy_run, "--to", tmp_path / "x")
    assert (torn.code, torn.err) == (
        2,
        "evo: --html is a format of its own, and --format says csv; leave one of them out\n",
    )
    assert evo("export", toy_run, "--to", tmp_path / "tables").out.endswith(" files\n")
