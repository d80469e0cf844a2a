"""Figures of what operators and models cost and yield."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.charts.style import GREY, OUTCOMES, PALETTE, POINT_EDGE, RED, colours, figure, translucent
from dashboard.queries.beliefs import ArmName, Belief
from dashboard.queries.operators import OTHERS
from dashboard.words import hover, made_by
from evo.lineage import Table
from evo.values import SEED_OPERATOR

TITLE = "asks, in the order of asking"
# What can be drawn over time: column, title, and the column that it is divided by.
OVER_TIME: Mapping[str, tuple[str, str, str | None]] = {
    "share of asks": ("proposals", "share of the asks", None),
    "valid": ("valid", "valid, of the proposals", "proposals"),
    "survived": ("survived", "survived, of the proposals", "proposals"),
    "entered the front": ("entered_front", "entered the front, of the proposals", "proposals"),
    "reward": ("reward", "mean reward of an ask", None),
    "dollars": ("usd", "dollars per ask", "proposals"),
    "seconds": ("seconds", "seconds of a completion (median)", None),
}
MOST_BANDS = 8


def shades(makers: Sequence[str]) -> dict[str, str]:
    """A colour for each operator or model, the same in all figures of the page."""
    return colours(makers, {OTHERS: GREY})


def over_time(parts: Table, what: str, *, revision: str) -> go.Figure:
    """A quantity of each operator or model over time."""
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
    """The outcomes of each operator's or model's proposals, as shares of a bar."""
    totals: dict[str, int] = {}
    counts: dict[str, dict[str, int]] = {}
    for maker, outcome, proposals in parts.rows:
        totals[maker] = totals.get(maker, 0) + proposals
        counts.setdefault(outcome, {})[maker] = proposals
    makers = sorted(totals, key=lambda name: (name == OTHERS, -totals[name]), reverse=True)
    others = [outcome for outcome in sorted(counts) if outcome not in OUTCOMES]
    # Outcomes of proposals that became no individual; red is for errors.
    spare = {outcome: PALETTE[(at + 5) % len(PALETTE)] for at, outcome in enumerate(others)} | {
        "error": RED,
        "under way": GREY,
    }
    shown = [
        go.Bar(
            y=[hover(name, 36) for name in makers],
            x=[counts[outcome].get(name, 0) / totals[name] for name in makers],
            customdata=[counts[outcome].get(name, 0) for name in makers],
            name=hover(outcome),
            orientation="h",
            marker={"color": OUTCOMES.get(outcome, spare.get(outcome, GREY)), "line": {"width": 0}},
            hovertemplate="%{x:.1%} " + hover(outcome) + ", %{customdata:,} proposals<extra></extra>",
        )
        for outcome in [*(known for known in OUTCOMES if known in counts), *others]
    ]
    drawn = figure(shown, x="share of the proposals", y="", revision=revision, height=110 + 30 * max(1, len(makers)))
    drawn.update_layout(barmode="stack", showlegend=True, bargap=0.3)
    drawn.update_xaxes(tickformat=".0%", range=[0, 1], tickangle=0, nticks=5)
    drawn.update_yaxes(showgrid=False, dtick=1)
    return drawn


def price_and_gain(arms: Table, *, revision: str) -> go.Figure:
    """Dollars per ask against the mean reward: money is well spent up and to the left."""
    at = {name: place for place, name in enumerate(arms.columns)}
    rows = [row for row in arms.rows if row[at["usd"]] and row[at["operator"]] != SEED_OPERATOR]
    most = max((row[at["proposals"]] for row in rows), default=1)
    names = [made_by(row[at["operator"]], row[at["model"]]) for row in rows]
    shade = colours([row[at["model"]] for row in rows])
    shown = go.Scatter(
        x=[row[at["usd"]] / row[at["proposals"]] for row in rows],
        y=[row[at["reward"]] for row in rows],
        mode="markers",
        marker={
            "size": [10 + 26 * (row[at["proposals"]] / most) ** 0.5 for row in rows],
            "color": [shade[row[at["model"]]] for row in rows],
            "opacity": 0.8,
            "line": {"width": 1, "color": POINT_EDGE},
        },
        customdata=[[hover(name), row[at["proposals"]]] for name, row in zip(names, rows, strict=True)],
        hovertemplate="<b>%{customdata[0]}</b><br>$%{x:.3g} per ask, mean reward %{y:.3f}<br>%{customdata[1]:,} "
        "proposals<extra></extra>",
    )
    drawn = figure([shown], x="US dollars per ask", y="mean reward of an ask", revision=revision, height=320)
    drawn.update_yaxes(rangemode="tozero")
    drawn.update_xaxes(rangemode="tozero")
    return drawn


def beliefs(found: Sequence[Belief], *, per_dollar: bool, revision: str) -> go.Figure:
    """The expected reward of the arms that were asked most, each with its band, over time."""
    by_arm: dict[ArmName, list[Belief]] = {}
    for belief in found:
        by_arm.setdefault(belief.arm, []).append(belief)
    kept = sorted(by_arm, key=lambda arm: (-by_arm[arm][-1].pulls, made_by(*arm)))[:MOST_BANDS]
    shade = colours([made_by(*arm) for arm in kept])
    shown = []
    for arm in kept:
        line, name = by_arm[arm], made_by(*arm)
        values = [tuple(reward / belief.price for reward in (belief.low, belief.mean, belief.high)) for belief in line]
        ends = [belief.ended for belief in line]
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
    title = "expected reward per dollar" if per_dollar else "expected reward of an ask"
    drawn = figure(shown, x="asks that have ended", y=title, revision=revision, height=340)
    drawn.update_layout(showlegend=True, hovermode="x unified")
    return drawn


def _band(ends: Sequence[int], values: Sequence[tuple[float, ...]], shade: str, name: str) -> go.Scatter:
    return go.Scatter(
        x=[*ends, *reversed(ends)],
        y=[*(high for _, _, high in values), *(low for low, _, _ in reversed(values))],
        fill="toself",
        fillcolor=translucent(shade, 0.13),
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
