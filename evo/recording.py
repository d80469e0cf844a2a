"""Between operators and the model: every completion is on the disk before it is used, and none is paid for twice."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from evo.models import Completion, Model, Request
from evo.recorder import Recorder


@dataclass(slots=True)
class Recorded:
    """Completions of earlier sessions, by the ask that they were for and the request's digest.

    A request that was made twice for one ask has two completions, which are handed out in the order of recording.
    """

    by_ask: dict[int, dict[str, deque[Completion]]] = field(default_factory=dict)

    def add(self, ask: int, digest: str, completion: Completion) -> None:
        self.by_ask.setdefault(ask, defaultdict(deque))[digest].append(completion)

    def take(self, ask: int, digest: str) -> Completion | None:
        """The next recorded completion of this request, once."""
        waiting = self.by_ask.get(ask, {}).get(digest)
        return waiting.popleft() if waiting else None

    def forget(self, ask: int) -> None:
        """Drop what was for an ask that has its proposal."""
        self.by_ask.pop(ask, None)


@dataclass(frozen=True, slots=True)
class AskModel:
    """A model as one ask sees it.

    Attributes:
        past: what was paid for already and is used first.
        reusable: completions of another run by digest; used without a charge, and recorded as free.
    """

    ask: int
    model: Model
    recorder: Recorder
    past: Recorded
    reusable: Callable[[str], Completion | None] = lambda digest: None

    async def complete(self, request: Request) -> Completion:
        if (paid := self.past.take(self.ask, request.digest)) is not None:
            return paid
        completion = self.reusable(request.digest) or await self.model.complete(request)
        self.recorder.completed(self.ask, request, completion)
        await self.recorder.journal.durable()
        return completion
