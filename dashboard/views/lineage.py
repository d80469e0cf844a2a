"""Lineage: an individual's ancestors and descendants, the graph of all individuals, and a child beside its base."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import shell
from dashboard.charts import lineage as charts
from dashboard.filters import Filters
from dashboard.queries import individual, lineage
from dashboard.queries.lineage import AllIndividuals, Family
from dashboard.queries.objectives import Objective
from dashboard.words import made_by, number, plain, thought
from evo.lineage.queries import objectives as objectives_of
from evo.lineage.wording import difference

DRAWINGS = ("family", "all")
COLOURS = ("operator", "model", "island", "gain")
ACROSS: Sequence[charts.Across] = ("generation", "tell")
UPWARDS = ("lines", "value")
FAR = {"10": 10, "30": 30, "100": 100, "all": None}
How = tuple[str, charts.Across]


def show() -> None:
    """The page."""
    filters = shell.filters()
    shell.guarded(lambda: _chosen(filters))


def _chosen(filters: Filters) -> None:
    title, place = st.columns([4, 1], vertical_alignment="bottom")
    if not shell.begin_with_individual(filters.run):
        title.header(f"Lineage of {plain(filters.run)}", anchor=False)
        shell.empty("No evaluation has finished yet.", "The lineage will be here with the first evaluations.")
        shell.live(lambda: _wait(filters), "first")
        return
    chosen = place.number_input("Individual", min_value=0, value=None, step=1, key="id", bind="query-params")
    title.header(f"Lineage of {plain(filters.run)}", anchor=False)
    objectives = shell.source().ask(filters.run, objectives_of)
    drawing, how, more = _controls()
    if drawing == "all":
        _all(filters, objectives[0], how, more)
        return
    if chosen is None:
        shell.empty("No individual is chosen.", "Type its number above, or click on a point in the drawing of all.")
        return
    _family(filters, shell.source().ask(filters.run, lineage.family, chosen, FAR[more]), objectives[0], how)


def _wait(filters: Filters) -> None:
    """Draw the page as soon as there is an individual."""
    if shell.source().ask(filters.run, individual.best) is not None:
        st.rerun()


def _controls() -> tuple[str, How, str]:
    """The drawing, its colours and horizontal axis, and how many generations, or the vertical axis."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        drawing = st.segmented_control(
            "Drawing", DRAWINGS, default="family", required=True, key="tree", bind="query-params"
        )
        colour = st.selectbox("Colour", COLOURS, key="colour", bind="query-params", width=130)
        across = st.segmented_control(
            "Across", ACROSS, default="generation", required=True, key="across", bind="query-params"
        )
        if drawing == "all":
            more = st.segmented_control(
                "Upwards", UPWARDS, default="lines", required=True, key="upwards", bind="query-params"
            )
        else:
            more = st.segmented_control(
                "Generations", list(FAR), default="30", required=True, key="far", bind="query-params"
            )
    return str(drawing), (str(colour), across), str(more)


def _family(filters: Filters, of: Family, objective: Objective, how: How) -> None:
    colour, across = how
    st.markdown(_counted(of))
    shown = charts.family(
        of,
        objective,
        colour=colour,
        across=across,
        revision=f"{filters.run} {of.root} {how} {len(of.line)}",
        marked=st.session_state.get("child"),
    )
    picked = shell.picking_chart(shown, f"family-{filters.run}-{of.root}")
    st.caption(
        "Ancestors are to the left of the ringed individual, descendants to the right; its line of bases is "
        "straight. Drag a box to zoom, double-click to zoom out, click a point to see it beside its base."
    )
    _beside(filters, picked, of.root)
    _line(filters, of, objective, colour)


def _counted(of: Family) -> str:
    """How much of the family is drawn, and how much is not."""
    plural = "s" * (of.ancestors != 1)
    lines = [f"**{number(of.ancestors)}** ancestor{plural}, **{number(of.line_length)}** of them in its line of bases."]
    if of.ancestors_drawn < of.ancestors:
        missing = number(of.ancestors - of.ancestors_drawn)
        bases, others = number(len(of.line) - 1), number(of.ancestors_drawn - len(of.line) + 1)
        lines.append(
            f"Drawn are the {bases} nearest bases and the {others} nearest other ancestors; "
            f"left out are **{missing}** further back."
        )
    if of.more_descendants:
        lines.append(f"Of its descendants the first {number(of.descendants_drawn)} are drawn; there are more.")
    elif not of.descendants_drawn:
        lines.append("It has no descendants.")
    return " ".join(lines)


def _all(filters: Filters, objective: Objective, how: How, upwards: str) -> None:
    colour, across = how
    of = shell.source().ask(filters.run, lineage.all_individuals, filters.stretch)
    if not of.count:
        shell.empty("There is no result here.", "Widen the filters beside this page, or wait for the first results.")
        return
    st.markdown(_cut(of, filters))
    revision = f"{filters} {how} {upwards}"
    shown = charts.all_individuals(
        of, objective, colour=colour, across=across, by_value=upwards == "value", revision=revision
    )
    picked = shell.picking_chart(shown, f"all-{filters.run}")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Drag a box to zoom, double-click to zoom out, click a point to see it beside its base.")
        st.button(
            "Draw again", icon=":material/refresh:", type="tertiary", help="With the individuals evaluated since."
        )
    _beside(filters, picked, st.session_state.get("id"))


def _cut(of: AllIndividuals, filters: Filters) -> str:
    drawn, within = len(of.graph.members.rows), shell.tells(filters.stretch)
    where = f" ({within})" if within else ""
    if drawn == of.count:
        return f"All **{number(of.count)}** individuals{where}."
    return (
        f"The latest **{number(drawn)}** of {number(of.count)} individuals{where}; {number(of.edges_left_out)} lines "
        "to earlier parents are left out. Choose other tells beside this page to see earlier individuals."
    )


def _go_to(identity: int) -> None:
    st.session_state.id = identity
    st.session_state.child = None
    st.session_state.tree = "family"


def _beside(filters: Filters, picked: Sequence[int], otherwise: int | None) -> None:
    """An individual beside its base: what changed, and what it gained."""
    if picked and picked != st.session_state.get("picked in lineage"):
        st.session_state["picked in lineage"] = picked
        st.session_state.child = picked[0]
    title, place = st.columns([4, 1], vertical_alignment="bottom")
    chosen = place.number_input(
        "Beside its base", min_value=0, value=None, step=1, key="child", bind="query-params", placeholder="the same"
    )
    chosen = otherwise if chosen is None else chosen
    if chosen is None:
        title.caption("Click a point, or type a number, to see an individual beside its base.")
        return
    of = shell.source().ask(filters.run, individual.side_by_side, chosen, None)
    fields = of.portrait.fields
    beside = f" beside its base {of.other}" if of.other is not None else ""
    title.subheader(f"Individual {chosen}{beside}", anchor=False)
    maker = plain(made_by(fields["operator"], fields["model"]))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Made by **{maker}**, {plain(fields['outcome'])}.", width="content")
        for label, identity in _families(chosen, of.other):
            st.button(label, key=f"go to {label}", on_click=_go_to, args=(identity,), type="tertiary")
        shell.link("individual", "Its page", filters, id=chosen)
    if fields["thought"]:
        st.caption(plain(thought(fields["thought"])))
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if of.other_genome is None or of.other is None:
            st.caption("It has no base: it is a seed, or was generated without a parent.")
        else:
            text = difference(of.other_genome, of.genome, of.other, chosen)
            st.code("Their texts are the same." if text == "none" else text, language="diff", wrap_lines=True)
    with right:
        values = shell.source().ask(filters.run, individual.values, chosen, of.other)
        shell.table(values, "beside", labels={"other": f"of {of.other}", "value": "mean"}, leave_out=("direction",))


def _families(chosen: int, other: int | None) -> list[tuple[str, int]]:
    """The families that buttons lead to: label and individual."""
    members = [chosen] if chosen != st.session_state.get("id") else []
    members += [other] if other is not None else []
    return [(f"Family of {member}", member) for member in members]


def _line(filters: Filters, of: Family, objective: Objective, colour: str) -> None:
    """The first objective down the whole line of bases, and what operators contributed to it."""
    if not of.line_length:
        return
    source = shell.source()
    steps = source.ask(filters.run, lineage.steps, of.root)
    st.subheader("Down the line of bases", anchor=False)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        drawn = len(steps.rows)
        if drawn <= of.line_length:
            st.caption(f"The latest {number(drawn)} of {number(of.line_length + 1)} individuals.")
        shown = charts.line_of_bases(steps, objective, colour=colour, revision=f"{filters.run} {of.root} {colour}")
        shell.chart(shown, "line")
    with right:
        st.caption("What operators contributed to the whole line; gains are over the base, by the first objective.")
        shell.table(source.ask(filters.run, lineage.contributions, of.root), "contributions")


show()
