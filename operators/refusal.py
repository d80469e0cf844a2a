"""RefusalError: why an operator makes no offspring."""

from __future__ import annotations

from evo.errors import EvoError
from evo.values import ProposalOutcome


class RefusalError(EvoError):
    """An operator cannot make an offspring: becomes a Proposal of that outcome with the reason as its thought."""

    def __init__(self, outcome: ProposalOutcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome: ProposalOutcome = outcome

    def __reduce__(self) -> tuple[type[RefusalError], tuple[ProposalOutcome, str]]:
        return RefusalError, (self.outcome, str(self))
