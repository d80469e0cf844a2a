"""Renamed keys of configurations: the old keys are still read, each with a line that names the new key."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

LOG = logging.getLogger(__name__)

RENAMED: Mapping[str, str] = {
    "search.order": "search.deterministic",
    "search.lag": "search.max_in_flight",
    "search.choice": "search.selector",
    "search.alike": "search.duplicate_filter",
    "search.fruitless": "search.max_stale_proposals",
    "search.generation": "search.generation_size",
    "search.noise.remeasure": "search.noise.reevaluation_rate",
    "search.niches.depth": "search.niches.elites_per_cell",
    "search.niches.floor": "search.niches.qd_score_offset",
    "evaluation.options.brood": "evaluation.options.batch_size",
    "executor.patience_seconds": "executor.placement_timeout_seconds",
}
DETERMINISTIC: Mapping[str, bool] = {"ask": True, "arrival": False}


def renamed(values: Mapping[str, Any], say: Callable[[str], None] = LOG.warning) -> dict[str, Any]:
    """The same values under the current keys.

    Args:
        say: called with a sentence for each old key.
    """
    current = deepcopy(dict(values))
    search = current.get("search")
    if isinstance(search, dict) and search.get("order") in DETERMINISTIC:
        search["order"] = DETERMINISTIC[search["order"]]
    for old, new in RENAMED.items():
        _move(current, old, new, say)
    return current


def _move(values: dict[str, Any], old: str, new: str, say: Callable[[str], None]) -> None:
    *sections, key = old.split(".")
    place: Any = values
    for section in sections:
        place = place.get(section) if isinstance(place, dict) else None
    if isinstance(place, dict) and key in place:
        place.setdefault(new.rpartition(".")[2], place.pop(key))
        say(f"{old} is now {new}")
