"""What the scripted server was asked and what it answered."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from evo.models import Message, Request
from operators.scripted.faults import Fault
from operators.scripted.wire import ScriptedReply

REMEMBERED = 100


@dataclass(frozen=True, slots=True)
class Exchange:
    """An HTTP request for a completion or for vectors, and its answer.

    Attributes:
        number: 0, 1, 2, ... in the order of arrival.
        status: HTTP status; "reset" where the connection was cut, "abandoned" where the client left or we closed.
        fault: injected on purpose, empty for none.
        digest: of the request (`evo.models.Request.digest`); empty where none could be read.
        reply: text that the rule gave, as far as it was sent; empty for vectors.
        input_tokens: charged; 0 unless the status is 200.
        output_tokens: charged; 0 unless the status is 200.
    """

    number: int
    status: str = "abandoned"
    fault: Fault | str = ""
    digest: str = ""
    model: str = ""
    messages: tuple[Message, ...] = ()
    reply: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """All requests for completions and vectors up to now.

    Attributes:
        requests: HTTP requests for them that arrived, those in flight included.
        statuses: status to the count of requests that ended with it.
        faults: fault to the count of requests that had it.
        peak: most requests in flight at once.
        input_tokens: charged, of all replies with status 200.
        output_tokens: charged, of all replies with status 200.
        last: the latest exchanges that ended, oldest first.
    """

    requests: int
    statuses: Mapping[str, int]
    faults: Mapping[str, int]
    in_flight: int
    peak: int
    input_tokens: int
    output_tokens: int
    last: tuple[Exchange, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class OpenExchange:
    """A request in flight; what is noted of it becomes its exchange."""

    def __init__(self, number: int) -> None:
        self.exchange = Exchange(number)

    @property
    def number(self) -> int:
        return self.exchange.number

    def note_request(self, request: Request, fault: Fault | None) -> None:
        self.exchange = replace(
            self.exchange,
            fault=fault or "",
            digest=request.digest,
            model=request.model,
            messages=request.messages,
        )

    def note_status(self, status: int | str) -> None:
        self.exchange = replace(self.exchange, status=str(status))

    def note_reply(self, reply: ScriptedReply) -> None:
        self.exchange = replace(
            self.exchange,
            status="200",
            reply=reply.text,
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
        )


class ExchangeTally:
    """Counts exchanges as they come and go."""

    def __init__(self) -> None:
        self._arrived = self._in_flight = self._peak = 0
        self._statuses: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._tokens = [0, 0]
        self._last: deque[Exchange] = deque(maxlen=REMEMBERED)

    @contextmanager
    def line(self) -> Iterator[OpenExchange]:
        """A request from its arrival to its end."""
        line = OpenExchange(self._arrived)
        self._arrived += 1
        self._in_flight += 1
        self._peak = max(self._peak, self._in_flight)
        try:
            yield line
        finally:
            self._in_flight -= 1
            self._count(line.exchange)

    def stats(self, last: int = REMEMBERED) -> Stats:
        """The counts up to now, with at most `last` exchanges."""
        return Stats(
            requests=self._arrived,
            statuses=dict(self._statuses),
            faults=dict(self._faults),
            in_flight=self._in_flight,
            peak=self._peak,
            input_tokens=self._tokens[0],
            output_tokens=self._tokens[1],
            last=tuple(self._last)[max(0, len(self._last) - last) :],
        )

    def _count(self, exchange: Exchange) -> None:
        self._statuses[exchange.status] += 1
        if exchange.fault:
            self._faults[exchange.fault] += 1
        self._tokens[0] += exchange.input_tokens
        self._tokens[1] += exchange.output_tokens
        self._last.append(exchange)
