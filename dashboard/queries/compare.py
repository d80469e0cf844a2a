"""Runs side by side: which runs share a method, how methods differ, how runs went, and each method's gain."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from dashboard.queries.moments import pauses
from dashboard.queries.sampling import stride
from evo.analysis.comparison import Comparison, differing, grouped, labels_of
from evo.analysis.results import Compared, Measured, comparison_of, measured_by
from evo.config.loading import Loaded, config_from_json
from evo.config.schema import Config
from evo.errors import ConfigError, EvoError
from evo.lineage import LineageReader, Table
from evo.lineage.queries import quoted
from evo.search.indicators import HYPERVOLUME_OBJECTIVES, Indicators
from evo.values import Direction, Objective

MOST_RUNS = 40
# Of all runs together; each run is drawn, and its method's band on top.
POINTS = 3000
FEWEST_POINTS, MOST_OF_A_RUN = 40, 200
FRONTS, MEMBERS = 40, 1000
CURVES = ("tell", "seconds", "usd", "best", "hypervolume")


@dataclass(frozen=True, slots=True)
class Method:
    """Runs that differ only in the seed.

    Attributes:
        seeds: run name to seed.
    """

    label: str
    config: Config
    seeds: Mapping[str, int]


def configuration(reader: LineageReader) -> tuple[str, str]:
    """A run's problem, and its latest session's configuration as JSON; both empty where the run has only just begun."""
    found = reader.sql("""
        SELECT problem, coalesce((
            SELECT detail->>'$.config' FROM events WHERE kind = 'resume' ORDER BY rowid DESC LIMIT 1
        ), config::VARCHAR) FROM runs
    """).rows
    return (found[0][0], found[0][1]) if found else ("", "")


def curve(reader: LineageReader, points: int) -> Table:
    """A run's progress in about `points` rows at most: columns tell, seconds (without pauses), usd, best, hypervolume.

    Best and dollars are those up to each tell.
    """
    ends = reader.sql("SELECT min(tell), max(tell) FROM indicators").rows[0]
    if ends[0] is None:
        return Table(CURVES, ())
    width = stride(ends[1] - ends[0], points)
    sampled = reader.sql(f"""
        WITH sample AS (
            SELECT s.tell, i.told_at, s.best, s.hypervolume FROM indicators s LEFT JOIN individuals i ON i.tell = s.tell
            WHERE s.tell % {width} = 0 OR s.tell = {ends[1]:d}
        ), timed AS (SELECT * REPLACE (coalesce(told_at, max(told_at) OVER (ORDER BY tell)) AS told_at) FROM sample),
        paid AS (
            SELECT t.tell, sum(c.cost_usd) AS usd FROM completions c ASOF JOIN timed t ON c.completed <= t.told_at
            GROUP BY t.tell
        )
        SELECT t.tell, epoch(t.told_at) - (SELECT epoch(min(started)) FROM runs) AS seconds,
            sum(coalesce(p.usd, 0)) OVER (ORDER BY t.tell) AS usd, t.best, t.hypervolume
        FROM timed t LEFT JOIN paid p ON p.tell = t.tell ORDER BY t.tell
    """)
    breaks = pauses(reader)
    rows = [
        (tell, None if seconds is None else seconds - _paused(breaks, seconds), *rest)
        for tell, seconds, *rest in sampled.rows
    ]
    return Table(CURVES, tuple(rows))


def references(reader: LineageReader) -> tuple[tuple[str, str, float | None], ...]:
    """Name and direction of each objective, and the reference point of the run's own hypervolume."""
    return tuple(
        reader.sql("""
            SELECT n.name, n.direction, r.value FROM objective_names n LEFT JOIN (
                SELECT name, last(value ORDER BY tell) AS value FROM reference_points GROUP BY name
            ) r ON r.name = n.name ORDER BY n.position
        """).rows
    )


def common(found: Iterable[Sequence[tuple[str, str, float | None]]]) -> tuple[tuple[str, str, float], ...]:
    """A reference point for all runs: for each objective the worst of their own; () where their objectives differ.

    Each run fixes its reference point by its own first individuals, so their own hypervolumes cannot be compared.
    """
    known = [run for run in found if run and all(value is not None for _, _, value in run)]
    if not known or len({tuple(objective[:2] for objective in run) for run in known}) > 1:
        return ()
    worst = {"min": max, "max": min}
    shared = []
    for column in zip(*known, strict=True):
        name, direction, _ = column[0]
        shared.append((name, direction, worst[direction](float(value or 0.0) for _, _, value in column)))
    return tuple(shared)


def hypervolumes(reader: LineageReader, reference: tuple[tuple[str, str, float], ...], points: int) -> Table:
    """A run's curve with the hypervolume of its front against a common reference point, at fewer points.

    By the values that fronts are compared by now; of fronts of more than MEMBERS the newest members.
    """
    known = curve(reader, points)
    same = [own[:2] for own in references(reader)] == [common[:2] for common in reference]
    if len(reference) > HYPERVOLUME_OBJECTIVES or not same or not known.rows:
        return Table(CURVES, ())
    costs = ", ".join(
        f"max(if(s.name = {quoted(name)}, {'-' if direction == 'max' else ''}s.compared, NULL))"
        for name, direction, _ in reference
    )
    members = reader.sql(f"""
        WITH moments AS (SELECT unnest({[row[0] for row in known.rows]}::BIGINT[]) AS after),
        members AS (
            SELECT m.after, f.individual FROM moments m JOIN front_moves f ON f.tell <= m.after
            GROUP BY ALL HAVING sum(if(f.entered, 1, -1)) > 0
        ), newest AS (
            FROM members m QUALIFY row_number() OVER (PARTITION BY m.after ORDER BY m.individual DESC) <= {MEMBERS}
        ), costs AS (SELECT s.individual, [{costs}] AS costs FROM scores s
            WHERE s.individual IN (SELECT individual FROM newest) GROUP BY s.individual
            HAVING count(*) = {len(reference)})
        SELECT m.after, list(c.costs) FROM newest m JOIN costs c USING (individual) GROUP BY m.after
    """)
    named = [Objective(name, cast(Direction, direction)) for name, direction, _ in reference]
    measure = Indicators(named, reference={name: value for name, _, value in reference})
    fronts = {after: measure.retell(np.array(costs, dtype=float)).hypervolume for after, costs in members.rows}
    return Table(CURVES, tuple((*row[:4], fronts.get(row[0])) for row in known.rows))


def _paused(breaks: Sequence[tuple[float, float]], seconds: float) -> float:
    return sum(length for ended, length in breaks if ended <= seconds)


def measured(reader: LineageReader, name: str, seed: int) -> Measured | str:
    """A run's result, or why there is none."""
    return measured_by(reader, "", Path(name), seed)


def methods(configs: Mapping[str, tuple[Path, str]]) -> tuple[list[Method], list[str]]:
    """Runs grouped by their method, and a sentence on each run that cannot be grouped.

    Args:
        configs: run name to its folder and its configuration as JSON.
    """
    parsed: dict[Path, Config] = {}
    names: dict[Path, str] = {}
    left_out = []
    for name, (folder, text) in configs.items():
        try:
            parsed[folder] = config_from_json(json.loads(text))
            names[folder] = name
        except (EvoError, ValueError) as error:
            left_out.append(f"{name}: {error}")
    groups = grouped(parsed)
    labels = labels_of([next(iter(group)) for group in groups]) if groups else []
    found = [
        Method(label, next(iter(group.values())), {names[folder]: config.seed for folder, config in group.items()})
        for label, group in zip(labels, groups, strict=True)
    ]
    return found, left_out


def differences(found: Sequence[Method]) -> Table:
    """The configuration keys in which methods differ: a row for each key, a column for each method."""
    first = found[0].config
    keys = list(dict.fromkeys(key for method in found[1:] for key in differing(first, method.config) if key != "seed"))
    values = [_values(method.config) for method in found]
    rows = [(key, *(_shown(of, key) for of in values)) for key in keys]
    return Table(("key", *(method.label for method in found)), tuple(rows), ("VARCHAR",) * (1 + len(found)))


def _values(config: Config) -> dict[str, Any]:
    return {key: value for key, value, _ in Loaded(config).values()}


def _shown(values: Mapping[str, Any], key: str) -> str:
    """A value; all values of a key that holds several (a mixture of operators)."""
    if key in values:
        return "none" if values[key] is None else str(values[key])
    inside = {name.removeprefix(f"{key}."): value for name, value in values.items() if name.startswith(f"{key}.")}
    return ", ".join(f"{name} {value}" for name, value in inside.items()) or "not set"


def comparison(found: Sequence[Method], results: Mapping[str, Measured | str]) -> tuple[Comparison | None, list[str]]:
    """The comparison that `evo compare` makes of the finished runs (or None), and sentences on runs left out."""
    left_out = [reason for reason in results.values() if isinstance(reason, str)]
    seen: dict[tuple[str, int], Measured] = {}
    for method in found:
        for run, seed in method.seeds.items():
            result = results[run]
            if isinstance(result, str):
                continue
            if (method.label, seed) in seen:
                left_out.append(f"{run}: {method.label} has a run with seed {seed} already")
            else:
                seen[method.label, seed] = replace(result, result=replace(result.result, method=method.label))
    if not seen:
        return None, left_out
    try:
        compared = Compared([method.label for method in found], list(seen.values()), left_out)
        return comparison_of(compared), left_out
    except ConfigError as error:
        return None, [*left_out, str(error)]


def points_each(runs: int) -> int:
    """How many points each run's curve may have, so that all runs fit a figure."""
    return max(FEWEST_POINTS, min(MOST_OF_A_RUN, POINTS // (2 * max(1, runs))))
