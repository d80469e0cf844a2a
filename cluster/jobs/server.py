"""A client of Ray's job server, over HTTP, with an error message for each way in which a request fails."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from cluster.jobs.runs import RayJob, job_from_json
from evo.errors import EvoError, UserError

PROJECT = "evo-platform"
TIMEOUT_SECONDS, AUTOSCALER_SECONDS, JOB_SECONDS = 30.0, 30.0, 120.0
STREAM_SECONDS = 24 * 3600


class LostError(EvoError):
    """The connection broke; what was asked may be asked again."""


class JobServer:
    """A cluster's head, by the address of its dashboard.

    Raises:
        UserError: from each method, where nothing answers, or not as a job server of a compatible Ray does.
        LostError: from each method, where an answer broke off.
    """

    def __init__(self, address: str, environment: Mapping[str, str] = os.environ) -> None:
        self.address = _tidy(address)
        self._token = _token(environment)
        self._asked_for_token = False
        self._client = httpx2.Client(base_url=self.address, timeout=TIMEOUT_SECONDS)
        self.ray_version = self._compatible_ray()

    def close(self) -> None:
        self._client.close()

    def check_python(self) -> None:
        """Raises UserError: what we send could not run there."""
        version = self._get("/api/v0/cluster_metadata")["data"]["pythonVersion"]
        needed = metadata.metadata(PROJECT)["Requires-Python"]
        if Version(version) not in SpecifierSet(needed):
            raise UserError(
                f"the cluster at {self.address} runs Python {version}, and evo needs {needed}; "
                "rebuild its nodes with such a Python"
            )

    def check_cpus(self) -> None:
        """Raises UserError: no node has a CPU for evaluations, and no autoscaler would add a CPU."""
        types, alive = self._node_types(), self._alive()
        deadline = time.monotonic() + AUTOSCALER_SECONDS
        while not (types and alive) and time.monotonic() < deadline and not _cpus(alive):
            time.sleep(0.5)  # a head lists either a few seconds after it has started
            types, alive = self._node_types(), self._alive()
        # Without an autoscaler Ray reports an autoscaler whose types are the nodes.
        if _cpus(alive) or not types or types - {f"node_{node['node_id']}" for node in alive}:
            return
        raise UserError(
            f"no node of the cluster at {self.address} has a CPU for evaluations ({len(alive)} nodes are up); "
            "start workers with `ray start --address=...`, then submit again"
        )

    def _alive(self) -> list[dict[str, Any]]:
        nodes = self._get("/api/v0/nodes?detail=true&limit=10000")["data"]["result"]["result"]
        return [node for node in nodes if node["state"] == "ALIVE"]

    def _node_types(self) -> set[str]:
        status = self._get("/api/cluster_status")["data"]["clusterStatus"]
        report = (status or {}).get("autoscalerReport") or {}
        return set((report.get("nodeTypeMapping") or {}).values())

    def jobs(self) -> list[RayJob]:
        """The jobs that are drivers of our runs, the latest first."""
        found = [job_from_json(fields) for fields in self._get("/api/jobs/")]
        return sorted((job for job in found if job and job.run), key=lambda job: job.began, reverse=True)

    def job(self, job_id: str) -> RayJob:
        """A job of ours."""
        found = job_from_json(self._get(f"/api/jobs/{job_id}"))
        assert found is not None, "asked for a job that is no driver of ours"
        return found

    def has_package(self, name: str) -> bool:
        """Whether it is there; if so it stays long enough for a job that uses it."""
        return self._answer("GET", f"/api/packages/gcs/{name}", {200, 404}).status_code == 200

    def put_package(self, name: str, content: Path | bytes) -> None:
        if isinstance(content, bytes):
            self._answer("PUT", f"/api/packages/gcs/{name}", {200}, content=content)
            return
        with content.open("rb") as file:
            length = {"Content-Length": str(content.stat().st_size)}
            self._answer("PUT", f"/api/packages/gcs/{name}", {200}, content=file, headers=length)

    def submit(self, job: Mapping[str, Any]) -> bool:
        """Whether the job was made; False where there is a job of its name."""
        answer = self._answer("POST", "/api/jobs/", {200, 400, 500}, json=dict(job), timeout=JOB_SECONDS)
        if answer.status_code == 200:
            return True
        if "already exists" in answer.text:
            return False
        raise UserError(f"the head at {self.address} made no job: {_last_line(answer.text)}")

    def stop(self, job_id: str) -> None:
        self._answer("POST", f"/api/jobs/{job_id}/stop", {200})

    def delete(self, job_id: str) -> None:
        self._answer("DELETE", f"/api/jobs/{job_id}", {200})

    def log(self, job_id: str) -> str:
        """All that a job has printed so far."""
        text: str = self._get(f"/api/jobs/{job_id}/logs")["logs"]
        return text or ""

    @contextmanager
    def file(self, node: str, name: str, *, lines: int = -1, grows: bool = False) -> Iterator[Iterator[bytes]]:
        """A file in the folder of Ray's logs on a node, or behind a link there.

        Args:
            lines: how many from the end; -1 gives all.
            grows: continue with what is written meanwhile; then it never ends by itself.

        Yields:
            Its bytes; none where there is no such file.
        """
        query: dict[str, str | int | float] = {
            "node_id": node,
            "filename": name,
            "lines": lines,
            "timeout": STREAM_SECONDS,
        }
        path = "/api/v0/logs/file"
        if grows:
            path, query = "/api/v0/logs/stream", {**query, "interval": 0.5}
        with (
            self._translated(),
            self._client.stream("GET", path, params=query, headers=self._headers()) as answer,
        ):
            if answer.status_code == 200:
                yield answer.iter_raw()
                return
            answer.read()
            if "not found" not in answer.text:
                raise self._refusal(answer)
            yield iter(())

    def _compatible_ray(self) -> str:
        try:
            version = Version(self._answer("GET", "/api/version", {200, 404}).json()["ray_version"])
        except (LostError, ValueError, KeyError, TypeError, InvalidVersion):
            raise UserError(
                f"what answers at {self.address} is no job server of Ray; "
                "expected the address of a head's dashboard, as in http://HEAD:8265"
            ) from None
        requirements = map(Requirement, metadata.requires(PROJECT) or ())
        needed = next(requirement.specifier for requirement in requirements if requirement.name == "ray")
        if version not in needed:
            raise UserError(
                f"the cluster at {self.address} runs Ray {version}, and this evo needs {needed}; "
                "install such a Ray on its nodes and restart it"
            )
        return str(version)

    def _get(self, path: str) -> Any:
        return self._answer("GET", path, {200}).json()

    def _answer(self, method: str, path: str, expected: set[int], **how: Any) -> httpx2.Response:
        with self._translated():
            headers = {**how.pop("headers", {}), **self._headers()}
            answer = self._client.request(method, path, headers=headers, **how)
            if answer.status_code == 401 and self._token and not self._asked_for_token:
                self._asked_for_token = True  # not sent to servers that do not ask for it
                answer = self._client.request(method, path, headers={**headers, **self._headers()}, **how)
        if answer.status_code not in expected:
            raise self._refusal(answer)
        return answer

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._asked_for_token else {}

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise our errors instead of the client's."""
        try:
            yield
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise UnreachableError(
                f"no Ray cluster answers at {self.address} ({str(error).strip() or 'no answer in time'}); "
                "expected the address of a head's dashboard, as in http://HEAD:8265"
            ) from error
        except httpx2.TransportError as error:
            raise LostError(
                f"the connection to {self.address} broke: {type(error).__name__} {error}".strip()
            ) from error

    def _refusal(self, answer: httpx2.Response) -> UserError:
        if answer.status_code == 401:
            return UserError(
                f"the cluster at {self.address} asks for a token, and there is none: "
                "put its token into ~/.ray/auth_token or RAY_AUTH_TOKEN"
            )
        if answer.status_code == 403:
            return UserError(
                f"the cluster at {self.address} does not take your token; "
                "put that of its head into ~/.ray/auth_token or RAY_AUTH_TOKEN"
            )
        reason = _last_line(answer.text) or answer.reason_phrase
        return UserError(f"the head at {self.address} answered {answer.status_code}: {reason}")


def _cpus(nodes: Sequence[Mapping[str, Any]]) -> float:
    return float(sum((node["resources_total"] or {}).get("CPU", 0.0) for node in nodes))


class UnreachableError(UserError):
    """Nothing answers at the address."""


@contextmanager
def connected(address: str) -> Iterator[JobServer]:
    """A job server for as long as this lasts.

    Raises:
        UserError: it cannot be reached, or the connection broke.
    """
    server = JobServer(address)
    try:
        yield server
    except LostError as error:
        raise UserError(f"{error}; try again") from error
    finally:
        server.close()


def _tidy(address: str) -> str:
    full = address if "://" in address else f"http://{address}"
    parts = urlsplit(full)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"--address {address}: expected the address of a head's dashboard, as in http://HEAD:8265")
    if parts.username or parts.password:
        raise UserError("--address must hold no user and no password; a token goes into ~/.ray/auth_token")
    return full.rstrip("/")


def _token(environment: Mapping[str, str]) -> str | None:
    """Where Ray itself looks for it."""
    if environment.get("RAY_AUTH_TOKEN"):
        return environment["RAY_AUTH_TOKEN"].strip()
    path = Path(environment.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
    try:
        return path.read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        print(f"evo: cannot read {path}: {error}", file=sys.stderr)
        return None


def _last_line(text: str) -> str:
    """The message at the end of a traceback."""
    lines = [line.strip() for line in text.splitlines() if line.strip(" .")]
    return re.sub(r"^[\w.]*(Error|Exception): ", "", lines[-1])[:500] if lines else ""
