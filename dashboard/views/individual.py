"""An individual: its genome and what changed, its operator, its objectives and evaluations, its prompts, its family."""

from __future__ import annotations

import json
from pathlib import PurePath

import streamlit as st

from dashboard import calls, shell
from dashboard.charts import individual as charts
from dashboard.filters import Filters
from dashboard.queries import completions, individual
from dashboard.queries.individual import SideBySide
from dashboard.words import dollars, made_by, number, plain, thought, with_unit
from evo.genomes import Architecture, Program, Prompt, Vector
from evo.lineage import Table
from evo.lineage.queries import objectives as objectives_of
from evo.lineage.wording import difference

LANGUAGES = {".py": "python", ".js": "javascript", ".c": "c", ".cpp": "cpp", ".rs": "rust", ".md": "markdown"}
LANGUAGES |= {".json": "json", ".sql": "sql", ".sh": "bash", ".java": "java", ".go": "go", ".ts": "typescript"}
FAMILY = 12


def show() -> None:
    """The page."""
    filters = shell.filters()
    shell.guarded(lambda: _chosen(filters))


def _chosen(filters: Filters) -> None:
    """The individual, and the individual beside it."""
    title, first, second = st.columns([3, 1, 1], vertical_alignment="bottom")
    if not shell.begin_with_individual(filters.run):
        title.header(f"Individuals of {plain(filters.run)}", anchor=False)
        shell.empty("No evaluation has finished yet.", "Individuals will be here with their first evaluations.")
        return
    chosen = first.number_input("Individual", min_value=0, value=None, step=1, key="id", bind="query-params")
    other = second.number_input(
        "Beside", min_value=0, value=None, step=1, key="beside", bind="query-params", placeholder="its base"
    )
    if chosen is None:
        title.header(f"Individuals of {plain(filters.run)}", anchor=False)
        shell.empty("No individual is chosen.", "Type its number, or click on a point of the front.")
        return
    title.header(f"Individual {chosen} of {plain(filters.run)}", anchor=False)
    _portrait(filters, shell.source().ask(filters.run, individual.side_by_side, chosen, other))


def _portrait(filters: Filters, of: SideBySide) -> None:
    source, fields = shell.source(), of.portrait.fields
    values = source.ask(filters.run, individual.values, fields["id"], of.other)
    _made(of)
    shell.cards(_figures(filters, of, values))
    _family(of)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _genome(filters, of)
    with right:
        _measured(filters, of, values)
    calls.exchanges(source.ask(filters.run, completions.of_individual, fields["id"]))
    _line_of_bases(filters, fields["id"])


def _made(of: SideBySide) -> None:
    fields = of.portrait.fields
    maker = plain(made_by(fields["operator"], fields["model"]))
    state = "survived its tell" if fields["survived"] else "did not survive its tell"
    icon = ":green[:material/check_circle:]" if fields["outcome"] == "ok" else ":red[:material/cancel:]"
    st.markdown(
        f"{icon} **{plain(fields['outcome'])}** {plain(fields['kind'])}, made by **{maker}** on island "
        f"{fields['island']}; {state} ({number(fields['tell'])})"
    )
    if fields["thought"]:
        st.caption(plain(thought(fields["thought"])))


def _figures(filters: Filters, of: SideBySide, values: Table) -> list[tuple[str, str, str]]:
    figures = []
    for objective in values.records():
        gain = objective["gain"]
        gained = f"{'+' if gain > 0 else ''}{number(gain)} gain" if gain is not None else ""
        figures.append((objective["name"], with_unit(objective["value"], objective["unit"]), gained))
    own, usd, count = shell.source().ask(filters.run, individual.cost, of.portrait.fields["id"])
    figures.append(
        ("genome size", number(of.portrait.fields["size"]), f"generation {number(of.portrait.fields['generation'])}")
    )
    if count:
        figures.append(("cost", dollars(own), f"{dollars(usd)} with ancestors"))
    return figures


def _go_to(identity: int) -> None:
    st.session_state.id = identity
    st.session_state.beside = None


def _family(of: SideBySide) -> None:
    """Links to its parents and children."""
    seen = of.portrait
    parents = [(parent, f"{role} {parent}") for parent, role in seen.parents]
    children = [(child, str(child)) for child in seen.children]
    for singular, plural, members in (("parent", "parents", parents), ("child", "children", children)):
        title = singular if len(members) == 1 else plural
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            more = f", the first {FAMILY}" if len(members) > FAMILY else ""
            st.markdown(f"**{number(len(members))}** {title}{more}", width="content")
            for identity, label in members[:FAMILY]:
                # A button, since Streamlit does not update the address after a link from a page to itself.
                st.button(plain(label), key=f"{title} {identity}", on_click=_go_to, args=(identity,))
    st.caption(f"{number(seen.ancestors)} ancestor{'s' * (seen.ancestors != 1)}.")


def _genome(filters: Filters, of: SideBySide) -> None:
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


def _drawn(filters: Filters, of: SideBySide) -> None:
    """A genome that is no text, as a figure."""
    seen = shell.source().ask(filters.run, individual.seen, of.genome.kind)
    revision = f"{filters.run} {of.portrait.fields['id']} {of.other}"
    other = of.other_genome
    if isinstance(of.genome, Architecture):
        choices = other.choices if isinstance(other, Architecture) else None
        shell.chart(charts.slots(of.genome.choices, choices, seen, revision=revision), "slots")
        st.caption("A row for each slot, a cell for each value that a sample of the run has there; orange was before.")
    elif isinstance(of.genome, Vector):
        values = other.values if isinstance(other, Vector) else None
        shell.chart(charts.vector(of.genome.values, values, seen, revision=revision), "vector")


def _written(of: SideBySide) -> None:
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


def _measured(filters: Filters, of: SideBySide, values: Table) -> None:
    source, seen = shell.source(), of.portrait
    st.subheader("Objectives", anchor=False)
    shell.table(values, "values", labels={"other": f"of {of.other}", "value": "mean"}, leave_out=("direction",))
    if seen.measurements.rows:
        st.caption("Each measurement, and the mean up to it.")
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
    shell.table(evaluations, "evaluations", leave_out=("feedback",))
    at = evaluations.columns.index("feedback")
    for row in evaluations.rows:
        if row[at]:
            calls.verbatim(f"feedback ({row[0]}, {row[1]})", row[at])


def _line_of_bases(filters: Filters, identity: int) -> None:
    source = shell.source()
    line = source.ask(filters.run, individual.line_of_bases, identity)
    if len(line.rows) < 2:
        return
    st.subheader("Line of bases", anchor=False)
    objectives = source.ask(filters.run, objectives_of)
    shell.chart(charts.line_of_bases(line, objectives[0], revision=f"{filters.run} {identity}"), "line-of-bases")
    shell.individuals(line, "bases", filters)


show()
