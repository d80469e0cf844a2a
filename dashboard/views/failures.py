"""Failures: how many, over time, by operator and model, their messages, and a failed ask in full."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import calls, shell
from dashboard.charts import failures as charts
from dashboard.filters import Filters
from dashboard.queries import failures
from dashboard.words import clipped, clock, made_by, number, plain, thought
from evo.lineage import Table

OF = ("all", *failures.SOURCES)
LABEL = 120
MEANING = {
    "evaluation": "evaluations without a result",
    "proposal": "proposals without a candidate",
    "completion": "completions without a reply",
}
MESSAGE_COLUMNS: dict[str, Any] = {
    "failures": st.column_config.NumberColumn("times", width="small"),
    "share": st.column_config.ProgressColumn("share", format="percent", min_value=0, max_value=1, width="small"),
    "outcomes": st.column_config.TextColumn("outcome", width="small"),
    "message": st.column_config.TextColumn("message", width="large"),
    "source": "of",
    "last": st.column_config.DatetimeColumn("last (UTC)", format="D MMM, HH:mm:ss"),
}
FAILURE_COLUMNS: dict[str, Any] = {
    "happened": st.column_config.DatetimeColumn("when (UTC)", format="YYYY-MM-DD HH:mm:ss"),
    "message": st.column_config.TextColumn("message", width="large"),
    "source": "of",
}


def show() -> None:
    """The page."""
    filters = shell.filters()
    st.header(f"Failures of {plain(filters.run)}", anchor=False)
    shell.live(lambda: _overall(filters))
    shell.guarded(lambda: _messages(filters))


def _overall(filters: Filters) -> None:
    """The live part: counts and figures."""
    source = shell.source()
    counts = source.ask(filters.run, failures.counts, filters.stretch)
    if not any(count.all for count in counts):
        shell.empty("Nothing has been tried yet.", "Failures will be here with their messages; look at the overview.")
        return
    shell.cards([_card(count) for count in counts if count.all])
    if not any(count.failed for count in counts):
        shell.empty("Nothing failed here.", "All evaluations, proposals and completions succeeded.")
        return
    over, found = source.ask(filters.run, failures.over_time, filters.stretch)
    if over is not None:
        failing = [count.source for count in counts if count.failed]
        st.subheader("Over time", anchor=False)
        for place, of in zip(st.columns(len(failing)), failing, strict=True):
            with place:
                st.caption(MEANING[of].capitalize())
                shell.chart(charts.over_time(found, of, over, revision=f"{filters} {of}"), f"time-{of}")
    st.subheader("By operator and model", anchor=False)
    ends = source.ask(filters.run, failures.by_arm, filters.stretch)
    shell.chart(charts.by_arm(ends, revision=str(filters)), "by-arm")


def _card(of: failures.Counts) -> tuple[str, str, str]:
    share = of.failed / of.all
    return f"failed {of.source}s", number(of.failed), f"{100 * share:.3g} % of {number(of.all)}"


def _messages(filters: Filters) -> None:
    """Messages grouped by what they say; a message leads to its failures."""
    source = shell.source()
    if not any(count.failed for count in source.ask(filters.run, failures.counts, filters.stretch)):
        return
    title, switch = st.columns([3, 2], vertical_alignment="bottom")
    title.subheader("Messages", anchor=False)
    with switch:
        of = st.segmented_control(
            "Of", OF, default="all", required=True, key="of", bind="query-params", label_visibility="collapsed"
        )
    chosen = None if of == "all" else str(of)
    found = source.ask(filters.run, failures.messages, filters.stretch, chosen)
    if not found.rows:
        shell.empty(f"No {of} failed here.", "Choose another source, or all of them.")
        return
    st.caption(
        f"Without numbers, paths and quoted names, so that similar messages are grouped; from the latest "
        f"{number(failures.RECENT)} failures. Choose a row to list its failures."
    )
    _rows(found)
    _listed(filters, found, chosen)


def _rows(found: Table) -> None:
    frame = found.to_pandas().drop(columns=["first", "example"])
    labels = list(_labels(found))

    def take() -> None:
        chosen = st.session_state.messages.selection.rows
        st.session_state.like = labels[chosen[0]] if chosen and chosen[0] < len(labels) else None
        st.session_state.ask = None

    st.dataframe(
        frame,
        key="messages",
        hide_index=True,
        column_config=MESSAGE_COLUMNS,
        column_order=["failures", "share", "message", "outcomes", "source", "last"],
        on_select=take,
        selection_mode="single-row",
    )


def _listed(filters: Filters, found: Table, source: str | None) -> None:
    """The latest failures (those of the chosen message, if any), and a failed ask in full."""
    labels = _labels(found)
    # A link may name a message that no failure has any more, or too few have.
    named = [label for label in [st.query_params.get("like"), st.session_state.get("like")] if label]
    options = list(dict.fromkeys([*labels, *named]))
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    like = left.selectbox(
        "Message",
        options,
        index=None,
        key="like",
        bind="query-params",
        placeholder="all messages",
    )
    key = labels.get(like, "none") if like else None
    rows = shell.source().ask(filters.run, failures.listed, filters.stretch, source, key)
    ask = right.number_input(
        "Ask", min_value=0, value=None, step=1, key="ask", bind="query-params", placeholder=_latest(rows)
    )
    if rows.rows:
        shell.table(
            rows,
            "failed",
            labels=FAILURE_COLUMNS,
            links={
                "ask": lambda ask: filters.link("failures", ask=ask),
                "individual": shell.individual_link(filters),
            },
        )
    _in_full(filters, ask if ask is not None else _first(rows))


def _labels(found: Table) -> dict[str, str]:
    """The labels of messages, on the page and in an address, and their keys."""
    return {f"{clipped(row[2], LABEL)} ({row[1]})": row[0] for row in found.rows}


def _first(rows: Table) -> int | None:
    return rows.rows[0][0] if rows.rows else None


def _latest(rows: Table) -> str:
    return str(_first(rows)) if rows.rows else "none"


def _in_full(filters: Filters, ask: int | None) -> None:
    found = shell.source().ask(filters.run, failures.failed_ask, ask) if ask is not None else None
    if found is None:
        shell.empty("There is no such ask.", "Type the number of an ask, or choose a message above.")
        return
    st.subheader(f"Ask {found.ask} in full", anchor=False)
    _proposal(filters, found)
    for evaluation in found.evaluations.records():
        where = f", {evaluation['worker']} on {evaluation['node']}" if evaluation["worker"] else ""
        title = f"{evaluation['stage']} evaluation: {evaluation['outcome']}{where}"
        calls.verbatim(title, evaluation["feedback"] or "no feedback")
    calls.exchanges(found.completions)


def _proposal(filters: Filters, found: failures.FailedAsk) -> None:
    of = found.proposal
    if not of:
        st.caption("It has no proposal yet.")
        return
    maker, when = plain(made_by(of["operator"], of["model"])), plain(clock(of["proposed"]))
    st.markdown(f"Proposal **{plain(of['outcome'])}** by **{maker}** on island {of['island']}, {when}")
    if of["thought"]:
        calls.verbatim("thought, or why there is no candidate", thought(of["thought"]))
    if of["individual"] is not None:
        shell.link("individual", f"Individual {of['individual']}", filters, id=of["individual"])


show()
