"""Islands and the migrations between them; the archive of niches, and its coverage over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from dashboard import shell
from dashboard.charts import islands as charts
from dashboard.charts import niches as niche_charts
from dashboard.filters import Filters
from dashboard.queries import islands, niches
from dashboard.queries.niches import NicheMap
from dashboard.queries.objectives import Objective
from dashboard.words import clipped, number, plain
from evo.lineage import Table
from evo.lineage.queries import objectives as objectives_of
from evo.search.niches import NicheSettings

SLOW_SECONDS = 10.0
NO_NICHES = (
    "An archive keeps the best of each niche, and not the best alone. `search.niches` gives a run an archive: for "
    "instance `evo run PROBLEM --set 'search.niches={dimensions: {size: {low: 0, high: 200, cells: 20}}}'`; "
    "docs/niches.md lists the possible dimensions."
)
ONE_ISLAND = (
    "Several islands search separately and send each other their best: `evo run PROBLEM --set search.islands.count=4 "
    "--set search.islands.every=200`."
)
NO_MOVE = (
    "Islands exchange migrants every so many tells, or when an island stagnates: `search.islands.every` and "
    "`search.islands.stagnation` say when."
)


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
    """The dimensions of the archive that are drawn."""
    names = [side.descriptor for side in how.dimensions]
    if len(names) == 1:
        return 0, None
    if len(names) == 2:
        return 0, 1
    with st.container(horizontal=True, vertical_alignment="bottom"):
        across = st.selectbox("Across", names, key="side", bind="query-params", width=200)
        rest = [name for name in names if name != across]
        upwards = st.selectbox("Upwards", rest, key="other_side", bind="query-params", width=200)
    return names.index(str(across)), names.index(str(upwards))


def draw(filters: Filters, axes: tuple[int, int | None] | None) -> None:
    """The live part."""
    source = shell.source()
    objectives = source.ask(filters.run, objectives_of)
    found = source.ask(filters.run, islands.islands, filters.stretch)
    if not objectives or not found.rows:
        shell.empty("There is no result here.", "Widen the filters beside this page, or wait for the first results.")
        return
    if axes is not None:
        _niches(filters, axes, objectives[0])
    _islands(filters, found, objectives[0])
    if axes is None:
        st.subheader("Niches", anchor=False)
        shell.empty("This run has no niches.", NO_NICHES)


def _niches(filters: Filters, axes: tuple[int, int | None], objective: Objective) -> None:
    source = shell.source()
    of = source.grow(filters.run, niches.niche_map, filters.stretch)
    st.subheader("Archive of niches", anchor=False)
    if of.unknown:
        named = ", ".join(f"**{plain(name)}**" for name in of.unknown)
        shell.empty(
            f"The cells cannot be drawn: {named} is not in the lineage.",
            "Slots need the problem's own space, and embeddings are in the journal alone. The coverage is below.",
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
                "This run has none.",
                "Give the archive a `qd_score_offset`: the value of the first objective that is worth nothing.",
            )


def _map(filters: Filters, of: NicheMap, axes: tuple[int, int | None], objective: Objective) -> None:
    shell.cards(_figures(of, objective))
    shown = niche_charts.niche_map(of, axes, objective, revision=f"{filters} {axes}")
    picked = shell.picking_chart(shown, f"map-{filters.run}")
    st.caption(_explained(filters, of, axes))
    shell.picked_individuals(filters, picked, "elites")


def _figures(of: NicheMap, objective: Objective) -> list[tuple[str, str, str]]:
    sign = 1 if objective[1] == "min" else -1
    best = min(of.elites, key=lambda elite: (not elite.feasible, sign * elite.value), default=None)
    figures = [
        ("cells filled", number(len(of.elites)), f"of {number(of.cells)}"),
        ("coverage", f"{of.feasible / of.cells:.1%}", "by feasible elites"),
        ("population", number(of.population), "in the archive"),
    ]
    if best is not None:
        figures.append((f"best {objective[0]}", number(best.value), f"individual {best.individual}"))
    return figures


def _explained(filters: Filters, of: NicheMap, axes: tuple[int, int | None]) -> str:
    lines = ["The elite of each cell by the first objective; bright is good. Click a cell to list its individual."]
    if filters.stretch.island is None and len({elite.island for elite in of.elites}) > 1:
        lines.append("Each island has its own archive: shown is the best of all; choose an island beside this page.")
    assert of.settings is not None
    if len(of.settings.dimensions) > 2:
        lines.append("Over the other dimensions the best is shown.")
    if (many := niche_charts.merged(of, axes)) > 1:
        lines.append(f"Each square stands for {many} by {many} cells, and shows the best of them.")
    if of.left_out:
        lines.append(f"The {number(of.left_out)} oldest members are left out.")
    return " ".join(lines)


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
        st.markdown("**Best so far**, of all that the island ever had")
        shell.chart(charts.best(parts, objective, revision=str(filters)), "island-best")
    with right:
        st.markdown("**Population**")
        shell.chart(charts.population(parts, revision=str(filters)), "island-population")
    if len(found.rows) > islands.MOST_ISLANDS:
        st.caption(f"The first {islands.MOST_ISLANDS} islands are drawn; the table has {number(len(found.rows))}.")
    shell.table(found, "islands", labels=_columns(objective), links=_links(filters))
    _moves(filters, flows)


def _moves(filters: Filters, flows: Table) -> None:
    st.subheader("Migrations", anchor=False)
    if not flows.rows:
        shell.empty("There is no migration here yet.", NO_MOVE)
        return
    total = sum(row[3] for row in flows.rows)
    parents = sum(row[4] for row in flows.rows)
    st.markdown(
        f"**{number(total)}** migrations; **{number(parents)}** of the migrants have offspring on the island that they "
        "came to."
    )
    moves = shell.source().ask(filters.run, islands.moves, filters.stretch)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        shell.chart(charts.flows(flows, revision=str(filters)), "flows")
    with right:
        picked = shell.picking_chart(charts.moves(moves, revision=str(filters)), f"moves-{filters.run}")
        more = f" The latest {number(len(moves.rows))}." if len(moves.rows) < total else ""
        st.caption(f"A line from the source island to the target island. Click to list the migrant.{more}")
    shell.picked_individuals(filters, picked, "migrants")


def _links(filters: Filters) -> Mapping[str, Callable[[Any], str]]:
    return {"individual": shell.individual_link(filters)}


def _columns(objective: Objective) -> dict[str, object]:
    name = clipped(objective[0], 30)
    figure = st.column_config.NumberColumn
    return {
        "in_front": "in the front",
        "best": figure(f"best {name} so far", format="%.6g"),
        "individual": "best individual",
        "tell": "since tell",
        "best_now": figure("best in the population", format="%.6g"),
    }


show()
