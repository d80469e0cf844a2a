"""One individual: what it is, what changed, who made it and how, how it was measured, its family."""

from __future__ import annotations

import json
from pathlib import PurePath

import streamlit as st

from dashboard import calls, shell
from dashboard.charts import individual as charts
from dashboard.filters import Filters
from dashboard.queries import history, individual
from dashboard.queries.individual import Likeness
from dashboard.words import dollars, number, plain, thought, with_unit
from evo.genomes import Architecture, Program, Prompt, Vector
from evo.lineage import Table
from evo.lineage.wording import difference

LANGUAGES = {".py": "python", ".js": "javascript", ".c": "c", ".cpp": "cpp", ".rs": "rust", ".md": "markdown"}
LANGUAGES |= {".json": "json", ".sql": "sql", ".sh": "bash", ".java": "java", ".go": "go", ".ts": "typescript"}
FAMILY = 12


def show() -> None:
    """The page."""
    filters = shell.filters()
    shell.guarded(lambda: _chosen(filters))


def _chosen(filters: Filters) -> None:
    """Which one, and beside which other."""
    title, first, second = st.columns([3, 1, 1], vertical_alignment="bottom")
    if st.session_state.get("id") is None and not st.query_params.get("id"):
        found = shell.source().ask(filters.run, individual.best)
        if found is None:
            title.header(f"Individuals of {plain(filters.run)}", anchor=False)
            shell.empty("Nobody has been told yet.", "Individuals are here once their first evaluations are in.")
            return
        shell.begin_with("id", found)
    one = first.number_input("Individual", min_value=0, value=None, step=1, key="id", bind="query-params")
    other = second.number_input(
        "Beside", min_value=0, value=None, step=1, key="beside", bind="query-params", placeholder="its base"
    )
    title.header(f"Individual {one} of {plain(filters.run)}", anchor=False)
    if one is None:
        shell.empty("No individual is named.", "Type its number, or pick one on the front.")
        return
    _portrait(filters, shell.source().ask(filters.run, individual.likeness, one, other))


def _portrait(filters: Filters, of: Likeness) -> None:
    source, fields = shell.source(), of.portrait.fields
    one, other = fields["id"], of.other
    values = source.ask(filters.run, individual.values, one, other)
    _made(of)
    shell.cards(_figures(filters, of, values))
    _family(of)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _genome(filters, of)
    with right:
        _measured(filters, of, values)
    _calls(source.ask(filters.run, individual.calls, one))
    _descent(filters, one)


def _made(of: Likeness) -> None:
    fields = of.portrait.fields
    maker = fields["operator"] + (f" with {fields['model']}" if fields["model"] else "")
    state = "survived its tell" if fields["survived"] else "did not survive its tell"
    icon = ":green[:material/check_circle:]" if fields["outcome"] == "ok" else ":red[:material/cancel:]"
    st.markdown(
        f"{icon} **{plain(fields['outcome'])}** {plain(fields['kind'])}, made by **{plain(maker)}** on island "
        f"{fields['island']}; {state} ({number(fields['tell'])})"
    )
    if fields["thought"]:
        st.caption(plain(thought(fields["thought"])))


def _figures(filters: Filters, of: Likeness, values: Table) -> list[tuple[str, str, str]]:
    figures = []
    for row in values.rows:
        said = dict(zip(values.columns, row, strict=True))
        gain = said["gain"]
        figures.append(
            (
                said["name"],
                with_unit(said["value"], said["unit"]),
                f"{'+' if gain > 0 else ''}{number(gain)} gain" if gain is not None else "",
            )
        )
    own, usd, completions = shell.source().ask(filters.run, individual.cost, of.portrait.fields["id"])
    figures.append(
        ("genome size", number(of.portrait.fields["size"]), f"generation {number(of.portrait.fields['generation'])}")
    )
    if completions:
        figures.append(("cost", dollars(own), f"{dollars(usd)} with ancestors"))
    return figures


def _turn_to(identity: int) -> None:
    st.session_state.id = identity
    st.session_state.beside = None


def _family(of: Likeness) -> None:
    """Links to its parents and children."""
    seen = of.portrait
    parents = [(parent, f"{role} {parent}") for parent, role in seen.parents]
    children = [(child, str(child)) for child in seen.children]
    for one, many, members in (("parent", "parents", parents), ("child", "children", children)):
        title = one if len(members) == 1 else many
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            more = f", the first {FAMILY}" if len(members) > FAMILY else ""
            st.markdown(f"**{number(len(members))}** {title}{more}", width="content")
            for identity, label in members[:FAMILY]:
                # Not a link: Streamlit would leave the address of a page that leads to itself as it was.
                st.button(plain(label), key=f"{title} {identity}", on_click=_turn_to, args=(identity,))
    st.caption(f"{number(seen.ancestors)} ancestor{'s' * (seen.ancestors != 1)}.")


def _genome(filters: Filters, of: Likeness) -> None:
    shown = ["difference", "genome"] if of.other_genome is not None else ["genome"]
    st.subheader("Genome", anchor=False)
    choice = st.segmented_control(
        "Show", shown, default=shown[0], required=True, key="show", bind="query-params", label_visibility="collapsed"
    )
    if isinstance(of.genome, Architecture | Vector):
        _drawn(filters, of)
    if choice == "difference" and of.other_genome is not None and of.other is not None:
        st.caption(f"From individual {of.other} to {of.portrait.fields['id']}.")
        text = difference(of.other_genome, of.genome, of.other, of.portrait.fields["id"])
        st.code("Their texts are the same." if text == "none" else text, language="diff", wrap_lines=True)
    else:
        _written(of)


def _drawn(filters: Filters, of: Likeness) -> None:
    """What is no text: as a figure."""
    seen = shell.source().ask(filters.run, individual.seen, of.genome.kind)
    revision = f"{filters.run} {of.portrait.fields['id']} {of.other}"
    other = of.other_genome
    if isinstance(of.genome, Architecture):
        choices = other.choices if isinstance(other, Architecture) else None
        shell.chart(charts.slots(of.genome.choices, choices, seen, revision=revision), "slots")
        st.caption("A row a slot, a cell each choice that a sample of the run made; orange is what it was before.")
    elif isinstance(of.genome, Vector):
        values = other.values if isinstance(other, Vector) else None
        shell.chart(charts.vector(of.genome.values, values, seen, revision=revision), "vector")


def _written(of: Likeness) -> None:
    genome = of.genome
    if isinstance(genome, Program):
        for name, text in genome.files.items():
            calls.verbatim(name, text, LANGUAGES.get(PurePath(name).suffix))
    elif isinstance(genome, Prompt):
        for name, text in genome.parts.items():
            calls.verbatim(name, text)
        for at, example in enumerate(genome.demonstrations):
            calls.verbatim(f"demonstration {at + 1}", "\n".join(f"{key}: {text}" for key, text in example.items()))
        if genome.format:
            calls.verbatim("format", json.dumps(dict(genome.format), ensure_ascii=False, indent=1), "json")
    else:
        calls.verbatim(genome.kind, json.dumps(genome.fields(), ensure_ascii=False, indent=1), "json")


def _measured(filters: Filters, of: Likeness, values: Table) -> None:
    source, seen = shell.source(), of.portrait
    st.subheader("Objectives", anchor=False)
    shell.table(values, "values", labels={"other": f"of {of.other}", "value": "mean"}, leave_out=("direction",))
    if seen.measurements.rows:
        st.caption("Each measurement, and what those up to it came to.")
        shell.table(seen.measurements, "measurements")
    described = source.ask(filters.run, individual.descriptors, seen.fields["id"])
    if described.rows:
        st.subheader("Descriptors", anchor=False)
        shell.table(described, "descriptors")
    cases = source.ask(filters.run, individual.cases, seen.fields["id"], of.other)
    if cases.rows:
        st.subheader("Cases", anchor=False)
        shell.table(cases, "cases", labels={"other": f"of {of.other}"})
    _evaluations(seen.evaluations)


def _evaluations(evaluations: Table) -> None:
    st.subheader("Evaluations", anchor=False)
    shell.table(evaluations, "evaluations", labels={"isolation": "held by"}, leave_out=("feedback",))
    at = evaluations.columns.index("feedback")
    for row in evaluations.rows:
        if row[at]:
            calls.verbatim(f"feedback ({row[0]}, {row[1]})", row[at])


def _calls(found: Table) -> None:
    """The exact prompts and replies, as they were sent and as they came."""
    st.subheader("Prompts and replies", anchor=False)
    if not found.rows:
        st.caption("No model was asked for it.")
        return
    calls.exchanges(found)


def _descent(filters: Filters, one: int) -> None:
    source = shell.source()
    line = source.ask(filters.run, individual.forebears, one)
    if len(line.rows) < 2:
        return
    st.subheader("Line of bases", anchor=False)
    objectives = source.ask(filters.run, history.objectives)
    shell.chart(charts.descent(line, objectives[0], revision=f"{filters.run} {one}"), "descent")
    shell.individuals(line, "forebears", filters)


show()
