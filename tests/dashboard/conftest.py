"""Runs that the dashboard's tests read, each made once. Tests that change a run take a copy."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from dashboard import standalone
from evo import cli
from evo.lineage import Run, open_run
from tests.conftest import TOY
from tests.support.dashboards import begun, copied, evaluated, grown, worked

SIDES = '"x:0": {low: -2, high: 2, cells: 8}, "x:1": {low: -2, high: 2, cells: 5}'
ARCHIVES = {
    "grid": f"{{qd_score_offset: 3, dimensions: {{{SIDES}}}}}",
    "strip": '{qd_score_offset: 3, dimensions: {"x:0": {low: -2, high: 2, cells: 12}}}',
    "cvt": f"{{kind: cvt, cells: 30, qd_score_offset: 3, dimensions: {{{SIDES}}}}}",
    "cvt3": f'{{kind: cvt, cells: 30, qd_score_offset: 3, dimensions: {{{SIDES}, "x:2": {{low: -2, high: 2}}}}}}',
}


def toy(folder: Path, name: str, *settings: str, baseline: str = "") -> None:
    """A run of the toy problem, made in this process."""
    stated = [word for setting in settings for word in ("--set", setting)]
    stated += ["--baseline", baseline] if baseline else []
    with pytest.MonkeyPatch.context() as patch, suppress(SystemExit):
        patch.setattr("sys.argv", ["evo", "run", *TOY, *stated, "--name", name, "--run-dir", str(folder)])
        cli.main()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, first_toy_run: Path) -> Path:
    """A folder of runs of every kind.

    begun: without any result. failed: with failures alone. few: five evaluations in a line. broken: failures, an
    infeasible and two feasible individuals. made: 300 individuals, three objectives. worked: known times of workers and
    models. toy: a finished run of the toy problem. All texts of few, broken and failed are hostile.
    """
    folder = tmp_path_factory.mktemp("kinds") / "runs"
    begun(folder / "begun")
    evaluated(folder / "failed", [{"outcome": "crash"}, {"outcome": "invalid", "objectives": {}}])
    crash: dict[str, object] = {"outcome": "crash"}
    values = [{"objectives": {"goal 0": value}} for value in (3.0, 2.0, 2.5, 1.0)]
    evaluated(folder / "few", [*values[:2], crash, *values[2:]])
    infeasible = {"objectives": {"goal 0": 2.0}, "violations": {"limit": 1.0}}
    whole = {"objectives": {"goal 0": 2.5}, "cases": {"a": 1.0, "b": 0.0}, "descriptors": {"d": 4.0}}
    evaluated(folder / "broken", [crash, values[0], infeasible, {"outcome": "timeout"}, whole])
    grown(folder / "made", 1, 30, 269).journal.close()
    worked(folder / "worked")
    copied(first_toy_run, folder / "toy")
    return folder


@pytest.fixture(scope="session")
def few(runs: Path) -> Run:
    return open_run(runs / "few")


@pytest.fixture(scope="session")
def broken(runs: Path) -> Run:
    return open_run(runs / "broken")


@pytest.fixture(scope="session")
def made(runs: Path) -> Run:
    return open_run(runs / "made")


@pytest.fixture(scope="session")
def worked_run(runs: Path) -> Run:
    return open_run(runs / "worked")


@pytest.fixture(scope="session")
def pages(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of exported pages, of runs of every kind."""
    folder = tmp_path_factory.mktemp("pages")
    for name in ("made", "worked", "begun", "broken", "failed"):
        (folder / f"{name}.html").write_text(standalone.page(open_run(runs / name)), "utf-8")
    return folder


@pytest.fixture(scope="session")
def island_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on three islands for each kind of archive, and "plain", a run without niches."""
    folder = tmp_path_factory.mktemp("islands")
    islands = (
        "search.islands={count: 3, every: 10, reset_every: 60}",
        "budget.evaluations=130",
        "search.parents=uniform",
    )
    for name, niches in ARCHIVES.items():
        toy(folder, name, *islands, f"search.niches={niches}", "search.survival=lexicographic")
    toy(folder, "plain", *islands)
    return folder
