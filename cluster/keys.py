"""Keys stay with the driver: processes that it starts get an environment without them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

_NAME_OF_A_KEY = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)
# Among these is the token by which the processes of a Ray cluster know each other.
_RAY_PREFIX = "RAY_"


def forget_keys(named: Collection[str] = ()) -> dict[str, str]:
    """Remove keys from this process's environment (variables that are named, or look like keys), and return them."""
    found = {name for name in os.environ if _NAME_OF_A_KEY.search(name) and not name.startswith(_RAY_PREFIX)}
    return {name: os.environ.pop(name) for name in found | (set(named) & set(os.environ))}


@contextmanager
def keys_out_of_sight(named: Collection[str] = ()) -> Iterator[None]:
    """Processes that are started within inherit no key; afterwards the keys are back."""
    keys = forget_keys(named)
    try:
        yield
    finally:
        os.environ.update(keys)
