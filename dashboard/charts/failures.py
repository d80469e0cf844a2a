"""Figures of failures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import plotly.graph_objects as go

from dashboard.charts.style import (
    BLUE,
    BROWN,
    CYAN,
    FAINT,
    GOLD,
    GREY,
    ORANGE,
    OUTCOMES,
    PALETTE,
    PINK,
    PURPLE,
    RED,
    arm_label,
    figure,
    upright,
)
from dashboard.queries.moments import Span
from dashboard.words import duration, hover, number
from evo.lineage import Table

# Colours of the outcomes of proposals and completions; those of evaluations are in OUTCOMES.
PROPOSALS: Mapping[str, str] = {
    "duplicate": BLUE,
    "unparsable": PINK,
    "truncated": BROWN,
    "empty": CYAN,
    "refused": PURPLE,
    "timeout": ORANGE,
    "unreachable": RED,
    "failed": GOLD,
    "error": "#b3364a",
    "cancelled": GREY,
}
FINE = ("ok", "pruned")
ARM = 42


def over_time(found: Table, source: str, over: Span, *, revision: str) -> go.Figure:
    """Failures of a source in each part of the time, stacked by outcome."""
    by_outcome: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    for of, outcome, began, failures in found.rows:
        if of == source:
            by_outcome[outcome].append((began, failures))
    shown = [
        go.Bar(
            x=[began + timedelta(seconds=over.width / 2) for began, _ in by_outcome[outcome]],
            y=[failures for _, failures in by_outcome[outcome]],
            width=over.width * 1000,
            name=hover(outcome),
            marker={"color": _colour(source, outcome), "line": {"width": 0}},
            hovertemplate=f"%{{y}} {hover(outcome)}<br>about %{{x}}<extra></extra>",
        )
        for outcome in _ordered(source, list(by_outcome))
    ]
    drawn = figure(shown, x="time (UTC)", y=f"failures each {duration(over.width)}", revision=revision, height=240)
    drawn.update_layout(barmode="stack", showlegend=True, bargap=0)
    upright(drawn)
    drawn.update_xaxes(range=[1000 * over.origin, 1000 * over.end])
    highest: dict[datetime, int] = defaultdict(int)
    for of in by_outcome.values():
        for began, failures in of:
            highest[began] += failures
    if max(highest.values(), default=0) < 5:
        drawn.update_yaxes(dtick=1)
    return drawn


def by_arm(ends: Table, *, revision: str) -> go.Figure:
    """How the asks of each operator and model ended, as shares of a bar; asks with a result are faint."""
    counts: dict[tuple[str, str], dict[tuple[str, str], int]] = defaultdict(dict)
    for operator, model, source, outcome, asks in ends.rows:
        counts[operator, model][source, outcome] = asks
    arms = sorted(counts, key=lambda arm: _failing(counts[arm]))
    sources = ("evaluation", "proposal")
    kinds = [
        (source, outcome)
        for source in sources
        for outcome in _ordered(source, list({name for of in counts.values() for at, name in of if at == source}))
    ]
    kinds.sort(key=lambda kind: kind[1] in FINE)
    totals = {arm: sum(counts[arm].values()) for arm in arms}
    shown = [
        go.Bar(
            y=list(range(len(arms))),
            x=[100 * counts[arm].get(kind, 0) / totals[arm] for arm in arms],
            orientation="h",
            name=_end(kind),
            marker={"color": FAINT if kind[1] in FINE else _colour(*kind), "line": {"width": 0}},
            customdata=[[number(counts[arm].get(kind, 0)), number(totals[arm])] for arm in arms],
            hovertemplate="%{customdata[0]} of %{customdata[1]} asks (%{x:.3g} %)<extra>" + _end(kind) + "</extra>",
        )
        for kind in kinds
    ]
    drawn = figure(shown, x="share of asks (%)", y="", revision=revision, height=150 + ARM * max(1, len(arms)))
    drawn.update_layout(barmode="stack", showlegend=True, bargap=0.35)
    drawn.update_yaxes(tickvals=list(range(len(arms))), ticktext=[arm_label(*arm) for arm in arms], showgrid=False)
    drawn.update_xaxes(range=[0, 100])
    return drawn


def _failing(ends: Mapping[tuple[str, str], int]) -> float:
    return sum(asks for (_, outcome), asks in ends.items() if outcome not in FINE) / max(1, sum(ends.values()))


def _end(kind: tuple[str, str]) -> str:
    source, outcome = kind
    return hover(outcome if source == "evaluation" else f"{outcome} proposal")


def _colour(source: str, outcome: str) -> str:
    known = OUTCOMES if source == "evaluation" else PROPOSALS
    return known.get(outcome, PALETTE[sum(map(ord, outcome)) % len(PALETTE)])


def _ordered(source: str, outcomes: Sequence[str]) -> list[str]:
    """Outcomes in the order of the palette, unknown outcomes last."""
    known = list(OUTCOMES if source == "evaluation" else PROPOSALS)
    return sorted(outcomes, key=lambda name: (known.index(name) if name in known else len(known), name))
