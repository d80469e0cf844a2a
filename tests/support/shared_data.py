"""Published instances and constructions that some tests check against; they are not part of the checkout."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "EVO_SHARED_DATA"
BESIDE_CHECKOUT = Path(__file__).parents[3] / "shared" / "data"


def shared_data(name: str) -> Path:
    """Path of a file of the shared data; skips the test where it is absent."""
    path = Path(os.environ.get(VARIABLE, BESIDE_CHECKOUT)) / name
    if not path.is_file():
        pytest.skip(f"{name} is neither in ${VARIABLE} nor in ../shared/data beside the checkout")
    return path


def shared_json(name: str) -> Any:
    """Content of a gzipped JSON file of the shared data; skips the test where it is absent."""
    return json.loads(gzip.decompress(shared_data(name).read_bytes()))
