"""What operators and models took and gave, over time too, and what the choice between them believes."""

from __future__ import annotations

import streamlit as st

from dashboard import shell
from dashboard.charts import operators as charts
from dashboard.filters import Filters
from dashboard.queries import beliefs, history, operators
from dashboard.queries.beliefs import Rule
from dashboard.queries.operators import By
from dashboard.words import clipped, dollars, number, plain
from evo.lineage import Table

BY: tuple[By, ...] = ("operator", "model", "both")
SLOW_SECONDS = 10.0


def show() -> None:
    """The page."""
    filters = shell.filters()
    st.header(f"Operators and models of {plain(filters.run)}", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = st.segmented_control("By", BY, default="operator", required=True, key="by", bind="query-params")
        what = st.selectbox("Over time", list(charts.OVER_TIME), key="what", bind="query-params", width=200)
    shell.live(lambda: draw(filters, by, what), seconds=SLOW_SECONDS)


def draw(filters: Filters, by: By, what: str) -> None:
    """All of it."""
    source = shell.source()
    arms = source.ask(filters.run, operators.arms, filters.stretch)
    if not arms.rows:
        shell.empty(
            "Nobody has proposed anything here.",
            "Widen the filters beside this page, or wait for the first proposals: they will show up by themselves.",
        )
        return
    if said := shell.tells(filters.stretch):
        st.caption(f"Only what was asked for, {said}; from the first to the last ask of those told there.")
    shell.cards(_figures(arms))
    parts = source.ask(filters.run, operators.over_time, filters.stretch, by)
    revision = f"{filters} {by}"
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.subheader(what.capitalize() + " over time", anchor=False)
        shell.chart(charts.over_time(parts, what, revision=f"{revision} {what}"), "over-time")
    with right:
        st.subheader("What became of proposals", anchor=False)
        shell.chart(
            charts.outcomes(source.ask(filters.run, operators.outcomes, filters.stretch, by), revision=revision),
            "proposal-outcomes",
        )
    _beliefs(filters, arms)
    _arms(filters, arms)


def _figures(arms: Table) -> list[tuple[str, str, str]]:
    """The arms that did best, each in its way."""
    rows = [dict(zip(arms.columns, row, strict=True)) for row in arms.rows]
    proposals, valid = sum(one["proposals"] for one in rows), sum(one["valid"] for one in rows)
    entered = sum(one["entered_front"] for one in rows)
    figures = [
        ("proposals", number(proposals), f"{valid / proposals:.0%} valid"),
        ("entered the front", number(entered), f"{entered / proposals:.1%} of proposals"),
    ]
    tried = [one for one in rows if one["proposals"] >= max(1, proposals // 200) and one["operator"] != "seed"]
    if tried:
        best = max(tried, key=lambda one: (one["reward"], one["proposals"]))
        figures.append(("best reward", f"{best['reward']:.3f}", _name(best)))
    paid = [one for one in tried if one["usd_each"]]
    usd = sum(one["usd"] or 0 for one in rows)
    if usd:
        figures.append(("spent on proposals", dollars(usd), f"{number(sum(one['calls'] or 0 for one in rows))} calls"))
    if paid:
        cheapest = min(paid, key=lambda one: one["usd_each"])
        figures.append(("cheapest front entry", dollars(cheapest["usd_each"]), _name(cheapest)))
    return figures


def _name(one: dict[str, object]) -> str:
    return charts.arm_name((str(one["operator"]), one["model"]))  # type: ignore[arg-type]


def _beliefs(filters: Filters, arms: Table) -> None:
    source, island = shell.source(), filters.stretch.island or 0
    how = source.ask(filters.run, beliefs.rule)
    st.subheader("What the choice believes", anchor=False)
    found = source.ask(filters.run, beliefs.beliefs, island)
    if not found:
        shell.empty(
            f"Nothing that the choice learns from has ended on island {island}.",
            "It believes something once offspring are told; seeds and measurements of somebody known do not count.",
        )
        return
    st.caption(_explained(how, island))
    shown = charts.beliefs(found, per_dollar=how.per_dollar, revision=f"{filters.run} {island}")
    drawn, paid = {one.arm for one in found}, any(row[arms.columns.index("usd")] for row in arms.rows)
    if paid:
        left, right = st.columns([3, 2], gap="medium")
        with left:
            shell.chart(shown, "beliefs")
        with right:
            shell.chart(charts.price_and_gain(arms, revision=str(filters)), "price-and-gain")
            st.caption("What an ask costs and gives: the larger, the more proposals; coloured by model.")
    else:
        shell.chart(shown, "beliefs")
    if len(drawn) > charts.MOST_BANDS:
        st.caption(f"The {charts.MOST_BANDS} of {len(drawn)} arms that were asked most.")


def _explained(how: Rule, island: int) -> str:
    """What the figure shows, and how it was come by."""
    derived = (
        f"Derived from what was told on island {island} by the sums that the choice itself keeps; no record of them is "
        "in the lineage. A reward is 1 for entering the front, 0.5 for surviving, else 0."
    )
    if not how.is_known:
        return f"{derived} How {plain(how.name)} weighs them is not known here: these are the plain means."
    if not how.learns:
        return f"{derived} This run chooses by fixed weights, and learns nothing from them."
    faded = f", a result counting half after {number(how.half_life)} more" if how.half_life else ""
    return f"{derived} This run chooses by {plain(how.name)}{faded}; {how.span}."


def _arms(filters: Filters, arms: Table) -> None:
    st.subheader("All of them", anchor=False)
    objectives = shell.source().ask(filters.run, history.objectives)
    shell.table(arms, "arms", labels=_columns(objectives[0]))
    st.caption(
        f"Improved: better than the base by {plain(objectives[0][0])}, as measured first; gain is the median of those. "
        "Reward, front and survival are those of the individual's own tell."
    )


def _columns(objective: tuple[str, str, str]) -> dict[str, object]:
    figure, money, unit = st.column_config.NumberColumn, "$%.4g", clipped(objective[2], 20)
    return {
        "entered_front": "front",
        "reward": figure("reward (mean)", format="%.3f"),
        "gain": figure(f"gain ({unit})" if unit else "gain", format="%.4g"),
        "largest": figure("largest gain", format="%.4g"),
        "usd": figure("dollars", format=money),
        "usd_each": figure("dollars a front entry", format=money),
        "input_tokens": figure("tokens in", format="compact"),
        "output_tokens": figure("tokens out", format="compact"),
        "seconds": figure("seconds (median)", format="%.3g"),
        "slow": figure("seconds (95 %)", format="%.3g"),
        "evaluation_seconds": figure("seconds to evaluate (mean)", format="%.3g"),
    }


show()
