"""Islands and what passes between them; the map of niches, and how it fills."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from dashboard import shell
from dashboard.charts import islands as charts
from dashboard.charts import niches as map_charts
from dashboard.filters import Filters
from dashboard.queries import front, history, islands, niches
from dashboard.queries.niches import NicheMap
from dashboard.words import clipped, number, plain
from evo.lineage import Table
from evo.search.niches import NicheSettings

SLOW_SECONDS = 10.0
NO_NICHES = (
    "A map keeps the best of each kind instead of the best alone. Give a run `search.niches` to have one: for instance "
    "`evo run PROBLEM --set 'search.niches={dimensions: {size: {low: 0, high: 200, cells: 20}}}'`; docs/niches.md "
    "names what can be its sides."
)
ONE_ISLAND = (
    "Several islands search apart and send each other their best: `evo run PROBLEM --set search.islands.count=4 --set "
    "search.islands.every=200`."
)
NO_MOVE = (
    "Migrants pass every so many tells, or when an island does not get any better: `search.islands.every` and "
    "`search.islands.stagnation` say when."
)
Objective = tuple[str, str, str]


def show() -> None:
    """The page."""
    filters = shell.filters()
    st.header(f"Islands and niches of {plain(filters.run)}", anchor=False)
    shell.guarded(lambda: _parts(filters))


def _parts(filters: Filters) -> None:
    how = shell.source().ask(filters.run, niches.settings)
    axes = _axes(how) if how is not None else None
    shell.live(lambda: draw(filters, axes), seconds=SLOW_SECONDS)


def _axes(how: NicheSettings) -> tuple[int, int | None]:
    """Which sides of the map are drawn."""
    names = list(how.dimensions)
    if len(names) == 1:
        return 0, None
    if len(names) == 2:
        return 0, 1
    with st.container(horizontal=True, vertical_alignment="bottom"):
        across = st.selectbox("Across", names, key="side", bind="query-params", width=200)
        rest = [one for one in names if one != across]
        upwards = st.selectbox("Upwards", rest, key="other_side", bind="query-params", width=200)
    return names.index(str(across)), names.index(str(upwards))


def draw(filters: Filters, axes: tuple[int, int | None] | None) -> None:
    """All of it."""
    source = shell.source()
    objectives = source.ask(filters.run, history.objectives)
    found = source.ask(filters.run, islands.islands, filters.stretch)
    if not objectives or not found.rows:
        shell.empty("Nobody was told here.", "Widen the filters beside this page, or wait for the first results.")
        return
    if axes is not None:
        _niches(filters, axes, objectives[0])
    _islands(filters, found, objectives[0])
    if axes is None:
        st.subheader("Niches", anchor=False)
        shell.empty("This run has no niches.", NO_NICHES)


def _niches(filters: Filters, axes: tuple[int, int | None], objective: Objective) -> None:
    source = shell.source()
    of = source.grow(filters.run, niches.archive, filters.stretch)
    st.subheader("Map of niches", anchor=False)
    if of.unknown:
        named = ", ".join(f"**{plain(one)}**" for one in of.unknown)
        shell.empty(
            f"The cells cannot be drawn: {named} is not in the lineage.",
            "Slots need the problem's own space, and embeddings lie in the journal alone. How the map fills is below.",
        )
    else:
        _map(filters, of, axes, objective)
    parts = source.ask(filters.run, niches.over_time, filters.stretch)
    if not parts.rows:
        return
    scored = any(row[parts.columns.index("qd_score")] is not None for row in parts.rows)
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Coverage", anchor=False)
        shell.chart(charts.coverage(parts, revision=str(filters)), "coverage")
    with right:
        st.subheader("QD score", anchor=False)
        if scored:
            shell.chart(charts.qd_score(parts, revision=str(filters)), "qd-score")
        else:
            shell.empty(
                "It has none.", "Give the map a `floor`: the value of the first objective that is worth nothing."
            )


def _map(filters: Filters, of: NicheMap, axes: tuple[int, int | None], objective: Objective) -> None:
    shell.cards(_figures(of, objective))
    shown = map_charts.archive(of, axes, objective, revision=f"{filters} {axes}")
    picked = shell.picking_chart(shown, f"map-{filters.run}")
    st.caption(_explained(filters, of, axes))
    _picked(filters, picked, "elites")


def _figures(of: NicheMap, objective: Objective) -> list[tuple[str, str, str]]:
    best = min(
        of.elites, key=lambda one: (not one.feasible, one.value if objective[1] == "min" else -one.value), default=None
    )
    figures = [
        ("cells filled", number(len(of.elites)), f"of {number(of.cells)}"),
        ("coverage", f"{of.feasible / of.cells:.1%}", "by feasible ones"),
        ("living", number(of.living), "in the map"),
    ]
    if best is not None:
        figures.append((f"best {objective[0]}", number(best.value), f"individual {best.individual}"))
    return figures


def _explained(filters: Filters, of: NicheMap, axes: tuple[int, int | None]) -> str:
    told = ["The best of each cell by the first objective; bright is good. Click a cell to list its individual."]
    if filters.stretch.island is None and len({one.island for one in of.elites}) > 1:
        told.append("Each island has its own map: this is the best of all; choose one beside this page.")
    assert of.settings is not None
    if len(of.settings.dimensions) > 2:
        told.append("Along the other sides the best is shown.")
    if (many := map_charts.merged(of, axes)) > 1:
        told.append(f"Each square stands for {many} by {many} cells, the best of which it shows.")
    if of.left_out:
        told.append(f"The {number(of.left_out)} who have lived longest are left out.")
    return " ".join(told)


def _islands(filters: Filters, found: Table, objective: Objective) -> None:
    st.subheader("Islands", anchor=False)
    source = shell.source()
    flows = source.ask(filters.run, islands.flows, filters.stretch)
    if len(found.rows) < 2 and filters.stretch.island is None and not flows.rows:
        shell.empty("This run has one island.", ONE_ISLAND)
        shell.table(found, "islands", labels=_columns(objective), links=_links(filters))
        return
    parts = source.ask(filters.run, islands.over_time, filters.stretch)
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Best**, of all who came to live there")
        shell.chart(charts.best(parts, objective, revision=str(filters)), "island-best")
    with right:
        st.markdown("**MatingPool**")
        shell.chart(charts.living(parts, revision=str(filters)), "island-living")
    if len(found.rows) > islands.MOST_ISLANDS:
        st.caption(f"The first {islands.MOST_ISLANDS} islands are drawn; the table has {number(len(found.rows))}.")
    shell.table(found, "islands", labels=_columns(objective), links=_links(filters))
    _moves(filters, flows)


def _moves(filters: Filters, flows: Table) -> None:
    st.subheader("Migrations", anchor=False)
    if not flows.rows:
        shell.empty("Nobody has moved here yet.", NO_MOVE)
        return
    total = sum(row[3] for row in flows.rows)
    fruitful = sum(row[4] for row in flows.rows)
    st.markdown(
        f"**{number(total)}** moves; **{number(fruitful)}** of those who came have descendants on the island that they "
        "came to."
    )
    moves = shell.source().ask(filters.run, islands.moves, filters.stretch)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        shell.chart(charts.flows(flows, revision=str(filters)), "flows")
    with right:
        picked = shell.picking_chart(charts.moves(moves, revision=str(filters)), f"moves-{filters.run}")
        more = f" The latest {number(len(moves.rows))}." if len(moves.rows) < total else ""
        st.caption(f"A line from the island that somebody left to the one they came to. Click to list who moved.{more}")
    _picked(filters, picked, "migrants")


def _picked(filters: Filters, picked: Sequence[int], key: str) -> None:
    if picked:
        st.markdown(f"**{number(len(picked))}** selected")
        shell.individuals(shell.source().ask(filters.run, front.picked, tuple(picked)), key, filters)


def _links(filters: Filters) -> Mapping[str, Callable[[Any], str]]:
    return {"individual": lambda one: filters.link("individual", id=one)}


def _columns(objective: Objective) -> dict[str, object]:
    name = clipped(objective[0], 30)
    figure = st.column_config.NumberColumn
    return {
        "from_elsewhere": "came from elsewhere",
        "in_front": "in the front",
        "best": figure(f"best {name}", format="%.6g"),
        "individual": "who that is",
        "tell": "since tell",
        "best_living": figure("best living", format="%.6g"),
    }


show()
