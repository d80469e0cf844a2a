"""What operators and models cost and yield, in total and over time, and the beliefs of the operator selector."""

from __future__ import annotations

import streamlit as st

from dashboard import shell
from dashboard.charts import operators as charts
from dashboard.filters import Filters
from dashboard.queries import beliefs, operators
from dashboard.queries.beliefs import SelectorSettings
from dashboard.queries.operators import By
from dashboard.words import clipped, dollars, made_by, number, plain
from evo.lineage import Table
from evo.lineage.queries import objectives as objectives_of
from evo.values import SEED_OPERATOR

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
    """The live part."""
    source = shell.source()
    arms = source.ask(filters.run, operators.arms, filters.stretch)
    if not arms.rows:
        shell.empty(
            "There is no proposal here.",
            "Widen the filters beside this page, or wait for the first proposals: they will show up by themselves.",
        )
        return
    if said := shell.tells(filters.stretch):
        st.caption(f"Only {said}: from the first to the last ask whose offspring was evaluated there.")
    shell.cards(_figures(arms))
    parts = source.ask(filters.run, operators.over_time, filters.stretch, by)
    revision = f"{filters} {by}"
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.subheader(what.capitalize() + " over time", anchor=False)
        shell.chart(charts.over_time(parts, what, revision=f"{revision} {what}"), "over-time")
    with right:
        st.subheader("Outcomes of proposals", anchor=False)
        shell.chart(
            charts.outcomes(source.ask(filters.run, operators.outcomes, filters.stretch, by), revision=revision),
            "proposal-outcomes",
        )
    _beliefs(filters, arms)
    _arms(filters, arms)


def _figures(arms: Table) -> list[tuple[str, str, str]]:
    """Totals, and the arms that are best by reward and by price."""
    rows = arms.records()
    proposals, valid = sum(arm["proposals"] for arm in rows), sum(arm["valid"] for arm in rows)
    entered = sum(arm["entered_front"] for arm in rows)
    figures = [
        ("proposals", number(proposals), f"{valid / proposals:.0%} valid"),
        ("entered the front", number(entered), f"{entered / proposals:.1%} of proposals"),
    ]
    tried = [arm for arm in rows if arm["proposals"] >= max(1, proposals // 200) and arm["operator"] != SEED_OPERATOR]
    if tried:
        best = max(tried, key=lambda arm: (arm["reward"], arm["proposals"]))
        figures.append(("best reward", f"{best['reward']:.3f}", made_by(best["operator"], best["model"])))
    paid = [arm for arm in tried if arm["usd_each"]]
    usd = sum(arm["usd"] or 0 for arm in rows)
    if usd:
        figures.append(("spent on proposals", dollars(usd), f"{number(sum(arm['calls'] or 0 for arm in rows))} calls"))
    if paid:
        cheapest = min(paid, key=lambda arm: arm["usd_each"])
        maker = made_by(cheapest["operator"], cheapest["model"])
        figures.append(("cheapest front entry", dollars(cheapest["usd_each"]), maker))
    return figures


def _beliefs(filters: Filters, arms: Table) -> None:
    source, island = shell.source(), filters.stretch.island or 0
    how = source.ask(filters.run, beliefs.selector_settings)
    st.subheader("Beliefs of the operator selector", anchor=False)
    found = source.ask(filters.run, beliefs.beliefs, island)
    if not found:
        shell.empty(
            f"The operator selector has no result on island {island} yet.",
            "It learns from evaluated offspring and failed proposals; seeds and re-evaluations do not count.",
        )
        return
    st.caption(_explained(how, island))
    shown = charts.beliefs(found, per_dollar=how.per_dollar, revision=f"{filters.run} {island}")
    drawn, paid = {belief.arm for belief in found}, any(row[arms.columns.index("usd")] for row in arms.rows)
    if paid:
        left, right = st.columns([3, 2], gap="medium")
        with left:
            shell.chart(shown, "beliefs")
        with right:
            shell.chart(charts.price_and_gain(arms, revision=str(filters)), "price-and-gain")
            st.caption("Cost and reward of an ask; the larger the dot, the more proposals; coloured by model.")
    else:
        shell.chart(shown, "beliefs")
    if len(drawn) > charts.MOST_BANDS:
        st.caption(f"The {charts.MOST_BANDS} of {len(drawn)} arms that were asked most.")


def _explained(how: SelectorSettings, island: int) -> str:
    """What the figure shows, and how it is derived."""
    derived = (
        f"Derived from the results on island {island} by the sums that the selector itself keeps; the lineage has no "
        "record of them. A reward is 1 for entering the front, 0.5 for surviving, else 0."
    )
    if not how.is_known:
        return f"{derived} How {plain(how.name)} weighs them is not known here: shown are the plain means."
    if not how.learns:
        return f"{derived} This run selects by fixed weights, and learns nothing from rewards."
    faded = f", where a result counts half after {number(how.half_life)} more" if how.half_life else ""
    return f"{derived} This run selects by {plain(how.name)}{faded}; {how.span}."


def _arms(filters: Filters, arms: Table) -> None:
    st.subheader("All operators and models", anchor=False)
    objectives = shell.source().ask(filters.run, objectives_of)
    shell.table(arms, "arms", labels=_columns(objectives[0]))
    st.caption(
        f"Improved: better than the base by {plain(objectives[0][0])} in the first evaluation; gain is the median of "
        "the improvements. Reward, front and survival are those at the individual's tell."
    )


def _columns(objective: tuple[str, str, str]) -> dict[str, object]:
    figure, money, unit = st.column_config.NumberColumn, "$%.4g", clipped(objective[2], 20)
    return {
        "entered_front": "front",
        "reward": figure("reward (mean)", format="%.3f"),
        "gain": figure(f"gain ({unit})" if unit else "gain", format="%.4g"),
        "largest": figure("largest gain", format="%.4g"),
        "usd": figure("dollars", format=money),
        "usd_each": figure("dollars per front entry", format=money),
        "input_tokens": figure("tokens in", format="compact"),
        "output_tokens": figure("tokens out", format="compact"),
        "seconds": figure("seconds (median)", format="%.3g"),
        "slow": figure("seconds (95 %)", format="%.3g"),
        "evaluation_seconds": figure("seconds to evaluate (mean)", format="%.3g"),
    }


show()
