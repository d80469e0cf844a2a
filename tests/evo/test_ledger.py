"""Laws of the ledger: spent plus reserved never passes a cap, and sums are exact."""

from __future__ import annotations

import math
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError
from evo.ledger import Charge, Ledger, Reservation
from evo.models import BudgetSpentError, Caps

AMOUNT = st.integers(0, 50)
CHARGE = st.builds(Charge, AMOUNT.map(lambda n: n * 10**8), AMOUNT, st.integers(0, 2))
CAPS = st.builds(
    Caps,
    usd=st.none() | AMOUNT.map(lambda n: n / 4),
    tokens=st.none() | st.integers(0, 200),
    calls=st.none() | st.integers(0, 8),
)
# A step reserves an amount, or settles the open reservation of that number for a share of it.
STEPS = st.lists(st.one_of(CHARGE, st.tuples(st.integers(0, 5), st.integers(0, 100))), max_size=60)


def over(ledger: Ledger, caps: Caps) -> bool:
    held = ledger.spent + ledger.reserved
    pairs = ((held.nanodollars, caps.usd and caps.usd * 1e9), (held.tokens, caps.tokens), (held.calls, caps.calls))
    return any(cap is not None and amount > cap for amount, cap in pairs)


def share(worst: Charge, percent: int) -> Charge:
    return Charge(*(amount * percent // 100 for amount in astuple(worst)))


@given(CAPS, STEPS)
def test_spent_plus_reserved_never_passes_a_cap_at_any_interleaving(caps: Caps, steps: list[object]) -> None:
    ledger, open_ones, settled = Ledger(caps), list[Reservation](), list[Charge]()
    for step in steps:
        if isinstance(step, Charge):
            try:
                open_ones.append(ledger.reserve(step))
            except BudgetSpentError:
                assert over_with(ledger, caps, step)
        elif open_ones and isinstance(step, tuple):
            reservation = open_ones.pop(step[0] % len(open_ones))
            settled.append(share(reservation.worst, step[1]))
            ledger.settle(reservation, settled[-1])
        assert not over(ledger, caps)
        assert ledger.spent == sum(settled, Charge())
        assert ledger.reserved == sum((one.worst for one in open_ones), Charge())


def over_with(ledger: Ledger, caps: Caps, asked: Charge) -> bool:
    would = Ledger(Caps(), ledger.spent + ledger.reserved + asked)
    return over(would, caps)


@given(st.lists(st.integers(0, 10**13), max_size=200))
def test_dollars_of_completions_add_up_to_what_was_spent_to_the_last_digit(amounts: list[int]) -> None:
    spent = sum((Charge(one) for one in amounts), Charge())
    told = [Charge(one).usd for one in amounts]
    assert sum((Charge.of(result) for result in told), Charge()) == spent
    assert round(math.fsum(told) * 1e9) == pytest.approx(spent.nanodollars, rel=1e-15)


@pytest.mark.parametrize(
    ("caps", "asked", "said"),
    [
        (Caps(usd=1.0), Charge.of(0.6), r"cap of \$1 is reached: \$0.5 spent, \$0 reserved, \$0.6 asked"),
        (Caps(tokens=100), Charge(tokens=61), "cap of 100 tokens is reached: 40 tokens spent, 0 tokens reserved, 61"),
        (Caps(calls=1), Charge(calls=1), "cap of 1 calls is reached: 1 calls spent, 0 calls reserved, 1 calls asked"),
    ],
)
def test_a_refusal_names_the_cap_and_what_is_spent_reserved_and_asked(caps: Caps, asked: Charge, said: str) -> None:
    ledger = Ledger(caps, Charge.of(0.5, tokens=40, calls=1))
    with pytest.raises(BudgetSpentError, match=said):
        ledger.reserve(asked)
    assert ledger.reserved == Charge()


def test_an_endpoint_that_charges_above_its_worst_case_is_counted_and_ends_the_spending() -> None:
    ledger = Ledger(Caps(tokens=100))
    ledger.settle(ledger.reserve(Charge(tokens=10)), Charge(tokens=150))
    assert ledger.spent == Charge(tokens=150)
    with pytest.raises(BudgetSpentError, match="150 tokens spent"):
        ledger.reserve(Charge())


def test_a_reservation_is_settled_once_and_only_by_its_own_ledger() -> None:
    ledger = Ledger(Caps())
    reservation = ledger.reserve(Charge(5, 5, 1))
    ledger.settle(reservation, Charge(1))
    for stranger in (reservation, Reservation(7, Charge())):
        with pytest.raises(ValueError, match="settle each exactly once"):
            ledger.settle(stranger, Charge(1))
    assert (ledger.spent, ledger.reserved) == (Charge(1), Charge())


def test_a_reservation_has_room_exactly_where_it_fits_beside_what_is_spent() -> None:
    ledger = Ledger(Caps(tokens=100), Charge(tokens=30))
    ledger.reserve(Charge(tokens=70))
    assert ledger.has_room(Charge(tokens=70))
    assert not ledger.has_room(Charge(tokens=71))


@pytest.mark.parametrize("cap", [-1.0, math.nan, math.inf])
def test_a_cap_is_a_number_from_zero_up(cap: float) -> None:
    with pytest.raises(ConfigError, match="the cap on usd is"):
        Ledger(Caps(usd=cap))
