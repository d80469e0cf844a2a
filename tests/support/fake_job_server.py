"""Ray's job server on loopback, as far as `cluster/jobs` needs it: gives what a test sets, keeps what it is sent."""

from __future__ import annotations

import io
import json
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Fields = dict[str, Any]
NODE = "d" * 56


def no_driver(server: FakeJobServer, job: Fields) -> None:
    """A job that is made and then says nothing."""


@dataclass
class FakeJobServer:
    """A head.

    Attributes:
        token: that it asks for; None asks for none.
        cpus: of its one node.
        unlisted: how often that node is still missing among the nodes when these are asked for.
        grows: whether it has an autoscaler.
        driver: called with each job that is submitted; may change the job, its log and the files.
        files: by their name among the logs.
        packages: what was uploaded, by name.
        authorizations: the header as it arrived, None where there was none.
        is_down: whether connections break off without an answer.
        after_answers: after so many answers from now, once, do this.
        cuts: after how many bytes of a file the connection breaks, one for each time that a file is asked for.
    """

    ray_version: str = "2.60.0"
    python_version: str = "3.11.7"
    token: str | None = None
    cpus: float = 2.0
    unlisted: int = 0
    grows: bool = False
    driver: Callable[[FakeJobServer, Fields], None] = no_driver
    jobs: dict[str, Fields] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    packages: dict[str, bytes] = field(default_factory=dict)
    authorizations: list[str | None] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    url: str = ""
    is_down: bool = False
    after_answers: tuple[int, Callable[[FakeJobServer], None]] | None = None

    @contextmanager
    def serving(self) -> Iterator[FakeJobServer]:
        with _Server(("127.0.0.1", 0), _handler(self)) as server:
            self.url = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def count(self) -> None:
        """One more answer."""
        if self.after_answers:
            left, act = self.after_answers
            self.after_answers = (left - 1, act) if left else None
            if not left:
                act(self)

    def say(self, job: Fields, **fields: object) -> None:
        """As a driver does in its log."""
        self.logs[job["submission_id"]] = (
            self.logs.get(job["submission_id"], "") + f"evo-driver: {json.dumps(fields)}\n"
        )

    def end(self, job: Fields, status: str, exit_code: int | None) -> None:
        job |= {"status": status, "driver_exit_code": exit_code, "end_time": 2000}

    def names_in(self, uri: str) -> set[str]:
        """Of a package."""
        return set(self.opened(uri).namelist())

    def opened(self, uri: str) -> zipfile.ZipFile:
        return zipfile.ZipFile(io.BytesIO(self.packages[uri.removeprefix("gcs://")]))

    def answer(self, method: str, path: str, query: Fields, body: bytes) -> tuple[int, bytes]:
        match path.strip("/").split("/"):
            case ["api", "version"]:
                return _json({"version": "4", "ray_version": self.ray_version})
            case ["api", "v0", "cluster_metadata"]:
                return _json({"data": {"pythonVersion": self.python_version}})
            case ["api", "v0", "nodes"]:
                node = {"state": "ALIVE", "node_id": NODE, "resources_total": {"CPU": self.cpus, "memory": 1.0}}
                self.unlisted, listed = max(0, self.unlisted - 1), self.unlisted == 0
                return _json({"data": {"result": {"result": [node] if listed else []}}})
            case ["api", "cluster_status"]:
                mapping = {NODE: "head" if self.grows else f"node_{NODE}"}
                return _json({"data": {"clusterStatus": {"autoscalerReport": {"nodeTypeMapping": mapping}}}})
            case ["api", "packages", "gcs", name]:
                if method == "PUT":
                    self.packages[name] = body
                return (200 if name in self.packages else 404), b""
            case ["api", "v0", "logs", "file" | "stream"]:
                return self._file(query)
            case ["api", "jobs", *rest]:
                return self._jobs(method, rest, body)
        return 404, b"404: Not Found"

    def _file(self, query: Fields) -> tuple[int, bytes]:
        content, lines = self.files.get(query["filename"]), int(query["lines"])
        if content is None or query["node_id"] != NODE:
            return 500, f"A file is not found at: {query['filename']}".encode()
        return 200, content if lines < 0 else b"".join(content.splitlines(keepends=True)[-lines:])

    def _jobs(self, method: str, rest: list[str], body: bytes) -> tuple[int, bytes]:
        if method == "POST" and not rest:
            return self._submitted(json.loads(body))
        if not rest:
            return _json(list(self.jobs.values()))
        if rest[0] not in self.jobs:
            return 404, f"Job {rest[0]} does not exist".encode()
        job = self.jobs[rest[0]]
        if rest[1:] == ["logs"]:
            return _json({"logs": self.logs.get(rest[0], "")})
        if rest[1:] == ["stop"]:
            self.end(job, "STOPPED", None)
        elif method == "DELETE":
            del self.jobs[rest[0]]
        return _json(job)

    def _submitted(self, job: Fields) -> tuple[int, bytes]:
        name = job["submission_id"]
        if name in self.jobs:
            return 400, f"Traceback ...\nValueError: Job with submission_id {name} already exists.\n.".encode()
        host = "http://127.0.0.1:52365"
        job |= {"type": "SUBMISSION", "status": "RUNNING", "start_time": 1000 + len(self.jobs)}
        self.jobs[name] = job | {"driver_node_id": NODE, "driver_agent_http_address": host}
        self.driver(self, self.jobs[name])
        return _json({"submission_id": name})


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has seen enough disconnects; any other failure is ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _json(value: object) -> tuple[int, bytes]:
    return 200, json.dumps(value).encode()


def _handler(fake: FakeJobServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

        def do_GET(self) -> None:
            where = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            sent = self.headers.get("Authorization")
            fake.authorizations.append(sent)
            fake.bodies.append(body)
            fake.count()
            if fake.is_down:
                self.close_connection = True
                return
            if fake.token and sent != f"Bearer {fake.token}":
                status, answer = (403, b"Forbidden") if sent else (401, b"Unauthorized: Missing token")
            else:
                query = {name: values[0] for name, values in parse_qs(where.query).items()}
                status, answer = fake.answer(self.command, where.path, query, body)
            self._send(status, answer, cut=fake.cuts.pop(0) if "/logs/" in where.path and fake.cuts else None)

        do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - as the library calls them

        def _send(self, status: int, answer: bytes, cut: int | None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer[:cut])
            if cut is not None and cut < len(answer):
                self.close_connection = True

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler
