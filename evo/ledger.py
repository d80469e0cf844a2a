"""The ledger: what completions cost together, and the caps that they may not pass.

Money is counted in whole nano-dollars, so that sums are exact in any order: what was spent is the sum over the
completions to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from evo.errors import ConfigError
from evo.models import BudgetSpentError, Caps, Completion

NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Charge:
    """An amount of what caps limit.

    Attributes:
        nanodollars: money, in whole billionths of a dollar.
        tokens: input and output together.
        calls: completions, however many HTTP requests each took.
    """

    nanodollars: int = 0
    tokens: int = 0
    calls: int = 0

    @classmethod
    def of(cls, usd: float = 0.0, *, tokens: int = 0, calls: int = 0) -> Charge:
        """A charge in dollars, rounded to the nearest nano-dollar: exactly what a `usd` of ours was made from."""
        return cls(round(Decimal(repr(usd)) * NANO), tokens, calls)

    @property
    def usd(self) -> float:
        """Dollars, the double nearest to the exact amount."""
        return self.nanodollars / NANO

    def __add__(self, other: Charge) -> Charge:
        return Charge(self.nanodollars + other.nanodollars, self.tokens + other.tokens, self.calls + other.calls)

    def __sub__(self, other: Charge) -> Charge:
        return Charge(self.nanodollars - other.nanodollars, self.tokens - other.tokens, self.calls - other.calls)

    def __str__(self) -> str:
        return f"${self.usd:.6g}, {self.tokens} tokens, {self.calls} calls"


@dataclass(frozen=True, slots=True)
class Reservation:
    """A worst case that is reserved until the actual charge is known."""

    id: int
    worst: Charge


class Ledger:
    """What was spent and what is reserved, together never over a cap.

    Only an endpoint that charges more than the worst case can push it over: that is counted in full, and every later
    reservation is refused.

    Attributes:
        before: what an earlier part of the run spent.
        spent: what was settled, from the start of the run, the earlier sessions of a resumed run included.
        reserved: the worst cases of what is under way.
        kept: what is kept for the end of the run; see `keep`.
    """

    def __init__(self, caps: Caps, spent: Charge | None = None) -> None:
        self._limits = _limits(caps)
        self._open: dict[int, Charge] = {}
        self._next_id = 0
        self.before = self.spent = spent or Charge()
        self.reserved = self.kept = Charge()

    def keep(self, charge: Charge) -> None:
        """Keep an amount from all reservations until another amount is kept, so that it is there at the end."""
        self.kept = charge

    def reserve(self, worst: Charge) -> Reservation:
        """Set `worst` aside.

        Raises:
            BudgetSpentError: a cap would be passed; nothing has changed.
        """
        refusal = self._refusal(worst, self.reserved)
        if refusal:
            raise BudgetSpentError(refusal)
        reservation = Reservation(self._next_id, worst)
        self._next_id += 1
        self._open[reservation.id] = worst
        self.reserved += worst
        return reservation

    def settle(self, reservation: Reservation, actual: Charge) -> None:
        """Replace a reservation by what was really used.

        Raises:
            ValueError: it was settled before, or is another ledger's.
        """
        if self._open.get(reservation.id) != reservation.worst:
            raise ValueError(f"reservation {reservation.id} is not open: settle each exactly once")
        del self._open[reservation.id]
        self.reserved -= reservation.worst
        self.spent += actual

    def has_room(self, worst: Charge) -> bool:
        """Whether `worst` would fit if all that is under way turned out to cost nothing; if not, it never will fit."""
        return not self._refusal(worst, Charge())

    def _refusal(self, asked: Charge, reserved: Charge) -> str:
        for name, limit in self._limits.items():
            spent, held, kept, wanted = (getattr(charge, name) for charge in (self.spent, reserved, self.kept, asked))
            if spent + held + kept + wanted > limit:
                figures = (_shown(name, amount) for amount in (limit, spent, held, wanted))
                said = "the cap of {} is reached: {} spent, {} reserved, {} asked".format(*figures)
                return f"{said}, {_shown(name, kept)} kept to measure the best at the end" if kept else said
        return ""


def charge_of(completion: Completion) -> Charge:
    """What a completion was charged, exactly; a resumed run's ledger begins with the sum over its earlier ones."""
    tokens = completion.input_tokens + completion.output_tokens
    return Charge.of(completion.cost_usd, tokens=tokens, calls=1)


def _limits(caps: Caps) -> dict[str, int]:
    """Field of Charge to the most that it may hold; a cap in dollars is rounded down to a nano-dollar."""
    named = {"usd": caps.usd, "tokens": caps.tokens, "calls": caps.calls}
    for name, cap in named.items():
        if cap is not None and not 0 <= cap < float("inf"):
            raise ConfigError(f"the cap on {name} is {cap}; expected a number from 0 up, or none at all")
    limits = {"tokens": caps.tokens, "calls": caps.calls}
    if caps.usd is not None:
        limits["nanodollars"] = nanodollars(caps.usd, ROUND_FLOOR)
    return {name: limit for name, limit in limits.items() if limit is not None}


def nanodollars(usd: float | Decimal, rounding: str = ROUND_CEILING) -> int:
    """Dollars in whole nano-dollars; rounded up by default, so that no amount is counted short."""
    exact = usd if isinstance(usd, Decimal) else Decimal(repr(float(usd)))
    return int((exact * NANO).to_integral_value(rounding))


def _shown(name: str, amount: int) -> str:
    return f"${amount / NANO:.6g}" if name == "nanodollars" else f"{amount} {name}"
