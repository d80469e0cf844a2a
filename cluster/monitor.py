"""A look at a Ray cluster: which nodes live, what is free, and which other searches of ours are on it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import ray
from ray.experimental import internal_kv

from cluster.capacity import Node, fair_shares
from evo.protocols import ClusterEvent

NAMESPACE = b"evo"
"""Of the head's key-value store: what each search on the cluster wants, by the id of its driver."""


@dataclass(frozen=True, slots=True)
class View:
    """A cluster at one moment.

    Attributes:
        free: amount of each resource that no task holds, of all nodes together.
        share: of the cluster that this search may fill.
        searches: on the cluster, this one included.
    """

    nodes: tuple[Node, ...] = ()
    free: Mapping[str, float] = field(default_factory=dict)
    share: float = 1.0
    searches: int = 1


class ClusterMonitor:
    """Looks, and tells other searches how much of the cluster this one wants."""

    def __init__(self) -> None:
        self._key = ray.get_runtime_context().get_job_id().encode()

    def look(self, want: float) -> View:
        """What there is now; asks the head a few small questions, so call it in a thread.

        Args:
            want: share of the cluster that this search would fill, 0 to 1.
        """
        nodes = tuple(
            Node(one["NodeID"], one["NodeManagerHostname"], one["Resources"]) for one in ray.nodes() if one["Alive"]
        )
        internal_kv._internal_kv_put(self._key, json.dumps(want), namespace=NAMESPACE)
        others = self._others()
        share = fair_shares([want, *others])[0] if others else 1.0
        return View(nodes, ray.available_resources(), share, 1 + len(others))

    def leave(self) -> None:
        """Want nothing any more."""
        internal_kv._internal_kv_del(self._key, namespace=NAMESPACE)

    def _others(self) -> list[float]:
        """What the other searches want whose drivers live; what a killed one left is taken away."""
        keys = [one for one in internal_kv._internal_kv_list(b"", namespace=NAMESPACE) if one != self._key]
        if not keys:
            return []
        alive = {one["JobID"].encode() for one in ray._private.state.jobs() if not one["IsDead"]}
        wants = []
        for key in keys:
            said = internal_kv._internal_kv_get(key, namespace=NAMESPACE)
            if key not in alive:
                internal_kv._internal_kv_del(key, namespace=NAMESPACE)
            elif said is not None:
                wants.append(float(json.loads(said)))
        return wants


def changes(before: Sequence[Node], after: Sequence[Node]) -> list[ClusterEvent]:
    """Who left and who joined between two looks."""
    then, now = {one.id: one for one in before}, {one.id: one for one in after}
    left = [ClusterEvent("node_left", _told(then[one], len(now))) for one in then if one not in now]
    return left + [ClusterEvent("node_joined", _told(now[one], len(now))) for one in now if one not in then]


def _told(node: Node, count: int) -> dict[str, object]:
    told = {name: amount for name, amount in node.total.items() if name in ("CPU", "GPU") or not _is_rays(name)}
    return {"node": node.label, "host": node.host, "id": node.id, "resources": told, "nodes": count}


def _is_rays(name: str) -> bool:
    return name in ("memory", "object_store_memory") or name.startswith("node:")
