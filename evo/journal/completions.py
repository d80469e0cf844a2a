"""Recorded completions, found again by the ask that they were for and the digest of the request."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field, replace

from evo.models import Completion, Request

ANSWERED = frozenset({"ok", "truncated", "refused", "empty"})


@dataclass(slots=True)
class Recorded:
    """Completions of earlier sessions, by the ask that they were for and the request's digest.

    A request that was made twice for an ask has two completions, which are handed out in the order of recording.
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


def answer_key(digest: str, ask: int, *, own: bool) -> str:
    """The key of an answer to an evaluation's request.

    Args:
        own: whether only the same ask may have the answer again; else any evaluation that makes the same request.
    """
    return f"{ask}:{digest}" if own else digest


def addressed(request: Request, model: str) -> Request:
    """The request, with this model where it names none, so that its digest depends on the model."""
    return request if request.model else replace(request, model=model)
