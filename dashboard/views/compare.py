"""Runs side by side; runs that differ only in the seed are a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from dashboard import shell
from dashboard.charts import compare as charts
from dashboard.filters import Filters
from dashboard.queries import compare
from dashboard.queries.compare import Method
from dashboard.queries.objectives import first_objective
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
    # If the chosen run cannot be read the page says why; the other runs can be compared without it.
    shell.guarded(lambda: _check_unreadable(filters.run))
    if "runs" not in st.session_state and not st.query_params.get_all("runs"):
        st.session_state.runs = _same_problem(filters.run, offered)
    runs = st.multiselect(
        "Runs", offered, key="runs", bind="query-params", max_selections=compare.MOST_RUNS, placeholder="choose runs"
    )
    across = st.segmented_control("Over", ACROSS, default="evaluations", required=True, key="over", bind="query-params")
    if not runs:
        shell.empty(
            "No run is chosen.", "Choose runs of the same problem; runs that differ only in the seed are a method."
        )
        return
    shell.live(lambda: draw(tuple(runs), across))


def _check_unreadable(run: str) -> None:
    """Raise an error if the run cannot be read."""
    shell.source().ask(run, compare.configuration)


def _same_problem(run: str, offered: Sequence[str]) -> list[str]:
    """The latest runs of the same problem as this run."""
    problem = _problem(run)
    if not problem:
        return [run] if run in offered else []
    return [other for other in offered[:100] if _problem(other) == problem][:FIRST]


def _problem(run: str) -> str:
    """A run's problem; empty if the run cannot be read, which is not this page's business."""
    try:
        return shell.source().ask(run, compare.configuration)[0]
    except EvoError:
        return ""


def draw(runs: tuple[str, ...], across: charts.Across) -> None:
    """The page below the selection of runs."""
    source, found = shell.source(), {}
    left_out: list[str] = []
    for run in runs:
        try:
            found[run] = source.runs().get(run, Path(run)), source.ask(run, compare.configuration)[1]
        except EvoError as error:
            left_out.append(str(error))
    methods, unreadable = compare.methods({run: known for run, known in found.items() if known[1]})
    left_out += [*unreadable, *(f"{run} has only just begun" for run, known in found.items() if not known[1])]
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
    """A row for each method; a method whose runs are still running has no result yet."""
    known = {summary.method: summary for summary in comparison.summaries} if comparison else {}
    gains = {gain.method: gain for gain in comparison.gains} if comparison else {}  # the last part comes last
    rows = []
    for method in methods:
        summary, gain = known.get(method.label), gains.get(method.label)
        interval = "{:.4g} to {:.4g}".format(*gain.interval) if gain and gain.interval else gain.without if gain else ""
        result: tuple[float | str | None, ...] = (None,) * 4
        if summary:
            result = summary.train, summary.final, summary.evaluations, dollars(summary.usd)
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
        st.caption("Only where they ran, or how many evaluations they had.")


def _curves(methods: Sequence[Method], across: charts.Across) -> None:
    source = shell.source()
    points = compare.points_each(sum(len(method.seeds) for method in methods))
    found: Mapping[str, Mapping[str, Table]] = {
        method.label: {run: source.ask(run, compare.curve, points) for run in method.seeds} for method in methods
    }
    objective = source.ask(next(iter(methods[0].seeds)), first_objective)
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
    against = " Hypervolumes have a common reference point: the worst of the runs' own." if fronts else ""
    st.caption(
        "Thick: the median over seeds, in a band from the least to the most, up to where the shortest run ends."
        + against
    )


def _hypervolumes(methods: Sequence[Method]) -> Mapping[str, Mapping[str, Table]]:
    """Curves of the hypervolume against a common reference point; {} where the runs have none."""
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
            "There is no gain to show yet.",
            "It takes two methods with finished runs of the same seeds: `evo compare PROBLEM --seeds 5` makes them.",
        )
        return
    labels = [method.label for method in methods]
    unit = comparison.objective.unit
    shell.chart(charts.gains(comparison.gains, unit, methods=labels, revision=str(labels)), "gains")


def _remarks(remarks: Sequence[str], left_out: Sequence[str]) -> None:
    lines = [*remarks, *(f"left out: {reason}" for reason in left_out)]
    if lines:
        st.caption("\n".join(f"- {plain(line)}" for line in lines))


show()
