"""An HTTP request to an endpoint and its answer. openai's client sends it; its retries are off (see `Transport`)."""

from __future__ import annotations

import asyncio
import email.utils
import importlib
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import httpx2

from evo.errors import ConfigError
from evo.models import PUT_INTO_ENVIRONMENT, Endpoint, ModelAccessError, secret_in
from operators.gateway.connections import Connections, Reach, ReplyTooLongError
from operators.gateway.prices import OPENAI_URL, is_loopback
from operators.gateway.retry_policy import RetryPolicy

if TYPE_CHECKING:
    from openai import AsyncOpenAI, RequestOptions

NO_KEY = "none"
# openai's client would send the kind of machine in eight headers: no endpoint needs them, and each costs CPU time.
SAID_OF_US = "lang package-version os arch runtime runtime-version async retry-count read-timeout"
SHORTEST_SECRET = 16

TransportFault = Literal["", "timeout", "unreachable", "broken", "too long"]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What an HTTP request gave.

    Attributes:
        status: of the HTTP answer; 0 where none came.
        retry_after: seconds that the endpoint asks to wait, where it does.
        fault: why there is no answer: not within the time, no connection, a connection that broke, a reply too long.
    """

    status: int = 0
    body: bytes = b""
    retry_after: float | None = None
    fault: TransportFault = ""

    @property
    def sent(self) -> bool:
        """Whether the endpoint can have seen the request."""
        return self.fault != "unreachable"


class Transport:
    """Sends requests to an endpoint; the only object that knows its key.

    openai's own retries are off: each try is reserved and paid for by the ledger, and waits as `RetryPolicy` says. Its
    HTTP client is replaced by `Connections`, which costs a third of the CPU time and bounds the size of a reply.
    openai and aiohttp take most of a second to import, so a thread does that while the seed is evaluated.
    """

    def __init__(self, endpoint: Endpoint, environment: Mapping[str, str], retry_policy: RetryPolicy) -> None:
        url = _url(endpoint, environment)
        self._key = _key(endpoint, url, environment)
        self._timeout_seconds = endpoint.timeout_seconds
        self.url = url
        self._connections = _connections(endpoint, url, retry_policy)
        self._client: AsyncOpenAI | None = None
        threading.Thread(target=_import_clients, name="import openai", daemon=True).start()

    async def send(self, path: str, fields: Mapping[str, Any]) -> HttpAnswer:
        """Post a request to a path below the base URL; every failure is an answer."""
        client = self._client or await self._open()
        from openai import APIConnectionError, APIStatusError

        try:
            async with asyncio.timeout(self._timeout_seconds):
                response = await client.post(
                    self._address(path), cast_to=httpx2.Response, body=dict(fields), options=_options()
                )
        except APIStatusError as error:
            response = error.response
        except APIConnectionError as error:
            return HttpAnswer(fault=_fault(error.__cause__))
        except TimeoutError:
            return HttpAnswer(fault="timeout")
        return HttpAnswer(response.status_code, response.content, _retry_after(response.headers))

    def hide(self, text: str) -> str:
        """A message of our own without the key, whatever the endpoint may have echoed."""
        return text.replace(self._key, "[key]") if self._key else text

    def hide_in_reply(self, text: str) -> str:
        """A model's text without the key; a stand-in such as "EMPTY" is no secret, and may be a word of the text."""
        return self.hide(text) if len(self._key) >= SHORTEST_SECRET else text

    async def close(self) -> None:
        await self._connections.aclose()

    def _address(self, path: str) -> str:
        """A path below the base URL, in front of its query."""
        base, mark, query = self.url.partition("?")
        return f"{base.rstrip('/')}{path}{mark}{query}"

    def _headers(self) -> dict[str, str]:
        # Compression would let a small reply unpack into gigabytes.
        headers = {"Accept-Encoding": "identity"}
        # Azure's deployments take the key of their resource in a header of their own.
        return headers | {"api-key": self._key} if self._key and _is_azure(self.url) else headers

    async def _open(self) -> AsyncOpenAI:
        await asyncio.to_thread(_import_clients)
        if self._client is None:
            from openai import AsyncOpenAI

            self._client = AsyncOpenAI(
                api_key=self._key or NO_KEY,
                base_url=self.url,
                max_retries=0,
                default_headers=self._headers(),
                http_client=self._connections,
            )
        return self._client


def _import_clients() -> None:
    importlib.import_module("openai")
    importlib.import_module("aiohttp")


@cache
def _options() -> RequestOptions:
    from openai import omit

    # The client itself tries nothing again, so requests need no key of their own.
    return {"headers": {f"x-stainless-{name}": omit for name in SAID_OF_US.split()}, "idempotency_key": "none"}


def _connections(endpoint: Endpoint, url: str, retry_policy: RetryPolicy) -> Connections:
    connect_seconds = min(retry_policy.connect_seconds, endpoint.timeout_seconds)
    limits = Reach(retry_policy.reply_bytes, connect_seconds)
    return Connections(url, limits, trust_env=not is_loopback(url))


def _url(endpoint: Endpoint, environment: Mapping[str, str]) -> str:
    url = (endpoint.base_url or environment.get("OPENAI_BASE_URL") or OPENAI_URL).strip()
    if found := secret_in(url):  # no sentence about this address may repeat it
        raise ConfigError(f"endpoint {endpoint.name!r}: base_url must not hold {found}; {PUT_INTO_ENVIRONMENT}")
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"endpoint {endpoint.name!r}: base_url must begin with http:// or https://, got {url!r}")
    if not _is_address(url):
        raise ConfigError(f"endpoint {endpoint.name!r}: base_url {url!r} names no host, or a port that is none")
    return url


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname and parts.hostname.encode("idna")) and parts.port != 0
    except ValueError:
        return False


def _is_azure(url: str) -> bool:
    return "api-version=" in urlsplit(url).query or (urlsplit(url).hostname or "").endswith(".azure.com")


def _key(endpoint: Endpoint, url: str, environment: Mapping[str, str]) -> str:
    """The key, or nothing where none is needed: no variable is named, or the endpoint is on this machine."""
    variable = endpoint.key_variable
    key = environment.get(variable, "").strip() if variable else ""
    if not key and variable and not is_loopback(url):
        raise ModelAccessError(
            f"endpoint {endpoint.name!r} needs a key: set the environment variable {variable}, "
            "or name none (key_variable: '') where the server asks for none"
        )
    if not (key.isascii() and key.isprintable()):
        raise ModelAccessError(f"the environment variable {variable} holds characters that no key can have")
    return key


def _fault(cause: BaseException | None) -> TransportFault:
    unsent = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
    if isinstance(cause, ReplyTooLongError):
        return "too long"
    if isinstance(cause, unsent):
        return "unreachable"
    return "timeout" if isinstance(cause, httpx2.TimeoutException) else "broken"


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds from a Retry-After header, given in seconds or as a date; None where it is missing or means nothing."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        date = email.utils.parsedate_tz(value)
        seconds = email.utils.mktime_tz(date) - time.time() if date else math.nan
    return max(0.0, seconds) if math.isfinite(seconds) else None
