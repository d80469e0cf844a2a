"""The runs that the dashboard offers: those named on the command line, and those in folders named there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from evo.journal.folder import JOURNAL
from evo.lineage.reading import FILE_NAME


def runs_in(places: Sequence[Path]) -> dict[str, Path]:
    """Name to folder (or database file) of each run, the latest first; runs that share a name are named by their path.

    Args:
        places: run folders, snapshots (`.duckdb` files), or folders of these; anything else is ignored.
    """
    found = list(dict.fromkeys(run for place in places for run in _within(place)))
    found.sort(key=_changed, reverse=True)
    count = Counter(map(_name, found))
    return {_name(run) if count[_name(run)] == 1 else str(run): run for run in found}


def _within(place: Path) -> list[Path]:
    if is_run(place):
        return [place]
    inside = _listed(place)
    runs = [path for path in inside if is_run(path)]
    # `evo compare` keeps its runs in a folder of their own.
    folders = [path for path in inside if path.is_dir() and path not in runs]
    return runs + [path for folder in folders for path in _listed(folder) if is_run(path)]


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # it does not exist (any more), so there is no run in it
        return []


def is_run(place: Path) -> bool:
    """Whether this is a run folder, or a snapshot of a run."""
    if place.suffix == ".duckdb":
        return place.is_file() and not (place.parent / JOURNAL).exists()
    return (place / JOURNAL).is_file() or (place / FILE_NAME).is_file()


def _name(run: Path) -> str:
    return run.stem if run.suffix == ".duckdb" else run.name


def _changed(run: Path) -> float:
    """When it was last written to; 0 where that is unknown."""
    for path in (run / JOURNAL, run / FILE_NAME, run):
        try:
            return path.stat().st_mtime
        except OSError:
            continue
    return 0.0
