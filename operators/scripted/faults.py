"""What goes wrong on purpose: how slow the scripted server is, and which share of its replies is faulty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

import numpy as np

from evo.errors import ConfigError, unknown

Fault = Literal[
    "rate_limited",
    "rate_limited_retry_after",
    "server_error",
    "hang",
    "reset",
    "malformed_json",
    "empty_choices",
    "truncated",
    "refusal",
    "no_usage",
    "no_code",
    "not_utf8",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
SETTINGS = ("latency_seconds", "latency_sigma", "hang_seconds", "retry_after_seconds")


@dataclass(frozen=True, slots=True)
class DrawnFault:
    """The faults of a request.

    Attributes:
        fault: None for a sound reply.
        latency_seconds: before a reply with status 200; errors come at once.
    """

    fault: Fault | None
    latency_seconds: float


@dataclass(frozen=True, slots=True)
class Faults:
    """How replies are late or wrong.

    Attributes:
        shares: fault to the share of requests that have it; together at most 1. See `Fault` for the names:
            rate_limited is a 429 without Retry-After, hang a sound reply that comes late, reset a connection
            cut without a byte, no_code a reply in words only, not_utf8 a reply with a byte that is none, malformed_json
            a body that breaks off, or a valid body whose JSON is no JSON where a schema was asked for. Vectors have
            neither words to refuse nor code; a truncated vector lacks its end.
        latency_seconds: mean of a lognormal distribution; 0 answers at once.
        latency_sigma: of the latency's logarithm; 0 makes every latency the mean.
        hang_seconds: how late a hanging reply is.
        retry_after_seconds: what the Retry-After header of rate_limited_retry_after says.

    Raises:
        ConfigError: an unknown fault, a share out of [0, 1], shares above 1 together, a negative setting.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    latency_seconds: float = 0.0
    latency_sigma: float = 0.0
    hang_seconds: float = 60.0
    retry_after_seconds: float = 1.0

    def __post_init__(self) -> None:
        for name, share in self.shares.items():
            if name not in FAULTS:
                raise ConfigError(unknown("fault", name, dict.fromkeys(FAULTS)))
            if not 0 <= share <= 1:
                raise ConfigError(f"the share of fault {name!r} is {share}; it must lie between 0 and 1")
        if (total := math.fsum(self.shares.values())) > 1 + 1e-9:
            raise ConfigError(f"the shares of faults add up to {total:.6g}; together they must be at most 1")
        for name in SETTINGS:
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ConfigError(f"{name} is {value}; it must be finite and not negative")

    @classmethod
    def parsed(cls, texts: Sequence[str]) -> Faults:
        """From texts such as "hang=0.05" (a share) or "latency_seconds=0.5" (a setting); the last of a name counts.

        Raises:
            ConfigError: as the class, or a text that is no NAME=NUMBER.
        """
        numbers = dict(_parsed(text) for text in texts)
        settings = {name: numbers.pop(name) for name in SETTINGS if name in numbers}
        return cls(numbers, **settings)

    def sample(self, rng: np.random.Generator) -> DrawnFault:
        """The faults of a request; the latency does not depend on the shares."""
        left, deviate = rng.random(), rng.standard_normal()
        exponent = self.latency_sigma * deviate - self.latency_sigma**2 / 2
        latency = self.latency_seconds * math.exp(exponent)
        for name, share in self.shares.items():
            left -= share
            if left < 0:
                return DrawnFault(cast(Fault, name), latency)
        return DrawnFault(None, latency)


def _parsed(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    if name not in FAULTS and name not in SETTINGS:
        raise ConfigError(unknown("fault", name, dict.fromkeys((*FAULTS, *SETTINGS))))
    try:
        return name, float(number)
    except ValueError:
        raise ConfigError(f"expected {name}=NUMBER, got {text!r}") from None
