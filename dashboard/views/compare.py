"""Runs side by side: methods are runs that differ in the seed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from dashboard import shell
from dashboard.charts import compare as charts
from dashboard.filters import Filters
from dashboard.queries import compare
from dashboard.queries.compare import Method
from dashboard.words import dollars, plain
from evo.analysis.comparison import Comparison
from evo.analysis.results import Measured
from evo.errors import EvoError
from evo.lineage import Table

ACROSS: Sequence[charts.Across] = ("evaluations", "time", "dollars")
FIRST = 20


def show() -> None:
    """The page."""
    filters = shell.filters()
    st.header(f"Compare {plain(filters.run)}", anchor=False)
    shell.guarded(lambda: _chosen(filters))


def _chosen(filters: Filters) -> None:
    offered = list(shell.source().runs())
    # What is wrong with the run that is looked at is said; the others can be compared without it.
    shell.guarded(lambda: _check_unreadable(filters.run))
    if "runs" not in st.session_state and not st.query_params.get_all("runs"):
        st.session_state.runs = _alike(filters.run, offered)
    runs = st.multiselect(
        "Runs", offered, key="runs", bind="query-params", max_selections=compare.MOST_RUNS, placeholder="choose runs"
    )
    across = st.segmented_control("Over", ACROSS, default="evaluations", required=True, key="over", bind="query-params")
    if not runs:
        shell.empty(
            "No run is chosen.", "Choose some of one problem; runs that differ in the seed alone are one method."
        )
        return
    shell.live(lambda: draw(tuple(runs), across))


def _check_unreadable(run: str) -> None:
    """Complain of a run that cannot be read."""
    shell.source().ask(run, compare.configuration)


def _alike(run: str, offered: Sequence[str]) -> list[str]:
    """The runs of the same problem as the one that is looked at, the latest ones."""
    problem = _problem(run)
    if not problem:
        return [run] if run in offered else []
    return [one for one in offered[:100] if _problem(one) == problem][:FIRST]


def _problem(run: str) -> str:
    """A run's problem, or nothing where it cannot be read: another one's trouble is not this page's."""
    try:
        return shell.source().ask(run, compare.configuration)[0]
    except EvoError:
        return ""


def draw(runs: tuple[str, ...], across: charts.Across) -> None:
    """All but the choice of runs."""
    source, found = shell.source(), {}
    left_out: list[str] = []
    for run in runs:
        try:
            found[run] = source.runs().get(run, Path(run)), source.ask(run, compare.configuration)[1]
        except EvoError as error:
            left_out.append(str(error))
    methods, unlike = compare.methods({run: one for run, one in found.items() if one[1]})
    left_out += [*unlike, *(f"{run} has just begun" for run, one in found.items() if not one[1])]
    if not methods:
        shell.empty("There is nothing to compare yet.", "Choose runs that have a result.")
        _remarks((), left_out)
        return
    comparison, more = compare.comparison(methods, _results(methods))
    _summaries(methods, comparison)
    _differences(methods)
    _curves(methods, across)
    _gains(methods, comparison)
    _remarks(comparison.remarks if comparison else (), [*left_out, *more])


def _results(methods: Sequence[Method]) -> dict[str, Measured | str]:
    source, results = shell.source(), {}
    for method in methods:
        for run, seed in method.seeds.items():
            results[run] = source.ask(run, compare.measured, run, seed)
    return results


def _summaries(methods: Sequence[Method], comparison: Comparison | None) -> None:
    """A row a method; those that go on have no result yet."""
    known = {one.method: one for one in comparison.summaries} if comparison else {}
    gains = {one.method: one for one in comparison.gains} if comparison else {}  # the last part comes last
    rows = []
    for method in methods:
        one, gain = known.get(method.label), gains.get(method.label)
        interval = "{:.4g} to {:.4g}".format(*gain.interval) if gain and gain.interval else gain.without if gain else ""
        result = (one.train, one.final, one.evaluations, dollars(one.usd)) if one else (None,) * 4
        seeds = ", ".join(str(seed) for seed in sorted(set(method.seeds.values())))
        rows.append(
            (method.label, seeds, *result, f"{gain.mean:.4g}" if gain else "", interval, gain.over if gain else "")
        )
    columns = ("method", "seeds", "train", "final", "evaluations", "dollars", "gain", "interval", "over")
    types = ("VARCHAR", "VARCHAR", "DOUBLE", "DOUBLE", "DOUBLE", "VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR")
    labels = {"interval": "95 % interval of the gain", "over": "gain over"}
    if comparison:
        value = f"{comparison.objective.name} {comparison.objective.unit}".strip()
        labels |= {"train": f"best {value} (median)", "final": f"{comparison.part} (median)"}
    shell.table(Table(columns, tuple(rows), types), "summaries", labels=labels)


def _differences(methods: Sequence[Method]) -> None:
    if len(methods) < 2:
        return
    st.subheader("What differs", anchor=False)
    found = compare.differences(methods)
    if found.rows:
        shell.table(found, "differences", labels={"key": "configuration"})
    else:
        st.caption("Nothing but where they ran, or how many evaluations there were.")


def _curves(methods: Sequence[Method], across: charts.Across) -> None:
    source = shell.source()
    points = compare.points_each(sum(len(one.seeds) for one in methods))
    found: Mapping[str, Mapping[str, Table]] = {
        method.label: {run: source.ask(run, compare.curve, points) for run in method.seeds} for method in methods
    }
    objective = source.ask(next(iter(methods[0].seeds)), compare.first_objective)
    fronts = _hypervolumes(methods)
    kinds: list[tuple[charts.Upwards, str]] = [("best", "Best so far")]
    kinds += [("hypervolume", "Hypervolume")] if fronts else []
    if across != "dollars" and _spent(found):
        kinds.append(("dollars", "Dollars"))
    for place, (upwards, title) in zip(st.columns(len(kinds)), kinds, strict=True):
        with place:
            st.subheader(title, anchor=False)
            revision = f"{list(found)} {across} {upwards}"
            drawn = fronts if upwards == "hypervolume" else found
            shown = charts.curves(drawn, across, upwards, objective=objective, revision=revision)
            shell.chart(shown, f"curve-{upwards}")
    against = " Hypervolumes are against one reference: the worst of the runs' own." if fronts else ""
    st.caption(
        "Thick: the median over seeds, with a band from the least to the most, up to where the shortest run ends."
        + against
    )


def _hypervolumes(methods: Sequence[Method]) -> Mapping[str, Mapping[str, Table]]:
    """Curves of the hypervolume against what all runs are measured against; {} where they have no such thing."""
    source = shell.source()
    runs = [run for method in methods for run in method.seeds]
    reference = compare.common(source.ask(run, compare.references) for run in runs)
    if not reference:
        return {}
    return {
        method.label: {run: source.ask(run, compare.hypervolumes, reference, compare.FRONTS) for run in method.seeds}
        for method in methods
    }


def _spent(found: Mapping[str, Mapping[str, Table]]) -> bool:
    return any(row[2] for runs in found.values() for table in runs.values() for row in table.rows[-1:])


def _gains(methods: Sequence[Method], comparison: Comparison | None) -> None:
    st.subheader("Gain over the baseline", anchor=False)
    if comparison is None or not comparison.gains:
        shell.empty(
            "No gain can be told yet.",
            "It takes two methods with finished runs of the same seeds: `evo compare PROBLEM --seeds 5` makes them.",
        )
        return
    labels = [one.label for one in methods]
    unit = comparison.objective.unit
    shell.chart(charts.gains(comparison.gains, unit, methods=labels, revision=str(labels)), "gains")


def _remarks(remarks: Sequence[str], left_out: Sequence[str]) -> None:
    said = [*remarks, *(f"left out: {one}" for one in left_out)]
    if said:
        st.caption("\n".join(f"- {plain(one)}" for one in said))


show()
