"""Workers: a timeline of each, how busy they are, what is queued, and what offspring wait for."""

from __future__ import annotations

import streamlit as st

from dashboard import shell
from dashboard.charts import workers as charts
from dashboard.filters import Filters
from dashboard.queries import overview, workers
from dashboard.words import clock, duration, number, plain
from evo.lineage import Table


def show() -> None:
    """The page."""
    filters = shell.filters()
    st.header(f"Workers of {plain(filters.run)}", anchor=False)
    shell.live(lambda: draw(filters))


def draw(filters: Filters) -> None:
    """The live part: the whole page."""
    source = shell.source()
    evaluations, names, nodes = source.ask(filters.run, workers.evaluations, filters.stretch)
    waits = source.ask(filters.run, workers.waits, filters.stretch)
    _figures(filters, names, nodes, waits)
    if not evaluations:
        shell.empty(
            "No worker has reported here.",
            "Timelines come with the first results; problems that evaluate in the driver's process have no workers.",
        )
    if said := shell.tells(filters.stretch):
        st.caption(f"Only {plain(said)}.")
    marks = source.ask(filters.run, workers.marks)
    if evaluations:
        _timeline(filters, evaluations, marks)
        _utilisation(filters, marks)
    _waiting(filters, waits)


def _figures(filters: Filters, names: int, nodes: int, waits: Table) -> None:
    totals = shell.source().ask(filters.run, overview.totals)
    cards = [
        ("workers", number(names), f"on {number(nodes)} machine{'s' * (nodes != 1)}"),
        ("asked", number(sum(totals.proposals.values())), "no proposal yet"),
        ("proposed", number(totals.evaluations), "not evaluated yet"),
    ]
    if waits.rows:
        shares = charts.shares(waits)["all", ""]
        cards += [
            (charts.CALLED[state][0], f"{100 * share:.1f} %", f"{duration(seconds)} each")
            for state, (share, seconds) in shares.items()
        ]
    shell.cards(cards)


def _timeline(filters: Filters, evaluations: int, marks: Table) -> None:
    done = shell.source().ask(filters.run, workers.timeline, filters.stretch)
    if not done.rows:
        return
    st.subheader("Timeline", anchor=False)
    since = min(row[5] for row in done.rows)
    latest = f"The latest {number(len(done.rows))} of" if evaluations > len(done.rows) else "All"
    st.caption(
        f"{latest} {number(evaluations)} evaluations, since {plain(clock(since))}; *From tell* and *To tell* select "
        "others. Drag to zoom; click a bar to list its individual."
    )
    picked = shell.picking_chart(charts.timeline(done, marks, revision=str(filters)), f"timeline-{filters.run}")
    shell.picked_individuals(filters, picked, "picked")


def _utilisation(filters: Filters, marks: Table) -> None:
    source = shell.source()
    _, busy = source.ask(filters.run, workers.busy, filters.stretch)
    _, each = source.ask(filters.run, workers.utilisation, filters.stretch)
    if not each.rows:
        return
    left, right = st.columns(2)
    with left:
        st.subheader("Busy workers by machine", anchor=False)
        shell.chart(charts.busy(busy, marks, revision=str(filters)), "busy")
    with right:
        st.subheader("Utilisation of each worker", anchor=False)
        shell.chart(charts.utilisation(each, revision=str(filters)), "utilisation")


def _waiting(filters: Filters, waits: Table) -> None:
    source = shell.source()
    _, queue = source.ask(filters.run, workers.queue, filters.stretch)
    left, right = st.columns(2)
    if queue.rows:
        with left:
            st.subheader("Under way", anchor=False)
            shell.chart(charts.queue(queue, revision=str(filters)), "queue")
    if waits.rows:
        with right:
            st.subheader("What offspring wait for", anchor=False)
            st.caption(f"The latest {number(sum(row[2] for row in waits.rows))} offspring. {_most(waits)}")
            shell.chart(charts.waits(waits, revision=str(filters)), "waits")


def _most(waits: Table) -> str:
    """The state that takes most of their time, in words."""
    shares = charts.shares(waits)["all", ""]
    state = max(shares, key=lambda state: shares[state][0])
    return f"Most of their time they are {charts.CALLED[state][0]} ({100 * shares[state][0]:.1f} %)."


show()
