"""An OpenAI-compatible server on loopback that answers each request by a script, and counts what it saw."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Fields = dict[str, Any]


def count_tokens(messages: list[Fields]) -> int:
    """As a tokeniser that knows nothing but bytes would, with four tokens a message of template."""
    return sum(len(message["content"].encode()) + 4 for message in messages)


@dataclass
class FakeEndpoint:
    """What it answers is named by `script`, one name a request; "ok" when that runs out.

    Attributes:
        bodies: of the requests, as they arrived.
        keys: Authorization headers, as they arrived.
        headers: names of all headers that arrived, in small letters.
        served: script name to requests that it answered.
        busiest: most requests that were open at once.
        ports: of the callers' ends of the connections.
    """

    script: Iterable[str] = ()
    delay_seconds: float = 0.0
    url: str = ""
    bodies: list[Fields] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    headers: set[str] = field(default_factory=set)
    served: Counter[str] = field(default_factory=Counter)
    busiest: int = 0
    ports: set[int] = field(default_factory=set)
    _open: int = 0

    def __post_init__(self) -> None:
        self._names = iter(self.script)

    async def handle(self, http: web.Request) -> web.StreamResponse:
        fields = await http.json()
        self.bodies.append(fields)
        self.keys.append(http.headers.get("Authorization", ""))
        self.headers.update(name.lower() for name in http.headers)
        if http.transport is not None:
            self.ports.add(http.transport.get_extra_info("peername")[1])
        name = next(self._names, "ok")
        self.served[name] += 1
        self._open += 1
        self.busiest = max(self.busiest, self._open)
        try:
            await asyncio.sleep(self.delay_seconds)
            return await self._answer(name, fields, http)
        finally:
            self._open -= 1

    async def _answer(self, name: str, fields: Fields, http: web.Request) -> web.StreamResponse:
        if name == "hang":
            await asyncio.sleep(60)
        if name == "reset":
            assert http.transport is not None
            http.transport.abort()
        if name.startswith("400 "):
            return _picky(name)
        if name[:3].isdigit():
            return _error(name, http)
        return web.Response(body=REPLIES_AT[http.path][name](fields), content_type="application/json")


def _picky(name: str) -> web.Response:
    """As in "400 seed"."""
    parameter = {"400 schema": "response_format"}.get(name, name[4:])
    text = f"Unsupported parameter: '{parameter}' is not supported with this model."
    return web.json_response({"error": {"message": text, "param": parameter}}, status=400)


def _error(name: str, http: web.Request) -> web.Response:
    """As in "429", or "429 after 90"; echoes the key, as a careless server might."""
    status, _, seconds = name.partition(" after ")
    headers = {"Retry-After": seconds} if seconds else {}
    said = f"status {status}, you sent {http.headers.get('Authorization')}"
    return web.json_response({"error": {"message": said}}, status=int(status), headers=headers)


def completion(
    fields: Fields,
    text: str | None = "hello there",
    *,
    reason: str = "stop",
    message: Fields | None = None,
    **rest: Any,
) -> bytes:
    """A body as OpenAI's; `rest` replaces fields of it, None takes one out."""
    body: Fields = {
        "id": "1",
        "object": "chat.completion",
        "model": fields["model"],
        "choices": [
            {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": text} | (message or {})}
        ],
        "usage": {
            "prompt_tokens": count_tokens(fields["messages"]),
            "completion_tokens": min(fields.get("max_tokens", 10**9), len((text or "").split())),
            "prompt_tokens_details": {"cached_tokens": 3},
        },
    }
    body = {name: value for name, value in (body | rest).items() if value is not None}
    return json.dumps(body).encode()


REPLIES: dict[str, Callable[[Fields], bytes]] = {
    "ok": completion,
    "no usage": lambda fields: completion(fields, "x" * 41, usage=None),
    "zero usage": lambda fields: completion(fields, usage={"prompt_tokens": 0, "completion_tokens": 0}),
    "absurd usage": lambda fields: completion(fields, usage={"prompt_tokens": "many", "completion_tokens": -5}),
    "dear": lambda fields: completion(fields, usage={"prompt_tokens": 10**6, "completion_tokens": 10**6}),
    "no choice": lambda fields: completion(fields, choices=[]),
    "no message": lambda fields: completion(fields, choices=[{"message": None}]),
    "null": lambda fields: completion(fields, None),
    "blank": lambda fields: completion(fields, " \n"),
    "refusal": lambda fields: completion(fields, None, message={"refusal": "I would rather not."}),
    "filtered": lambda fields: completion(fields, "", reason="content_filter"),
    "truncated": lambda fields: completion(fields, "once upon a", reason="length"),
    "parts": lambda fields: completion(fields, message={"content": [{"type": "text", "text": "a"}, {"text": "b"}, 3]}),
    "surrogate": lambda fields: completion(fields, "lone \ud800 half"),
    "error in 200": lambda fields: json.dumps({"error": {"message": "upstream is down", "code": 502}}).encode(),
    "error without a code": lambda fields: json.dumps({"error": {"message": "upstream is down"}}).encode(),
    "echo": lambda fields: completion(fields, "your key is sk-secret-0123456789abcdef"),
    "invalid JSON": lambda fields: b'{"choices": [{"mess',
    "deep": lambda fields: b"[" * 100_000,
    "list": lambda fields: b"[1, 2]",
    "not UTF-8": lambda fields: completion(fields, "caf\u00e9 ").replace(b"hello", b"\xff") + b"\xff\xfe",
    "a megabyte": lambda fields: completion(fields, "word " * 200_000),
    "huge": lambda fields: completion(fields, "x" * (9 << 20)),
}


def response(fields: Fields, text: str = "hello there", **rest: Any) -> bytes:
    """A body as OpenAI's Responses interface gives it; `rest` replaces fields of it, None takes one out."""
    messages = [{"content": fields.get("instructions", "")}, *fields["input"]]
    body: Fields = {
        "id": "1",
        "object": "response",
        "status": "completed",
        "model": fields["model"],
        "output": [{"type": "reasoning", "summary": []}, spoken({"type": "output_text", "text": text})],
        "usage": {
            "input_tokens": count_tokens(messages),
            "output_tokens": min(fields["max_output_tokens"], len(text.split())),
            "input_tokens_details": {"cached_tokens": 3},
        },
    }
    return json.dumps({name: value for name, value in (body | rest).items() if value is not None}).encode()


def spoken(*parts: Fields) -> Fields:
    return {"type": "message", "role": "assistant", "content": list(parts)}


RESPONSES: dict[str, Callable[[Fields], bytes]] = {
    "ok": response,
    "two parts": lambda fields: response(
        fields, output=[spoken({"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"})]
    ),
    "no usage": lambda fields: response(fields, usage=None),
    "no output": lambda fields: response(fields, output=[]),
    "odd output": lambda fields: response(fields, output=[3, None, {"content": 7}, spoken({"text": 5})]),
    "refusal": lambda fields: response(fields, output=[spoken({"type": "refusal", "refusal": "I would rather not."})]),
    "truncated": lambda fields: response(
        fields, "once upon", status="incomplete", incomplete_details={"reason": "max_output_tokens"}
    ),
    "filtered": lambda fields: response(
        fields, "once", status="incomplete", incomplete_details={"reason": "content_filter"}
    ),
    "failed": lambda fields: response(
        fields, "", status="failed", error={"code": "invalid_image", "message": "no such image"}, usage=None
    ),
    "failed and counted": lambda fields: response(
        fields, "", status="failed", error={"code": "invalid_image", "message": "no such image"}
    ),
    "failed for now": lambda fields: response(
        fields, "", status="failed", error={"code": "server_error", "message": "try again"}, usage=None
    ),
    "unfinished": lambda fields: response(fields, "", status="in_progress", usage=None),
    "invalid JSON": lambda fields: b'{"output": [{"mess',
}


def embedding(fields: Fields, vector: object = (1.0, -0.5, 0.25), **rest: Any) -> bytes:
    """A body as OpenAI's Embeddings interface gives it; a tuple is packed where that is asked for."""
    if isinstance(vector, tuple):
        packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        vector = packed if fields.get("encoding_format") == "base64" else list(vector)
    body: Fields = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "model": fields["model"],
        "usage": {"prompt_tokens": count_tokens([{"content": fields["input"]}]), "total_tokens": 1},
    }
    return json.dumps({name: value for name, value in (body | rest).items() if value is not None}).encode()


EMBEDDINGS: dict[str, Callable[[Fields], bytes]] = {
    "ok": embedding,
    "numbers": lambda fields: embedding(fields, [1, -0.5, 0.25]),
    "no usage": lambda fields: embedding(fields, usage=None),
    "NaN": lambda fields: embedding(fields, (1.0, float("nan"))),
    "NaN as number": lambda fields: embedding(fields, [1.0, float("nan")]),
    "too large": lambda fields: embedding(fields, [1.0, 1e300]),
    "far too large": lambda fields: embedding(fields, [1.0, 10**400]),
    "words": lambda fields: embedding(fields, [1.0, "0.5"]),
    "truths": lambda fields: embedding(fields, [True, False]),
    "nothing": lambda fields: embedding(fields, []),
    "empty text": lambda fields: embedding(fields, ""),
    "null": lambda fields: embedding(fields, None),
    "no base64": lambda fields: embedding(fields, "not base64!"),
    "odd bytes": lambda fields: embedding(fields, base64.b64encode(b"12345").decode()),
    "no row": lambda fields: embedding(fields, data=[]),
    "two rows": lambda fields: embedding(fields, data=[{"embedding": [1.0]}] * 2),
    "no data": lambda fields: embedding(fields, data=None),
    "error in 200": lambda fields: json.dumps({"error": {"message": "upstream is down", "code": 502}}).encode(),
    "error without a code": lambda fields: json.dumps({"error": {"message": "upstream is down"}}).encode(),
    "invalid JSON": lambda fields: b'{"data": [{"embed',
}
REPLIES_AT = {"/v1/chat/completions": REPLIES, "/v1/responses": RESPONSES, "/v1/embeddings": EMBEDDINGS}


@asynccontextmanager
async def serve(endpoint: FakeEndpoint) -> AsyncIterator[FakeEndpoint]:
    """Run it on a port that the system chooses, until the block ends."""
    application = web.Application(client_max_size=64 << 20)
    for path in REPLIES_AT:
        application.router.add_post(path, endpoint.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.05, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    endpoint.url = f"http://127.0.0.1:{port}/v1"
    try:
        yield endpoint
    finally:
        await runner.cleanup()
