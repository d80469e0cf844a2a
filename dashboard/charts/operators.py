"""Figures of what operators and models took and gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.charts.style import GREY, OUTCOMES, PALETTE, RED, colours, figure
from dashboard.queries.beliefs import ArmName, Belief
from dashboard.queries.operators import OTHERS
from dashboard.words import hover
from evo.lineage import Table
from evo.values import SEED_OPERATOR

TITLE = "asks, in the order of asking"
# What can be drawn over time: column, title, and by what it is divided.
OVER_TIME: Mapping[str, tuple[str, str, str | None]] = {
    "share of asks": ("proposals", "share of the asks", None),
    "valid": ("valid", "valid, of the proposals", "proposals"),
    "survived": ("survived", "survived, of the proposals", "proposals"),
    "entered the front": ("entered_front", "entered the front, of the proposals", "proposals"),
    "reward": ("reward", "mean reward of an ask", None),
    "dollars": ("usd", "dollars for an ask", "proposals"),
    "seconds": ("seconds", "seconds of a completion (median)", None),
}
MOST_BANDS = 8


def shades(makers: Sequence[str]) -> dict[str, str]:
    """A colour a maker, the same in all figures of the page."""
    return colours(makers, {OTHERS: GREY})


def over_time(parts: Table, what: str, *, revision: str) -> go.Figure:
    """One figure of each maker over time."""
    column, title, of = OVER_TIME[what]
    at = {name: place for place, name in enumerate(parts.columns)}
    makers = sorted({row[at["maker"]] for row in parts.rows}, key=str)
    shade = shades(makers)
    asks = sorted({row[at["ask"]] for row in parts.rows})
    totals = {ask: sum(row[at["proposals"]] for row in parts.rows if row[at["ask"]] == ask) for ask in asks}
    stacked = what == "share of asks"
    shown = []
    for maker in makers:
        rows = {row[at["ask"]]: row for row in parts.rows if row[at["maker"]] == maker}
        values = {ask: _value(row, at, column, of) for ask, row in rows.items()}
        if stacked:
            values = {ask: (values.get(ask) or 0) / totals[ask] for ask in asks}
        more: dict[str, Any] = {"stackgroup": "asks", "line": {"width": 0.5, "shape": "hv", "color": shade[maker]}}
        more = more if stacked else {"line": {"width": 2, "color": shade[maker]}, "connectgaps": True}
        text = "%{y:.1%}" if stacked or (of == "proposals" and column != "usd") else "%{y:.4g}"
        shown.append(
            go.Scatter(
                x=list(values),
                y=list(values.values()),
                name=hover(maker),
                mode="lines" if len(values) > 1 else "markers",
                hovertemplate=f"{text} {hover(maker)}<extra></extra>",
                **more,
            )
        )
    drawn = figure(shown, x=TITLE, y=title, revision=revision, height=320)
    drawn.update_layout(showlegend=True, hovermode="x unified")
    if stacked or (of == "proposals" and column != "usd"):
        drawn.update_yaxes(tickformat=".3~%", rangemode="tozero")
    if stacked:
        drawn.update_yaxes(range=[0, 1])
    return drawn


def outcomes(parts: Table, *, revision: str) -> go.Figure:
    """What became of each maker's proposals, as shares of a bar."""
    totals: dict[str, int] = {}
    counts: dict[str, dict[str, int]] = {}
    for maker, outcome, proposals in parts.rows:
        totals[maker] = totals.get(maker, 0) + proposals
        counts.setdefault(outcome, {})[maker] = proposals
    makers = sorted(totals, key=lambda one: (one == OTHERS, -totals[one]), reverse=True)
    others = [one for one in sorted(counts) if one not in OUTCOMES]
    # Of proposals that became no individual; red is for what is broken.
    spare = {one: PALETTE[(at + 5) % len(PALETTE)] for at, one in enumerate(others)} | {"error": RED, "under way": GREY}
    shown = [
        go.Bar(
            y=[hover(one, 36) for one in makers],
            x=[counts[outcome].get(one, 0) / totals[one] for one in makers],
            customdata=[counts[outcome].get(one, 0) for one in makers],
            name=hover(outcome),
            orientation="h",
            marker={"color": OUTCOMES.get(outcome, spare.get(outcome, GREY)), "line": {"width": 0}},
            hovertemplate="%{x:.1%} " + hover(outcome) + ", %{customdata:,} proposals<extra></extra>",
        )
        for outcome in [*(one for one in OUTCOMES if one in counts), *others]
    ]
    drawn = figure(shown, x="share of the proposals", y="", revision=revision, height=110 + 30 * max(1, len(makers)))
    drawn.update_layout(barmode="stack", showlegend=True, bargap=0.3)
    drawn.update_xaxes(tickformat=".0%", range=[0, 1], tickangle=0, nticks=5)
    drawn.update_yaxes(showgrid=False, dtick=1)
    return drawn


def price_and_gain(arms: Table, *, revision: str) -> go.Figure:
    """Dollars an ask against the mean reward: up and to the left is where money is well spent."""
    at = {name: place for place, name in enumerate(arms.columns)}
    rows = [row for row in arms.rows if row[at["usd"]] and row[at["operator"]] != SEED_OPERATOR]
    most = max((row[at["proposals"]] for row in rows), default=1)
    names = [arm_name((row[at["operator"]], row[at["model"]])) for row in rows]
    shade = colours([row[at["model"]] for row in rows])
    shown = go.Scatter(
        x=[row[at["usd"]] / row[at["proposals"]] for row in rows],
        y=[row[at["reward"]] for row in rows],
        mode="markers",
        marker={
            "size": [10 + 26 * (row[at["proposals"]] / most) ** 0.5 for row in rows],
            "color": [shade[row[at["model"]]] for row in rows],
            "opacity": 0.8,
            "line": {"width": 1, "color": "rgba(255,255,255,0.6)"},
        },
        customdata=[[hover(name), row[at["proposals"]]] for name, row in zip(names, rows, strict=True)],
        hovertemplate="<b>%{customdata[0]}</b><br>$%{x:.3g} an ask, mean reward %{y:.3f}<br>%{customdata[1]:,} "
        "proposals<extra></extra>",
    )
    drawn = figure([shown], x="US dollars an ask", y="mean reward of an ask", revision=revision, height=320)
    drawn.update_yaxes(rangemode="tozero")
    drawn.update_xaxes(rangemode="tozero")
    return drawn


def beliefs(found: Sequence[Belief], *, per_dollar: bool, revision: str) -> go.Figure:
    """What is expected of each arm, with its band, over time; of the arms that were asked most."""
    by_arm: dict[ArmName, list[Belief]] = {}
    for one in found:
        by_arm.setdefault(one.arm, []).append(one)
    kept = sorted(by_arm, key=lambda arm: (-by_arm[arm][-1].pulls, arm_name(arm)))[:MOST_BANDS]
    shade = colours([arm_name(arm) for arm in kept])
    shown = []
    for arm in kept:
        line, name = by_arm[arm], arm_name(arm)
        values = [tuple(part / one.price for part in (one.low, one.mean, one.high)) for one in line]
        ends = [one.ended for one in line]
        if any(low < mean or high > mean for low, mean, high in values):
            shown.append(_band(ends, values, shade[name], name))
        shown.append(
            go.Scatter(
                x=ends,
                y=[mean for _, mean, _ in values],
                name=hover(name),
                legendgroup=hover(name),
                mode="lines+markers" if len(ends) < 3 else "lines",
                line={"color": shade[name], "width": 2},
                hovertemplate="%{y:.3g} " + hover(name) + "<extra></extra>",
            )
        )
    title = "reward expected for a dollar" if per_dollar else "reward expected of an ask"
    drawn = figure(shown, x="asks that have ended", y=title, revision=revision, height=340)
    drawn.update_layout(showlegend=True, hovermode="x unified")
    return drawn


def arm_name(arm: ArmName) -> str:
    """Operator and model as the figures name them."""
    operator, model = arm
    return operator + (f" with {model}" if model else "")


def _band(ends: Sequence[int], values: Sequence[tuple[float, ...]], shade: str, name: str) -> go.Scatter:
    red, green, blue = (int(shade[at : at + 2], 16) for at in (1, 3, 5))
    return go.Scatter(
        x=[*ends, *reversed(ends)],
        y=[*(high for _, _, high in values), *(low for low, _, _ in reversed(values))],
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},0.13)",
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        legendgroup=hover(name),
        showlegend=False,
    )


def _value(row: Sequence[Any], at: Mapping[str, int], column: str, of: str | None) -> float | None:
    value = row[at[column]]
    if value is None or of is None:
        return value  # type: ignore[no-any-return]
    return float(value / row[at[of]])
