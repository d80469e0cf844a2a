"""Gathers candidates into batches that are scored together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from evo.policies.base import Verdict
from evo.values import Candidate


class Batches:
    """Gathers candidates by their ids: those from n * size to (n + 1) * size - 1 are a batch.

    Attributes:
        gathering: candidates that wait for the rest of their batch, by ask.

    Args:
        size: of a batch; where it is 1, nothing gathers.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.gathering: dict[int, Candidate] = {}
        self._verdicts: dict[int, asyncio.Future[Verdict]] = {}
        self._closed = False

    @property
    def room(self) -> int:
        """How many more offspring have to be under way, so that a batch can gather while another is scored."""
        return self.size if self.size > 1 else 0

    def join(self, candidate: Candidate) -> list[list[Candidate]]:
        """Add a candidate, in the order of their ids; returns the batches that are complete by that."""
        self._verdicts[candidate.id] = asyncio.get_running_loop().create_future()
        if self._closed:
            self._verdicts[candidate.id].cancel()
            return []
        others = any(member.id // self.size != candidate.id // self.size for member in self.gathering.values())
        complete = [self.take()] if others else []
        self.gathering[candidate.ask.id] = candidate
        return [*complete, self.take()] if (candidate.id + 1) % self.size == 0 else complete

    def take(self) -> list[Candidate]:
        """All candidates that are gathering, in the order of their ids; they gather no more."""
        batch, self.gathering = sorted(self.gathering.values(), key=lambda member: member.id), {}
        return batch

    async def verdict(self, candidate: Candidate) -> Verdict:
        """What is decided about a candidate that has joined.

        Raises:
            CancelledError: nothing will be.
        """
        return await self._verdicts[candidate.id]

    def decide(self, batch: Sequence[Candidate], verdicts: Sequence[Verdict]) -> None:
        """Hand out the verdicts of a batch."""
        for candidate, verdict in zip(batch, verdicts, strict=True):
            if not self._verdicts[candidate.id].done():
                self._verdicts[candidate.id].set_result(verdict)

    def leave(self, batch: Sequence[Candidate]) -> None:
        """Nothing will be decided about these."""
        for candidate in batch:
            self._verdicts[candidate.id].cancel()

    def close(self) -> None:
        """Nothing will be decided about candidates that gather, and those that come later."""
        self._closed = True
        self.leave(self.take())
