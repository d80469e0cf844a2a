"""A run as a single HTML page for readers without the server, from the views' queries and charts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

from dashboard.charts import failures as failure_charts
from dashboard.charts import front as front_charts
from dashboard.charts import lineage as lineage_charts
from dashboard.charts import operators as operator_charts
from dashboard.charts import overview as overview_charts
from dashboard.charts import workers as worker_charts
from dashboard.filters import Stretch
from dashboard.queries import failures, front, history, individual, lineage, operators, overview, workers
from dashboard.queries.objectives import Objective
from dashboard.queries.overview import Totals
from dashboard.sheet import Drawn, Head, Listed, Part, Shown, Written, written
from dashboard.words import clock, dollars, duration, made_by, number, thought, with_unit
from evo.lineage import LineageReader, Table
from evo.lineage.queries import objectives as objectives_of
from evo.lineage.wording import difference
from evo.lineage.wording import written as text_of

WHOLE = Stretch()
# The figures are never updated, so any revision does.
ONCE = "once"
PAIRS = 3
GENERATIONS = 30


def page(reader: LineageReader) -> str:
    """A run's page, read in a single transaction.

    Raises:
        LineageError: the lineage cannot be read.
    """
    with reader.at_once() as moment:
        return written(head(moment), parts(moment))


def head(reader: LineageReader) -> Head:
    """The run's name, status and key numbers."""
    facts, totals = overview.facts(reader), overview.totals(reader)
    if not facts:
        return Head("a run that has just begun", ["No evaluation has finished yet."])
    objectives, bests = objectives_of(reader), history.bests(reader, None, WHOLE)
    samples = history.indicators(reader, WHOLE)
    when = clock(datetime.now(UTC).replace(tzinfo=None))
    lines = [
        f"{facts['problem']}, seed {facts['seed']}, started {clock(facts['started'])}. {_state(totals)}",
        str(facts["description"] or ""),
        f"Written {when}; the latest result is from {clock(totals.latest)}. This page needs no server and no network.",
    ]
    return Head(str(facts["run"]), lines, _cards(totals, bests, objectives, samples))


def _state(totals: Totals) -> str:
    ended = f"Ended ({totals.stopped})" if totals.stopped else "Not ended"
    budget = totals.budget.get("evaluations")
    of = f" of {number(budget)}" if budget else ""
    return f"{ended} after {number(totals.count_told)}{of} evaluations, {number(totals.failed)} of them failed."


def _cards(
    totals: Totals, bests: history.Bests, objectives: Sequence[Objective], samples: Table
) -> list[tuple[str, str, str]]:
    cards = []
    for name, direction, unit in objectives:
        step = bests.latest(name)
        better = "lower is better" if direction == "min" else "higher is better"
        found = f"individual {step.individual}, {better}" if step else better
        cards.append((f"best {name}", with_unit(step.value, unit) if step else "none", found))
    if samples.rows:
        last = dict(zip(samples.columns, samples.rows[-1], strict=True))
        cards.append(("hypervolume", number(last["hypervolume"]), f"{number(last['front_size'])} in the front"))
    cards.append(("ran", duration(totals.running_seconds), f"{number(totals.count_told)} evaluations"))
    if totals.calls or totals.model:
        cap = totals.budget.get("usd")
        cards.append(("spent", dollars(totals.usd), f"cap {dollars(cap)}" if cap is not None else "no cap"))
    return cards


def parts(reader: LineageReader) -> list[Part]:
    """The parts that have something to show."""
    made = [part(reader) for part in PARTS]
    shown = [part for part in made if part.shown]
    return shown or [Part("overview", "Overview", "No evaluation has finished yet: there is nothing to draw.")]


def of_overview(reader: LineageReader) -> Part:
    """The run's progress."""
    samples = history.indicators(reader, WHOLE)
    if not samples.rows:
        return Part("overview", "Overview")
    bests, totals = history.bests(reader, None, WHOLE), overview.totals(reader)
    end: tuple[int, Any] = samples.rows[-1][:2]
    common: dict[str, Any] = {"clock": "tells", "revision": ONCE}
    shown: list[Shown] = [
        Drawn(
            f"Best {objective[0]} so far",
            overview_charts.best_so_far(bests, objective, end=end, colour=at, **common),
        )
        for at, objective in enumerate(objectives_of(reader))
    ]
    shown += [
        Drawn("Hypervolume", overview_charts.hypervolume(samples, **common)),
        Drawn("Front and population", overview_charts.diversity(samples, **common)),
        Drawn("Rate", overview_charts.rate(history.rates(reader, WHOLE), **common)),
        Drawn("Outcomes", overview_charts.outcomes(history.outcomes(reader, WHOLE), **common)),
    ]
    if totals.usd:
        points, cap = history.spending(reader), totals.budget.get("usd")
        shown.append(Drawn("Spending", overview_charts.spending(points, cap=cap, revision=ONCE)))
    return Part("overview", "Overview", shown=shown)


def of_front(reader: LineageReader) -> Part:
    """The front by the first objectives, two at a time, and its members."""
    members, others = front.front(reader, WHOLE), front.dominated(reader, WHOLE)
    objectives = objectives_of(reader)
    if not members.rows:
        return Part("front", "Front")
    pairs = list(combinations(objectives[:PAIRS], 2)) or [(front.TELLS, objectives[0])]
    shown: list[Shown] = [
        Drawn(
            f"{y[0]} against {x[0]}",
            front_charts.plane((members, others), (x, y), colour="operator", earlier=None, revision=ONCE),
            wide=len(pairs) == 1,
        )
        for x, y in pairs
    ]
    for item in shown:
        if isinstance(item, Drawn):
            item.figure.update_layout(dragmode="zoom", clickmode="event", height=460)
    values = [(front.column_of(name), f"{name} {unit}".strip()) for name, _, unit in objectives]
    named = ("operator", "model", "island", "tell")
    shown.append(Listed("In the front", members, [("id", "individual"), *values, *((fact, fact) for fact in named)]))
    return Part("front", "Front", f"{number(len(members.rows))} nondominated individuals.", shown)


def of_best(reader: LineageReader) -> Part:
    """The best individual by the first objective."""
    found = individual.best(reader)
    if found is None:
        return Part("best", "The best")
    seen = individual.side_by_side(reader, found, None)
    fields = seen.portrait.fields
    shown: list[Shown] = [Written(f"Genome ({fields['kind']})", text_of(seen.genome))]
    if seen.other_genome is not None and seen.other is not None:
        changed = difference(seen.other_genome, seen.genome, seen.other, found)
        shown.append(Written(f"What changed from its base, individual {seen.other}", changed))
    made = f"Individual {found}, made by {made_by(fields['operator'], fields['model'])}; {fields['outcome']}."
    return Part("best", "The best", f"{made} {thought(fields['thought'] or '')}", shown)


def of_lineage(reader: LineageReader) -> Part:
    """The lineage of the best individual by the first objective."""
    found = individual.best(reader)
    if found is None:
        return Part("lineage", "Lineage")
    of, objective = lineage.family(reader, found, GENERATIONS), objectives_of(reader)[0]
    common: dict[str, Any] = {"colour": "operator", "revision": ONCE}
    shown: list[Shown] = [
        Drawn(
            f"The family of individual {found}",
            lineage_charts.family(of, objective, across="generation", marked=None, **common),
            wide=True,
        )
    ]
    steps = lineage.steps(reader, found)
    if len(steps.rows) > 1:
        line = lineage_charts.line_of_bases(steps, objective, **common)
        shown.append(Drawn("Its line of bases, the founder to the left", line, wide=True))
    counted = f"{number(of.ancestors)} ancestors, {number(of.line_length)} of them in its line of bases"
    return Part("lineage", "Lineage", f"{counted}; at most {GENERATIONS} generations are drawn.", shown)


def of_operators(reader: LineageReader) -> Part:
    """What operators and models cost and yield."""
    arms = operators.arms(reader, WHOLE)
    if not arms.rows:
        return Part("operators", "Operators and models")
    over, ends = operators.over_time(reader, WHOLE, "both"), operators.outcomes(reader, WHOLE, "both")
    shown: list[Shown] = [
        Drawn(f"{what.capitalize()} over time", operator_charts.over_time(over, what, revision=ONCE))
        for what in ("share of asks", "survived")
    ]
    shown.append(Drawn("Outcomes of proposals", operator_charts.outcomes(ends, revision=ONCE)))
    if any(row[arms.columns.index("usd")] for row in arms.rows):
        shown.append(Drawn("Price and gain", operator_charts.price_and_gain(arms, revision=ONCE)))
    named = (
        "operator",
        "model",
        "proposals",
        "valid",
        "improved",
        "survived",
        "entered_front",
        "reward",
        "gain",
        "usd",
    )
    shown.append(Listed("All operators and models", arms, [(name, name.replace("_", " ")) for name in named]))
    return Part("operators", "Operators and models", shown=shown)


def of_failures(reader: LineageReader) -> Part:
    """Failures."""
    counts = failures.counts(reader, WHOLE)
    over, found = failures.over_time(reader, WHOLE)
    failing = [count for count in counts if count.failed]
    if over is None or not failing:
        return Part("failures", "Failures")
    shown: list[Shown] = [
        Drawn(f"Failed {count.source}s", failure_charts.over_time(found, count.source, over, revision=ONCE))
        for count in failing
    ]
    ends = failures.by_arm(reader, WHOLE)
    shown.append(Drawn("By operator and model", failure_charts.by_arm(ends, revision=ONCE), wide=True))
    messages = failures.messages(reader, WHOLE, None)
    columns = [("failures", "times"), ("message", "message"), ("outcomes", "outcome"), ("source", "of")]
    shown.append(Listed("Messages", messages, [*columns, ("last", "last (UTC)"), ("example", "latest example")]))
    counted = ", ".join(f"{number(count.failed)} of {number(count.all)} {count.source}s" for count in failing)
    return Part("failures", "Failures", f"Failed: {counted}.", shown)


def of_workers(reader: LineageReader) -> Part:
    """The timelines of workers, and what offspring wait for."""
    shown: list[Shown] = []
    done, marks = workers.timeline(reader, WHOLE), workers.marks(reader)
    if done.rows:
        shown.append(Drawn("Timeline", worker_charts.timeline(done, marks, revision=ONCE), wide=True))
    if (each := workers.utilisation(reader, WHOLE)[1]).rows:
        busy = workers.busy(reader, WHOLE)[1]
        shown.append(Drawn("Busy workers by machine", worker_charts.busy(busy, marks, revision=ONCE)))
        shown.append(Drawn("Utilisation of each worker", worker_charts.utilisation(each, revision=ONCE)))
    if (queue := workers.queue(reader, WHOLE)[1]).rows:
        shown.append(Drawn("Under way", worker_charts.queue(queue, revision=ONCE)))
    if (waits := workers.waits(reader, WHOLE)).rows:
        shown.append(Drawn("What offspring wait for", worker_charts.waits(waits, revision=ONCE)))
    evaluations, names, nodes = workers.evaluations(reader, WHOLE)
    cut = 0 < len(done.rows) < evaluations
    latest = f"the timeline has the latest {number(len(done.rows))}" if cut else ""
    places = f"{number(names)} worker{'s' * (names != 1)} on {number(nodes)} machine{'s' * (nodes != 1)}"
    counted = f"{number(evaluations)} evaluations by {places}"
    return Part("workers", "Workers", "; ".join(filter(None, [counted, latest])) + ".", shown)


PARTS = (of_overview, of_front, of_best, of_lineage, of_operators, of_failures, of_workers)
