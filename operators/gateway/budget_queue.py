"""The ledger, and a queue before it."""

from __future__ import annotations

import asyncio

from evo.ledger import Charge, Ledger, Reservation
from evo.models import BudgetSpentError


class BudgetQueue:
    """Lets a call wait where only others' reservations stand in its way, so that a budget is used to its end."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._settled = asyncio.Event()

    async def reserve(self, worst: Charge) -> Reservation:
        """Set `worst` aside, if need be once others have settled for less than they reserved.

        Who waits holds no reservation, so no two can wait for each other.

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
