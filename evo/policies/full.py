"""The policy `full`: every candidate as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from evo.policies.base import CandidateBatch, Policy


@dataclass(frozen=True, slots=True)
class Full(Policy):
    """Every candidate as a whole, whether the problem has cases or not."""

    needs_cases = False

    def start(self, batch: CandidateBatch) -> None:
        return None
