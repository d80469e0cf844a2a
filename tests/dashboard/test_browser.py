"""The dashboard and exported pages in a browser: figures of a running run grow, a zoom survives, clicks lead on."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Position, Route

from tests.conftest import TOY
from tests.dashboard.conftest import ARCHIVES
from tests.support.browser import CHROMIUM, Watched, chromium, served, window
from tests.support.dashboards import HOSTILE, figures_of_page

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: install Debian's chromium, as `make browser` does"
)

TELLS = "[...document.querySelectorAll('[data-testid=stProgress]')].map(bar => bar.innerText).join()"
RANGE = "document.querySelector('.st-key-best-0 .js-plotly-plot')._fullLayout.xaxis.range.map(Number)"
POINTS = "document.querySelector('.st-key-best-0 .js-plotly-plot').data[0].x.slice(-1)[0]"


# The box before the first row of a table, on the canvas that Streamlit draws it on.
FIRST_ROW: Position = {"x": 18, "y": 52}
# The middle of a cell with an elite.
CELL = """(() => {
    const chart = document.querySelector('.js-plotly-plot'), {xaxis, yaxis} = chart._fullLayout;
    const archive = chart.data[0];
    const row = archive.z.findIndex((values) => values.some((value) => value !== null));
    const column = archive.z[row].findIndex((value) => value !== null), box = chart.getBoundingClientRect();
    const middle = (borders, at) => (borders[at] + borders[at + 1]) / 2;
    const x = xaxis._offset + xaxis.l2p(middle(archive.x, column));
    const y = yaxis._offset + yaxis.l2p(middle(archive.y, row));
    return [box.x + x, box.y + y];
})()"""


@pytest.fixture(scope="module")
def more_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second folder of runs that the dashboard serves, which processes of their own fill."""
    return tmp_path_factory.mktemp("browsed")


def run_command(folder: Path, name: str, *settings: str) -> list[str]:
    """A run of the toy problem in a process of its own: this process has playwright's event loop."""
    stated = [word for setting in settings for word in ("--set", setting)]
    return [sys.executable, "-m", "evo", "run", *TOY, *stated, "--name", name, "--run-dir", str(folder)]


@pytest.fixture(scope="module")
def archive(more_runs: Path) -> str:
    """A run with islands and an archive of niches."""
    settings = ["search.islands={count: 2, every: 10}", f"search.niches={ARCHIVES['grid']}"]
    settings += ["search.parents=uniform", "search.survival=lexicographic", "budget.evaluations=100"]
    subprocess.run(run_command(more_runs, "archive", *settings), check=True, capture_output=True, timeout=60)
    return "archive"


@pytest.fixture(scope="module")
def live(more_runs: Path) -> Iterator[str]:
    """A run that is running as long as the tests are: some 30 results a second."""
    settings = ("problem.options={pause_seconds: 0.03}", "budget.evaluations=100000")
    command = run_command(more_runs, "live", *settings)
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield "live"
    finally:
        run.terminate()
        run.wait(30)


@pytest.fixture(scope="module")
def root(runs: Path, more_runs: Path, live: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    with served(runs, more_runs, home=home) as address:
        yield address
    assert {path.name for path in home.iterdir()} == {"dashboard.log"}, "nothing is written into the user's home"
    assert "Traceback" not in (home / "dashboard.log").read_text()


@pytest.fixture(scope="module")
def started(root: str, pages: Path) -> Iterator[Browser]:
    """The browser, started after the runs and pages are made: its event loop stays in this thread."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(started: Browser, root: str) -> Iterator[Watched]:
    with window(started, root) as watched:
        yield watched


def until_it_says(watched: Watched, text: str | re.Pattern[str]) -> None:
    watched.page.get_by_text(text).first.wait_for()


def test_values_grow_and_a_zoom_survives_updates(opened: Watched, live: str) -> None:
    page = opened.page
    opened.open(f"/?run={live}")
    page.wait_for_selector(".st-key-best-0 .js-plotly-plot .xtick")
    page.wait_for_function(f"{POINTS} > 30")
    plot = page.locator(".st-key-best-0 .nsewdrag").first.bounding_box()
    assert plot is not None
    middle = plot["y"] + plot["height"] / 2
    page.mouse.move(plot["x"] + plot["width"] * 0.2, middle)
    page.mouse.down()
    page.mouse.move(plot["x"] + plot["width"] * 0.6, middle, steps=8)
    page.mouse.up()
    page.wait_for_function(f"{RANGE}[0] > 1")
    zoomed = page.evaluate(RANGE)
    for _ in range(3):
        last, said = page.evaluate(POINTS), page.evaluate(TELLS)
        page.wait_for_function(f"{POINTS} > {last} && {TELLS} != {said!r}", timeout=10_000)
        assert page.evaluate(RANGE) == pytest.approx(zoomed)
    assert page.evaluate(POINTS) > zoomed[1], "results since then are beyond the zoom"


def test_a_box_on_the_front_opens_its_individuals(opened: Watched) -> None:
    page = opened.page
    opened.open("/front?run=toy")
    page.wait_for_selector(".js-plotly-plot .scatterlayer .point")
    until_it_says(opened, re.compile(r"^\d+ in the front$"))
    plot = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
    assert plot is not None
    page.mouse.move(plot["x"] + 2, plot["y"] + 2)
    page.mouse.down()
    page.mouse.move(plot["x"] + plot["width"] - 3, plot["y"] + plot["height"] - 3, steps=12)
    page.mouse.up()
    heading = page.get_by_text(re.compile(r"^\d+ selected$")).first
    heading.wait_for()
    count = int(heading.inner_text().split()[0])
    assert 20 < count <= 60


@pytest.mark.slow
def test_a_click_in_the_front_of_a_live_run_stays_selected_while_it_grows(opened: Watched, live: str) -> None:
    page = opened.page
    opened.open(f"/front?run={live}")
    page.wait_for_selector(".js-plotly-plot .scatterlayer .point")
    page.wait_for_timeout(1500)
    page.locator(".js-plotly-plot .scatterlayer .trace:last-child .point").first.click(force=True)
    until_it_says(opened, "1 selected")
    page.wait_for_timeout(5000)
    assert page.get_by_text("1 selected").count() == 1


def test_an_individual_leads_to_its_parent_with_the_right_difference(opened: Watched) -> None:
    page = opened.page
    opened.open("/individual?run=broken&id=2")
    until_it_says(opened, "From individual 1 to 2.")
    code = page.locator("[data-testid=stCode]").first.inner_text()
    assert "-x = 1" in code
    assert "+x = 2" in code
    assert HOSTILE in code
    assert page.locator("img[src=x]").count() == 0
    page.get_by_role("button", name="base 1").click()
    until_it_says(opened, "Individual 1 of broken")
    page.wait_for_url(re.compile("id=1$"))
    until_it_says(opened, "From individual 0 to 1.")


@pytest.mark.slow
def test_a_click_in_the_tree_shows_a_child_beside_its_base(opened: Watched) -> None:
    page = opened.page
    opened.open("/lineage?run=few&id=2")
    until_it_says(opened, "Individual 2 beside its base 1")
    click_on(opened, ".js-plotly-plot", trace=-2, point=0)
    until_it_says(opened, "Individual 0")
    assert page.locator("img[src=x]").count() == 0
    page.wait_for_url(re.compile("child=0"))


@pytest.mark.slow
def test_all_individuals_are_drawn_and_their_points_lead_to_families(opened: Watched) -> None:
    page = opened.page
    opened.open("/lineage?run=made&tree=all&upwards=value&across=tell")
    until_it_says(opened, "All")
    click_on(opened, ".js-plotly-plot", trace=0, point=5)
    page.wait_for_url(re.compile(r"child=\d+"))
    child = page.url.partition("child=")[2].partition("&")[0]
    until_it_says(opened, re.compile(rf"^Individual {child} beside its base \d+$"))
    page.get_by_role("button", name=f"Family of {child}", exact=True).click()
    page.wait_for_url(re.compile(rf"id={child}(&|$)"))
    until_it_says(opened, re.compile("in its line of bases"))


@pytest.mark.slow
def test_a_click_on_a_cell_of_the_archive_lists_its_elite(opened: Watched, archive: str) -> None:
    page = opened.page
    opened.open(f"/islands?run={archive}")
    until_it_says(opened, "Archive of niches")
    page.wait_for_selector(".js-plotly-plot .heatmaplayer image", state="attached")
    page.wait_for_timeout(500)
    where = page.evaluate(CELL)
    page.mouse.click(*where)
    until_it_says(opened, "selected")
    opened.open(f"/operators?run={archive}")
    until_it_says(opened, "Beliefs of the operator selector")
    page.wait_for_selector(".js-plotly-plot .scatterlayer")


def click_on(watched: Watched, selector: str, *, trace: int, point: int) -> None:
    """Click on a point of a figure that WebGL draws, where there is no element to click on."""
    page = watched.page
    page.wait_for_function(f"!!document.querySelector('{selector}')?._fullLayout?.xaxis?.l2p")
    page.wait_for_timeout(700)
    page.locator(selector).first.scroll_into_view_if_needed()
    where = page.evaluate(
        """([selector, number, point]) => {
            const chart = document.querySelector(selector), {xaxis, yaxis} = chart._fullLayout;
            const trace = chart.data.at(number), box = chart.getBoundingClientRect();
            const x = xaxis._offset + xaxis.l2p(trace.x[point]), y = yaxis._offset + yaxis.l2p(trace.y[point]);
            return [box.x + x, box.y + y];
        }""",
        [selector, trace, point],
    )
    page.mouse.move(where[0] - 1, where[1])
    page.mouse.move(*where)
    page.wait_for_timeout(200)
    page.mouse.click(*where)


def test_a_link_of_the_sidebar_keeps_the_filters(opened: Watched) -> None:
    opened.open("/front?run=made&to=40")
    until_it_says(opened, "Front of made")
    opened.page.get_by_role("link", name="Overview").click()
    until_it_says(opened, "Only to tell 40")
    opened.page.wait_for_url(re.compile(r"/\?run=made&to=40$"))


@pytest.mark.slow
def test_three_objectives_are_drawn_in_space_and_on_parallel_axes(opened: Watched) -> None:
    for drawing, selector in (("space", ".gl-container"), ("parallel", ".parcoords")):
        opened.open(f"/front?run=made&drawing={drawing}")
        opened.page.wait_for_selector(selector, state="attached")
        until_it_says(opened, re.compile(r"^\d+ in the front$"))


@pytest.mark.slow
def test_a_range_of_a_parallel_axis_lists_the_individuals_in_it(opened: Watched) -> None:
    page = opened.page
    opened.open("/front?run=made&drawing=parallel")
    until_it_says(opened, re.compile(r"^\d+ in the front$"))
    page.wait_for_selector(".parcoords .axis-brush")
    page.wait_for_timeout(500)
    axis = page.locator(".parcoords .axis-brush").first.bounding_box()
    assert axis is not None
    middle = axis["x"] + axis["width"] / 2
    page.mouse.move(middle, axis["y"] + axis["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(middle, axis["y"] + axis["height"] * 0.7, steps=8)
    page.mouse.up()
    until_it_says(opened, re.compile(r"^\d+ selected$"))
    low, high = page.evaluate("document.querySelector('.js-plotly-plot').data[0].dimensions[0].constraintrange")
    values = page.evaluate("document.querySelector('.js-plotly-plot').data[0].dimensions[0].values")
    count = sum(low <= value <= high for value in values)
    assert 0 < count < len(values)
    until_it_says(opened, f"{count} selected")


def test_no_figure_offers_to_send_itself_away(opened: Watched) -> None:
    opened.open("/front?run=toy")
    opened.page.locator(".js-plotly-plot .modebar-btn").first.wait_for(state="attached")
    offered = opened.page.locator(".js-plotly-plot .modebar-btn").evaluate_all(
        "all => all.map(button => button.dataset.title)"
    )
    assert "Box Select" in offered
    assert not [title for title in offered if re.search("share|cloud|send", title, re.IGNORECASE)]


def test_the_answer_of_the_console_can_be_downloaded(opened: Watched, tmp_path: Path) -> None:
    page = opened.page
    opened.open("/sql?run=toy&sql=SELECT+id,+tell+FROM+individuals")
    page.get_by_role("button", name="Run", exact=True).click()
    until_it_says(opened, re.compile(r"60 rows in"))
    with page.expect_download() as download:
        page.get_by_role("button", name="csv", exact=True).click()
    download.value.save_as(tmp_path / "answer.csv")
    assert (tmp_path / "answer.csv").read_text().splitlines()[:2] == ["id,tell", "0,0"]


def test_nothing_moves_on_a_page_while_its_figures_are_fetched(started: Browser, root: str) -> None:
    with window(started, root) as watched:
        page = watched.page
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/plotly.min.js", hold)
        watched.open("/failures?run=worked")
        until_it_says(watched, "Ask 58 in full")
        page.wait_for_function("document.querySelectorAll('.evo-chart').length === 4")
        page.wait_for_timeout(500)
        assert page.locator(".js-plotly-plot").count() == 0, "the figures are not there yet"
        before = page.locator(".st-key-messages").bounding_box()
        held[0].continue_()
        page.wait_for_selector(".st-key-by-arm .js-plotly-plot .bars")
        page.wait_for_timeout(500)
        assert page.locator(".st-key-messages").bounding_box() == before


@pytest.mark.slow
def test_a_message_leads_to_its_failures_and_one_of_them_in_full(opened: Watched) -> None:
    page = opened.page
    opened.open("/failures?run=worked")
    until_it_says(opened, "Ask 58 in full")
    # Once: a second click would take the choice back, however late the page says what came of the first.
    page.locator(".st-key-messages .dvn-scroller").first.click(position=FIRST_ROW)
    until_it_says(opened, "Ask 59 in full")
    page.locator("[data-testid=stCode]", has_text="block 59 does not match").first.wait_for()
    page.wait_for_url(re.compile("like=block.N.does.not.match"))
    link = page.url
    opened.open(link.removeprefix(opened.root))
    until_it_says(opened, "Ask 59 in full")


def test_a_link_leads_to_a_failure_in_full(opened: Watched) -> None:
    opened.open("/failures?run=worked&ask=12")
    until_it_says(opened, "Ask 12 in full")
    until_it_says(opened, "no answer within 11 s")
    until_it_says(opened, f"reply 12 {HOSTILE}")
    assert opened.page.locator("img[src=x]").count() == 0


@pytest.mark.slow
def test_a_bar_of_the_timeline_leads_to_its_individual(opened: Watched) -> None:
    page = opened.page
    opened.open("/workers?run=worked")
    page.wait_for_selector(".st-key-timeline-worked .js-plotly-plot .bars .point")
    page.wait_for_timeout(500)
    bar = page.locator(".st-key-timeline-worked .bars .point").nth(3).bounding_box()
    assert bar is not None
    page.mouse.move(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2, steps=4)
    page.wait_for_selector(".st-key-timeline-worked .hovertext")
    page.mouse.down()
    page.mouse.up()
    until_it_says(opened, "1 selected")


@pytest.mark.slow
def test_a_live_run_is_compared_while_it_goes_on(opened: Watched, live: str) -> None:
    page = opened.page
    opened.open(f"/compare?run={live}&runs={live}&runs=toy")
    until_it_says(opened, re.compile(f"left out: .*{live} is not finished"))
    page.wait_for_selector(".st-key-curve-best .js-plotly-plot .xtick")
    lines = "document.querySelector('.st-key-curve-best .js-plotly-plot').data"
    assert page.evaluate(f"{lines}.length") == 2
    latest = f"Math.max(...{lines}.map(line => line.x.slice(-1)[0]))"
    before = page.evaluate(latest)
    page.wait_for_function(f"{latest} > {before}")


TABLE = "[data-testid=stDataFrame]"
# A page is complete when these are there: its last figure, table or text.
LAST = {
    "": TABLE,
    "lineage": ".st-key-line .js-plotly-plot .main-svg",
    "compare": ".st-key-curve-best .js-plotly-plot .main-svg",
    "front": TABLE,
    "individual": TABLE,
    "operators": TABLE,
    "islands": TABLE,
    "failures": "[data-testid=stExpander]",
    "workers": ".st-key-waits .js-plotly-plot .main-svg",
    "sql": "[data-testid=stExpander]",
}
SLOW = ("front", "individual", "operators", "islands", "failures", "workers", "sql")


@pytest.mark.parametrize(
    "view", ["", "lineage", "compare", *(pytest.param(view, marks=pytest.mark.slow) for view in SLOW)]
)
def test_a_phone_shows_every_page_without_scrolling_sideways(started: Browser, root: str, view: str) -> None:
    with window(started, root, width=390, height=844, dark=True) as watched:
        watched.open(f"/{view}?run=broken")
        watched.page.wait_for_selector(LAST[view], state="attached")
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_every_page_keeps_up_with_a_live_run(opened: Watched, live: str) -> None:
    for view in ("", "front", "lineage", "individual", "operators", "islands", "failures", "workers", "compare", "sql"):
        opened.open(f"/{view}?run={live}")
        opened.page.locator("h2", has_text=live).first.wait_for()
        opened.page.wait_for_timeout(2500)  # an update, at least, of those that have any
        assert opened.page.locator("[data-testid=stException]").count() == 0


@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [("worked", 1280, False), ("made", 390, True), ("broken", 1280, True), ("begun", 390, False)],
)
def test_an_exported_page_opens_from_a_file_and_asks_for_nothing(
    started: Browser, pages: Path, name: str, width: int, dark: bool
) -> None:
    path = pages / f"{name}.html"
    with window(started, path.as_uri(), width=width, height=9000, dark=dark) as watched:
        watched.open("")
        page = watched.page
        count = len(figures_of_page(path.read_text("utf-8")))
        page.wait_for_function(f"document.querySelectorAll('[data-figure] .main-svg').length >= {count}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert colour == ("rgb(18, 22, 29)" if dark else "rgb(255, 255, 255)")
        assert page.locator("img[src=x]").count() == 0


def test_a_script_that_got_into_an_exported_page_does_not_run(started: Browser, pages: Path, tmp_path: Path) -> None:
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
