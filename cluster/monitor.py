"""Watches a Ray cluster: which nodes are alive, what is free, and which other searches of ours are on it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import ray
from ray.experimental import internal_kv

from cluster.capacity import Node, fair_shares
from evo.protocols import ClusterEvent

NAMESPACE = b"evo"
"""In the head's key-value store: the share that each search on the cluster wants, by the job id of its driver."""


@dataclass(frozen=True, slots=True)
class View:
    """The state of a cluster at a moment.

    Attributes:
        free: amount of each resource that no task holds, on all nodes together.
        share: part of the cluster that this search may use.
        searches: on the cluster, this included.
    """

    nodes: tuple[Node, ...] = ()
    free: Mapping[str, float] = field(default_factory=dict)
    share: float = 1.0
    searches: int = 1


class ClusterMonitor:
    """Reads the state of the cluster, and publishes which share of it this search wants."""

    def __init__(self) -> None:
        self._key = ray.get_runtime_context().get_job_id().encode()

    def look(self, want: float) -> View:
        """The state now; it takes a few round trips to the head, so call it in a thread.

        Args:
            want: share of the cluster that this search could use, 0 to 1.
        """
        nodes = tuple(
            Node(node["NodeID"], node["NodeManagerHostname"], node["Resources"])
            for node in ray.nodes()
            if node["Alive"]
        )
        internal_kv._internal_kv_put(self._key, json.dumps(want), namespace=NAMESPACE)
        others = self._others()
        share = fair_shares([want, *others])[0] if others else 1.0
        return View(nodes, ray.available_resources(), share, 1 + len(others))

    def leave(self) -> None:
        """Withdraw this search's wish."""
        internal_kv._internal_kv_del(self._key, namespace=NAMESPACE)

    def _others(self) -> list[float]:
        """Shares wanted by other searches whose drivers are alive; entries of dead drivers are deleted."""
        keys = [key for key in internal_kv._internal_kv_list(b"", namespace=NAMESPACE) if key != self._key]
        if not keys:
            return []
        alive = {job["JobID"].encode() for job in ray._private.state.jobs() if not job["IsDead"]}
        wants = []
        for key in keys:
            want = internal_kv._internal_kv_get(key, namespace=NAMESPACE)
            if key not in alive:
                internal_kv._internal_kv_del(key, namespace=NAMESPACE)
            elif want is not None:
                wants.append(float(json.loads(want)))
        return wants


def changes(before: Sequence[Node], after: Sequence[Node]) -> list[ClusterEvent]:
    """Events for the nodes that left and joined between two views."""
    then, now = {node.id: node for node in before}, {node.id: node for node in after}
    left = [ClusterEvent("node_left", _detail(then[key], len(now))) for key in then if key not in now]
    return left + [ClusterEvent("node_joined", _detail(now[key], len(now))) for key in now if key not in then]


def _detail(node: Node, count: int) -> dict[str, object]:
    resources = {
        name: amount for name, amount in node.total.items() if name in ("CPU", "GPU") or not _is_internal(name)
    }
    return {"node": node.label, "host": node.host, "id": node.id, "resources": resources, "nodes": count}


def _is_internal(name: str) -> bool:
    return name in ("memory", "object_store_memory") or name.startswith("node:")
