"""Which runs there are: folders that were named, and the runs in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from evo.journal.folder import JOURNAL
from evo.lineage.opening import FILE_NAME


def runs_in(places: Sequence[Path]) -> dict[str, Path]:
    """Name to folder (or database file) of each run, the latest first; a name that two have is written as a path.

    Args:
        places: run folders, snapshots (`.duckdb` files), or folders of these; what holds no run is passed over.
    """
    found = list(dict.fromkeys(one for place in places for one in _within(place)))
    found.sort(key=_changed, reverse=True)
    alike = Counter(_name(one) for one in found)
    return {_name(one) if alike[_name(one)] == 1 else str(one): one for one in found}


def _within(place: Path) -> list[Path]:
    if is_run(place):
        return [place]
    try:
        inside = sorted(place.iterdir())
    except OSError:  # not there, or not any more: there is no run in it
        return []
    runs = [one for one in inside if is_run(one)]
    # `evo compare` keeps its runs in a folder of their own.
    deeper = [two for one in inside if one.is_dir() and one not in runs for two in _listed(one) if is_run(two)]
    return runs + deeper


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def is_run(place: Path) -> bool:
    """Whether this is a run folder, or a snapshot of one."""
    if place.suffix == ".duckdb":
        return place.is_file() and not (place.parent / JOURNAL).exists()
    return (place / JOURNAL).is_file() or (place / FILE_NAME).is_file()


def _name(run: Path) -> str:
    return run.stem if run.suffix == ".duckdb" else run.name


def _changed(run: Path) -> float:
    """When it was last written to, as far as that can be said."""
    for one in (run / JOURNAL, run / FILE_NAME, run):
        try:
            return one.stat().st_mtime
        except OSError:
            continue
    return 0.0
