"""A run's overview: the best so far, its rate, its cost, and the health of endpoints and workers; it updates itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from dashboard import shell
from dashboard.charts import overview as charts
from dashboard.filters import Filters
from dashboard.queries import history, overview
from dashboard.queries.objectives import Objective
from dashboard.queries.overview import Totals
from dashboard.words import clock as clock_of
from dashboard.words import dollars, duration, number, plain, with_unit
from evo.lineage import Table
from evo.lineage.queries import objectives as objectives_of
from evo.lineage.remarks import remarks

FEW = 10
"""Of so few evaluations nothing is remarked yet."""
CLOCKS: Sequence[charts.Clock] = ("tells", "time")
WORKER_COLUMNS = {
    "worker": "worker",
    "node": "machine",
    "busy": st.column_config.ProgressColumn("busy", format="percent", min_value=0, max_value=1),
    "seconds": st.column_config.NumberColumn("seconds (median)", format="%.3g"),
    "last": st.column_config.DatetimeColumn("last result (UTC)", format="YYYY-MM-DD HH:mm:ss"),
}
ENDPOINT_COLUMNS = {
    "seconds": st.column_config.NumberColumn("seconds (median)", format="%.3g"),
    "usd": st.column_config.NumberColumn("dollars", format="$%.4g"),
    "last": st.column_config.DatetimeColumn("last reply (UTC)", format="YYYY-MM-DD HH:mm:ss"),
    "error": "latest failure",
}


def show() -> None:
    """The page."""
    filters = shell.filters()
    top, switch = st.columns([4, 1], vertical_alignment="bottom")
    top.header(plain(filters.run), anchor=False)
    with switch:
        clock = st.segmented_control(
            "Horizontal axis", CLOCKS, default="tells", required=True, key="clock", bind="query-params"
        )
    shell.live(lambda: draw(filters, clock))


def draw(filters: Filters, clock: charts.Clock) -> None:
    """The live part."""
    source = shell.source()
    totals = source.ask(filters.run, overview.totals)
    if not totals.problem:
        shell.empty("The run has only just begun.", "Its first results will show up here within a second or two.")
        return
    _state(filters, totals)
    bests = source.grow(filters.run, history.bests, filters.stretch)
    samples = source.ask(filters.run, history.indicators, filters.stretch)
    objectives = source.ask(filters.run, objectives_of)
    running = source.holder(filters.run) is not None
    shell.cards(_figures(totals, bests, objectives, samples, running=running))
    if not totals.count_told:
        shell.empty("No evaluation has finished yet.", "The first are under way; figures will show up by themselves.")
        return
    if totals.count_told >= FEW:
        for remark in source.ask(filters.run, remarks):
            st.warning(plain(f"{remark[0].upper()}{remark[1:]}."), icon=":material/warning:")
    _histories(filters, clock, objectives, (bests, samples))
    _progress(filters, clock, totals, samples)
    _health(filters)


def _state(filters: Filters, totals: Totals) -> None:
    """Whether the run is running, and how far it is."""
    locked_by = shell.source().holder(filters.run)
    if locked_by:
        state, icon = f"running, by {locked_by}", ":green[:material/play_circle:]"
    elif totals.stopped in ("budget", "exhausted"):
        state, icon = f"finished ({totals.stopped})", ":blue[:material/check_circle:]"
    else:
        state = f"not running ({totals.stopped or 'killed'}); `evo resume` continues it"
        icon = ":orange[:material/pause_circle:]"
    st.markdown(f"{icon} **{plain(totals.problem)}** {plain(state)}")
    budget = totals.budget.get("evaluations")
    if budget:
        share = min(1.0, totals.count_told / budget)
        st.progress(share, text=f"{number(totals.count_told)} of {number(budget)} evaluations, {totals.failed} failed")
    if said := shell.tells(filters.stretch):
        st.caption(f"Only {said}; hypervolume, front and population are always those of the whole run.")


def _figures(
    totals: Totals, bests: history.Bests, objectives: tuple[Objective, ...], samples: Table, *, running: bool
) -> list[tuple[str, str, str]]:
    figures = [
        (f"best {name}", with_unit(step.value, unit) if step else "none yet", _since(step, totals))
        for name, _, unit in objectives
        for step in [bests.latest(name)]
    ]
    if samples.rows:
        row = dict(zip(samples.columns, samples.rows[-1], strict=True))
        figures.append(("hypervolume", number(row["hypervolume"]), f"{number(row['front_size'])} in the front"))
    figures += [
        ("rate", f"{_rate(totals.per_second)}/s", f"latest {_ago(totals.latest)}"),
        ("proposing", number(sum(totals.proposals.values())), _busiest(totals)),
        ("evaluating", number(totals.evaluations), _waiting(totals, running=running)),
        (
            "time left",
            duration(totals.left_seconds if running else None),
            f"ran {duration(totals.running_seconds)}",
        ),
    ]
    if totals.calls or totals.model:
        cap = totals.budget.get("usd")
        figures += [
            ("spent", dollars(totals.usd), f"cap {dollars(cap)}" if cap is not None else "no cap"),
            ("forecast", dollars(totals.forecast_usd), f"{number(totals.calls)} calls"),
        ]
    return figures


def _busiest(totals: Totals) -> str:
    """The operator with most proposals under way."""
    asked = totals.proposals
    return max(sorted(asked), key=lambda operator: asked[operator]) if asked else "no open ask"


def _waiting(totals: Totals, *, running: bool) -> str:
    if running:
        return "or waiting for a worker"
    return "left for a resume" if totals.evaluations else ""


def _since(step: history.Step | None, totals: Totals) -> str:
    """How long ago the best was found."""
    if step is None:
        return ""
    return f"{number(max(0, totals.count_told - 1 - step.tell))} tells ago"


def _rate(per_second: float) -> str:
    """In three digits, or as a whole number from 1,000 on."""
    return number(float(f"{per_second:.3g}") if per_second < 1000 else round(per_second))


def _ago(moment: datetime | None) -> str:
    if moment is None:
        return "none yet"
    seconds = time.time() - moment.replace(tzinfo=UTC).timestamp()
    if seconds >= 86400:
        return clock_of(moment)
    largest = duration(max(0.0, seconds)).split()[:2]  # both units do not fit into a card
    return f"{' '.join(largest)} ago"


def _histories(
    filters: Filters,
    clock: charts.Clock,
    objectives: tuple[Objective, ...],
    known: tuple[history.Bests, Table],
) -> None:
    bests, samples = known
    revision = f"{filters} {clock}"
    end: tuple[int, Any] = samples.rows[-1][:2] if samples.rows else (0, None)
    if end[1] is None and bests.steps:  # a re-evaluation has no row in individuals, hence no time
        end = end[0], bests.steps[-1].told_at
    st.subheader("Best so far", anchor=False)
    pairs = [list(enumerate(objectives))[at : at + 2] for at in range(0, len(objectives), 2)]
    for pair in pairs:
        for place, (at, objective) in zip(st.columns(len(pair)), pair, strict=True):
            with place:
                shown = charts.best_so_far(bests, objective, clock=clock, end=end, revision=revision, colour=at)
                shell.chart(shown, f"best-{at}")


def _progress(filters: Filters, clock: charts.Clock, totals: Totals, samples: Table) -> None:
    source, revision = shell.source(), f"{filters} {clock}"
    left, right = st.columns(2)
    with left:
        st.subheader("Hypervolume", anchor=False)
        shell.chart(charts.hypervolume(samples, clock=clock, revision=revision), "hypervolume")
        st.subheader("Rate", anchor=False)
        parts = source.ask(filters.run, history.rates, filters.stretch)
        shell.chart(charts.rate(parts, clock=clock, revision=revision), "rate")
    with right:
        st.subheader("Front and population", anchor=False)
        shell.chart(charts.diversity(samples, clock=clock, revision=revision), "diversity")
        st.subheader("Outcomes", anchor=False)
        parts = source.ask(filters.run, history.outcomes, filters.stretch)
        shell.chart(charts.outcomes(parts, clock=clock, revision=revision), "outcomes")
    if totals.usd:
        st.subheader("Spending", anchor=False)
        points = source.ask(filters.run, history.spending)
        shell.chart(charts.spending(points, cap=totals.budget.get("usd"), revision=filters.run), "spending")


def _health(filters: Filters) -> None:
    source = shell.source()
    if (endpoints := source.ask(filters.run, overview.endpoints)).rows:
        st.subheader("Endpoints", anchor=False)
        st.caption(f"The last {number(overview.RECENT)} completions.")
        shell.table(endpoints, "endpoints", labels=ENDPOINT_COLUMNS)
    st.subheader("Workers", anchor=False)
    if (workers := source.ask(filters.run, overview.workers)).rows:
        st.caption(f"The {duration(overview.RECENT_SECONDS)} before the latest result.")
        shell.table(workers, "workers", labels=WORKER_COLUMNS)
    else:
        st.caption("No worker has reported yet; problems that evaluate in the driver's process have no workers.")


show()
