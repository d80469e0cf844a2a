"""Language models: requests, completions, endpoints and prices, and the protocol of a model. Values only."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

from annotated_types import Ge, Gt, Interval

from evo.errors import EvoError, UserError

CompletionOutcome = Literal["ok", "truncated", "refused", "empty", "failed", "timeout", "unreachable", "cancelled"]

PUT_INTO_ENVIRONMENT = "put the key into an environment variable, and name that in key_variable"
_SECRET_NAME = re.compile(r"key|token|sig$|signature|secret|passw|pwd|credential|auth|^code$|^sk-", re.IGNORECASE)
_SORTED = json.JSONEncoder(sort_keys=True).encode


class BudgetSpentError(EvoError):
    """A call might have passed a cap, so it was not sent; the search ends."""


class ModelAccessError(UserError):
    """A missing or refused key, or a model that an endpoint does not have; the run stops at once."""


@dataclass(frozen=True, slots=True)
class Message:
    """A turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a model.

    Attributes:
        purpose: what it is for, as the lineage shows it: "diff", "reflect", "task".
        model: a model's name; empty takes the run's default.
        max_tokens: of the reply; the worst case that is reserved before it is sent.
        schema: JSON schema of the reply, where it has to be JSON.
        output: "vector" asks an embedding model for the vector of the only message instead of a reply; the text of the
            completion is then that vector, as base64 of little-endian 32-bit floats.
    """

    purpose: str
    messages: tuple[Message, ...]
    model: str = ""
    temperature: float | None = None
    max_tokens: int = 4096
    seed: int | None = None
    schema: Mapping[str, Any] | None = None
    output: Literal["text", "vector"] = "text"
    _digest: str = field(default="", init=False, repr=False, compare=False)

    @property
    def digest(self) -> str:
        """128-bit BLAKE2b, in hex, of all that the model sees; recorded completions are found by it."""
        if not self._digest:
            object.__setattr__(self, "_digest", self._digested())
        return self._digest

    def _digested(self) -> str:
        seen = {
            "model": self.model,
            "messages": [[message.role, message.text] for message in self.messages],
            "sampling": [self.temperature, self.max_tokens, self.seed],
            "schema": dict(self.schema) if self.schema else None,
        }
        if self.output != "text":
            seen["output"] = self.output
        return hashlib.blake2b(_SORTED(seen).encode(), digest_size=16).hexdigest()

    def to_json(self) -> dict[str, Any]:
        shown = (name for name in self.__dataclass_fields__ if name != "_digest")
        fields = {name: getattr(self, name) for name in shown}
        return {**fields, "messages": [[message.role, message.text] for message in self.messages]}


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back, and what it cost.

    Attributes:
        outcome: ok, or why the text is missing or incomplete.
        text: the reply; as much of it as came where the outcome is not ok.
        input_tokens: as the endpoint counts them, cached tokens and those of failed but charged tries included;
            estimated where it does not count.
        cost_usd: what was charged, failed attempts included.
        seconds: from the first attempt to the last answer, the wait for a free place left out.
        requests: HTTP requests that were sent for it.
        error: what went wrong, in a sentence; never holds a key.
        reasoning: the model's thoughts, apart from the text, at most 16 KiB of them. Where the model put its answer
            there and gave no text, the text is the same.
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
    reasoning: str = ""

    def to_json(self) -> dict[str, Any]:
        """Its fields; without reasoning, which most completions do not have, where there is none."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return fields if self.reasoning else {name: value for name, value in fields.items() if name != "reasoning"}

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
            ConfigError: what the model costs is not known.
        """
        ...


NO_MODEL = "this problem's evaluations ask a language model, and the run has none; name one with --model NAME"


async def complete_all(model: Model, requests: Sequence[Request]) -> list[Completion]:
    """All completions, in the order of the requests, side by side; where a call raises, all others end first."""
    answers = await asyncio.gather(*map(model.complete, requests), return_exceptions=True)
    completions = [answer for answer in answers if isinstance(answer, Completion)]
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return completions


@dataclass(frozen=True, slots=True)
class Health:
    """The state of an endpoint.

    Attributes:
        in_flight: completions under way, those that wait between two tries included.
        calls: completions that ended.
        failures: in a row, up to now.
        paused: whether calls wait, because it failed so often.
        pause_left_seconds: until it is tried again.
    """

    in_flight: int
    calls: int
    failures: int
    paused: bool
    pause_left_seconds: float


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens."""

    input_usd: Annotated[float, Ge(0)]
    output_usd: Annotated[float, Ge(0)]
    cached_usd: Annotated[float, Ge(0)] | None = None


FREE = Price(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible server.

    Attributes:
        base_url: as in "http://127.0.0.1:8000/v1"; None takes OPENAI_BASE_URL, or OpenAI itself.
        key_variable: name of the environment variable that holds the key, empty where none is needed; the key itself
            is never in a configuration.
        models: names of the models that it serves; empty serves all that no other endpoint names.
        concurrency: calls at once.
        requests_per_minute: None for no limit of ours.
        tokens_per_minute: None for no limit of ours.
        timeout_seconds: of an HTTP request.
        retries: HTTP requests beyond the first for a completion, at most.
        price: for all its models; None looks each up, and a loopback address is free.
        api: "chat" for chat completions, which every server speaks; "responses" for OpenAI's newer interface.

    Raises:
        ValueError: a URL with a password or a key in it, or a key in place of the name of its variable.
    """

    name: str
    base_url: str | None = None
    key_variable: str = "OPENAI_API_KEY"
    models: tuple[str, ...] = ()
    concurrency: Annotated[int, Interval(ge=1, le=10_000)] = 16
    requests_per_minute: Annotated[float, Gt(0)] | None = None
    tokens_per_minute: Annotated[float, Gt(0)] | None = None
    timeout_seconds: Annotated[float, Gt(0)] = 120.0
    retries: Annotated[int, Interval(ge=0, le=20)] = 3
    price: Price | None = None
    api: Literal["chat", "responses"] = "chat"

    def __post_init__(self) -> None:
        if self.key_variable and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.key_variable):
            raise ValueError(
                "key_variable must name an environment variable in capitals, as in OPENAI_API_KEY; never the key itself"
            )
        if self.base_url is not None and (found := secret_in(self.base_url)):
            raise ValueError(f"base_url must not hold {found}; {PUT_INTO_ENVIRONMENT}")


def secret_in(url: str) -> str:
    """What kind of secret an address holds, in words; empty where none. The address may be none at all."""
    place, _, query = url.partition("?")
    if "@" in place:
        return "a user or a password"
    names = [pair.partition("=")[0] for pair in re.split("[&;#]", query)]
    return "a key in its query" if any(map(_SECRET_NAME.search, names)) else ""


@dataclass(frozen=True, slots=True)
class Caps:
    """What all completions of a run may use together; None for no cap."""

    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None
