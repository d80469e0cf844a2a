"""What every executor must do. Subclass it, and give `executor`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from evo.genomes import Program, Vector
from evo.protocols import Executor, Job
from evo.values import Limits

MakeExecutor = Callable[[Job], Executor]
NOTHING = "evo.testing.toys:Nothing"
VALLEY = "evo.testing.toys:Valley"
SHORT = Limits(wall_seconds=1.0)


def answering(text: str) -> Program:
    return Program.single(f"def answer():\n    return {text}\n")


class ExecutorContract:
    """Laws of executors."""

    runs_programs_apart = True

    @pytest.fixture
    def make(self) -> MakeExecutor:
        raise TypeError("a subclass must say how to make the executor")

    def test_many_at_once_each_get_their_own_answer(self, make: MakeExecutor) -> None:
        async def go() -> list[float]:
            executor = make(Job(NOTHING, {}, workers=2))
            try:
                found = await asyncio.gather(*(executor.evaluate(answering(str(n))) for n in range(40)))
            finally:
                await executor.close()
            return [one.objectives["answer"] for one in found]

        assert asyncio.run(go()) == list(range(40))

    def test_a_failure_is_an_outcome_and_the_next_is_well(self, make: MakeExecutor) -> None:
        async def go() -> list[str]:
            executor = make(Job(NOTHING, {}, workers=1, limits=SHORT))
            programs = [answering("1 / 0"), answering("'text'"), answering("missing"), answering("2")]
            try:
                return [(await executor.evaluate(one)).outcome for one in programs]
            finally:
                await executor.close()

        assert asyncio.run(go()) == ["crash", "invalid", "crash", "ok"]

    def test_a_loop_ends_at_its_limit_and_the_next_is_well(self, make: MakeExecutor) -> None:
        if not self.runs_programs_apart:
            pytest.skip("this executor runs candidates in its own process, by design")

        async def go() -> list[tuple[str, float]]:
            executor = make(Job(NOTHING, {}, workers=1, limits=SHORT))
            loop = Program.single("def answer():\n    while True: pass\n")
            try:
                found = [await executor.evaluate(one) for one in (loop, answering("2"))]
            finally:
                await executor.close()
            return [(one.outcome, one.seconds) for one in found]

        (hung, seconds), (well, _) = asyncio.run(go())
        assert (hung, well) == ("timeout", "ok")
        assert seconds < 4

    def test_both_parts_are_evaluated(self, make: MakeExecutor) -> None:
        async def go() -> list[str]:
            executor = make(Job(VALLEY, {}, workers=1))
            try:
                found = [await executor.evaluate(Vector((0.1, 0.2, 0.3)), part) for part in ("train", "holdout")]  # type: ignore[arg-type]
            finally:
                await executor.close()
            return [one.outcome for one in found]

        assert asyncio.run(go()) == ["ok", "ok"]

    def test_its_capacity_is_at_least_its_workers(self, make: MakeExecutor) -> None:
        async def go() -> int:
            executor = make(Job(VALLEY, {}, workers=3))
            capacity = executor.capacity
            await executor.close()
            return capacity

        assert asyncio.run(go()) >= 3

    def test_at_width_1_it_wants_one_at_a_time(self, make: MakeExecutor) -> None:
        async def go() -> int:
            executor = make(Job(VALLEY, {}, workers=1))
            capacity = executor.capacity
            await executor.close()
            return capacity

        assert asyncio.run(go()) == 1
