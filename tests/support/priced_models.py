"""A scripted model behind a real server, which costs something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from operators.scripted import Faults, ScriptedServer, find_rule

KEY = "sk-a-key-that-nobody-may-see-0123456789"


def priced(server: ScriptedServer, **more: object) -> tuple[str, str]:
    """An endpoint that costs something, as an override of the configuration."""
    endpoint = {"base_url": server.base_url, "price": {"input_usd": 1.0, "output_usd": 4.0}, **more}
    return "--set", f"model.endpoints.here={json.dumps(endpoint)}"


@contextmanager
def serving(rule: str, latency_seconds: float) -> Iterator[ScriptedServer]:
    """A server that answers by a rule and wants `KEY`, which is in the environment for as long."""
    server = ScriptedServer(find_rule(rule), Faults(latency_seconds=latency_seconds), require_key=KEY)
    with pytest.MonkeyPatch.context() as patch, server.in_thread():
        patch.setenv("OPENAI_API_KEY", KEY)
        patch.delenv("OPENAI_BASE_URL", raising=False)
        yield server
