"""A search by a model against an ideal pipelined loop: slow completions, slow evaluations, eight of each at once.

The model is scripted, behind a real HTTP server in a process of its own; the ideal loop asks such a server with the
same seed, so it meets the same latencies, and sleeps as long as each of the evaluations took, in their order.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import aiohttp

from tests.benchmarks.rows import Row
from tests.benchmarks.running import Measured, run_search

WIDTH = 8
SEEDS = (1, 2, 3, 4, 5)
COUNT = 200
COMPLETION_SECONDS, EVALUATION_SECONDS = 0.5, 0.3
QUICK_COUNT = 2000
PROBLEM = "evo.testing.toys:Nothing"
PROMPT = "```python\ndef answer():\n    return 1\n```"


@contextmanager
def scripted_server(*faults: str, seed: int = 1, rule: str = "constant_jitter") -> Iterator[str]:
    """The address of a scripted model with these latencies, in a process of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    options = [word for fault in faults for word in ("--fault", fault)]
    options += ["--rule", rule, "--port", str(port), "--seed", str(seed)]
    command = [sys.executable, "-m", "evo", "serve-scripted", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the scripted server does not answer")


def searched(url: str, count: int, mean_seconds: float, *more: str) -> Measured:
    """A search whose every offspring comes from the model."""
    options = f"problem.options={{mean_seconds: {mean_seconds}, first: 0.123456789}}"
    return run_search(PROBLEM, options, *by_model(url, count), *more)


def by_model(url: str, count: int) -> tuple[str, ...]:
    """Overrides of a search of `count` evaluations that asks the model at `url`, `WIDTH` completions at once."""
    endpoint = {"base_url": url, "key_variable": "", "concurrency": WIDTH, "price": {"input_usd": 1, "output_usd": 4}}
    return (
        f"budget.evaluations={count}",
        "search.operators={model_rewrite: 1}",
        "model.name=scripted",
        f"model.endpoints.here={json.dumps(endpoint)}",
    )


def pauses_of(run: Measured) -> list[float]:
    """How long each evaluation took, in the order of admission, the seed's left out."""
    return [tell["evaluation"]["seconds"] for tell in sorted(run.tells, key=lambda tell: tell["individual"])][1:]


async def ideal_seconds(url: str, pauses: Sequence[float]) -> float:
    """The loop written by hand: so many completions at once, so many evaluations at once, a queue between them."""
    asking, evaluating = asyncio.Semaphore(WIDTH), asyncio.Semaphore(WIDTH)
    body = {"model": "scripted", "messages": [{"role": "user", "content": PROMPT}]}

    async def follow(number: int) -> None:
        async with asking, client.post(f"{url}/chat/completions", json={**body, "seed": number}) as reply:
            await reply.read()
        async with evaluating:
            await asyncio.sleep(pauses[number])

    async with aiohttp.ClientSession() as client:
        began = time.perf_counter()
        await asyncio.gather(*map(follow, range(len(pauses))))
        return time.perf_counter() - began


def seconds_of(run: Measured) -> float:
    """From the seed's result, before which nothing can be proposed, to the last one."""
    return float(run.tells[-1]["at"] - run.tells[0]["at"])


def race(seed: int) -> tuple[float, float, float]:
    """Seconds of the platform and of the ideal loop, and the driver's CPU milliseconds per candidate."""
    slow = f"latency_seconds={COMPLETION_SECONDS}", "latency_sigma=0.8"
    with scripted_server(*slow, seed=seed) as url:
        run = searched(url, COUNT + 1, EVALUATION_SECONDS, "executor.workers=8")
    with scripted_server(*slow, seed=seed) as url:
        ideal = asyncio.run(ideal_seconds(url, pauses_of(run)))
    return seconds_of(run), ideal, run.driver_milliseconds(20, COUNT - 1)


def measure() -> list[Row]:
    raced = [race(seed) for seed in SEEDS]
    # The last draws decide when a run of 200 ends, so it takes several to tell the loop from its luck.
    ours, ideal = (statistics.median(column) for column in list(zip(*raced, strict=True))[:2])
    slow_milliseconds = statistics.median(milliseconds for _, _, milliseconds in raced)
    with scripted_server() as url:
        quick = searched(url, QUICK_COUNT, 0.0)
    warm, workers = QUICK_COUNT // 10, os.cpu_count() or 1
    return [
        Row(f"{COUNT} candidates by a model, {WIDTH} at once, median of {len(SEEDS)}: an ideal loop", ideal, "s"),
        Row("  the platform", ours, "s"),
        Row("  over the ideal", statistics.median(ours / ideal for ours, ideal, _ in raced), "x", 1.10, at_most=True),
        Row("  driver CPU per candidate, what it uses by the second included", slow_milliseconds, "ms"),
        Row(f"candidates by a model that answers at once, {workers} workers", quick.rate(warm, QUICK_COUNT - 1), "/s"),
        Row("  driver CPU per candidate", quick.driver_milliseconds(warm, QUICK_COUNT - 1), "ms", 2.0, at_most=True),
    ]
