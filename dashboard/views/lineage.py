"""Who came from whom: the family of the best or of anybody, everybody's graph, and a child beside its parent."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import shell
from dashboard.charts import lineage as charts
from dashboard.filters import Filters
from dashboard.queries import history, individual, lineage
from dashboard.queries.lineage import Everybody, Family
from dashboard.words import number, plain, thought
from evo.lineage.wording import difference

DRAWINGS = ("family", "everybody")
COLOURS = ("operator", "model", "island", "gain")
ACROSS: Sequence[charts.Across] = ("generation", "tell")
UPWARDS = ("lines", "value")
FAR = {"10": 10, "30": 30, "100": 100, "all": None}
Objective = tuple[str, str, str]
How = tuple[str, charts.Across]


def show() -> None:
    """The page."""
    filters = shell.filters()
    shell.guarded(lambda: _chosen(filters))


def _chosen(filters: Filters) -> None:
    title, place = st.columns([4, 1], vertical_alignment="bottom")
    if st.session_state.get("id") is None and not st.query_params.get("id"):
        found = shell.source().ask(filters.run, individual.best)
        if found is None:
            title.header(f"Lineage of {plain(filters.run)}", anchor=False)
            shell.empty("Nobody has been told yet.", "Lines of descent are here once the first evaluations are in.")
            shell.live(lambda: _begin(filters), "first")
            return
        shell.begin_with("id", found)
    one = place.number_input("Individual", min_value=0, value=None, step=1, key="id", bind="query-params")
    title.header(f"Lineage of {plain(filters.run)}", anchor=False)
    objectives = shell.source().ask(filters.run, history.objectives)
    drawing, how, more = _controls()
    if drawing == "everybody":
        _everybody(filters, objectives[0], how, more)
        return
    if one is None:
        shell.empty("No individual is named.", "Type its number above, or pick one in the drawing of everybody.")
        return
    _family(filters, shell.source().ask(filters.run, lineage.family, one, FAR[more]), objectives[0], how)


def _begin(filters: Filters) -> None:
    """Draw as soon as there is somebody."""
    if shell.source().ask(filters.run, individual.best) is not None:
        st.rerun()


def _controls() -> tuple[str, How, str]:
    """What is drawn, how it is coloured and laid out, and how far back, or by what it goes upwards."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        drawing = st.segmented_control(
            "Drawing", DRAWINGS, default="family", required=True, key="tree", bind="query-params"
        )
        colour = st.selectbox("Colour", COLOURS, key="colour", bind="query-params", width=130)
        across = st.segmented_control(
            "Across", ACROSS, default="generation", required=True, key="across", bind="query-params"
        )
        if drawing == "everybody":
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
        "Ancestors are to the left of the ringed individual, descendants to the right; its line of bases goes "
        "straight. Drag a box to zoom, double-click to see all again, click a point to see it beside its base."
    )
    _beside(filters, picked, of.root)
    _line(filters, of, objective, colour)


def _counted(of: Family) -> str:
    """How much of the family is drawn, and what is not."""
    plural = "s" * (of.ancestors != 1)
    told = [f"**{number(of.ancestors)}** ancestor{plural}, **{number(of.line_length)}** of them in its line of bases."]
    if of.ancestors_drawn < of.ancestors:
        missing = number(of.ancestors - of.ancestors_drawn)
        bases, others = number(len(of.line) - 1), number(of.ancestors_drawn - len(of.line) + 1)
        told.append(
            f"Drawn are the {bases} nearest bases and the {others} nearest others; "
            f"left out are **{missing}** further back."
        )
    if of.more_descendants:
        told.append(f"Of its descendants the first {number(of.descendants_drawn)} are drawn; there are more.")
    elif not of.descendants_drawn:
        told.append("Nobody descends from it.")
    return " ".join(told)


def _everybody(filters: Filters, objective: Objective, how: How, upwards: str) -> None:
    colour, across = how
    of = shell.source().ask(filters.run, lineage.everybody, filters.stretch)
    if not of.count:
        shell.empty("Nobody was told here.", "Widen the filters beside this page, or wait for the first results.")
        return
    st.markdown(_cut(of, filters))
    revision = f"{filters} {how} {upwards}"
    shown = charts.everybody(
        of, objective, colour=colour, across=across, by_value=upwards == "value", revision=revision
    )
    picked = shell.picking_chart(shown, f"everybody-{filters.run}")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Drag a box to zoom, double-click to see all again, click a point to see it beside its base.")
        st.button("Draw again", icon=":material/refresh:", type="tertiary", help="With whoever was told since.")
    _beside(filters, picked, st.session_state.get("id"))


def _cut(of: Everybody, filters: Filters) -> str:
    drawn, within = len(of.kin.members.rows), shell.tells(filters.stretch)
    where = f" ({within})" if within else ""
    if drawn == of.count:
        return f"All **{number(of.count)}** individuals{where}."
    return (
        f"The latest **{number(drawn)}** of {number(of.count)} individuals{where}; {number(of.edges_left_out)} lines "
        "to earlier parents are left out. Choose other tells beside this page to see those before."
    )


def _turn_to(identity: int) -> None:
    st.session_state.id = identity
    st.session_state.child = None
    st.session_state.tree = "family"


def _beside(filters: Filters, picked: Sequence[int], otherwise: int | None) -> None:
    """Somebody beside its base: what changed, and what it gave."""
    if picked and picked != st.session_state.get("picked in lineage"):
        st.session_state["picked in lineage"] = picked
        st.session_state.child = picked[0]
    title, place = st.columns([4, 1], vertical_alignment="bottom")
    one = place.number_input(
        "Beside its base", min_value=0, value=None, step=1, key="child", bind="query-params", placeholder="the same"
    )
    one = otherwise if one is None else one
    if one is None:
        title.caption("Click a point, or type a number, to see an individual beside its base.")
        return
    of = shell.source().ask(filters.run, individual.likeness, one, None)
    fields = of.portrait.fields
    maker = fields["operator"] + (f" with {fields['model']}" if fields["model"] else "")
    title.subheader(
        f"Individual {one}" + (f" beside its base {of.other}" if of.other is not None else ""), anchor=False
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Made by **{plain(maker)}**, {plain(fields['outcome'])}.", width="content")
        for label, identity in _turns(one, of.other):
            st.button(label, key=f"turn {label}", on_click=_turn_to, args=(identity,), type="tertiary")
        shell.link("individual", "All about it", filters, id=one)
    if fields["thought"]:
        st.caption(plain(thought(fields["thought"])))
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if of.other_genome is None or of.other is None:
            st.caption("It has no base: a seed, or a genome that was made from nothing.")
        else:
            text = difference(of.other_genome, of.genome, of.other, one)
            st.code("Their texts are the same." if text == "none" else text, language="diff", wrap_lines=True)
    with right:
        values = shell.source().ask(filters.run, individual.values, one, of.other)
        shell.table(values, "beside", labels={"other": f"of {of.other}", "value": "mean"}, leave_out=("direction",))


def _turns(one: int, other: int | None) -> list[tuple[str, int]]:
    turns = [(f"Family of {one}", one)] if one != st.session_state.get("id") else []
    return turns + ([(f"Family of {other}", other)] if other is not None else [])


def _line(filters: Filters, of: Family, objective: Objective, colour: str) -> None:
    """What the whole line of bases came through, however long it is."""
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
        st.caption("To whom the whole line is owed; gains are over the base, by the first objective.")
        shell.table(source.ask(filters.run, lineage.owed, of.root), "owed")


show()
