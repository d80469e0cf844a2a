"""The laws of every executor. Subclass `ExecutorContract`, or `SandboxedExecutorContract`, and give it `make`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from evo.errors import EvoError
from evo.genomes import Program, Prompt, Vector
from evo.models import NO_MODEL, BudgetSpentError, Completion, ModelAccessError, Request
from evo.protocols import Executor, Job
from evo.testing.scripted import completed
from evo.values import Evaluation, Limits

MakeExecutor = Callable[[Job], Executor]
NOTHING = "evo.testing.toys:Nothing"
VALLEY = "evo.testing.toys:Valley"
ECHO = "evo.testing.toys:Echo"
EXAM = "evo.testing.exam:Exam"
FIRST_CASE_ONLY = "evo.testing.exam:FirstCaseOnly"
ECHO_BY_CASE = "evo.testing.toys:EchoByCase"
SHORT = Limits(wall_seconds=1.0)


def answering(text: str) -> Program:
    """A program whose function `answer` returns this expression."""
    return Program.single(f"def answer():\n    return {text}\n")


def saying(text: str) -> Prompt:
    """A prompt of this text."""
    return Prompt({"task": text})


class Parrot:
    """A model that replies with its name and the question; of several questions it answers the last first.

    Attributes:
        refusal: raised instead of a reply, where given.
        asked: how many questions came.
        given_up: how many of them were cancelled.
    """

    def __init__(self, name: str, *, seconds: float = 0.0, refusal: EvoError | None = None) -> None:
        self._name = name
        self._seconds = seconds
        self.refusal = refusal
        self.asked = 0
        self.given_up = 0

    async def complete(self, request: Request) -> Completion:
        self.asked += 1
        if self.refusal is not None:
            raise self.refusal
        question = request.messages[-1].text
        try:
            await asyncio.sleep(self._seconds + 0.02 / (1 + int(question.split()[-1])))
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return completed(request, f"{self._name}: {question}")


Answer = TypeVar("Answer")


def using(executor: Executor, work: Callable[[Executor], Awaitable[Answer]]) -> Answer:
    """The result of `work`; then closes the executor and checks that it leaves no task behind."""

    async def go() -> Answer:
        try:
            answer = await work(executor)
        finally:
            await executor.close()
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()}, 2.0)
        return answer

    return asyncio.run(go())


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


class ExecutorContract:
    """The laws of executors.

    A class defines `make`, a fixture that gives the executor's class or another callable that takes a `Job`:

        class TestMine(SandboxedExecutorContract):
            @pytest.fixture
            def make(self) -> MakeExecutor:
                return MyExecutor
    """

    @pytest.fixture
    def make(self) -> MakeExecutor:
        raise TypeError(f"{type(self).__name__} must define a fixture `make` that gives what makes the executor")

    def test_many_at_once_each_get_their_own_answer(self, make: MakeExecutor) -> None:
        async def go() -> list[float]:
            executor = make(Job(NOTHING, {}, workers=2))
            try:
                found = await asyncio.gather(*(executor.evaluate(answering(str(n))) for n in range(40)))
            finally:
                await executor.close()
            return [evaluation.objectives["answer"] for evaluation in found]

        assert asyncio.run(go()) == list(range(40))

    def test_a_failure_is_an_outcome_and_the_next_is_well(self, make: MakeExecutor) -> None:
        async def go() -> list[str]:
            executor = make(Job(NOTHING, {}, workers=1, limits=SHORT))
            programs = [answering("1 / 0"), answering("'text'"), answering("missing"), answering("2")]
            try:
                return [(await executor.evaluate(program)).outcome for program in programs]
            finally:
                await executor.close()

        assert asyncio.run(go()) == ["crash", "invalid", "crash", "ok"]

    def test_both_parts_are_evaluated(self, make: MakeExecutor) -> None:
        async def go() -> list[str]:
            executor = make(Job(VALLEY, {}, workers=1))
            try:
                found = [await executor.evaluate(Vector((0.1, 0.2, 0.3)), part) for part in ("train", "holdout")]
            finally:
                await executor.close()
            return [evaluation.outcome for evaluation in found]

        assert asyncio.run(go()) == ["ok", "ok"]

    def test_cases_that_are_asked_for_are_those_that_are_scored(self, make: MakeExecutor) -> None:
        async def work(executor: Executor) -> list[Evaluation]:
            groups = [["q1"], ["q7", "q3"], ["q0", "q1", "q2"], None]
            skill = Vector((0.5,))
            return list(await asyncio.gather(*(executor.evaluate(skill, cases=cases) for cases in groups)))

        found = using(make(Job(EXAM, {"questions": 9}, workers=2)), work)
        assert [evaluation.outcome for evaluation in found] == ["ok"] * 4
        assert [sorted(evaluation.cases) for evaluation in found[:3]] == [["q1"], ["q3", "q7"], ["q0", "q1", "q2"]]
        whole = found[3].cases
        assert sorted(whole) == [f"q{number}" for number in range(9)]
        for evaluation in found:
            cases = evaluation.cases
            assert cases == {name: whole[name] for name in cases}
            assert evaluation.objectives["marks"] == pytest.approx(sum(cases.values()) / len(cases))

    def test_other_cases_than_were_asked_for_are_no_score(self, make: MakeExecutor) -> None:
        job = Job(FIRST_CASE_ONLY, {}, workers=1)
        found = using(make(job), lambda executor: executor.evaluate(Vector((0.5,)), cases=["q1", "q2"]))
        assert found.outcome == "invalid"
        assert "expected scores of the cases ['q1', 'q2'], got ['q0']" in found.feedback

    def test_cases_may_ask_a_model(self, make: MakeExecutor) -> None:
        parrot = Parrot("polly")
        job = Job(ECHO_BY_CASE, {}, workers=2)
        found = using(make(job), lambda executor: executor.evaluate(saying("hello"), cases=["3", "1"], model=parrot))
        assert (found.outcome, found.cases, parrot.asked) == ("ok", {"3": 1.0, "1": 1.0}, 2)

    def test_its_capacity_is_at_least_its_workers(self, make: MakeExecutor) -> None:
        async def go() -> int:
            executor = make(Job(VALLEY, {}, workers=3))
            capacity = executor.capacity
            await executor.close()
            return capacity

        assert asyncio.run(go()) >= 3

    def test_with_a_single_worker_its_capacity_is_1(self, make: MakeExecutor) -> None:
        async def go() -> int:
            executor = make(Job(VALLEY, {}, workers=1))
            capacity = executor.capacity
            await executor.close()
            return capacity

        assert asyncio.run(go()) == 1

    def test_answers_come_in_the_order_of_the_questions(self, make: MakeExecutor) -> None:
        parrot = Parrot("polly")
        job = Job(ECHO, {"questions": 7, "rounds": 2}, workers=1)
        found = using(make(job), lambda executor: executor.evaluate(saying("hello"), "validation", model=parrot))
        assert (found.outcome, found.objectives, parrot.asked) == ("ok", {"repeated": 1.0}, 14)
        assert found.feedback.splitlines() == [f"polly: hello validation {number}" for number in range(14)]

    def test_each_evaluation_asks_its_own_model(self, make: MakeExecutor) -> None:
        parrots = [Parrot(f"parrot {number}") for number in range(40)]

        async def work(executor: Executor) -> list[str]:
            each = (executor.evaluate(saying(f"hello {n}"), model=parrot) for n, parrot in enumerate(parrots))
            return [evaluation.feedback for evaluation in await asyncio.gather(*each)]

        said = using(make(Job(ECHO, {}, workers=3)), work)
        assert said == ["\n".join(f"parrot {n}: hello {n} train {k}" for k in range(5)) for n in range(40)]
        assert [parrot.asked for parrot in parrots] == [5] * 40

    @pytest.mark.parametrize(
        "refusal", [BudgetSpentError("not a cent is left"), ModelAccessError("not a cent for you")]
    )
    def test_what_the_model_refuses_comes_out_as_it_is_and_the_next_is_well(
        self, make: MakeExecutor, refusal: EvoError
    ) -> None:
        async def work(executor: Executor) -> str:
            with pytest.raises(type(refusal), match="not a cent") as caught:
                await executor.evaluate(saying("hello"), model=Parrot("greedy", refusal=refusal))
            assert caught.value is refusal
            return (await executor.evaluate(saying("hello"), model=Parrot("polly"))).outcome

        assert using(make(Job(ECHO, {}, workers=1)), work) == "ok"

    def test_a_question_without_a_model_is_an_invalid_evaluation_that_says_so(self, make: MakeExecutor) -> None:
        found = using(make(Job(ECHO, {}, workers=1)), lambda executor: executor.evaluate(saying("hello")))
        assert (found.outcome, found.feedback) == ("invalid", NO_MODEL)

    def test_closing_does_not_wait_for_a_model_that_hangs(self, make: MakeExecutor) -> None:
        hung = Parrot("hung", seconds=600.0)

        async def work(executor: Executor) -> float:
            waiting = [asyncio.create_task(executor.evaluate(saying(f"hello {n}"), model=hung)) for n in range(3)]
            await until(lambda: hung.asked >= 5)
            began = time.monotonic()
            await executor.close()
            await asyncio.wait(waiting)
            assert all(task.cancelled() for task in waiting)
            return time.monotonic() - began

        assert using(make(Job(ECHO, {}, workers=2)), work) < 3.0
        assert hung.given_up == hung.asked

    def test_an_evaluation_that_is_cancelled_asks_no_more_and_the_next_is_well(self, make: MakeExecutor) -> None:
        hung = Parrot("hung", seconds=600.0)

        async def work(executor: Executor) -> str:
            waiting = asyncio.create_task(executor.evaluate(saying("hello"), model=hung))
            await until(lambda: hung.asked == 5)
            waiting.cancel()
            found = await executor.evaluate(saying("hello"), model=Parrot("polly"))
            await until(lambda: hung.given_up == 5)
            return found.outcome

        assert using(make(Job(ECHO, {"rounds": 2}, workers=1)), work) == "ok"
        assert hung.asked == 5


class SandboxedExecutorContract(ExecutorContract):
    """The laws of executors that run candidates in other processes, and so can end a candidate that hangs."""

    def test_a_loop_ends_at_its_limit_and_the_next_is_well(self, make: MakeExecutor) -> None:
        async def go() -> list[tuple[str, float]]:
            executor = make(Job(NOTHING, {}, workers=1, limits=SHORT))
            loop = Program.single("def answer():\n    while True: pass\n")
            try:
                found = [await executor.evaluate(program) for program in (loop, answering("2"))]
            finally:
                await executor.close()
            return [(evaluation.outcome, evaluation.seconds) for evaluation in found]

        (hung, seconds), (well, _) = asyncio.run(go())
        assert (hung, well) == ("timeout", "ok")
        assert seconds < 4
