"""A run as one page: whole, escaped, and with nothing to fetch."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from playwright.sync_api import Browser

from dashboard import sheet, standalone
from evo.lineage import Table, open_run
from tests.conftest import Evo
from tests.support.browser import CHROMIUM, chromium, window
from tests.support.dashboards import HOSTILE, begun, grown, told, worked

MOST_BYTES = 8_000_000


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pages, of runs of every kind."""
    folder = tmp_path_factory.mktemp("pages")
    grown(folder / "three", 60).journal.close()
    worked(folder / "worked")
    begun(folder / "begun")
    told(folder / "hostile", [{"objectives": {"goal 0": 3.0}}, {"outcome": "crash"}, {"objectives": {"goal 0": 2.0}}])
    told(folder / "failed", [{"outcome": "crash"}, {"outcome": "timeout"}])
    for run in [one for one in folder.iterdir() if one.is_dir()]:
        (folder / f"{run.name}.html").write_text(standalone.page(open_run(run)), "utf-8")
    return folder


def scripts(text: str) -> list[str]:
    return re.findall(r"<script>(.*?)</script>", text, re.DOTALL)


def drawn(text: str) -> list[dict[str, Any]]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    assert found
    figures: list[dict[str, Any]] = json.loads(found[1])
    return figures


KINDS = ("three", "worked", "begun", "hostile", "failed")


@pytest.mark.parametrize("name", KINDS)
def test_a_page_lets_only_its_own_scripts_run(pages: Path, name: str) -> None:
    text = (pages / f"{name}.html").read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    hashes = re.findall(r"'sha256-([^']*)'", policy[1])
    own = scripts(text)
    assert hashes == [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in own]
    assert len(own) == 2
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy[1]
    assert "script-src 'unsafe-inline'" not in policy[1]


@pytest.mark.parametrize("name", KINDS)
def test_a_page_is_whole_and_of_a_reasonable_size(pages: Path, name: str) -> None:
    text = (pages / f"{name}.html").read_text("utf-8")
    assert len(text.encode()) < MOST_BYTES
    places = re.findall(r'data-figure="(\d+)"', text.split("<script", 1)[0])
    assert [int(one) for one in places] == list(range(len(drawn(text))))
    assert not re.search(r"<(?:link|img|iframe|script) [^>]*(?:src|href)=", text.split("<script>", 1)[0])


def test_foreign_text_is_text(pages: Path) -> None:
    text = (pages / "hostile.html").read_text("utf-8")
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
    assert {"Best goal 0 so far", "By operator and model", "What they said", "Timeline", "Under way"} <= set(titles)
    assert "block N does not match" in text
    assert "x = 57" in text  # the best one's genome


def test_a_run_of_which_nothing_was_told_says_so(pages: Path) -> None:
    text = (pages / "begun.html").read_text("utf-8")
    assert drawn(text) == []
    assert "Nothing has been told yet" in text


def test_what_stands_in_a_script_cannot_end_it() -> None:
    assert "<" not in sheet.as_script('{"a": "</script><!--"}')
    assert json.loads(sheet.as_script('{"a": "</script>&"}')) == {"a": "</script>&"}


def test_no_figure_needs_a_graphics_card() -> None:
    figure = go.Figure([go.Scattergl(x=[1, 2], y=[1, 2], marker={"size": 9}), go.Bar(x=[1], y=[1])])
    text = sheet.written(sheet.Head("a"), [sheet.Part("a", "a", shown=[sheet.Drawn("f", figure)])])
    assert [one["type"] for one in drawn(text)[0]["data"]] == ["scatter", "bar"]
    assert drawn(text)[0]["data"][0]["marker"] == {"size": 9}
    assert figure.data[0].type == "scattergl"


def test_tables_and_texts_are_cut_and_say_so() -> None:
    rows = tuple((number, HOSTILE) for number in range(sheet.ROWS + 5))
    part = sheet.Part(
        *("a", HOSTILE, HOSTILE),
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


@pytest.fixture(scope="module")
def started(pages: Path) -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install Debian's chromium, as `make browser` does")
@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [("worked", 1280, False), ("three", 390, True), ("hostile", 1280, True), ("begun", 390, False)],
)
def test_a_page_opens_from_a_file_and_asks_for_nothing(
    started: Browser, pages: Path, name: str, width: int, dark: bool
) -> None:
    address = (pages / f"{name}.html").as_uri()
    with window(started, address, width=width, dark=dark) as watched:
        watched.open("")
        page = watched.page
        page.set_viewport_size({"width": width, "height": 9000})
        count = len(drawn((pages / f"{name}.html").read_text("utf-8")))
        page.wait_for_function(f"document.querySelectorAll('[data-figure] .main-svg').length >= {count}")
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert colour == ("rgb(18, 22, 29)" if dark else "rgb(255, 255, 255)")
        assert page.locator("img[src=x]").count() == 0


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install Debian's chromium, as `make browser` does")
def test_a_script_that_got_into_a_page_does_not_run(started: Browser, pages: Path, tmp_path: Path) -> None:
    text = (pages / "begun.html").read_text("utf-8")
    handler = "document.title = 'evil'"
    evil = f'<script>{handler}</script><img src="https://example.org/x.png" onerror="{handler}">'
    (tmp_path / "evil.html").write_text(text.replace("</main>", f"{evil}</main>"), "utf-8")
    context = started.new_context()
    try:
        page = context.new_page()
        asked: list[str] = []
        context.on("requestfinished", lambda request: asked.append(request.url))
        page.goto((tmp_path / "evil.html").as_uri())
        page.wait_for_timeout(300)
        assert page.title() == "begun"
        assert asked == [(tmp_path / "evil.html").as_uri()]
    finally:
        context.close()
