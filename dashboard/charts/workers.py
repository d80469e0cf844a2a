"""Figures of workers: their timelines, how busy they are, what is queued, and what offspring wait for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import plotly.graph_objects as go

from dashboard.charts.style import (
    BLUE,
    CYAN,
    GREEN,
    GREY,
    GRID,
    ORANGE,
    OUTCOMES,
    PURPLE,
    RED,
    arm_label,
    colours,
    figure,
    upright,
)
from dashboard.queries.workers import STATES
from dashboard.words import hover, number
from evo.lineage import Table

TRACK, TALLEST = 20, 900
CLUSTER = -1
# Kind of event to its label, symbol and colour.
MARKS: Mapping[str, tuple[str, str, str]] = {
    "node_joined": ("node joined", "triangle-up", GREEN),
    "node_left": ("node left", "triangle-down", RED),
    "no_room": ("no room", "x", ORANGE),
    "room": ("room again", "circle", CYAN),
    "reissued": ("evaluated twice", "diamond", PURPLE),
}
# State to its label and colour.
CALLED: Mapping[str, tuple[str, str]] = {
    "model": ("with a model", PURPLE),
    "place": ("waiting for a worker", ORANGE),
    "evaluation": ("in evaluation", BLUE),
    "tell": ("waiting for the tell", GREY),
}
IDLE_TO_BUSY = ((0.0, "rgba(139, 146, 156, 0.16)"), (0.5, "#6f9fd8"), (1.0, "#2d5fa8"))


def timeline(done: Table, marks: Table, *, revision: str) -> go.Figure:
    """A track for each worker, a bar for each evaluation, cluster events above them. Bars lead to individuals."""
    tracks = {worker: at for at, worker in enumerate(dict.fromkeys((row[1], row[0]) for row in done.rows))}
    by_outcome: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in done.rows:
        by_outcome[row[4]].append(row)
    known = [*OUTCOMES, *sorted(set(by_outcome) - set(OUTCOMES))]
    shown: list[Any] = [_bars(by_outcome[name], name, tracks) for name in known if name in by_outcome]
    first, last = min(row[5] for row in done.rows), max(row[6] for row in done.rows)
    seen = [row for row in marks.rows if first <= row[0] <= last]
    shown += _marks(seen)
    height = min(TALLEST, 130 + TRACK * (len(tracks) + bool(seen)))
    drawn = figure(shown, x="time (UTC)", y="", revision=revision, height=height)
    drawn.update_layout(barmode="overlay", showlegend=True, hovermode="closest", clickmode="event+select")
    _on_tracks(drawn, [worker for _, worker in tracks], cluster=bool(seen))
    upright(drawn)
    _ruled(drawn, seen)
    return drawn


def _bars(rows: Sequence[tuple[Any, ...]], outcome: str, tracks: Mapping[tuple[str, str], int]) -> go.Bar:
    colour = OUTCOMES.get(outcome, GREY)
    return go.Bar(
        y=[tracks[row[1], row[0]] for row in rows],
        base=[row[5] for row in rows],
        x=[(row[6] - row[5]).total_seconds() * 1000 for row in rows],
        orientation="h",
        width=0.74,
        name=hover(outcome),
        # The outline keeps the shortest bars visible.
        marker={"color": colour, "line": {"color": colour, "width": 0.6}},
        customdata=[
            [row[2], hover(row[0]), hover(row[1]), number(round((row[6] - row[5]).total_seconds(), 4)), hover(row[3])]
            for row in rows
        ],
        hovertemplate="<b>individual %{customdata[0]}</b>, "
        + hover(outcome)
        + " (%{customdata[4]})<br>%{customdata[3]} s from %{base}<br>"
        + "%{customdata[1]} on %{customdata[2]}<extra></extra>",
    )


def _marks(seen: Sequence[tuple[Any, ...]]) -> list[go.Scatter]:
    shown = []
    for kind, (called, symbol, colour) in MARKS.items():
        of = [row for row in seen if row[1] == kind]
        if of:
            shown.append(
                go.Scatter(
                    x=[row[0] for row in of],
                    y=[CLUSTER] * len(of),
                    mode="markers",
                    name=called,
                    marker={"symbol": symbol, "color": colour, "size": 11, "line": {"width": 0}},
                    customdata=[[None, _event_text(row)] for row in of],
                    hovertemplate=f"<b>{called}</b> %{{customdata[1]}}<br>%{{x}}<extra></extra>",
                )
            )
    return shown


def _event_text(row: Sequence[Any]) -> str:
    _, _, node, nodes, said = row
    parts = [hover(node)] if node else []
    parts += [f"{hover(nodes)} nodes then"] if nodes else []
    parts += [hover(said, 200)] if said else []
    return ", ".join(parts)


def _ruled(drawn: go.Figure, seen: Sequence[tuple[Any, ...]]) -> None:
    """A vertical line at each mark, across the evaluations of that moment."""
    for row in seen:
        if row[1] in MARKS:
            line = {"color": MARKS[row[1]][2], "width": 1, "dash": "dot"}
            drawn.add_shape(type="line", x0=row[0], x1=row[0], y0=0, y1=1, yref="paper", line=line, opacity=0.5)


def _on_tracks(drawn: go.Figure, names: Sequence[str], *, cluster: bool) -> None:
    """Names beside tracks, the first on top; only every n-th name where there are many."""
    every = max(1, -(-len(names) * TRACK // TALLEST))
    ticks = [CLUSTER] * cluster + list(range(0, len(names), every))
    labels = ["machines"] * cluster + [_short(name) for name in names[::every]]
    top = (CLUSTER if cluster else 0) - 0.7
    drawn.update_yaxes(
        tickvals=ticks, ticktext=labels, range=[len(names) - 0.3, top], showgrid=False, zeroline=False, fixedrange=True
    )


def _short(worker: str) -> str:
    """The end of a name: that is where names differ."""
    return hover(worker if len(worker) <= 16 else "..." + worker[-13:], 16)


def utilisation(found: Table, *, revision: str) -> go.Figure:
    """The share of each part of the time that each worker evaluated, as a heat map."""
    tracks = list(dict.fromkeys(sorted((row[1], row[0]) for row in found.rows)))
    times = sorted({row[2] for row in found.rows})
    row_of = {worker: row for row, worker in enumerate(tracks)}
    column_of = {time: column for column, time in enumerate(times)}
    grid: list[list[float | None]] = [[None] * len(times) for _ in tracks]
    for worker, node, began, busy in found.rows:
        grid[row_of[node, worker]][column_of[began]] = round(100 * min(1.0, busy), 1)
    heat = go.Heatmap(
        x=times,
        y=list(range(len(tracks))),
        z=grid,
        customdata=[[[hover(worker), hover(node)]] * len(times) for node, worker in tracks],
        colorscale=[list(stop) for stop in IDLE_TO_BUSY],
        zmin=0,
        zmax=100,
        ygap=1,
        colorbar={"title": {"text": "busy (%)"}, "thickness": 10, "outlinewidth": 0},
        hovertemplate="%{z:.3g} % busy<br>from %{x}<br>%{customdata[0]} on %{customdata[1]}<extra></extra>",
    )
    height = min(TALLEST, max(200, 110 + TRACK * len(tracks)))
    drawn = figure([heat], x="time (UTC)", y="", revision=revision, height=height)
    _on_tracks(drawn, [worker for _, worker in tracks], cluster=False)
    upright(drawn)
    return drawn


def busy(found: Table, marks: Table, *, revision: str) -> go.Figure:
    """How many workers of each node evaluated, stacked."""
    nodes = colours([row[0] for row in found.rows], {"others": GREY})
    shown = _stacked(found, {node: (hover(node), shade) for node, shade in nodes.items()}, "busy")
    drawn = figure(shown, x="time (UTC)", y="workers busy", revision=revision, height=260)
    drawn.update_layout(showlegend=True, hovermode="x unified")
    times = [row[1] for row in found.rows]
    _ruled(drawn, [row for row in marks.rows if times and times[0] <= row[0] <= max(times)])
    upright(drawn)
    return drawn


def queue(found: Table, *, revision: str) -> go.Figure:
    """How many offspring were in each state, stacked."""
    shown = _stacked(found, {state: CALLED[state] for state in reversed(STATES)}, "")
    drawn = figure(shown, x="time (UTC)", y="offspring", revision=revision, height=280)
    drawn.update_layout(showlegend=True, hovermode="x unified", legend={"traceorder": "reversed"})
    upright(drawn)
    return drawn


def _stacked(found: Table, called: Mapping[str, tuple[str, str]], unit: str) -> list[go.Scatter]:
    by_key: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
    for key, began, number_of in found.rows:
        by_key[key].append((began, number_of))
    return [
        go.Scatter(
            x=[began for began, _ in by_key[key]],
            y=[round(amount, 4) for _, amount in by_key[key]],
            name=name,
            mode="lines",
            stackgroup="all",
            line={"color": colour, "width": 0.5, "shape": "hv"},
            hovertemplate=f"%{{y:.3g}} {unit or name}<extra>{name if unit else ''}</extra>",
        )
        for key, (name, colour) in called.items()
        if key in by_key
    ]


def waits(found: Table, *, revision: str) -> go.Figure:
    """Where offspring spend their time, as shares: a bar for each operator and model, and a bar for all of them."""
    rows = shares(found)
    labels = list(reversed(rows))
    shown = [
        go.Bar(
            y=list(range(len(labels))),
            x=[100 * rows[arm][state][0] for arm in labels],
            orientation="h",
            name=CALLED[state][0],
            marker={"color": CALLED[state][1], "line": {"width": 0}},
            customdata=[number(round(rows[arm][state][1], 4)) for arm in labels],
            hovertemplate="%{x:.3g} %, %{customdata} s on average<extra>" + CALLED[state][0] + "</extra>",
        )
        for state in STATES
    ]
    drawn = figure(shown, x="share of the time (%)", y="", revision=revision, height=140 + 42 * len(labels))
    drawn.update_layout(barmode="stack", showlegend=True, bargap=0.35, legend={"traceorder": "normal"})
    ticks = [arm_label(*arm) for arm in labels]
    drawn.update_yaxes(tickvals=list(range(len(labels))), ticktext=ticks, showgrid=False, gridcolor=GRID)
    drawn.update_xaxes(range=[0, 100])
    return drawn


def shares(found: Table) -> dict[tuple[str, str], dict[str, tuple[float, float]]]:
    """For all, and for each operator and model: each state's share of the time, and its mean seconds."""
    offspring = sum(row[2] for row in found.rows)
    means = [sum(row[2] * row[3 + at] for row in found.rows) / max(1, offspring) for at in range(len(STATES))]
    lines: dict[tuple[str, str], Sequence[float]] = {("all", ""): means}
    if len(found.rows) > 1:
        lines |= {(row[0], row[1]): row[3:] for row in found.rows}
    return {
        arm: {state: (amount / (sum(of) or 1.0), amount) for state, amount in zip(STATES, of, strict=True)}
        for arm, of in lines.items()
    }
