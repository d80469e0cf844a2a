"""What an evaluation takes of the machine that it runs on."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from evo.errors import ConfigError, unknown


@dataclass(frozen=True, slots=True)
class Resources:
    """What an evaluation keeps busy, and so is reserved for it.

    Attributes:
        cpus: cores; a fraction where it mostly waits, for a model say.
        gpus: a fraction where several share a GPU, else whole; for the scorer, since a candidate's process sees none.
        memory_bytes: reserved; 0 reserves none. Not a limit: that is `Limits.memory_bytes`.
        custom: amounts of what the nodes of a cluster were started with, by name; a fraction or whole.

    Raises:
        ConfigError: an amount that no machine can reserve.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_bytes: int = 0
    custom: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.custom, Mapping):
            raise ConfigError(f"custom resources are amounts by name, as in {{tpu_host: 1}}, got {self.custom!r}")
        _check("cpus", self.cpus, above_zero=True)
        for name, amount in {"gpus": self.gpus, "memory_bytes": self.memory_bytes, **self.custom}.items():
            _check(name, amount, above_zero=name in self.custom)
            if amount > 1 and amount != int(amount):
                raise ConfigError(f"resources: above 1, {name} must be whole, got {amount}")

    def but(self, otherwise: Mapping[str, Any]) -> Resources:
        """The same with other values for some fields.

        Raises:
            ConfigError: an unknown field, or an amount that no machine can reserve.
        """
        known = [field.name for field in fields(self)]
        for name in otherwise:
            if name not in known:
                raise ConfigError(f"{unknown('resource', name, known)}; others go into custom")
        return replace(self, **otherwise)

    @property
    def key(self) -> Hashable:
        """Equal for equal resources."""
        return self.cpus, self.gpus, self.memory_bytes, tuple(sorted(self.custom.items()))

    def __str__(self) -> str:
        parts = [f"{self.cpus:g} CPU"]
        parts += [f"{self.gpus:g} GPU"] if self.gpus else []
        parts += [f"{self.memory_bytes / 2**30:.3g} GiB"] if self.memory_bytes else []
        return ", ".join([*parts, *(f"{amount:g} {name}" for name, amount in self.custom.items())])


def _check(name: str, amount: object, *, above_zero: bool) -> None:
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not math.isfinite(amount):
        raise ConfigError(f"resources: {name} must be a number, got {amount!r}")
    if amount < 0 or (above_zero and amount == 0):
        raise ConfigError(f"resources: {name} must be {'above' if above_zero else 'at least'} 0, got {amount}")
