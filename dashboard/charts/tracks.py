"""Where the members of a tree go: each line straight on as far as it can, its branches above and below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def tracks(hangs_on: Mapping[int, int | None], straight: Sequence[int] = ()) -> dict[int, float]:
    """The track of each node, so that no two branches cross: a whole number for each leaf, and nodes in their line's.

    In one pass each way, and without recursion: a line may be thousands long.

    Args:
        hangs_on: node to the one that it hangs on, None for a root; whoever is hung on comes before who hangs on it.
        straight: nodes that keep the track of whom they hang on; elsewhere the one with most leaves does.
    """
    hanging: dict[int, list[int]] = {one: [] for one in hangs_on}
    roots: list[int] = []
    for one, on in hangs_on.items():
        (roots if on is None else hanging[on]).append(one)
    leaves = dict.fromkeys(hangs_on, 0)
    for one in reversed(list(hangs_on)):
        leaves[one] = max(1, sum(leaves[child] for child in hanging[one]))
    heir = _heirs(hanging, leaves, frozenset(straight))
    track: dict[int, float] = {}
    waiting = list(reversed(roots))
    while waiting:
        one = waiting.pop()
        if not hanging[one]:
            track[one] = float(len(track))
        waiting.extend(reversed(_around(heir.get(one), hanging[one])))
    for one in reversed(list(hangs_on)):
        if one in heir:
            track[one] = track[heir[one]]
    return track


def _heirs(hanging: Mapping[int, Sequence[int]], leaves: Mapping[int, int], straight: frozenset[int]) -> dict[int, int]:
    """Who goes on in the same track."""
    return {
        one: max(children, key=lambda child: (child in straight, leaves[child]))
        for one, children in hanging.items()
        if children
    }


def _around(heir: int | None, children: Sequence[int]) -> list[int]:
    """The heir in the middle, the others on both sides of it by turns."""
    others = [child for child in children if child != heir]
    return [*others[::2], *([heir] if heir is not None else []), *reversed(others[1::2])]
