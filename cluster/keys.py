"""Keys stay with the driver: what is started here gets an environment without them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

_NAME_OF_A_KEY = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)
# With these a process of Ray shows the others that it is one of them.
_RAYS_OWN = "RAY_"


def forget_keys(named: Collection[str] = ()) -> dict[str, str]:
    """Take keys out of this process's environment: variables that are named, or look like keys; what they held."""
    alike = {name for name in os.environ if _NAME_OF_A_KEY.search(name) and not name.startswith(_RAYS_OWN)}
    return {name: os.environ.pop(name) for name in alike | (set(named) & set(os.environ))}


@contextmanager
def keys_out_of_sight(named: Collection[str] = ()) -> Iterator[None]:
    """What is started within inherits no key; they are back after it."""
    held = forget_keys(named)
    try:
        yield
    finally:
        os.environ.update(held)
