"""A queue before the ledger: calls wait for room in the budget."""

from __future__ import annotations

import asyncio

from evo.ledger import Charge, Ledger, Reservation
from evo.models import BudgetSpentError


class BudgetQueue:
    """Makes a call wait where only other calls' reservations block it, so that a budget is used up to its end."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._settled = asyncio.Event()

    async def reserve(self, worst: Charge) -> Reservation:
        """Reserve `worst`, if need be after other calls have settled for less than they reserved.

        A waiting call holds no reservation, so no two can wait for each other.

        Raises:
            BudgetSpentError: it does not fit beside what is spent already, so it never will.
        """
        while True:
            settled = self._settled
            try:
                return self.ledger.reserve(worst)
            except BudgetSpentError:
                if not self.ledger.has_room(worst):
                    raise
            await settled.wait()

    def settle(self, reservation: Reservation, actual: Charge) -> None:
        self.ledger.settle(reservation, actual)
        self._settled.set()
        self._settled = asyncio.Event()
