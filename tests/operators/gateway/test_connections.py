"""Laws of the gateway's connections: proxies, TLS, idle ones that were closed, addresses that do not answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from evo.errors import ConfigError
from evo.ledger import Ledger
from evo.models import FREE, Caps, Completion, Endpoint
from operators.gateway import EndpointGateway
from operators.gateway.connections import Connections, Reach
from tests.support.fake_endpoint import FakeEndpoint, completion, serve
from tests.support.gateway_bench import ASK, PRICE, QUICK, Bench, bench, one_ask

FAR = Endpoint("far", "http://models.example/v1", key_variable="", price=FREE, timeout_seconds=5.0, retries=0)
PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


async def asked(
    endpoint: Endpoint, *, times: int = 1, between: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)
) -> list[Completion]:
    """What comes of the same request, asked again and again."""
    gateway = EndpointGateway([endpoint], "m", Ledger(Caps()), environment={}, retry_policy=QUICK)
    answers = []
    for _ in range(times):
        answers.append(await gateway.complete(ASK))
        await between()
    await gateway.close()
    return answers


def test_a_proxy_of_the_environment_is_used_but_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        async with serve(FakeEndpoint()) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1").removeprefix("http://"))
            assert [completion.outcome for completion in await asked(FAR)] == ["ok"]
            assert [body["model"] for body in proxy.bodies] == ["m"]
            async with serve(FakeEndpoint()) as near:
                await asked(replace(FAR, base_url=near.url))
                assert (len(proxy.bodies), len(near.bodies)) == (1, 1)

    asyncio.run(go())


def test_a_proxy_that_is_not_there_is_unreachable_and_one_of_another_kind_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    answer = asyncio.run(asked(FAR))[0]
    assert (answer.outcome, answer.requests) == ("unreachable", 0)
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"a socks5 proxy for models\.example; only HTTP proxies"):
        EndpointGateway([FAR], "m", Ledger(Caps()), environment={})
    monkeypatch.setenv("no_proxy", "models.example")
    EndpointGateway([FAR], "m", Ledger(Caps()), environment={})


def test_a_server_without_tls_is_unreachable_by_https_and_free() -> None:
    async def go() -> list[Completion]:
        async with serve(FakeEndpoint()) as fake:
            secure = replace(FAR, base_url=fake.url.replace("http://", "https://"), price=PRICE)
            return await asked(secure)

    answer = asyncio.run(go())[0]
    assert (answer.outcome, answer.requests, answer.cost_usd) == ("unreachable", 0, 0.0)


@asynccontextmanager
async def hanging_up(closed: asyncio.Semaphore) -> AsyncIterator[str]:
    """A server that answers a single request a connection, and closes it a little later without having announced it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            await reader.readexactly(length)
            body = completion({"model": "m", "messages": []})
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await asyncio.sleep(0.02)
        writer.close()
        await writer.wait_closed()
        closed.release()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def test_a_connection_that_was_closed_while_idle_costs_no_request() -> None:
    async def go() -> None:
        closed = asyncio.Semaphore(0)

        async def hung_up() -> None:
            await closed.acquire()
            await asyncio.sleep(0.02)  # this end notices it in the next round of the loop

        async with hanging_up(closed) as url:
            answers = await asked(replace(FAR, base_url=url), times=3, between=hung_up)
        assert [(answer.outcome, answer.requests) for answer in answers] == [("ok", 1)] * 3
        assert closed.locked(), "a connection for each request"

    asyncio.run(go())


def test_a_connection_is_used_again() -> None:
    async def act(test: Bench) -> None:
        for _ in range(5):
            await test.ask()
        assert len(test.fake.ports) == 1

    bench([], act, timeout_seconds=5.0)


def test_no_header_says_anything_of_this_machine() -> None:
    async def act(test: Bench) -> None:
        await test.ask()
        spoken = {"host", "accept", "accept-encoding", "authorization", "content-type", "content-length", "user-agent"}
        assert test.fake.headers == spoken

    bench([], act)


def test_an_address_that_never_answers_is_unreachable_and_free() -> None:
    with socket.socket() as deaf, contextlib.ExitStack() as fillers:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(8):  # fill its queue, so that the kernel leaves further calls without an answer
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        retry_policy = replace(QUICK, connect_seconds=0.1)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/v1"
        answer = one_ask(base_url=url, retry_policy=retry_policy, retries=0, timeout_seconds=5.0)
    assert (answer.outcome, answer.requests, answer.cost_usd) == ("unreachable", 0, 0.0)
    assert answer.seconds < 2


def test_connections_that_were_never_used_or_closed_twice_close_quietly() -> None:
    async def go() -> None:
        connections = Connections("http://127.0.0.1:1/v1", Reach(10, 1.0), trust_env=False)
        await connections.aclose()
        await connections.aclose()
        assert connections._session is None

    asyncio.run(go())
