"""How often Python looks for garbage while a search runs, or a long journal is read."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

ALLOCATIONS = 100_000


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Look for cycles after 100,000 allocations instead of 700.

    A driver has thousands of offspring under way, all of which are looked through each time, and makes few cycles: an
    eighth of its CPU went to that, and a twelfth with 20,000. Of building a lineage from its journal it was a sixth.
    """
    before = gc.get_threshold()
    gc.set_threshold(ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
