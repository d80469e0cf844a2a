"""Keys stay with the driver: what is started here gets an environment without them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

_NAME_OF_A_KEY = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)
# With these a process of Ray shows the others that it is one of them.
_RAYS_OWN = "RAY_"


def forget_keys() -> dict[str, str]:
    """Take the variables that look like keys out of this process's environment; what they held."""
    names = [name for name in os.environ if _NAME_OF_A_KEY.search(name) and not name.startswith(_RAYS_OWN)]
    return {name: os.environ.pop(name) for name in names}


@contextmanager
def keys_out_of_sight() -> Iterator[None]:
    """What is started within inherits no key; they are back after it."""
    held = forget_keys()
    try:
        yield
    finally:
        os.environ.update(held)
