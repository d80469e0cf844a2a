"""Runs side by side: which of them are one method, in what methods differ, how they went, and what each gains."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from dashboard.queries.history import objectives
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
# Of all runs together; each is drawn once, and its method's band over it.
POINTS = 3000
FEWEST_POINTS, MOST_OF_A_RUN = 40, 200
FRONTS, MEMBERS = 40, 1000
CURVES = ("tell", "seconds", "usd", "best", "hypervolume")


@dataclass(frozen=True, slots=True)
class Method:
    """Runs that differ in the seed alone.

    Attributes:
        seeds: by the name of the run.
    """

    label: str
    config: Config
    seeds: Mapping[str, int]


def configuration(reader: LineageReader) -> tuple[str, str]:
    """A run's problem, and the configuration of its latest session as JSON; both empty for one that has just begun."""
    found = reader.sql("""
        SELECT problem, coalesce((
            SELECT detail->>'$.config' FROM events WHERE kind = 'resume' ORDER BY rowid DESC LIMIT 1
        ), config::VARCHAR) FROM runs
    """).rows
    return (found[0][0], found[0][1]) if found else ("", "")


def first_objective(reader: LineageReader) -> tuple[str, str, str] | None:
    """Name, direction and unit of the objective that runs are compared by."""
    named = objectives(reader)
    return named[0] if named else None


def curve(reader: LineageReader, points: int) -> Table:
    """How a run went, at most twice as many points: columns tell, seconds (pauses left out), usd, best, hypervolume.

    Best and dollars are what they had come to after each tell.
    """
    ends = reader.sql("SELECT min(tell), max(tell) FROM indicators").rows[0]
    if ends[0] is None:
        return Table(CURVES, ())
    width = 1 << max(0, (ends[1] - ends[0]) // max(1, points)).bit_length()
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
    pauses = _pauses(reader)
    rows = [
        (tell, None if seconds is None else seconds - _paused(pauses, seconds), *rest)
        for tell, seconds, *rest in sampled.rows
    ]
    return Table(CURVES, tuple(rows))


def references(reader: LineageReader) -> tuple[tuple[str, str, float | None], ...]:
    """Name and direction of each objective, and what the run's own hypervolume is measured against."""
    return tuple(
        reader.sql("""
            SELECT n.name, n.direction, r.value FROM objective_names n LEFT JOIN (
                SELECT name, last(value ORDER BY tell) AS value FROM reference_points GROUP BY name
            ) r ON r.name = n.name ORDER BY n.position
        """).rows
    )


def common(found: Iterable[Sequence[tuple[str, str, float | None]]]) -> tuple[tuple[str, str, float], ...]:
    """What all runs are measured against: for each objective the worst of their own; () where they have none in common.

    Each run fixes its reference by its own first individuals, so their own hypervolumes say nothing of each other.
    """
    known = [one for one in found if one and all(value is not None for _, _, value in one)]
    if not known or len({tuple(of[:2] for of in one) for one in known}) > 1:
        return ()
    worst = {"min": max, "max": min}
    columns = zip(*known, strict=True)
    return tuple((of[0][0], of[0][1], worst[of[0][1]](float(one[2] or 0.0) for one in of)) for of in columns)


def hypervolumes(reader: LineageReader, reference: tuple[tuple[str, str, float], ...], points: int) -> Table:
    """A run's curve with the hypervolume of its front against a common reference, at fewer points.

    By the values that fronts are compared by now; of fronts of more than MEMBERS the newest ones.
    """
    known = curve(reader, points)
    alike = [one[:2] for one in references(reader)] == [one[:2] for one in reference]
    if len(reference) > HYPERVOLUME_OBJECTIVES or not alike or not known.rows:
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
    fronts = {after: measure.replace_front(np.array(costs, dtype=float)).hypervolume for after, costs in members.rows}
    return Table(CURVES, tuple((*row[:4], fronts.get(row[0])) for row in known.rows))


def _pauses(reader: LineageReader) -> list[tuple[float, float]]:
    """When each further session began, in seconds since the run's start, and how long nothing ran before it."""
    started = reader.sql("SELECT epoch(min(started)) FROM runs").scalar()
    pauses = []
    for (back,) in reader.sql("SELECT happened FROM events WHERE kind = 'resume' ORDER BY happened").rows:
        since, away = reader.sql(
            "SELECT epoch($1), epoch($1 - greatest((SELECT max(told_at) FROM individuals WHERE told_at < $1), "
            "(SELECT max(happened) FROM events WHERE happened < $1), (SELECT min(started) FROM runs)))",
            [back],
        ).rows[0]
        pauses.append((since - started, max(0.0, away or 0.0)))
    return pauses


def _paused(pauses: Sequence[tuple[float, float]], seconds: float) -> float:
    return sum(away for since, away in pauses if since <= seconds)


def measured(reader: LineageReader, name: str, seed: int) -> Measured | str:
    """What a run came to, or why there is no result."""
    return measured_by(reader, "", Path(name), seed)


def methods(configs: Mapping[str, tuple[Path, str]]) -> tuple[list[Method], list[str]]:
    """Runs put together by their method, and sentences on those that cannot be.

    Args:
        configs: by the name of a run its folder, and its configuration as JSON.
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
    """The configuration in which methods differ, a row a key and a column a method; what is alike is left out."""
    first = found[0].config
    keys = list(dict.fromkeys(key for one in found[1:] for key in differing(first, one.config) if key != "seed"))
    values = [_values(one.config) for one in found]
    rows = [(key, *(_shown(of, key) for of in values)) for key in keys]
    return Table(("key", *(one.label for one in found)), tuple(rows), ("VARCHAR",) * (1 + len(found)))


def _values(config: Config) -> dict[str, Any]:
    return {key: value for key, value, _ in Loaded(config).values()}


def _shown(values: Mapping[str, Any], key: str) -> str:
    """A value; of a key that stands for several (a mixture of operators), all of them."""
    if key in values:
        return "none" if values[key] is None else str(values[key])
    inside = {one.removeprefix(f"{key}."): value for one, value in values.items() if one.startswith(f"{key}.")}
    return ", ".join(f"{name} {value}" for name, value in inside.items()) or "not set"


def comparison(found: Sequence[Method], results: Mapping[str, Measured | str]) -> tuple[Comparison | None, list[str]]:
    """What the finished runs came to, as `evo compare` has it, and sentences on what is left out; None without any."""
    left_out = [one for one in results.values() if isinstance(one, str)]
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
        compared = Compared([one.label for one in found], list(seen.values()), left_out)
        return comparison_of(compared), left_out
    except ConfigError as error:
        return None, [*left_out, str(error)]


def points_each(runs: int) -> int:
    """How many points a run's curve may have, so that all of them fit a figure."""
    return max(FEWEST_POINTS, min(MOST_OF_A_RUN, POINTS // (2 * max(1, runs))))
