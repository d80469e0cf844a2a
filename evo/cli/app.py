"""The commands. Each imports what it needs when it is called, so that `evo --help` answers at once."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evo.cli import cluster
from evo.cli.arguments import ModelName, Overrides, Target, show_logs

if TYPE_CHECKING:
    from evo.engine.run import RunResult

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, as in runs/bin_packing-1.")]
RunDir = Annotated[Path, typer.Option(help="Where run folders are made.")]
Force = Annotated[bool, typer.Option("--force", help="Write over what is there.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from evo import __version__

        print(f"evo {__version__}")
        raise typer.Exit


@app.callback()
def main(
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Say more on stderr; -vv says all, libraries included.")
    ] = 0,
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Evolve programs, prompts, architectures and vectors; every ancestor is kept."""
    show_logs(verbose)


class Format(StrEnum):
    """How a table is written."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


class Export(StrEnum):
    """How a lineage is written as files."""

    parquet = "parquet"
    csv = "csv"
    json = "json"
    graphml = "graphml"
    html = "html"


class Kind(StrEnum):
    """What `list` lists."""

    problems = "problems"
    operators = "operators"
    survival = "survival"
    parents = "parents"
    selectors = "selectors"
    policies = "policies"
    executors = "executors"


@app.command()
def run(
    target: Target,
    overrides: Overrides = None,
    *,
    name: Annotated[str | None, typer.Option(help="Name of the run's folder.")] = None,
    run_dir: RunDir = Path("runs"),
    address: Annotated[str | None, typer.Option(help="Address of a Ray cluster.")] = None,
    model: ModelName = None,
    baseline: Annotated[str | None, typer.Option(metavar="NAME", help="A simpler search to measure against.")] = None,
    replay_from: Annotated[Path | None, typer.Option(metavar="RUN", help="Reuse this run's completions.")] = None,
) -> None:
    """Run a search to the end of its budget."""
    from evo.cli.progress import Progress
    from evo.cli.report import report
    from evo.config.loading import load_config
    from evo.engine.baselines import with_baseline
    from evo.engine.factories import reusable_from, with_access
    from evo.engine.run import run as run_search
    from evo.journal.folder import JOURNAL, existing_run_folder

    named = {"executor.address": address, "model.name": model}
    overrides = [*(overrides or []), *(f"{key}={value}" for key, value in named.items() if value)]
    loaded = with_access(load_config(target, overrides), os.environ)
    if baseline:
        loaded = replace(loaded, config=with_baseline(loaded.config, baseline, loaded.problem))
    reuse = reusable_from(existing_run_folder(replay_from) / JOURNAL) if replay_from else lambda digest: None
    folder = run_dir / name if name else None
    with Progress() as progress:
        result = run_search(
            loaded, folder, run_dir=run_dir, on_start=progress.begin, on_tell=progress.on_tell, reuse=reuse
        )
    report(result)
    _exit_if_nothing_evaluated(result)
    _exit_if_interrupted(result.reason)


@app.command()
def compare(
    targets: Annotated[
        list[str], typer.Argument(metavar="CONFIG|PROBLEM|RUN...", help="What to search, or runs that were made.")
    ],
    overrides: Overrides = None,
    *,
    method: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="evolve, or a baseline; again for several.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many runs of each method.")] = 5,
    name: Annotated[str | None, typer.Option(help="Name of the folder that holds the runs.")] = None,
    run_dir: RunDir = Path("runs"),
    model: ModelName = None,
    as_json: AsJson = False,
) -> None:
    """Measure a search against baselines, with the same seeds and budget; or compare runs that were made."""
    from evo.cli.compare import ComparisonRequest, compare_targets, report

    overrides = [*(overrides or []), *([f"model.name={model}"] if model else [])]
    compared = compare_targets(targets, ComparisonRequest(overrides, method or [], seeds, name, run_dir))
    report(compared, as_json=as_json)


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder; with --address, a run's name.")],
    overrides: Overrides = None,
    *,
    changed_problem: Annotated[
        bool, typer.Option("--changed-problem", help="Even where the problem's code or data changed.")
    ] = False,
    address: cluster.MaybeAddress = None,
    env: cluster.Variables = None,
    run_dir: cluster.FarRunDir = cluster.FAR_RUN_DIR,
    wait: cluster.Wait = False,
) -> None:
    """Go on with a run that was interrupted, or further with a finished run; with --address, on a cluster."""
    from evo.cli.progress import Progress
    from evo.cli.report import report
    from evo.engine.run import resume as resume_search

    if address:
        cluster.resume(str(run), overrides, address=address, env=env, run_dir=run_dir, wait=wait)
    cluster.check_without_address(env=env, run_dir=run_dir, wait=wait)
    with Progress() as progress:
        result = resume_search(
            run,
            overrides or [],
            changed_problem=changed_problem,
            on_start=progress.begin,
            on_tell=progress.on_tell,
        )
    report(result)
    _exit_if_interrupted(result.reason)


@app.command()
def replay(run: RunArgument) -> None:
    """Repeat a recorded search from its completions, at no cost, and say whether it comes out the same."""
    from evo.engine.setup import prepare
    from evo.engine.verify import repeat
    from evo.journal.folder import JOURNAL, existing_run_folder
    from evo.journal.inheritance import inherited_by
    from evo.journal.replay import latest_config

    journal = existing_run_folder(run) / JOURNAL
    setup = prepare(latest_config(journal), inheritance=inherited_by(journal))
    repeated = repeat(journal, setup)
    used = repeated.replayed.used
    print(f"{run}: {setup.search.count_told} evaluations replayed, {repeated.same} proposals the same, 0 dollars")
    print(f"the run itself: {used.calls} completions, {used.tokens} tokens, {used.usd:.6g} dollars")
    for name, best in setup.search.best.items():
        print(f"best {name}: {best.evaluation.objectives[name]:.10g}, individual {best.id}")
    for ask, (recorded, came) in repeated.different.items():
        print(f"ask {ask} came out otherwise: recorded {recorded}, now {came}")
    raise typer.Exit(1 if repeated.different else 0)


@app.command()
def check(target: Target, overrides: Overrides = None, *, model: ModelName = None) -> None:
    """Say what a run would do, without running it: its configuration, its seed, its sandbox, what it would cost.

    Exit code 1 where the seed fails or a model does not answer.
    """
    from evo.cli.check import check as check_target

    if not check_target(target, [*(overrides or []), *([f"model.name={model}"] if model else [])]):
        raise typer.Exit(1)


@app.command()
def evaluate(
    target: Target,
    file: Annotated[Path, typer.Argument(help="A program, or a genome as JSON.")],
    overrides: Overrides = None,
    *,
    holdout: Annotated[bool, typer.Option("--holdout", help="On the hold-out part.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score a genome file as a run would. Exit code 1 where it fails."""
    from evo.cli.check import evaluate_file, print_evaluation
    from evo.config.loading import load_config

    evaluation = asyncio.run(
        evaluate_file(load_config(target, overrides or []), file, "holdout" if holdout else "train")
    )
    print_evaluation(evaluation, as_json=as_json)
    raise typer.Exit(0 if evaluation.outcome == "ok" else 1)


@app.command()
def top(run: RunArgument, count: Annotated[int, typer.Option(min=1, help="How many.")] = 10) -> None:
    """The best individuals of a run, by its first objective."""
    from evo.cli.tables import print_table
    from evo.lineage import open_run
    from evo.lineage.queries import top as query
    from evo.lineage.remarks import remarks

    with open_run(run).at_once() as reader:
        print_table(query(reader, count), "table")
        for remark in remarks(reader):
            print(f"\n{remark}")


@app.command()
def show(run: RunArgument, individual: Annotated[int, typer.Argument(metavar="ID")]) -> None:
    """An individual: genome, objectives, parents, and how it differs from its base."""
    from evo.cli.show import show as show_individual
    from evo.lineage import open_run

    show_individual(open_run(run), individual)


@app.command()
def lineage(
    run: RunArgument,
    individual: Annotated[int, typer.Argument(metavar="ID")],
    generations: Annotated[int, typer.Option(min=0, help="How far to go back.")] = 12,
) -> None:
    """The ancestors of an individual as a tree: the operator of each, its objectives, and what changed."""
    from evo.cli.lineage import show_lineage
    from evo.lineage import open_run

    show_lineage(open_run(run), individual, generations)


@app.command()
def analyse(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, as in runs/bin_packing-1.")],
    target: Annotated[
        list[float] | None, typer.Option(metavar="VALUE", help="Of the first objective, to reach; again for several.")
    ] = None,
    best: Annotated[int | None, typer.Option(min=1, help="The winners are so many of the best, not the front.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """What a run can teach: cost per improvement, yields, time to target, lineages, what winners come from."""
    from evo.cli.analyse import Question
    from evo.cli.analyse import analyse as analyse_runs

    analyse_runs(runs, Question(target or [], best), as_json=as_json)


@app.command()
def sql(
    run: RunArgument,
    query: Annotated[str, typer.Argument(help='As in: "FROM best_so_far".')],
    format: Annotated[Format, typer.Option(help="How the answer is written.")] = Format.table,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Into this file instead of the terminal.")] = None,
    *,
    force: Force = False,
) -> None:
    """Query a run's lineage, during the run or after it."""
    from evo.cli.export import answer
    from evo.lineage import open_run

    answer(open_run(run), query, format.value, to=to, force=force)


@app.command()
def export(
    run: RunArgument,
    to: Annotated[Path, typer.Option(metavar="PATH", help="A folder for parquet and csv, else a file.")],
    format: Annotated[
        Export | None,
        typer.Option(help="Tables (parquet without a word), a single document, the graph of parents, a page."),
    ] = None,
    *,
    html: Annotated[
        bool, typer.Option("--html", help="A page with the dashboard's figures; as --format html.")
    ] = False,
    force: Force = False,
) -> None:
    """Write a run's lineage as files for other programs, or as a page for people, during the run or after it."""
    from evo.cli.export import chosen, size
    from evo.cli.export import export as export_run
    from evo.lineage import open_run

    files = export_run(open_run(run), chosen(format.value if format else None, html=html), to, force=force)
    print(f"{to}: {files} files" if files > 1 else f"{to}: written, {size(to)}")


@app.command()
def snapshot(
    run: RunArgument,
    to: Annotated[
        Path, typer.Argument(metavar="TO", help="A file, or a folder in which it gets the run's name.")
    ] = Path(),
    *,
    force: Force = False,
) -> None:
    """Copy a run's lineage, during the run or after it, to query it for any length of time."""
    from evo.lineage import open_run

    copy = open_run(run).snapshot(to, force=force)
    individuals = copy.sql("SELECT count(*) FROM individuals").scalar()
    print(f"{copy.path}: {individuals} individuals, {copy.path.stat().st_size / 1e6:.1f} MB")


@app.command()
def index(run: RunArgument) -> None:
    """Rebuild the lineage database from the journal."""
    from evo.journal.folder import existing_run_folder, locked
    from evo.lineage import rebuild

    existing_run_folder(run)
    with locked(run):
        events = rebuild(run)
    print(f"{events} events of {run} indexed")


@app.command()
def status(run: RunArgument) -> None:
    """Run status, during it and after: process, progress, the best, dollars, rate, what is in flight."""
    from evo.cli.status import status as show_status

    show_status(run)


@app.command()
def doctor(run: RunArgument) -> None:
    """Check a run's folder: what is wrong, and how to mend it. Exit code 1 where something is."""
    from evo.cli.doctor import doctor as examine

    raise typer.Exit(0 if examine(run) else 1)


@app.command()
def dashboard(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="RUN...", help="Run folders, or folders of runs; runs/ without any.")
    ] = None,
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="On this machine only.")] = 8501,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in a browser.")] = True,
) -> None:
    """Watch runs in a browser, while they go on and after."""
    from evo.cli.dashboard import serve

    serve(runs or [], port=port, browser=browser)


@app.command(name="list")
def list_names(kind: Kind) -> None:
    """Registered names, with a sentence on each."""
    from evo.cli.list import list_names as print_names

    print_names(kind.value)


@app.command()
def serve_scripted(
    rule: Annotated[str, typer.Option(help="How it answers; an unknown name lists the known.")] = "constant_jitter",
    fault: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="As in hang=0.05.")] = None,
    *,
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    key: Annotated[str | None, typer.Option(help="The key that callers must have.")] = None,
) -> None:
    """Serve a scripted model (a simulation, no language model) behind an OpenAI-compatible address."""
    import importlib

    # By name: the engine may not know its siblings.
    scripted = importlib.import_module("operators.scripted")
    faults = scripted.Faults.parsed(fault or [])
    server = scripted.ScriptedServer(scripted.find_rule(rule), faults, seed=seed, require_key=key)
    scripted.serve(server, host="127.0.0.1", port=port)


for _command in (cluster.submit, cluster.jobs, cluster.stop, cluster.fetch):
    app.command()(_command)


def _exit_if_nothing_evaluated(result: RunResult) -> None:
    """Where no proposal at all came to anything, something is wrong that a script should notice."""
    search = result.search
    if result.reason == "exhausted" and search.count_told <= search.settings.seeds:
        raise typer.Exit(1)


def _exit_if_interrupted(reason: str) -> None:
    if reason == "interrupted":
        print("interrupted; what was under way is recorded, and `evo resume` goes on", file=sys.stderr)
        raise typer.Exit(130)
