"""`evo compare`: methods run with the same seeds and budgets, or runs that are there already, side by side."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Literal

from evo.analysis.comparison import OWN, Comparison, Gain, Result, differing
from evo.analysis.results import Compared, Measured, comparison_of, existing, goal, measured_run
from evo.cli.tables import lines
from evo.config.loading import Loaded, config_from_json, load_config
from evo.config.schema import Config
from evo.engine.baselines import BASELINES, with_baseline
from evo.engine.factories import with_access
from evo.engine.run import resume, run
from evo.engine.setup import prepare
from evo.errors import ConfigError, EvoError, RunFolderError, StoppedError, UnknownNameError, unknown
from evo.journal.folder import JOURNAL, locked
from evo.journal.log import cut_torn_line, read_events
from evo.journal.replay import latest_config
from evo.lineage import Table
from evo.lineage.live import LiveLineage

DEFAULT_METHODS = (OWN, "best_of_n")


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """What to run.

    Attributes:
        seeds: how many, from the configuration's own upwards.
        name: of the folder in run_dir that holds the runs; None takes the problem's.
    """

    overrides: Sequence[str]
    methods: Sequence[str]
    seeds: int
    name: str | None
    run_dir: Path


def compare_targets(targets: Sequence[str], wanted: ComparisonRequest) -> Compared:
    """Run what is wanted, or take the runs that the targets are.

    Raises:
        ConfigError: targets of both kinds, several configurations, or settings for runs that are over.
        StoppedError: interrupted; the same call goes on.
    """
    runs = [Path(target) for target in targets if (Path(target) / JOURNAL).is_file()]
    others = [Path(target) for target in targets if Path(target) not in runs]
    if runs and all(other.is_dir() for other in others):
        if wanted.overrides or wanted.methods:
            raise ConfigError("these are runs that were made: --set, --model and --method have no use here")
        compared = existing(runs)
        return replace(compared, left_out=[*compared.left_out, *(f"{other} holds no run" for other in others)])
    if len(targets) > 1:
        raise ConfigError(
            "name a single configuration or problem, or run folders only; `evo compare TARGET` runs methods"
        )
    return _run_all(targets[0], wanted)


def report(compared: Compared, *, as_json: bool) -> None:
    """Print a comparison.

    Raises:
        ConfigError: the runs have different first objectives, or none came to a result.
    """
    comparison = comparison_of(compared)
    if as_json:
        shown = {**asdict(comparison), "left_out": list(compared.left_out)}
        print(json.dumps(shown, ensure_ascii=False, indent=1))
    else:
        print(
            "\n".join(
                [*_shown(comparison), *comparison.remarks, *(f"left out: {sentence}" for sentence in compared.left_out)]
            )
        )


def _run_all(target: str, wanted: ComparisonRequest) -> Compared:
    loaded = with_access(load_config(target, wanted.overrides), os.environ)
    config = loaded.config
    configs = {method: _of_method(loaded, method) for method in wanted.methods or DEFAULT_METHODS}
    place = wanted.run_dir / (wanted.name or f"{config.problem.name.rpartition(':')[2]}-compare")
    # Those without a model come last for each seed: they get as many evaluations as the dollars of the others bought.
    ordered = sorted(configs.items(), key=lambda method: method[1].model.name is None)
    plan = [(seed, *method) for seed in range(config.seed, config.seed + wanted.seeds) for method in ordered]
    outcomes: list[Measured | str] = []
    for number, (seed, method, own) in enumerate(plan, 1):
        folder = place / f"{method}-{seed}"
        print(f"{number} of {len(plan)}, {folder}: ", end="", flush=True, file=sys.stderr)
        done = [outcome.result for outcome in outcomes if isinstance(outcome, Measured) and outcome.result.seed == seed]
        outcome, note = _outcome(_matched(own.model_copy(update={"seed": seed}), config, done), method, folder)
        print(_shown_outcome(outcome) + note, file=sys.stderr)
        outcomes.append(outcome)
    measured = [outcome for outcome in outcomes if isinstance(outcome, Measured)]
    return Compared(list(configs), measured, [outcome for outcome in outcomes if isinstance(outcome, str)])


def _matched(own: Config, users: Config, done: Sequence[Result]) -> Config:
    """A method's configuration; what asks no model where the user's does gets the evaluations that another made."""
    if own.model.name is not None or users.model.name is None or not done:
        return own
    return own.model_copy(update={"budget": own.budget.model_copy(update={"evaluations": done[0].evaluations})})


def _outcome(config: Config, method: str, folder: Path) -> tuple[Measured | str, str]:
    try:
        note = _carried_on(config, folder)
    except EvoError:
        print("stopped", file=sys.stderr)
        raise
    return measured_run(method, folder, config.seed), note


def _of_method(loaded: Loaded, method: str) -> Config:
    """A method's configuration, tried, with its operators stated."""
    known = {OWN: None, **BASELINES}
    if method not in known:
        raise UnknownNameError(unknown("method", method, known))
    changed = loaded.config if method == OWN else with_baseline(loaded.config, method, loaded.problem)
    return prepare(changed, loaded.problem).config


def _carried_on(config: Config, folder: Path) -> str:
    """Bring a run to its end, from wherever it stands; a note where an earlier call had begun it.

    Raises:
        StoppedError: interrupted.
        RunFolderError: it was made with another configuration.
    """
    status = _status(folder)
    if status == "new":
        result = run(config, folder)
    else:
        _check_another(config, folder)
        if status == "finished":
            with locked(folder):
                LiveLineage(folder).close()  # it may have died between the journal's last event and the lineage's
            return ", finished before"
        result = resume(folder)
    if result.reason == "interrupted":
        raise StoppedError("what was under way is recorded; the same `evo compare` goes on from here")
    return ", resumed" if status == "begun" else ""


def _status(folder: Path) -> Literal["new", "begun", "finished"]:
    journal, latest = folder / JOURNAL, None
    if journal.exists():
        latest = max(read_events(journal), key=itemgetter(0), default=(0, None))[1]
        if latest is None:
            cut_torn_line(journal)
    if latest is None:
        return "new"
    return "finished" if latest["event"] == "stop" and latest["reason"] != "interrupted" else "begun"


def _check_another(config: Config, folder: Path) -> None:
    recorded = latest_config(folder / JOURNAL)
    wanted = config_from_json(json.loads(json.dumps(config.model_dump())))
    if others := differing(recorded, wanted):
        raise RunFolderError(
            f"{folder} was made with another {', '.join(others)}; choose another --name, or go back to the old settings"
        )


def _shown_outcome(outcome: Measured | str) -> str:
    if isinstance(outcome, str):
        return "failed"
    result, objective = outcome.result, outcome.objective
    return f"{result.evaluations} evaluations, ${result.usd:.4g}, best {objective.name} {result.train:.6g}"


def _shown(comparison: Comparison) -> Iterator[str]:
    objective, part = comparison.objective, comparison.part
    value = f"{objective.name} {objective.unit}".strip()
    finals = [f"{part} {value}"] if part else []
    columns = ("method", "seeds", f"train {value}", *finals, "evaluations", "dollars")
    rows = [
        (
            method.method,
            len(method.seeds),
            method.train,
            *([method.final] if part else []),
            method.evaluations,
            method.usd,
        )
        for method in comparison.summaries
    ]
    yield f"best of each run, {goal(objective)}: median over seeds; evaluations and dollars: mean over seeds\n"
    yield from lines(Table(columns, tuple(rows)))
    if comparison.gains:
        unit = f" in {objective.unit}" if objective.unit else ""
        yield f"\ngain over {comparison.gains[0].over}{unit} (above 0 is better), mean over the same seeds\n"
        yield from lines(_gains(comparison.gains))
    yield ""


def _gains(gains: Sequence[Gain]) -> Table:
    columns = ("method", "part", "gain", "%", "95 % confidence interval", "won", "lost", "tied")
    rows = [
        (gain.method, gain.part, gain.mean, gain.percent, _interval(gain), gain.won, gain.lost, gain.tied)
        for gain in gains
    ]
    return Table(columns, tuple(rows))


def _interval(gain: Gain) -> str:
    return "{:.6g} to {:.6g}".format(*gain.interval) if gain.interval else gain.without
