"""What passes between operators and language models: requests, completions, endpoints, prices. Values only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from evo.errors import EvoError, UserError

CompletionOutcome = Literal["ok", "truncated", "refused", "empty", "failed", "timeout", "unreachable", "cancelled"]


class BudgetSpentError(EvoError):
    """A call would have gone over a cap, so it was not sent; the search ends."""


class ModelAccessError(UserError):
    """A key that is missing or refused, or a model that an endpoint does not have; the run stops at once."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a model.

    Attributes:
        purpose: what it is for, as the lineage shows it: "diff", "reflect", "task".
        model: a model's name; empty takes the run's default.
        max_tokens: of the reply; the worst case that is reserved before it is sent.
        schema: JSON schema of the reply, where it has to be JSON.
    """

    purpose: str
    messages: tuple[Message, ...]
    model: str = ""
    temperature: float | None = None
    max_tokens: int = 4096
    seed: int | None = None
    schema: Mapping[str, Any] | None = None

    @property
    def digest(self) -> str:
        """128-bit BLAKE2b of all that the model sees, in hex; recorded completions are found by it."""
        seen = {
            "model": self.model,
            "messages": [[one.role, one.text] for one in self.messages],
            "sampling": [self.temperature, self.max_tokens, self.seed],
            "schema": dict(self.schema) if self.schema else None,
        }
        text = json.dumps(seen, sort_keys=True, ensure_ascii=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def to_json(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**fields, "messages": [[one.role, one.text] for one in self.messages]}


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back, and what it cost.

    Attributes:
        outcome: ok, or why the text is missing or incomplete.
        text: the reply; whatever of it came where the outcome is not ok.
        input_tokens: as the endpoint counts them, cached ones included; estimated where it says nothing.
        cost_usd: what was charged, failed attempts included.
        seconds: from the first attempt to the last answer, the wait for a free place left out.
        requests: HTTP requests that were sent for it.
        error: what went wrong, in one sentence; never holds a key.
    """

    outcome: CompletionOutcome
    text: str = ""
    model: str = ""
    endpoint: str = ""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    requests: int = 0
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Completion:
        return cls(**fields)


class Model(Protocol):
    """Answers requests: the gateway, a recording of it, or a scripted double."""

    async def complete(self, request: Request) -> Completion:
        """The completion; a failure of the endpoint is an outcome.

        Raises:
            BudgetSpentError: a cap would have been passed; nothing was sent.
            ModelAccessError: the key is refused, or there is no such model.
        """
        ...


class Gateway(Model, Protocol):
    """The one place that holds keys and money: sends requests to endpoints, within the caps."""

    @property
    def prices(self) -> Mapping[str, Price]:
        """What each model costs, as of the start of the run."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens."""

    input_usd: float
    output_usd: float
    cached_usd: float | None = None


FREE = Price(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible server.

    Attributes:
        base_url: as in "http://127.0.0.1:8000/v1"; None takes OPENAI_BASE_URL, or OpenAI itself.
        key_variable: name of the environment variable that holds the key; the key itself is never in a configuration.
        models: names that are sent here; empty takes whatever no other endpoint names.
        concurrency: calls at once.
        requests_per_minute: None for no limit of ours.
        tokens_per_minute: None for no limit of ours.
        timeout_seconds: of one HTTP request.
        retries: HTTP requests beyond the first for one completion, at most.
        price: for all its models; None looks each up, and a loopback address is free.
    """

    name: str
    base_url: str | None = None
    key_variable: str = "OPENAI_API_KEY"
    models: tuple[str, ...] = ()
    concurrency: int = 16
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    timeout_seconds: float = 120.0
    retries: int = 3
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class Caps:
    """What all completions of a run may use together; None for no cap."""

    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None
