"""Laws of the simulated cluster: idle time is skipped, and all else is the real thing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from evo.journal.log import read_events
from evo.lineage import open_run
from evo.testing.simulation import FAILURES, Fleet, SkippingLoop, simulate

FLEET = Fleet(workers=50, evaluation_seconds=100.0, calls=10, completion_seconds=5.0)


def test_a_sleep_takes_its_time_by_the_clock_and_none_by_the_wall() -> None:
    async def sleep() -> float:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(asyncio.sleep(1000), asyncio.sleep(2000))
        return asyncio.get_running_loop().time() - began

    began = time.monotonic()
    with asyncio.Runner(loop_factory=lambda: SkippingLoop(lambda: False)) as runner:
        assert 2000 <= runner.run(sleep()) < 2010
    assert time.monotonic() - began < 60


def test_what_comes_from_another_thread_is_waited_for() -> None:
    async def wait() -> str:
        waiting.append(1)
        try:
            return await asyncio.wait_for(asyncio.to_thread(late), 30)
        finally:
            waiting.clear()

    def late() -> str:
        time.sleep(0.2)
        return "came"

    waiting: list[int] = []
    with asyncio.Runner(loop_factory=lambda: SkippingLoop(lambda: bool(waiting))) as runner:
        assert runner.run(wait()) == "came"


def test_a_simulated_run_is_journaled_paid_and_projected_like_any_other(tmp_path: Path) -> None:
    simulated = simulate(FLEET, tmp_path, "budget.evaluations=400")
    tells = [event for _, event in read_events(tmp_path / "journal.jsonl") if event["event"] == "tell"]
    assert len(tells) == len(simulated.seconds) == 400
    run = open_run(tmp_path)
    assert run.sql("SELECT count(*) FROM individuals").scalar() == 400
    assert run.sql("SELECT sum(cost_usd) FROM completions").scalar() == pytest.approx(simulated.ledger.spent.usd)
    outcomes = {event["evaluation"]["outcome"] for event in tells}
    assert "ok" in outcomes
    assert outcomes & set(FAILURES)  # one of twenty fails: which of them, and when, is up to the order of arrival


def test_workers_who_evaluate_for_long_are_busy_and_never_more_than_there_are(tmp_path: Path) -> None:
    simulated = simulate(FLEET, tmp_path, "budget.evaluations=600")
    assert 0.8 < simulated.utilisation(FLEET, 60, 540) <= 1.01
    assert simulated.rate(60, 540) < 0.55
