"""The commands for runs on a cluster; their work is in `cluster/jobs`, found by name, as no sibling is known here."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from evo.cli.arguments import ModelName, Overrides, Target
from evo.errors import UserError

FAR_RUN_DIR = "~/runs"

_WHERE = "Of a head's dashboard, as in http://HEAD:8265."
Address = Annotated[str, typer.Option(envvar="RAY_API_SERVER_ADDRESS", metavar="URL", help=_WHERE)]
MaybeAddress = Annotated[str | None, typer.Option(metavar="URL", help=_WHERE)]
RunName = Annotated[str, typer.Argument(metavar="NAME", help="Of a run on the cluster.")]
FarRunDir = Annotated[str, typer.Option("--run-dir", help="Where run folders lie on the head.")]
Variables = Annotated[
    list[str] | None,
    typer.Option("--env", metavar="NAME", help="Environment variable for the driver alone; again for several."),
]
Wait = Annotated[bool, typer.Option("--wait", help="Show its log until it ends.")]


def submit(
    target: Target,
    overrides: Overrides = None,
    *,
    address: Address,
    name: Annotated[str | None, typer.Option(help="Of the run; by default the problem's and the time.")] = None,
    env: Variables = None,
    model: ModelName = None,
    run_dir: FarRunDir = FAR_RUN_DIR,
    wait: Wait = False,
) -> None:
    """Run a search on a Ray cluster: its driver goes to the head, and on without this machine."""
    overrides = [*(overrides or []), *([f"model.name={model}"] if model else [])]
    how = {"address": address, "name": name, "run_dir": run_dir, "variables": env or [], "wait": wait}
    raise typer.Exit(_verbs().submit(target, overrides, **how))


def resume(
    run: str, overrides: list[str] | None, *, address: str, env: list[str] | None, run_dir: str, wait: bool
) -> NoReturn:
    """Go on with a run whose folder is on a cluster's head."""
    how = {"address": address, "run_dir": run_dir, "variables": env or [], "wait": wait}
    raise typer.Exit(_verbs().resume(run, overrides or [], **how))


def check_without_address(*, env: list[str] | None, run_dir: str, wait: bool) -> None:
    """Raises UserError: an option means nothing where the run is here."""
    named = [("--env", env), ("--run-dir", run_dir != FAR_RUN_DIR), ("--wait", wait)]
    for option, is_given in named:
        if is_given:
            raise UserError(f"{option} goes with --address, of a cluster on whose head the run is; without, it is here")


def jobs(
    *,
    address: Address,
    log: Annotated[str | None, typer.Option(metavar="NAME", help="Show this run's log until it ends.")] = None,
) -> None:
    """Runs that were submitted to a cluster: name, problem, status, since when, where."""
    from evo.cli.tables import print_table

    if log:
        raise typer.Exit(_verbs().log(log, address))
    print_table(_verbs().jobs(address), "table")


def stop(run: RunName, *, address: Address) -> None:
    """Stop a run on a cluster: it finishes what is under way and records it; `evo resume --address` goes on."""
    _verbs().stop(run, address)


def fetch(
    run: RunName,
    *,
    address: Address,
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="A new folder, or one that it was fetched into before.")],
    run_dir: FarRunDir = FAR_RUN_DIR,
) -> None:
    """Bring a run's folder home from a cluster, during the run or after it; again, what came since."""
    _verbs().fetch(run, to, address=address, run_dir=run_dir)


def _verbs() -> Any:
    return importlib.import_module("cluster.jobs.verbs")
