"""The layout of a tree in tracks: each line goes straight on as far as it can, its branches above and below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def tracks(hangs_on: Mapping[int, int | None], straight: Sequence[int] = ()) -> dict[int, float]:
    """The track of each node, so that no two branches cross: a whole number for each leaf, its line's for other nodes.

    In a single pass each way and without recursion: a line may be thousands long.

    Args:
        hangs_on: node to the node that it hangs on, None for a root; a node comes after the node that it hangs on.
        straight: nodes that keep the track of the node they hang on; elsewhere the child with most leaves does.
    """
    children: dict[int, list[int]] = {node: [] for node in hangs_on}
    roots: list[int] = []
    for node, on in hangs_on.items():
        (roots if on is None else children[on]).append(node)
    leaves = dict.fromkeys(hangs_on, 0)
    for node in reversed(list(hangs_on)):
        leaves[node] = max(1, sum(leaves[child] for child in children[node]))
    heir = _heirs(children, leaves, frozenset(straight))
    track: dict[int, float] = {}
    waiting = list(reversed(roots))
    while waiting:
        node = waiting.pop()
        if not children[node]:
            track[node] = float(len(track))
        waiting.extend(reversed(_around(heir.get(node), children[node])))
    for node in reversed(list(hangs_on)):
        if node in heir:
            track[node] = track[heir[node]]
    return track


def _heirs(
    children: Mapping[int, Sequence[int]], leaves: Mapping[int, int], straight: frozenset[int]
) -> dict[int, int]:
    """The child of each inner node that keeps its track."""
    return {
        node: max(hanging, key=lambda child: (child in straight, leaves[child]))
        for node, hanging in children.items()
        if hanging
    }


def _around(heir: int | None, children: Sequence[int]) -> list[int]:
    """The heir in the middle, the others alternately on both sides."""
    others = [child for child in children if child != heir]
    return [*others[::2], *([heir] if heir is not None else []), *reversed(others[1::2])]
