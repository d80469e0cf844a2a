"""Which genomes were proposed before, in memory that does not grow with the length of a search."""

from __future__ import annotations

import numpy as np

REMEMBERED = 1 << 20


class Seen:
    """Digests of the genomes proposed last: at least the last `remembered`, at most twice as many.

    Of a digest 64 bits are kept: that two of a million genomes are taken for the same has a chance of 3 in 10^8.

    Args:
        remembered: a power of two; 32 bytes are held for each.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._young = _Digests(2 * remembered)
        self._old = _Digests(2)

    def __contains__(self, digest: str) -> bool:
        key = _key(digest)
        return key in self._young or key in self._old

    def add(self, digest: str) -> None:
        """Remember a digest in hexadecimal; the older half is forgotten where it is one too many."""
        if len(self._young) == self._remembered:
            self._young, self._old = _Digests(2 * self._remembered), self._young
        self._young.add(_key(digest))


class _Digests:
    """A set of 64-bit keys that are as good as random, by open addressing; never more than half full."""

    def __init__(self, room: int) -> None:
        self._slots = np.zeros(room, dtype=np.uint64).data
        self._mask = room - 1
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: int) -> bool:
        return self._slots[self._place(key)] == key

    def add(self, key: int) -> None:
        at = self._place(key)
        self._count += self._slots[at] != key
        self._slots[at] = key

    def _place(self, key: int) -> int:
        """Where a key is, or would be."""
        at = key & self._mask
        while self._slots[at] not in (0, key):
            at = (at + 1) & self._mask
        return at


def _key(digest: str) -> int:
    return int(digest[:16], 16) or 1  # 0 marks a free slot
