"""Comparing methods of search over seeds: medians, gains with a confidence interval, and what has to be said of them.

Pure: values in, values out; no file, no database.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from scipy import stats

from evo.config.loading import Loaded
from evo.config.schema import Config
from evo.values import Objective

REFERENCE, OWN = "best_of_n", "evolve"
CONFIDENCE = 0.95
FEWEST_SEEDS = 3
UNEQUAL = 0.05
TRAIN = "train"
EARLY: Mapping[str, str] = {
    "exhausted": "ended early: the operators found nothing new any more",
    "wall": "ended early: the time was used up",
}


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run.

    Attributes:
        train: best value of the first objective.
        final: that individual's value on the last final part; None where it was not measured.
        evaluations: how many genomes were evaluated.
        usd: what all its completions cost.
        reason: why it ended, as a journal says it.
    """

    method: str
    seed: int
    train: float
    final: float | None
    evaluations: int
    usd: float
    reason: str = "budget"


@dataclass(frozen=True, slots=True)
class Summary:
    """A method over its seeds.

    Attributes:
        train: median over seeds.
        final: median over the seeds where it was measured; None where it never was.
        evaluations: mean over seeds.
        usd: mean over seeds.
    """

    method: str
    seeds: tuple[int, ...]
    train: float
    final: float | None
    evaluations: float
    usd: float


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better a method does than another, over the seeds that both ran with.

    Attributes:
        part: "train", or the final part.
        mean: of the differences, in the objective's unit; above 0 the method is better, whatever the direction.
        percent: the mean, in percent of the other's mean; None where that is 0.
        interval: which covers the true mean with 95 % confidence; None where none can be given.
        without: why there is no interval; empty where there is an interval.
        won: seeds with which the method came out better.
    """

    method: str
    over: str
    part: str
    mean: float
    percent: float | None
    interval: tuple[float, float] | None
    without: str
    won: int
    lost: int
    tied: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Methods side by side.

    Attributes:
        part: the last final part; None where there is none.
        remarks: sentences that qualify the figures.
    """

    objective: Objective
    part: str | None
    summaries: tuple[Summary, ...]
    gains: tuple[Gain, ...]
    remarks: tuple[str, ...]


def compare(results: Sequence[Result], methods: Sequence[str], objective: Objective, *, part: str | None) -> Comparison:
    """Summaries of the methods in the given order, and gains over the reference; the order of runs does not matter.

    Args:
        methods: in the order to show; those without a result are left out.
        part: on which `Result.final` was measured.
    """
    by_method = {method: {result.seed: result for result in results if result.method == method} for method in methods}
    found = {method: dict(sorted(runs.items())) for method, runs in by_method.items() if runs}
    summaries = tuple(_summary(method, list(runs.values())) for method, runs in found.items())
    reference = reference_of(list(found))
    others = [method for method in found if method != reference] if reference else []
    gains = [_gains(found[method], found[str(reference)], objective, part) for method in others]
    remarks = [*_unpaired(found, reference), *_early(list(found.values())), *_unequal(summaries)]
    return Comparison(
        objective, part, summaries, tuple(gain for of_method in gains for gain in of_method), tuple(remarks)
    )


def reference_of(methods: Sequence[str]) -> str | None:
    """The method that the others are compared with: best of n, or the first that is not the user's own search."""
    if REFERENCE in methods:
        return REFERENCE
    return next((method for method in methods if method != OWN), None) if len(methods) > 1 else None


def paired_gain(values: Sequence[float], others: Sequence[float], objective: Objective) -> dict[str, Any]:
    """The fields of a `Gain` that follow from values of two methods, in the same order of seeds, at least 1.

    Source: Student's t interval of the mean of paired differences.
    """
    # 0.0 is added so that a tie is 0 and never -0.
    differences = [objective.sign * (other - value) + 0.0 for value, other in zip(values, others, strict=True)]
    mean, base = fmean(differences), abs(fmean(others))
    scale = max(map(abs, (*values, *others)))
    interval, without = _interval(differences, mean, scale)
    won, lost = sum(difference > 0 for difference in differences), sum(difference < 0 for difference in differences)
    return {
        "mean": mean,
        "percent": 100 * mean / base if base else None,
        "interval": interval,
        "without": without,
        "won": won,
        "lost": lost,
        "tied": len(differences) - won - lost,
    }


def grouped(configs: Mapping[Path, Config]) -> list[dict[Path, Config]]:
    """Runs grouped by method: the same but for the seed, where they ran, and the number of evaluations.

    That number distinguishes methods only where a seed would come twice otherwise: a method without a model gets as
    many evaluations as another method made with the same seed.
    """
    groups = []
    for group in _split(configs, by_length=False):
        seeds = [config.seed for config in group.values()]
        groups += _split(group, by_length=True) if len(set(seeds)) < len(seeds) else [group]
    return groups


def _split(configs: Mapping[Path, Config], *, by_length: bool) -> list[dict[Path, Config]]:
    groups: dict[str, dict[Path, Config]] = {}
    for folder, config in configs.items():
        values = config.model_dump(exclude={"seed": True, "executor": True})
        if not by_length:
            del values["budget"]["evaluations"]
        groups.setdefault(json.dumps(values, sort_keys=True), {})[folder] = config
    return list(groups.values())


def labels_of(folders: Sequence[Path]) -> list[str]:
    """A name for each group by any of its folders: the shortest that is unique."""
    stems = [re.sub(r"-\d+$", "", folder.name) for folder in folders]
    nested = [f"{folder.resolve().parent.name}/{stem}" for folder, stem in zip(folders, stems, strict=True)]
    forms = (stems, nested, [folder.name for folder in folders], [str(folder) for folder in folders])
    return next(form for form in forms if len(set(form)) == len(form))


def differing(config: Config, other: Config) -> list[str]:
    """Dotted keys in which two configurations differ; the executor does not count."""
    values = [{key: value for key, value, _ in Loaded(each).values()} for each in (config, other)]
    keys = dict.fromkeys((*values[0], *values[1]))
    unlike = [key for key in keys if values[0].get(key) != values[1].get(key) and not key.startswith("executor.")]
    return list(dict.fromkeys("search.operators" if key.startswith("search.operators") else key for key in unlike))


def _interval(differences: Sequence[float], mean: float, scale: float) -> tuple[tuple[float, float] | None, str]:
    """The interval of the mean, or why there is none.

    Args:
        scale: largest magnitude that was subtracted; what is 1e-12 of it is rounding.
    """
    count = len(differences)
    if count < FEWEST_SEEDS:
        return None, f"no interval from {count} seed{'s' * (count > 1)}; {FEWEST_SEEDS} are the fewest"
    if max(differences) - min(differences) <= 1e-12 * scale:
        return None, "no interval: the difference is the same with every seed"
    error = math.hypot(*(difference - mean for difference in differences)) / math.sqrt((count - 1) * count)
    half = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
    return (mean - half, mean + half), ""


def _summary(method: str, runs: Sequence[Result]) -> Summary:
    finals = [run.final for run in runs if run.final is not None]
    return Summary(
        method,
        tuple(run.seed for run in runs),
        median(run.train for run in runs),
        median(finals) if finals else None,
        fmean(run.evaluations for run in runs),
        fmean(run.usd for run in runs),
    )


def _gains(
    runs: Mapping[int, Result], others: Mapping[int, Result], objective: Objective, part: str | None
) -> list[Gain]:
    """Of a method over another: on the train part, and on the final one where both were measured there."""
    pairs = [(runs[seed], others[seed]) for seed in runs if seed in others]
    trains = [(run.train, other.train) for run, other in pairs]
    finals = [(run.final, other.final) for run, other in pairs if run.final is not None and other.final is not None]
    gains = []
    for name, measured in ((TRAIN, trains), (part, finals)):
        if name and measured:
            first, second = zip(*measured, strict=True)
            fields = paired_gain(first, second, objective)
            gains.append(Gain(pairs[0][0].method, pairs[0][1].method, name, **fields))
    return gains


def _unpaired(found: Mapping[str, Mapping[int, Result]], reference: str | None) -> list[str]:
    if reference is None:
        return ["a single method has no gain; name another to compare it with"] if found else []
    remarks = []
    for method, runs in found.items():
        alone = sorted(runs.keys() ^ found[reference].keys())
        if alone:
            seeds = f"seed{'s' * (len(alone) > 1)} {', '.join(map(str, alone))}"
            remarks.append(f"{seeds}: not in the gain of {method}, since {method}'s or {reference}'s run is missing")
    return remarks


def _early(methods: Sequence[Mapping[int, Result]]) -> list[str]:
    remarks = []
    for runs in methods:
        reasons = Counter(run.reason for run in runs.values())
        method = next(iter(runs.values())).method
        remarks += [
            f"{count} of {len(runs)} runs of {method} {EARLY[reason]}"
            for reason, count in sorted(reasons.items())
            if reason in EARLY
        ]
    return remarks


def _unequal(summaries: Sequence[Summary]) -> list[str]:
    """Whether all spent the same: dollars where they spend dollars, evaluations where some do not."""
    payers = [summary for summary in summaries if summary.usd]
    free = [summary.method for summary in summaries if not summary.usd]
    remarks = []
    if payers and _differ([summary.usd for summary in payers]):
        spent = ", ".join(f"{summary.method} ${summary.usd:.4g}" for summary in payers)
        remarks.append(
            f"unequal spending, in the mean: {spent}; set budget.usd low enough to end every run, "
            "and budget.evaluations high enough not to"
        )
    made = ", ".join(f"{summary.method} {summary.evaluations:.6g}" for summary in summaries)
    if payers and free:
        remarks.append(f"{_listed(free)} spent no dollars, so evaluations count; in the mean: {made}")
    elif free and _differ([summary.evaluations for summary in summaries]):
        remarks.append(f"unequal numbers of evaluations, in the mean: {made}")
    return remarks


def _differ(amounts: Sequence[float]) -> bool:
    return max(amounts) - min(amounts) > UNEQUAL * max(amounts)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
