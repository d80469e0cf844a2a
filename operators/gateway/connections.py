"""Connections to an endpoint: what openai's client sends, transported by aiohttp.

aiohttp is imported where it is used, so that a run begins before it is there; see `operators.gateway.transport`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2
from yarl import URL

from evo.errors import ConfigError

if TYPE_CHECKING:
    import aiohttp

KEEPALIVE_SECONDS = 4.0  # below the 5 s after which uvicorn, and so vLLM, hangs up
KEPT_HEADERS = ("content-type", "retry-after")


class ReplyTooLongError(httpx2.RequestError):
    """The reply passed the limit; the rest of it was not read."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a request goes.

    Attributes:
        reply_bytes: the longest reply that is read.
        connect_seconds: that may pass before there is a connection.
    """

    reply_bytes: int
    connect_seconds: float


class Connections(httpx2.AsyncClient):
    """Sends each request once and reads its reply whole; how many at once is for the caller to bound.

    An httpx2 client as far as openai's client uses it, for httpx2's own building and sending of a request takes three
    times the CPU time, and more with every open connection. Follows no redirect: that would be a request that
    was not counted, and could send the prompt to another host.
    """

    def __init__(self, url: str, reach: Reach, *, trust_env: bool) -> None:
        """No connection yet.

        Args:
            url: what is to be reached, which decides on the proxy.
            trust_env: take the proxy and certificates from the environment.

        Raises:
            ConfigError: the environment names a proxy that is not an HTTP proxy.
        """
        super().__init__(transport=httpx2.AsyncBaseTransport(), trust_env=False)
        self._certificates = httpx2.create_ssl_context(trust_env=trust_env)
        self._proxy = _proxy_for(url, getproxies()) if trust_env else None
        self._reach = reach
        self._session: aiohttp.ClientSession | None = None

    def build_request(
        self,
        method: str,
        url: httpx2.URL | str,
        *,
        content: Any = None,
        headers: Any = None,
        **_: Any,
    ) -> httpx2.Request:
        """A request as openai's client makes it: all its headers are given, and its content is bytes."""
        # A stream is taken as it is; for bytes httpx2 builds all headers twice more, to add what aiohttp adds as well.
        return httpx2.Request(method, _parsed(str(url)), stream=httpx2.ByteStream(content), headers=headers)

    async def send(self, request: httpx2.Request, **_: Any) -> httpx2.Response:
        """The reply, with the headers that count.

        Raises:
            httpx2.RequestError: as httpx2's own client, or ReplyTooLongError.
        """
        import aiohttp

        try:
            response = await self._sent(request)
            response.request = request
            return response
        # Not chained, for aiohttp's errors may hold the request's headers, and so the key.
        except aiohttp.ServerTimeoutError:
            raise httpx2.ConnectTimeout("no connection in time") from None
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL):
            raise httpx2.ConnectError("no connection") from None
        except (aiohttp.ClientError, OSError):
            raise httpx2.ReadError("the connection broke") from None

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _sent(self, request: httpx2.Request) -> httpx2.Response:
        import aiohttp

        headers = [(name.decode(), value.decode()) for name, value in request.headers.raw]
        async with self._opened().request(
            request.method,
            _encoded(str(request.url)),
            data=await request.aread(),
            headers=headers,
            proxy=self._proxy,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(sock_connect=self._reach.connect_seconds),
        ) as response:
            content = await self._read(response)
            # Not the other headers: they would have the bytes unpacked.
            kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
            return httpx2.Response(response.status, headers=kept, content=content)

    def _opened(self) -> aiohttp.ClientSession:
        """Opened by the first request, for a session belongs to the event loop."""
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._certificates, limit=0, keepalive_timeout=KEEPALIVE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
                auto_decompress=False,
            )
        return self._session

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > self._reach.reply_bytes:
                response.close()
                raise ReplyTooLongError("the reply is too long")
        return bytes(content)


# A run knows a handful of addresses.
_parsed = lru_cache(maxsize=64)(httpx2.URL)


@lru_cache(maxsize=64)
def _encoded(url: str) -> URL:
    return URL(url, encoded=True)


def _proxy_for(url: str, proxies: Mapping[str, str]) -> str | None:
    """The proxy that the environment names for a URL, by its scheme or for all."""
    parts = urlsplit(url)
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not proxy.startswith(("http://", "https://")):
        scheme = proxy.partition(":")[0]
        raise ConfigError(
            f"the environment names a {scheme} proxy for {parts.hostname}; only HTTP proxies are supported"
        )
    return proxy
