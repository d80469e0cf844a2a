"""How many evaluations fit on a cluster at once, and how many tasks to keep in flight. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evo.resources import Resources

AHEAD = 2
"""Tasks for each place where evaluations keep it busy: while the first runs, the next is there already."""
GROWTH = 8
"""Tasks beyond twice the places there are, so that an autoscaler sees demand, on an empty cluster too."""
MOST_THAT_WAIT = 64
"""Evaluations at once on a machine where they outnumber its cores: each has a thread of its own."""
MOST_IN_A_PROCESS = 16
"""Evaluations that share a process where they mostly wait: what they do beside waiting shares its interpreter."""
_EXACT = 1e-6


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is alive.

    Attributes:
        label: host name and the first letters of the id, as events and evaluations name it.
        total: amount of each resource, under Ray's names.
    """

    id: str
    host: str
    total: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return label(self.host, self.id)


@dataclass(frozen=True, slots=True)
class Allowance:
    """Bounds of the tasks of a search.

    Attributes:
        most: evaluations at once; None for no bound but the cluster.
        share: of the cluster, 0 to 1; 1 where no other search is on it.
        fixed: whether the cluster never grows, so that demand need not be shown.
    """

    most: int | None = None
    share: float = 1.0
    fixed: bool = False


def label(host: str, node: str) -> str:
    """A node's name in the lineage."""
    return f"{host}/{node[:8]}"


def reserved(resources: Resources) -> dict[str, float]:
    """Resources that a task asks Ray for, under Ray's names."""
    cpus = resources.cpus if resources.cpus < 1 else float(math.ceil(resources.cpus))
    named = {"CPU": cpus, "GPU": resources.gpus, "memory": float(resources.memory_bytes), **resources.custom}
    return {name: amount for name, amount in named.items() if amount}


def takes_cores_only(resources: Resources) -> bool:
    """Whether an evaluation takes nothing but cores, or a part of a core."""
    return not (resources.gpus or resources.memory_bytes or resources.custom)


def places_in_a_process(resources: Resources) -> int:
    """How many evaluations run at once in a process: several where each takes a part of a core, and no more.

    A process of its own costs a second or two of CPU and some 100 MB before the first evaluation.
    """
    if not takes_cores_only(resources):
        return 1
    return max(1, min(MOST_IN_A_PROCESS, int(1 / max(resources.cpus, _EXACT) + _EXACT)))


def places(amounts: Mapping[str, float], resources: Resources) -> int:
    """How many evaluations fit into these amounts at once."""
    together = places_in_a_process(resources)
    wanted = reserved(resources)
    fits = together * min(int(amounts.get(name, 0.0) / (amount * together) + _EXACT) for name, amount in wanted.items())
    if resources.cpus >= 1 or not fits:
        return fits
    return min(fits, max(int(amounts.get("CPU", 0.0)), MOST_THAT_WAIT))


def room(nodes: Sequence[Node], resources: Resources) -> int:
    """How many evaluations fit on all nodes together."""
    return sum(places(node.total, resources) for node in nodes)


def in_flight(places: int, allowance: Allowance, *, busy: bool) -> int:
    """How many tasks of a search may be in flight, including those that wait in Ray for a place.

    More than there are places, so that none is idle between two evaluations, and so that an autoscaler sees demand.
    Never more than `most` on a cluster with more places than that: there, all would run.

    Args:
        places: of the whole cluster.
        busy: whether an evaluation keeps its cores busy, so that the next should be there when it ends.
    """
    if allowance.share < 1:
        mine = max(1, math.floor(places * allowance.share + _EXACT))
        wanted = mine + max(1, mine // GROWTH)
    else:
        wanted = places * (AHEAD if busy else 1)
        if not allowance.fixed:
            growing = allowance.most is not None and allowance.most > places
            wanted = places * AHEAD + GROWTH if growing else wanted + max(1, places // GROWTH)
    if allowance.most is None or (allowance.fixed and places <= allowance.most):
        return max(1, wanted)
    return max(1, min(wanted, allowance.most))


def fair_shares(wants: Sequence[float]) -> list[float]:
    """Shares of a cluster: a search that wants less than an equal part gets what it wants, the rest is divided equally.

    Args:
        wants: of each search, 0 to 1.
    """
    shares, left, waiting = [0.0] * len(wants), 1.0, sorted(range(len(wants)), key=lambda search: wants[search])
    for place, search in enumerate(waiting):
        shares[search] = min(wants[search], left / (len(waiting) - place))
        left -= shares[search]
    return shares
