"""Instances of online bin packing: by formula, or from a file."""

from __future__ import annotations

import difflib
import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evo.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Instance:
    """Items in their order of arrival, for bins of equal capacity.

    Attributes:
        items: sizes in the order of arrival, whole numbers from 1 to the capacity.
    """

    capacity: int
    items: tuple[int, ...]

    @property
    def bound(self) -> int:
        """The L1 lower bound on the number of bins: total size over capacity, rounded up."""
        return -(-sum(self.items) // self.capacity)


def excess(used: Sequence[int], instances: Sequence[Instance]) -> float:
    """Mean number of bins used over the mean lower bound, in % above it."""
    return 100.0 * (sum(used) / sum(instance.bound for instance in instances) - 1.0)


def weibull_instances(count: int, length: int, seed: tuple[int, ...]) -> tuple[Instance, ...]:
    """Items of round(clip(weibull(3) * 45, 1, 100)) for bins of capacity 100, as in FunSearch (Nature 625, 2024)."""
    rngs = [np.random.default_rng((*seed, number)) for number in range(count)]
    sizes = [np.round(np.clip(rng.weibull(3.0, length) * 45.0, 1.0, 100.0)).astype(int) for rng in rngs]
    return tuple(Instance(100, tuple(items.tolist())) for items in sizes)


def shuffled(instances: tuple[Instance, ...], seed: int) -> tuple[Instance, ...]:
    """The same items in another order of arrival."""
    rng = np.random.default_rng(seed)
    return tuple(Instance(instance.capacity, tuple(rng.permutation(instance.items).tolist())) for instance in instances)


def load_instances(source: str) -> tuple[Instance, ...]:
    """Instances of a JSON file, gzipped where its name ends in .gz.

    Args:
        source: `path`, or `path#name` where the file holds {name: instances}; instances are a list of
            {"cap": capacity, "items": [size, ...]}.

    Raises:
        ConfigError: no such file or name, or a file of another form.
    """
    path, _, name = source.partition("#")
    listed = _listed(_content(path), path, name)
    if not isinstance(listed, list) or not listed:
        raise ConfigError(f"{source}: expected a list of instances, got {type(listed).__name__}")
    return tuple(_instance(fields, f"instance {number} of {source}") for number, fields in enumerate(listed, 1))


def _content(path: str) -> Any:
    try:
        content = Path(path).read_bytes()
        return json.loads(gzip.decompress(content) if path.endswith(".gz") else content)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"cannot read instances from {path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"cannot read instances from {path}: it is not JSON ({error})") from error


def _listed(content: Any, path: str, name: str) -> Any:
    if not isinstance(content, Mapping):
        if name:
            raise ConfigError(f"{path} holds a single, unnamed list of instances; leave out '#{name}'")
        return content
    if not name and len(content) == 1:
        return next(iter(content.values()))
    if name not in content:
        near = difflib.get_close_matches(name, content, n=1) or list(content)[:1] or ["NAME"]
        raise ConfigError(f"no instances {name!r} in {path}; write {path}#{near[0]}; known: {', '.join(content)}")
    return content[name]


def _instance(fields: Any, where: str) -> Instance:
    if not isinstance(fields, Mapping) or not {"cap", "items"} <= set(fields):
        raise ConfigError(f"{where}: expected an object with 'cap' and 'items'")
    capacity, items = fields["cap"], fields["items"]
    if type(capacity) is not int or capacity < 1:
        raise ConfigError(f"{where}: 'cap' must be a whole number from 1, got {capacity!r}")
    if not isinstance(items, list) or not items:
        raise ConfigError(f"{where}: 'items' must be a list of sizes, not empty, got {type(items).__name__}")
    wrong = [size for size in items if type(size) is not int or not 1 <= size <= capacity]
    if wrong:
        raise ConfigError(f"{where}: every size must be a whole number from 1 to {capacity}, got {wrong[0]!r}")
    return Instance(capacity, tuple(items))
