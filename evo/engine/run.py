"""The only way to run a search: `run` starts it in a new folder, `resume` goes on with it.

The command line, submitted jobs, comparisons and the Python API all call these two.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from evo.config.loading import Loaded, load_config, overridden
from evo.config.problem_files import changed_files
from evo.config.schema import Config
from evo.engine.driver import OnTell
from evo.engine.factories import check_access, with_access
from evo.engine.holdout import missing
from evo.engine.session import Session, StopReason
from evo.engine.setup import Setup, prepare
from evo.engine.signals import STOPPED
from evo.errors import ConfigError, StoppedError, UserError, command
from evo.journal.folder import JOURNAL, check_begun, create_run_folder, existing_run_folder, locked
from evo.journal.inheritance import inherited_by
from evo.journal.log import Journal, cut_torn_line
from evo.journal.recorder import Recorder
from evo.journal.replay import latest_session, replay
from evo.lineage.live import LiveLineage
from evo.models import Completion
from evo.protocols import Problem
from evo.search.search import Search
from evo.values import Evaluation, Individual, Part

RESUMABLE_SECTIONS = ("budget", "executor", "sandbox")

Target: TypeAlias = str | Path | Config | Loaded
OnStart: TypeAlias = Callable[[Setup, Path], None]
Reuse: TypeAlias = Callable[[str], Completion | None]


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run, or a session of it, ended.

    Attributes:
        folder: that holds its journal and its lineage.
        problem: that was searched.
        search: in its last state.
        reason: why it ended.
        holdout: individual and final part to the evaluation there.
        unmeasured: individual and final part to why there is no evaluation there.
    """

    folder: Path
    problem: Problem
    search: Search
    reason: StopReason
    holdout: Mapping[tuple[int, Part], Evaluation]
    unmeasured: Mapping[tuple[int, Part], str]

    @property
    def best(self) -> Individual | None:
        """The best feasible individual by the first objective; None where there is none."""
        return self.search.best.get(self.problem.objectives[0].name)

    @property
    def front(self) -> tuple[Individual, ...]:
        """All feasible individuals that no other dominates, the best by the first objective first."""
        return tuple(sorted(self.search.front, key=self.problem.objectives[0].cost))


def run(
    target: Target,
    folder: Path | str | None = None,
    *,
    run_dir: Path | str = "runs",
    on_start: OnStart = lambda setup, folder: None,
    on_tell: OnTell = lambda result: None,
    reuse: Reuse = lambda digest: None,
    **settings: Any,
) -> RunResult:
    """Run a search to the end of its budget.

    Args:
        target: a problem's name, the path of a YAML file, or a configuration.
        folder: of the run; None takes the problem's name and the next free number below `run_dir`.
        run_dir: where a folder is made that is not given.
        on_start: called once with the set-up and the folder, before anything is evaluated.
        on_tell: called with each tell result that is on the disk.
        reuse: a recorded completion to take instead of a call, by the request's digest; each costs nothing.
        settings: sections of the configuration over those of the target, as in `budget={"evaluations": 200}`; a bare
            value names a section's object, as in `model="gpt-5-mini"`.

    Raises:
        UserError: a mistake in the configuration, or a folder that holds something else.
        StoppedError: interrupted at once.
    """
    loaded = with_access(load(target, settings), os.environ)
    setup = prepare(loaded.config, loaded.problem, problem_files=loaded.files)
    setup.reusable = reuse
    asyncio.run(check_access(setup.config, os.environ))
    place = _new_folder(setup.config, Path(run_dir), None if folder is None else Path(folder))
    with locked(place):
        check_begun(place)
        with _recording(place) as recorder:
            on_start(setup, place)
            recorder.started(place.name, setup.config.model_dump(), setup.problem, setup.files)
            _record_inheritance(setup, recorder)
            return _finished(setup, place, Session(setup, place, recorder, on_tell))


def resume(
    folder: Path | str,
    overrides: Sequence[str] = (),
    *,
    changed_problem: bool = False,
    on_start: OnStart = lambda setup, folder: None,
    on_tell: OnTell = lambda result: None,
) -> RunResult:
    """Go on with a run that was interrupted, or further with a finished run.

    Relative paths of its configuration start from where it was started, if that folder is still there.

    Args:
        folder: of the run.
        overrides: KEY=VALUE; only budget, executor and sandbox may change.
        changed_problem: go on even where the problem's code or data changed since the latest session.
        on_start: as in `run`.
        on_tell: as in `run`.

    Raises:
        UserError: no run there, in use, corrupt, or nothing left to do.
        StoppedError: interrupted at once.
    """
    with _where_it_began(Path(folder)) as folder, reopened(folder, overrides, changed_problem=changed_problem) as setup:
        asyncio.run(check_access(setup.config, os.environ))
        unrecorded = inherited_by(folder / JOURNAL) is None
        on_start(setup, folder)
        with _recording(folder) as recorder:
            if unrecorded:
                _record_inheritance(setup, recorder)
            recorder.resumed(setup.config.model_dump(), setup.search, setup.files)
            _count_lost_calls(setup, recorder)
            return _finished(setup, folder, Session(setup, folder, recorder, on_tell))


def load(target: Target, settings: Mapping[str, Any] | None = None) -> Loaded:
    """A configuration with settings over it, and its problem.

    Raises:
        UserError: unreadable, or a key or value that means nothing.
    """
    overrides = [f"{key}={json.dumps(value)}" for key, value in (settings or {}).items()]
    if isinstance(target, Config):
        return Loaded(overridden(target, overrides) if overrides else target)
    if isinstance(target, Loaded):
        return Loaded(overridden(target.config, overrides), target.sources, target.problem) if overrides else target
    return load_config(str(target), overrides)


@contextmanager
def _where_it_began(folder: Path) -> Iterator[Path]:
    """Work in the folder that the latest session of a run worked in, while that is there; the run's folder from there.

    Raises:
        UserError: no run there, or a journal that begins with something else.
    """
    began = latest_session(existing_run_folder(folder) / JOURNAL).working_folder
    if not began or not Path(began).is_dir() or Path(began) == Path.cwd():
        yield folder
        return
    folder = folder.resolve()
    with chdir(began):
        yield folder


@contextmanager
def reopened(folder: Path, overrides: Sequence[str], *, changed_problem: bool = False) -> Iterator[Setup]:
    """Hold a run's folder, with its search brought to where the journal ends.

    Raises:
        UserError: as `resume`.
    """
    journal = existing_run_folder(folder) / JOURNAL
    with locked(folder):
        cut_torn_line(journal)
        before = latest_session(journal)
        config = overridden(before.config, overrides)
        _check_changes(before.config, config)
        setup = prepare(config, inheritance=inherited_by(journal))
        if not changed_problem:
            _check_files(setup.problem, before.files, folder)
        setup.replayed = replay(journal, setup.search)
        _check_unfinished(setup, folder)
        yield setup


def _new_folder(config: Config, run_dir: Path, folder: Path | None) -> Path:
    if folder is None:
        return create_run_folder(run_dir, None, config.problem.name)
    return create_run_folder(folder.parent, folder.name, config.problem.name)


def _finished(setup: Setup, folder: Path, session: Session) -> RunResult:
    reason = _run_loop(session.run())
    return RunResult(folder, setup.problem, setup.search, reason, setup.replayed.held_out, setup.unmeasured)


def _run_loop(session: Coroutine[None, None, StopReason]) -> StopReason:
    try:
        return asyncio.run(session)
    except asyncio.CancelledError:  # by the second signal
        raise StoppedError(STOPPED) from None


@contextmanager
def _recording(folder: Path) -> Iterator[Recorder]:
    journal = Journal(folder / JOURNAL)
    lineage = LiveLineage(folder)
    try:
        yield Recorder(journal)
    finally:
        try:
            journal.close()
        finally:
            lineage.close()


def _record_inheritance(setup: Setup, recorder: Recorder) -> None:
    if setup.config.search.learn_from:
        recorder.inherited(setup.inheritance)


def _count_lost_calls(setup: Setup, recorder: Recorder) -> None:
    """Calls that were under way when the last session died may have been billed."""
    replayed = setup.replayed
    for (ask, digest, stage), charges in replayed.sent.items():
        for worst in charges:
            recorder.lost(ask, digest, worst, stage=stage)
            replayed.used += worst
            if stage != "final" and ask in setup.search.under_way:
                setup.search.spend(ask, worst.usd)


def _check_changes(old: Config, new: Config) -> None:
    before, after = old.model_dump(), new.model_dump()
    for section in before:
        if section not in RESUMABLE_SECTIONS and before[section] != after[section]:
            raise ConfigError(
                f"[{section}] cannot change in a run that was started; only {', '.join(RESUMABLE_SECTIONS)} can"
            )


def _check_files(problem: Problem, recorded: Mapping[str, str], folder: Path) -> None:
    if changed := changed_files(problem, recorded):
        raise UserError(
            f"{', '.join(changed)} changed since {folder} was started, so new results would not compare with old ones: "
            f"put it back, start another run, or say `{command('resume', folder, '--changed-problem')}`"
        )


def _check_unfinished(setup: Setup, folder: Path) -> None:
    budget, search = setup.config.budget, setup.search
    done = search.count_told >= budget.evaluations or search.exhausted
    if setup.replayed.stopped in ("budget", "exhausted") and done and not missing(setup):
        LiveLineage(folder).close()  # which a kill, a second signal or a full disk may have cut short at the end
        raise UserError(
            f"{folder} is finished: {search.count_told} evaluations made; "
            f"`{command('resume', folder)} --set budget.evaluations={2 * search.count_told}` goes further"
        )
