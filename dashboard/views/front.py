"""The front in two or three dimensions and on parallel axes; points lead to individuals."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import shell
from dashboard.charts import front as charts
from dashboard.filters import Filters
from dashboard.queries import front, history
from dashboard.queries.objectives import Objective
from dashboard.words import number, plain
from evo.lineage.queries import objectives as objectives_of

COLOURS = ("operator", "model", "island", "tell")


def show() -> None:
    """The page."""
    filters = shell.filters()
    st.header(f"Front of {plain(filters.run)}", anchor=False)
    shell.guarded(lambda: _choices(filters))


def _choices(filters: Filters) -> None:
    objectives = shell.source().ask(filters.run, objectives_of)
    if not objectives:
        shell.empty(
            "The run has only just begun.", "Its front will be here with its first results; look at the overview."
        )
        return
    names = [name for name, _, _ in objectives]
    drawings = ["plane", "space", "parallel"][: 3 if len(names) > 2 else 1] or ["plane"]
    drawings += ["parallel"] if len(names) == 2 else []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        drawing = st.segmented_control(
            "Drawing", drawings, default="plane", required=True, key="drawing", bind="query-params"
        )
        axes = _axes(names, 3 if drawing == "space" else 2) if drawing != "parallel" else []
        colour = st.selectbox("Colour", COLOURS, key="colour", bind="query-params", width=140)
        past = drawing == "plane" and len(names) > 1 and st.toggle("Earlier fronts", key="past", bind="query-params")
    chosen = [objectives[names.index(name)] for name in axes]
    shell.live(lambda: draw(filters, str(drawing), chosen, (colour, past)))


def _axes(names: Sequence[str], count: int) -> list[str]:
    """The objective of each axis. With a single objective the other axis is the tell."""
    if len(names) == 1:
        return [names[0]]
    chosen = []
    for at, letter in enumerate("xyz"[:count]):
        chosen.append(
            st.selectbox(
                f"{letter} axis", names, index=min(at, len(names) - 1), key=letter, bind="query-params", width=160
            )
        )
    return chosen


def draw(filters: Filters, drawing: str, axes: Sequence[Objective], how: tuple[str, bool]) -> None:
    """The figure, and the individuals that are selected in it."""
    source, (colour, past) = shell.source(), how
    members = source.ask(filters.run, front.front, filters.stretch)
    if not members.rows:
        shell.empty(
            "The front is empty here.",
            "It holds the feasible, nondominated individuals; widen the filters, or wait for the first results.",
        )
        return
    others = source.ask(filters.run, front.dominated, filters.stretch)
    objectives = source.ask(filters.run, objectives_of)
    if len(axes) == 1:
        axes = (front.TELLS, axes[0])
    revision = f"{filters} {drawing} {axes}"
    picked: list[int] = []
    if drawing == "parallel":
        shown = charts.parallel(members, objectives, colour=colour, revision=revision)
        picked = shell.picking_chart(shown, f"parallel-{filters.run}")
        st.caption(
            "A line is an individual of the front; up is better on every axis. Drag along an axis to list the "
            "individuals in that range, on several axes to list those in all ranges; click beside a range to remove it."
        )
    elif drawing == "space":
        shown = charts.space((members, others), axes, colour=colour, revision=revision)
        picked = shell.picking_chart(shown, f"space-{filters.run}")
        better = ", ".join(f"{plain(name)} {'down' if way == 'min' else 'up'}" for name, way, _ in axes)
        st.caption(f"Better is {better}. Click a point to list its individual; double-click to list the front again.")
    else:
        before = source.ask(filters.run, front.earlier, filters.stretch) if past else None
        shown = charts.plane((members, others), axes, colour=colour, earlier=before, revision=revision)
        picked = shell.picking_chart(shown, f"plane-{filters.run}")
        st.caption("Drag a box or click a point to list individuals; double-click to list the front again.")
    _listed(filters, picked, len(members.rows))


def _listed(filters: Filters, picked: Sequence[int], size: int) -> None:
    source = shell.source()
    if picked:
        st.subheader(f"{number(len(picked))} selected", anchor=False)
        shown = source.ask(filters.run, front.picked, tuple(picked))
    else:
        st.subheader(f"{number(size)} in the front", anchor=False)
        shown = source.ask(filters.run, front.front, filters.stretch)
    shell.individuals(shown, "listed", filters)
    with st.expander("Size of the front over time"):
        samples = source.ask(filters.run, history.indicators, filters.stretch)
        shell.chart(charts.over_time(samples, revision=str(filters)), "front-size")


show()
