"""Declared spaces of architectures: what each slot may hold, and which slots are there only for what others hold.

A design is a choice for each slot that is active, and for no other: so designs that would differ in inactive slots only
are the same. Numbers are snapped to a grid, so that equal designs have equal texts.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard, cast

if TYPE_CHECKING:
    import numpy as np

from evo.errors import ConfigError, GenomeError
from evo.genomes import SlotValue

Design = dict[str, SlotValue]
MOST_NUMBERS = 2**53


class Domain(ABC):
    """What a slot may hold.

    A share is a place in the domain from 0 to 1, on its own scale; each of n options or whole numbers has 1/n of it.
    """

    __slots__ = ()

    def __contains__(self, value: object) -> bool:
        return value is not None and same(self.nearest(value), value)

    @abstractmethod
    def nearest(self, value: object) -> SlotValue | None:
        """The choice that is nearest to a value; None where no choice is near it."""

    @abstractmethod
    def read(self, value: object) -> SlotValue | None:
        """The choice that a value from outside stands for; None where it stands for none, or is out of range."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> SlotValue:
        """Any choice, all equally likely on the domain's own scale."""

    @abstractmethod
    def neighbours(self, value: SlotValue) -> tuple[SlotValue, ...]:
        """All the other options, or the numbers a step below and above; () where there is no other."""

    @abstractmethod
    def share(self, value: SlotValue) -> float:
        """Where a choice lies."""

    @abstractmethod
    def at(self, share: float) -> SlotValue:
        """The choice at a place; beyond the ends, the choice at the end."""

    @abstractmethod
    def words(self) -> str:
        """What may be chosen, for a reader and for a model."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """The same as a JSON schema."""


@dataclass(frozen=True, slots=True)
class Options(Domain):
    """A choice among several, in no order; 1, 1.0 and True are three."""

    choices: tuple[SlotValue, ...]

    def nearest(self, value: object) -> SlotValue | None:
        return next((choice for choice in self.choices if same(choice, value)), None)

    def read(self, value: object) -> SlotValue | None:
        # JSON does not tell 1 from 1.0.
        equal = [choice for choice in self.choices if _is_number(choice) and _is_number(value) and choice == value]
        return equal[0] if len(equal) == 1 else self.nearest(value)

    def draw(self, rng: np.random.Generator) -> SlotValue:
        return self.choices[int(rng.integers(len(self.choices)))]

    def neighbours(self, value: SlotValue) -> tuple[SlotValue, ...]:
        return tuple(choice for choice in self.choices if not same(choice, value))

    def share(self, value: SlotValue) -> float:
        index = next(index for index, choice in enumerate(self.choices) if same(choice, value))
        return (index + 0.5) / len(self.choices)

    def at(self, share: float) -> SlotValue:
        return self.choices[_cell(share, len(self.choices))]

    def words(self) -> str:
        return f"one of {', '.join(map(_shown, self.choices))}"

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.choices)}


@dataclass(frozen=True, slots=True)
class Whole(Domain):
    """Whole numbers from `low` to at most `high`, `step` apart.

    Raises:
        ConfigError: no such number, or more than a float can count.
    """

    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        numbers = all(type(number) is int for number in (self.low, self.high, self.step))
        if not numbers or self.step < 1 or not 0 <= (self.high - self.low) // self.step < MOST_NUMBERS:
            raise ConfigError(f"a slot needs whole numbers from low up to high, at least 1 apart; got {self}")

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return (self.high - self.low) // self.step + 1

    def nearest(self, value: object) -> int | None:
        if not _is_number(value):
            return None
        within = min(max(value, self.low), self.high)
        return self.low + self.step * min(round((within - self.low) / self.step), self.count - 1)

    def read(self, value: object) -> int | None:
        return self.nearest(value) if _is_number(value) and self.low <= value <= self.high else None

    def draw(self, rng: np.random.Generator) -> int:
        return self.low + self.step * int(rng.integers(self.count))

    def neighbours(self, value: SlotValue) -> tuple[SlotValue, ...]:
        index = self._index(value)
        return tuple(self.low + self.step * place for place in (index - 1, index + 1) if 0 <= place < self.count)

    def share(self, value: SlotValue) -> float:
        return (self._index(value) + 0.5) / self.count

    def at(self, share: float) -> int:
        return self.low + self.step * _cell(share, self.count)

    def words(self) -> str:
        steps = f" in steps of {self.step}" if self.step > 1 else ""
        return f"a whole number from {self.low} to {self.at(1.0)}{steps}"

    def schema(self) -> dict[str, Any]:
        # JSON schema counts steps from 0 only.
        steps = {"multipleOf": self.step} if self.step > 1 and self.low % self.step == 0 else {}
        return {"type": "integer", "minimum": self.low, "maximum": self.at(1.0), **steps}

    def _index(self, value: SlotValue) -> int:
        return (int(value) - self.low) // self.step


@dataclass(frozen=True, slots=True)
class Real(Domain):
    """Reals from `low` to `high`, kept to three digits: of the value on a log scale, of the width on a linear scale.

    Raises:
        ConfigError: bounds that are no finite numbers in order, or not above 0 on a log scale.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        numbers = _is_number(self.low) and _is_number(self.high) and _is_number(self.high - self.low)
        if not numbers or self.low > self.high or (self.log and self.low <= 0):
            raise ConfigError(f"a slot needs finite numbers from low up to high, above 0 on a log scale; got {self}")

    def nearest(self, value: object) -> float | None:
        return self._snapped(float(value)) if _is_number(value) else None

    def read(self, value: object) -> float | None:
        return self.nearest(value) if _is_number(value) and self.low <= value <= self.high else None

    def draw(self, rng: np.random.Generator) -> float:
        return self.at(float(rng.random()))

    def neighbours(self, value: SlotValue) -> tuple[SlotValue, ...]:
        share = self.share(value)
        for step in (0.1, 1.0):  # a tenth may be less than the digits that are kept
            if found := sorted({self.at(share - step), self.at(share + step)} - {value}):
                return tuple(found)
        return ()

    def share(self, value: SlotValue) -> float:
        low, high, place = (self._scaled(bound) for bound in (self.low, self.high, float(value)))
        return (place - low) / (high - low) if high > low else 0.5

    def at(self, share: float) -> float:
        low, high, part = self._scaled(self.low), self._scaled(self.high), min(max(share, 0.0), 1.0)
        place = (1 - part) * low + part * high
        return self._snapped(math.exp(place) if self.log else place)

    def words(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}{' on a log scale' if self.log else ''}"

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.low, "maximum": self.high}

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value

    def _snapped(self, value: float) -> float:
        value, width = min(max(value, self.low), self.high), self.high - self.low
        if self.log:
            value = float(f"{value:.2e}")
        elif width:
            value = round(value, 3 - math.ceil(math.log10(width)))
        # The bounds themselves may have more digits; adding 0 makes -0.0 a plain 0.
        return min(max(value, self.low), self.high) + 0.0


Offered = tuple[SlotValue, ...] | Whole | Real


@dataclass(frozen=True, slots=True)
class Slots:
    """A space of architectures.

    Attributes:
        options: slot name to what it may hold: any of several choices, whole numbers, or reals.
        when: slot name to its condition: other slots with those of their choices for which it is active; all have to
            hold, and a slot that is not active itself holds none. A slot without a condition is always active.
        order: the slots, each behind those that it depends on, else as they were declared.

    Raises:
        ConfigError: a slot that offers nothing; a condition on an unknown slot or choice; a slot that depends on
            itself.
    """

    options: Mapping[str, Offered]
    when: Mapping[str, Mapping[str, tuple[SlotValue, ...]]] = field(default_factory=dict)
    order: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", {slot: _offered(slot, given) for slot, given in self.options.items()})
        for slot, condition in self.when.items():
            self._check(slot, condition)
        object.__setattr__(self, "order", _ordered(list(self.options), self.when))

    def domain(self, slot: str) -> Domain:
        """What a slot may hold."""
        offered = self.options[slot]
        return Options(offered) if isinstance(offered, tuple) else offered

    def is_active(self, slot: str, choices: Mapping[str, object]) -> bool:
        """Whether a slot is there, given the choices for the active ones among those before it in the order."""
        condition = self.when.get(slot, {})
        return all(
            other in choices and any(same(choice, choices[other]) for choice in wanted)
            for other, wanted in condition.items()
        )

    def contains(self, choices: object) -> bool:
        """Whether this is a design: each active slot holds a choice that is offered, and no other slot is there."""
        if not isinstance(choices, Mapping):
            return False
        active: dict[str, object] = {}
        for slot in self.order:
            if self.is_active(slot, active):
                if slot not in choices or choices[slot] not in self.domain(slot):
                    return False
                active[slot] = choices[slot]
        return len(active) == len(choices)

    def sample(self, rng: np.random.Generator) -> Design:
        """A design, each active slot drawn by itself."""
        return self.repair({}, rng)

    def repair(self, choices: Mapping[str, object], rng: np.random.Generator) -> Design:
        """The nearest design: what fits stays, numbers are snapped into their range, the rest is drawn."""
        design: Design = {}
        for slot in self.order:
            if self.is_active(slot, design):
                domain = self.domain(slot)
                kept = domain.nearest(choices.get(slot))
                design[slot] = domain.draw(rng) if kept is None else kept
        return design

    def from_json(self, found: object, base: Mapping[str, SlotValue] | None = None) -> Design:
        """The design that JSON describes, which may be anything; what it says of inactive slots is ignored.

        Args:
            found: an object with a member for each slot, or null where the slot is inactive.
            base: a design that slots are taken from for which it has nothing.

        Raises:
            GenomeError: it describes no design; says why in a sentence.
        """
        if not isinstance(found, dict):
            raise GenomeError(f"expected a JSON object with a member for each slot, got {_shown(found)}")
        if strangers := [name for name in found if name not in self.options]:
            raise GenomeError(f"there is no slot {_shown(strangers[0])}; the slots are {_listed(self.order)}")
        design: Design = {}
        for slot in self.order:
            if self.is_active(slot, design):
                design[slot] = self._read(slot, found.get(slot), (base or {}).get(slot))
        return design

    def describe(self) -> str:
        """What may be chosen, a line a slot, for a reader and for a model."""
        return "\n".join(f"- {_shown(slot)}: {self._words(slot)}" for slot in self.order)

    def json_schema(self) -> dict[str, Any]:
        """A JSON schema of designs, with null for inactive slots; it takes more than `from_json` does, never less."""
        members = {slot: self._schema(slot) for slot in self.order}
        return {"type": "object", "properties": members, "required": list(self.order), "additionalProperties": False}

    def _check(self, slot: str, condition: Mapping[str, tuple[SlotValue, ...]]) -> None:
        for other, wanted in condition.items():
            if missing := [name for name in (slot, other) if name not in self.options]:
                raise ConfigError(f"the condition of slot {slot!r} names {missing[0]!r}, which is no slot")
            if isinstance(wanted, str) or not wanted:
                raise ConfigError(
                    f"the condition of slot {slot!r} needs a tuple of choices of {other!r}, got {wanted!r}"
                )
            domain = self.domain(other)
            if strange := [choice for choice in wanted if choice not in domain]:
                raise ConfigError(f"slot {slot!r} waits for {other!r} to be {strange[0]!r}; it is {domain.words()}")

    def _read(self, slot: str, value: object, otherwise: SlotValue | None) -> SlotValue:
        if value is None and otherwise is None:
            raise GenomeError(f"slot {_shown(slot)} is missing; expected {self.domain(slot).words()}")
        choice = self.domain(slot).read(otherwise if value is None else value)
        if choice is None:
            raise GenomeError(f"slot {_shown(slot)} cannot be {_shown(value)}; expected {self._words(slot)}")
        return choice

    def _words(self, slot: str) -> str:
        conditions = [
            f"{_shown(other)} is {' or '.join(map(_shown, wanted))}"
            for other, wanted in self.when.get(slot, {}).items()
        ]
        return self.domain(slot).words() + (f"; only where {' and '.join(conditions)}" if conditions else "")

    def _schema(self, slot: str) -> dict[str, Any]:
        schema = self.domain(slot).schema()
        nullable = {"anyOf": [schema, {"type": "null"}]} if self.when.get(slot) else schema
        return {"description": self._words(slot), **nullable}


def same(first: object, other: object) -> bool:
    """Equal as a genome's canonical text sees it: 1, 1.0 and True are three choices."""
    return type(first) is type(other) and first == other


def _offered(slot: object, given: object) -> Offered:
    """What a slot offers; a list of options is taken as a tuple."""
    offered = tuple(given) if isinstance(given, list) else given
    fits = isinstance(offered, Whole | Real) or (isinstance(offered, tuple) and bool(offered))
    if not isinstance(slot, str) or not fits:
        raise ConfigError(
            f"slot {slot!r:.80} must have a name and offer options, as in ('relu', 'tanh'), or a Whole or Real, "
            f"got {type(given).__name__} {given!r:.80}"
        )
    return cast(Offered, offered)


def _ordered(slots: list[str], when: Mapping[str, Mapping[str, object]]) -> tuple[str, ...]:
    placed: dict[str, None] = {}
    while left := [slot for slot in slots if slot not in placed]:
        ready = next((slot for slot in left if all(other in placed for other in when.get(slot, ()))), None)
        if ready is None:
            raise ConfigError(f"the conditions of slots {', '.join(map(repr, left))} wait for one another")
        placed[ready] = None
    return tuple(placed)


def _cell(share: float, count: int) -> int:
    return min(max(int(share * count), 0), count - 1)


def _is_number(value: object) -> TypeGuard[float]:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def _listed(slots: Sequence[str]) -> str:
    return ", ".join(map(_shown, slots[:20])) + (f" and {len(slots) - 20} more" if len(slots) > 20 else "")


def _shown(value: object) -> str:
    """A value as a short line of JSON; of lists and objects merely that they are such."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value, ensure_ascii=False, default=lambda other: type(other).__name__)
    text = " ".join(text.encode("utf-8", "replace").decode().splitlines())
    return text if len(text) <= 80 else f"{text[:76]} ..."
