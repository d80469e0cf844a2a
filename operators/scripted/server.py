"""An OpenAI-compatible server around a rule: a simulation to test against, not a language model."""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Self

import numpy as np
from aiohttp import web

from evo.errors import ConfigError
from evo.models import Request
from operators.scripted import chat, embeddings, responses
from operators.scripted.faults import DrawnFault, Fault, Faults
from operators.scripted.json_values import with_schema
from operators.scripted.rules import ReplyRule
from operators.scripted.stats import REMEMBERED, ExchangeTally, OpenExchange, Stats
from operators.scripted.wire import ApiError, ReadRequest, ScriptedReply, encode, list_models, rate_limited

LARGEST_BODY_BYTES = 64 << 20
SHUTDOWN_SECONDS = 0.1
DEFAULT_MODELS = ("scripted",)
NO_LINGER = struct.pack("ii", 1, 0)
READERS: Mapping[str, Callable[[bytes], ReadRequest]] = {
    "/v1/chat/completions": chat.read,
    "/v1/responses": responses.read,
    "/v1/embeddings": embeddings.read,
}


class ScriptedServer:
    """Answers POST /v1/chat/completions and /v1/responses by a rule; also GET /v1/models and GET /stats.

    POST /v1/embeddings gets simulated vectors, whatever the rule. All three share a row of requests.
    A reply is a function of (seed, request); what goes wrong with the n-th request is a function of (seed, n).
    """

    def __init__(
        self,
        rule: ReplyRule,
        faults: Faults | None = None,
        *,
        seed: int = 0,
        models: tuple[str, ...] = (),
        require_key: str | None = None,
    ) -> None:
        """A server that is not listening yet.

        Args:
            seed: not negative.
            models: names that it answers to; any name where empty.
            require_key: other keys get a 401.

        Raises:
            ConfigError: a negative seed.
        """
        if seed < 0:
            raise ConfigError(f"the seed is {seed}; it must not be negative")
        self._rule = rule
        self._faults = faults or Faults()
        self._seed = seed
        self._models = models
        self._key = require_key
        self._tally = ExchangeTally()
        self._runner: web.AppRunner | None = None
        self._base_url = ""

    @property
    def base_url(self) -> str:
        """As a client wants it, ending in /v1; empty while not listening."""
        return self._base_url

    def stats(self, last: int = REMEMBERED) -> Stats:
        """What was asked and answered up to now, with at most `last` exchanges."""
        return self._tally.stats(last)

    async def start(self, port: int = 0, *, host: str = "127.0.0.1") -> str:
        """Listen, and give the base URL; port 0 takes a free port.

        Raises:
            ConfigError: the address is taken, or is none of this machine.
        """
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            handler_cancellation=True,  # a hanging request ends with its client
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, backlog=1024).start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigError(
                f"cannot listen on {host} port {port} ({error.strerror}); port 0 takes a free port"
            ) from error
        self._runner = runner
        self._base_url = f"http://{host}:{runner.addresses[0][1]}/v1"
        return self._base_url

    async def close(self) -> None:
        """Stop listening and cut what is in flight."""
        runner, self._runner, self._base_url = self._runner, None, ""
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @contextmanager
    def in_thread(self, port: int = 0) -> Iterator[Self]:
        """Listens in a thread of its own for as long as the context lasts, for callers without an event loop."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="scripted server", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.start(port), loop).result()
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self.close(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=LARGEST_BODY_BYTES)
        for path in READERS:
            application.router.add_post(path, self._complete)
        application.router.add_get("/v1/models", self._list_models)
        application.router.add_get("/stats", self._show_stats)
        return application

    async def _complete(self, http: web.Request) -> web.Response:
        with self._tally.line() as line:
            try:
                return await self._answer(http, line)
            except ApiError as error:
                line.note_status(error.status)
                return _response(error.body, status=error.status, headers=error.headers)

    async def _answer(self, http: web.Request, line: OpenExchange) -> web.Response:
        self._check_key(http)
        asked = READERS[http.path](await http.read())
        self._check_model(asked.request)
        draw = self._faults.sample(np.random.default_rng([self._seed, 1, line.number]))
        line.note_request(asked.request, draw.fault)
        self._fail(draw)
        if draw.fault == "reset":
            line.note_status("reset")
            return _reset(http)
        await asyncio.sleep(draw.latency_seconds + (self._faults.hang_seconds if draw.fault == "hang" else 0.0))
        reply = self._replied(asked, draw.fault)
        line.note_reply(reply)
        # Where JSON is asked for, it is the reply's text that is malformed.
        breaks = draw.fault != "malformed_json" or not asked.request.schema
        return _response(encode(reply.body, draw.fault if breaks else None))

    def _replied(self, asked: ReadRequest, fault: Fault | None) -> ScriptedReply:
        return asked.compose("" if asked.request.output == "vector" else self._text(asked.request), fault)

    def _text(self, request: Request) -> str:
        rng = np.random.default_rng([self._seed, 0, int(request.digest, 16)])
        try:
            return self._rule(with_schema(request.messages, request.schema), rng)
        except Exception as error:  # rules are foreign code; the client gets a 500, as from any broken server
            raise ApiError(500, "rule_failed", f"the rule raised {error!r}", kind="server_error") from error

    def _fail(self, draw: DrawnFault) -> None:
        match draw.fault:
            case "rate_limited":
                raise rate_limited()
            case "rate_limited_retry_after":
                raise rate_limited(self._faults.retry_after_seconds)
            case "server_error":
                raise ApiError(500, "server_error", "The scripted server failed on purpose.", kind="server_error")

    def _check_key(self, http: web.Request) -> None:
        if self._key is not None and http.headers.get("Authorization") != f"Bearer {self._key}":
            raise ApiError(401, "invalid_api_key", "Incorrect API key provided.")

    def _check_model(self, request: Request) -> None:
        if self._models and request.model not in self._models:
            raise ApiError(404, "model_not_found", f"The model `{request.model}` does not exist.")

    async def _list_models(self, http: web.Request) -> web.Response:
        try:
            self._check_key(http)
        except ApiError as error:
            return _response(error.body, status=error.status)
        return web.json_response(list_models(self._models or DEFAULT_MODELS))

    async def _show_stats(self, http: web.Request) -> web.Response:
        last = http.query.get("last", str(REMEMBERED))
        return web.json_response(self.stats(int(last) if last.isdigit() else REMEMBERED).to_json())


def serve(server: ScriptedServer, *, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Listen until SIGINT or SIGTERM, after saying where on stdout. Main thread only.

    Raises:
        ConfigError: the address is taken, or is none of this machine.
    """
    asyncio.run(_serve(server, host, port))


async def _serve(server: ScriptedServer, host: str, port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    url = await server.start(port, host=host)
    print(f"scripted model (a simulation, not a language model) at {url}; export OPENAI_BASE_URL={url}", flush=True)
    await ended.wait()
    await server.close()


def _response(body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _reset(http: web.Request) -> web.Response:
    transport = http.transport
    if transport is not None:
        # Without lingering the kernel sends RST instead of a polite end.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        transport.abort()
    return web.Response()
