"""Kinds of servers as they are: each refuses what its original refuses, in its words, and answers in its form."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Fields = dict[str, Any]
Answer = Callable[["FakeServer", Fields], web.Response | None]
TEXT = '{"x": 4}'
CONTEXT, PROMPT = 4096, 1200


@dataclass
class FakeServer:
    """A server that answers by rules: the first that has an answer to a request gives it.

    Attributes:
        bodies: of the requests, as they arrived.
        addresses: path and query of the requests.
        headers: of the last request.
    """

    rules: tuple[Answer, ...]
    path: str = "/v1"
    query: str = ""
    url: str = ""
    bodies: list[Fields] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    async def handle(self, http: web.Request) -> web.Response:
        body = await http.json()
        self.bodies.append(body)
        self.addresses.append(http.path_qs)
        self.headers = dict(http.headers)
        if http.path != f"{self.path}/chat/completions":
            return web.json_response({"detail": "Not Found"}, status=404)
        return next(answer for rule in self.rules if (answer := rule(self, body)) is not None)


@asynccontextmanager
async def serve(server: FakeServer) -> AsyncIterator[FakeServer]:
    """Run it on a port that the system chooses, until the block ends."""
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.05, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}{server.path}{server.query}"
    try:
        yield server
    finally:
        await runner.cleanup()


# Rules


def replied(text: str | None = TEXT, reason: str = "stop", **message: Any) -> Answer:
    """A chat completion."""
    return lambda server, body: web.json_response(completed(body, text, reason, **message))


def completed(body: Fields, text: str | None = TEXT, reason: str = "stop", **message: Any) -> Fields:
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": text} | message}
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
    return {"id": "1", "object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}


def refusing(name: str, error: object, status: int = 400) -> Answer:
    """An error where the request has a parameter."""
    return lambda server, body: web.json_response(error, status=status) if name in body else None


def refusing_system(error: object, status: int = 400) -> Answer:
    def rule(server: FakeServer, body: Fields) -> web.Response | None:
        has_system = any(message["role"] == "system" for message in body["messages"])
        return web.json_response(error, status=status) if has_system else None

    return rule


def refusing_length(most: int, error: Callable[[int], object], status: int = 400) -> Answer:
    """An error, made of the length, where the request allows the reply more tokens than `most`."""

    def rule(server: FakeServer, body: Fields) -> web.Response | None:
        length = body.get("max_tokens", body.get("max_completion_tokens"))
        return web.json_response(error(length), status=status) if length > most else None

    return rule


def failing_first(answer: object, status: int = 200) -> Answer:
    """An answer to the first request that gets as far."""
    used: list[Fields] = []

    def rule(server: FakeServer, body: Fields) -> web.Response | None:
        used.append(body)
        return web.json_response(answer, status=status) if len(used) == 1 else None

    return rule


def flagging(word: str, error: object, status: int) -> Answer:
    """An error where the prompt has a word."""
    return lambda server, body: web.json_response(error, status=status) if word in json.dumps(body) else None


def streamed(text: str = TEXT, thoughts: str = "Is it 4?") -> Answer:
    """Server-sent events; usage in the last where that is asked for."""

    def rule(server: FakeServer, body: Fields) -> web.Response:
        deltas = [{"role": "assistant", "content": ""}, *({"reasoning_content": letter} for letter in thoughts)]
        deltas += [{"content": letter} for letter in text]
        events: list[Fields] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if body.get("stream_options", {}).get("include_usage"):
            events.append({"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 5}})
        lines = [": keep-alive\n\n", *(f"data: {json.dumps(event)}\n\n" for event in events), "data: [DONE]\n\n"]
        return web.Response(text="".join(lines), content_type="text/event-stream")

    return rule


def error(message: str, **rest: Any) -> Fields:
    return {"error": {"message": message, "type": "invalid_request_error"} | rest}
