"""`evo analyse`: what a run can teach, in 80 columns or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evo.analysis import analyses
from evo.analysis.improvements import PARTS
from evo.cli.tables import lines
from evo.errors import LineageError
from evo.lineage import Run, Table, open_run
from evo.lineage.queries import objectives

ROWS = 8
WIDEST_LABEL = 20
WIDEST_TRAIT = 24
WIDEST_NAME = 12
CHANCE = 0.05
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask of a run.

    Attributes:
        targets: of the first objective; without any, shares of the way to the best.
        best: how many of the best count as winners; None takes the front.
    """

    targets: Sequence[float]
    best: int | None


def analyse(folders: Sequence[Path], question: Question, *, as_json: bool) -> None:
    """Print all analyses of each run.

    Raises:
        LineageError: a run cannot be read, or holds nothing yet.
    """
    runs = {str(folder): open_run(folder) for folder in folders}
    answers = {name: answers_of(run, question) for name, run in runs.items()}
    if as_json:
        found = {
            name: {analysis: rows(table) for analysis, table in tables.items()} for name, tables in answers.items()
        }
        print(json.dumps(found, default=str, ensure_ascii=False, indent=1))
        return
    for name, tables in answers.items():
        print("\n".join(_page(name, runs[name], tables)))
    if len(answers) > 1:
        print("\n".join(_side_by_side({name: tables["time_to_target"] for name, tables in answers.items()})))


def answers_of(run: Run, question: Question) -> dict[str, Table]:
    """Each analysis by its name.

    Raises:
        LineageError: there is no result yet.
    """
    if not run.sql("SELECT count(*) FROM individuals").scalar():
        raise LineageError(f"{run.path.parent}: there is no result yet; look again when the run has begun")
    special: dict[str, Callable[[], Table]] = {
        "time_to_target": lambda: analyses.time_to_target(run, question.targets),
        "traits_of_ancestors": lambda: analyses.traits_of_ancestors(run, question.best),
        "common_ancestors": lambda: analyses.common_ancestors(run, question.best),
    }
    return {name: special.get(name, lambda name=name: getattr(analyses, name)(run))() for name in analyses.__all__}


def rows(table: Table) -> list[Row]:
    """Rows as objects."""
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def _page(name: str, run: Run, answers: dict[str, Table]) -> Iterator[str]:
    found = {analysis: rows(table) for analysis, table in answers.items()}
    models = {row["model"] for row in found["yield_over_time"]} - {None}
    if len(models) == 1:  # said once, on top, not in each row
        found = {analysis: [{**row, "model": None} for row in table] for analysis, table in found.items()}
    objective, direction, unit = objectives(run)[0]
    value = _clipped(f"{objective} {unit}", WIDEST_NAME)
    by = f"; model {models.pop()}" if len(models) == 1 else ""
    yield f"{name}: {objective} ({direction}imised){', in ' + unit if unit else ''}{by}\n"
    yield from _improvements(found["improvements"], value)
    yield from _costs(found["cost_per_improvement"])
    yield from _yields(found["yield_over_time"])
    yield from _targets(found["time_to_target"], value)
    yield from _lineages(found)
    yield from _takeover(found["takeover"])
    yield from _ancestry(found["front_ancestry"])
    yield from _winners(found["common_ancestors"][0], found["traits_of_ancestors"])


def _improvements(steps: list[Row], value: str) -> Iterator[str]:
    if not steps:
        yield "IMPROVEMENTS OF THE BEST: none; no individual is feasible yet\n"
        return
    which = f", the last {ROWS}" if len(steps) > ROWS else ""
    yield f"IMPROVEMENTS OF THE BEST: {len(steps) - 1}{which}; evals, seconds and $ of each"
    yield from _table(
        steps[-ROWS:],
        {
            "id": lambda row: row["individual"],
            "made by": _maker,
            value: lambda row: row["best"],
            "gain": lambda row: _short(row["gain"]),
            "evals": lambda row: row["evaluations"],
            "seconds": lambda row: _short(row["seconds"]),
            "$": lambda row: _short(row["usd"]) or None,
        },
    )


def _costs(arms: list[Row]) -> Iterator[str]:
    yield "WHAT AN IMPROVEMENT TOOK, by operator (seconds are of evaluating)"
    yield from _table(
        arms,
        {
            "made by": _maker,
            "improved": lambda row: row["improvements"],
            "evals": lambda row: row["evaluations"],
            "$": lambda row: _short(row["usd"]) or None,
            "evals each": lambda row: _short(row["evaluations_each"]),
            "s each": lambda row: _short(row["seconds_each"]) or None,
            "$ each": lambda row: _short(row["usd_each"]) or None,
        },
    )


def _yields(found: list[Row]) -> Iterator[str]:
    arms: dict[tuple[str, str | None], Row] = {}
    for row in found:
        arm = arms.setdefault((row["operator"], row["model"]), {**row, "asked": 0})
        arm["asked"] += row["proposals"]
        arm[f"in {row['tenth']}"] = round(100 * row["survived"] / row["proposals"])
    yield "YIELD OVER TIME: of 100 proposals, how many survived, in each tenth of the run"
    tenths = {str(tenth): lambda row, tenth=tenth: row.get(f"in {tenth}") for tenth in range(1, PARTS + 1)}
    table = sorted(arms.values(), key=lambda arm: -arm["asked"])
    yield from _table(table, {"made by": _maker, "asked": lambda row: row["asked"], **tenths})


def _targets(found: list[Row], value: str) -> Iterator[str]:
    if not found:
        return
    yield "TIME TO TARGET: when the best was first as good, since the start of the run"
    yield from _table(
        found,
        {
            "of the way": lambda row: None if row["share"] is None else f"{100 * row['share']:g} %",
            value: lambda row: row["target"],
            "reached by": lambda row: "never" if row["tell"] is None else row["individual"],
            "evals": lambda row: row["evaluations"],
            "seconds": lambda row: _short(row["seconds"]),
            "$": lambda row: _short(row["usd"]) or None,
        },
    )


def _lineages(found: dict[str, list[Row]]) -> Iterator[str]:
    yield "LINEAGES, each from a founder on; they last until their last member left"
    for fate in found["fates"]:
        span = f"{fate['shortest']} to {fate['longest']} tells, median {fate['median']:g}"
        span = span if fate["shortest"] < fate["longest"] else f"{fate['longest']} tells"
        yield f"{_number(fate['founders'], 'founder')} {fate['fate']}, lasting {span}"
    yield from _table(
        found["founders"][:ROWS],
        {
            "founder": lambda row: row["founder"],
            "made by": lambda row: _clipped(row["operator"].rpartition(":")[2], WIDEST_NAME),
            "descendants": lambda row: row["descendants"],
            "living": lambda row: row["living"],
            "% of all": lambda row: round(100 * row["share"]),
            "in front": lambda row: row["front"],
            "lasted": lambda row: f"{row['lasted']}{' on' if row['lives'] else ''}",
        },
    )


def _takeover(found: list[Row]) -> Iterator[str]:
    yield "TAKEOVER: founders that the population descends from, and its latest ancestor"
    yield from _table(
        found,
        {
            "after tell": lambda row: row["tell"],
            "living": lambda row: row["living"],
            "founders": lambda row: row["founders"],
            "% to the commonest": lambda row: None if row["share"] is None else round(100 * row["share"]),
            "latest in common": lambda row: row["common"],
            "its tell": lambda row: row["common_tell"],
        },
    )


def _ancestry(found: list[Row]) -> Iterator[str]:
    average, members = found[-1], found[:-1]
    if not members:
        return
    yield "ANCESTORS OF THE FRONT, and what each of these had on average"
    if len(members) > ROWS:
        yield f"({ROWS} of {len(members)}, those with most ancestors)"
    table = sorted(members, key=lambda row: -row["ancestors"])[:ROWS]
    yield from _table(
        [*table, average],
        {
            "individual": lambda row: "all" if row["individual"] is None else row["individual"],
            "ancestors": lambda row: row["ancestors"],
            "children": lambda row: _short(row["children"]),
            "descendants by base": lambda row: _short(row["descendants"]),
        },
    )


def _winners(common: Row, traits: list[Row]) -> Iterator[str]:
    yield "WHAT THE WINNERS' ANCESTORS HAVE IN COMMON (winners count as their own)"
    shared = f"{common['of_all']} of them of all winners"
    latest = f", the latest {common['latest']} (tell {common['tell']})" if common["of_all"] else ""
    yield f"{_number(common['winners'], 'winner')}, {_number(common['ancestors'], 'ancestor')}, {shared}{latest}"
    certain = [row for row in traits if row["p"] < CHANCE]
    if certain:
        yield from _table(
            certain[: 2 * ROWS],
            {
                "": lambda row: row["kind"],
                "trait": lambda row: _clipped(row["trait"], WIDEST_TRAIT),
                "they": lambda row: row["ancestors"],
                "all": lambda row: row["individuals"],
                "lift": lambda row: f"{row['lift']:.2f}",
                "95 % interval": lambda row: f"{row['low']:.2f} to {row['high']:.2f}",
            },
        )
    others = len(traits) - len(certain)
    if others:
        no_more = "differ" if others > 1 else "differs"
        yield f"{_number(others, 'other trait' if certain else 'trait')} {no_more} no more than by chance\n"


def _side_by_side(found: dict[str, Table]) -> Iterator[str]:
    yield "TIME TO TARGET, run by run"
    yield from _table(
        [{"run": name, **row} for name, table in found.items() for row in rows(table)],
        {
            "run": lambda row: _clipped(row["run"], WIDEST_TRAIT),
            "of the way": lambda row: None if row["share"] is None else f"{100 * row['share']:g} %",
            "target": lambda row: row["target"],
            "evals": lambda row: "never" if row["tell"] is None else row["evaluations"],
            "seconds": lambda row: _short(row["seconds"]),
            "$": lambda row: _short(row["usd"]) or None,
        },
    )


def _table(found: Sequence[Row], columns: dict[str, Callable[[Row], Any]]) -> Iterator[str]:
    """The columns that hold anything, and an empty line."""
    cells = {name: [cell(row) for row in found] for name, cell in columns.items()}
    kept = {name: column for name, column in cells.items() if any(value is not None for value in column)}
    yield from (f"  {line}" for line in lines(Table(tuple(kept), tuple(zip(*kept.values(), strict=True)))))
    yield ""


def _maker(row: Row) -> str:
    """Operator and model, shortened so that both are recognisable; of an operator's import path the last part."""
    operator, model = str(row["operator"] or "").rpartition(":")[2], row["model"] or ""
    beside = min(len(model), max(WIDEST_LABEL // 2, WIDEST_LABEL - 1 - len(operator)))
    shown = model if len(model) <= beside else f"..{model[2 - beside :]}"  # models of a family differ in their ends
    return f"{_clipped(operator, WIDEST_LABEL - beside - bool(model))} {shown}".strip()


def _clipped(text: str, widest: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= widest else f"{text[: widest - 2]}.."


def _short(value: float | None) -> float | None:
    """Four digits are enough to read."""
    return None if value is None else float(f"{value:.4g}")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
