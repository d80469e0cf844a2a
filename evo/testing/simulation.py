"""A cluster without machines: real driver, search, ledger, journal and lineage under simulated workers and models.

The clock is the real one, and idle time is skipped: the driver's work and its waits for the disk take their
time; waits for workers and models take none. So thousands of workers fit into one process,
and where they stand idle it is the driver that is too slow.
"""

from __future__ import annotations

import asyncio
import math
import random
import selectors
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import add
from pathlib import Path
from typing import ClassVar

from evo.config.loading import load_config
from evo.engine.driver import Driver
from evo.engine.metering import ModelClient
from evo.engine.setup import Components, Setup, prepare
from evo.genomes import Genome, Vector
from evo.journal.collection import rarely_collected
from evo.journal.log import Journal
from evo.journal.recorder import Recorder
from evo.ledger import Charge, Ledger, charge_of
from evo.lineage.live import LiveLineage
from evo.models import Caps, Completion, Health, Message, Model, Price, Request
from evo.protocols import Context, OnEvent, ignore_event
from evo.resources import Resources
from evo.values import Evaluation, Individual, Outcome, Part, Proposal

FAILURES: Mapping[Outcome, float] = {"crash": 0.01, "timeout": 0.01, "invalid": 0.02, "lost": 0.01}
WORST = Charge(nanodollars=2_000_000, tokens=2000, calls=1)


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is simulated.

    Attributes:
        workers: evaluations that are made side by side.
        evaluation_seconds: mean of a lognormal distribution.
        calls: completions that may be under way beside those whose offspring the workers hold.
        completion_seconds: mean of a lognormal distribution.
        sigma: of the logarithms of both.
    """

    workers: int
    evaluation_seconds: float
    calls: int = 1000
    completion_seconds: float = 2.0
    sigma: float = 0.5


@dataclass(slots=True)
class Simulated:
    """What came of a simulation.

    Attributes:
        seconds: by the clock that skips idle time, when each tell was on the disk.
        busy_seconds: of all workers, when each tell was on the disk.
        ledger: of the simulated models.
    """

    ledger: Ledger
    seconds: list[float] = field(default_factory=list)
    busy_seconds: list[float] = field(default_factory=list)

    def rate(self, first: int, last: int) -> float:
        """Tells a second between two tells."""
        return (last - first) / (self.seconds[last] - self.seconds[first])

    def utilisation(self, fleet: Fleet, first: int, last: int) -> float:
        """Share of the workers' time in which they evaluated, between two tells."""
        available = fleet.workers * (self.seconds[last] - self.seconds[first])
        return (self.busy_seconds[last] - self.busy_seconds[first]) / available


def simulate(fleet: Fleet, folder: Path, *overrides: str) -> Simulated:
    """Run a search of two objectives over vectors in an empty folder; all its offspring are proposed by a model.

    Args:
        overrides: KEY=VALUE of the configuration, "budget.evaluations=20000" above all.
    """
    setup = prepare(load_config("evo.testing.toys:Valley", overrides).config)
    journal, simulated = Journal(folder / "journal.jsonl"), Simulated(Ledger(Caps(usd=1e6)))
    lineage = LiveLineage(folder)
    try:
        with asyncio.Runner(loop_factory=lambda: SkippingLoop(lambda: journal.awaited)) as runner:
            runner.run(_simulate(fleet, setup, Recorder(journal), simulated))
    finally:
        journal.close()
        lineage.close()
    return simulated


async def _simulate(fleet: Fleet, setup: Setup, recorder: Recorder, simulated: Simulated) -> None:
    recorder.started("simulated", setup.config.model_dump(), setup.problem)
    workers, loop = SimulatedWorkers(fleet, len(setup.seeds)), asyncio.get_running_loop()

    def on_tell(result: object) -> None:
        simulated.seconds.append(loop.time())
        simulated.busy_seconds.append(workers.busy_seconds)

    client = ModelClient(SimulatedModels(fleet, simulated.ledger), "simulated", recorder)
    operators = {name: SimulatedOperator() for name in setup.operators}
    components = Components(
        operators=operators,
        problem=setup.problem,
        executor=workers,
        policy=setup.policy,
        seeds=setup.seeds,
        context=setup.context,
        client=client,
        concurrent_calls=fleet.calls,
    )
    with rarely_collected():
        await Driver(setup.search, components, recorder, on_tell=on_tell).run()


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer where nothing else is to be done.

    Args:
        waits: whether something outside, such as a disk, is about to answer, so that time has to pass as it does.
    """

    def __init__(self, waits: Callable[[], bool]) -> None:
        self._selector_that_skips = _SkippingSelector(waits)
        super().__init__(self._selector_that_skips)

    def time(self) -> float:
        return super().time() + self._selector_that_skips.skipped_seconds


class _SkippingSelector(selectors.DefaultSelector):
    def __init__(self, waits: Callable[[], bool]) -> None:
        super().__init__()
        self.skipped_seconds = 0.0
        self._waits = waits

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None or self._waits():
            return super().select(timeout)
        self.skipped_seconds += timeout
        return []


class SimulatedWorkers:
    """An executor that evaluates nothing: it waits, and makes objectives up.

    Attributes:
        busy_seconds: that all workers together evaluated so far.

    Args:
        spared: how many never fail, the first ones: a search whose seeds get lost ends.
    """

    def __init__(self, fleet: Fleet, spared: int) -> None:
        self.capacity = fleet.workers
        self.on_event: OnEvent = ignore_event
        self.busy_seconds = 0.0
        self._fleet = fleet
        self._spared = spared
        self._free = fleet.workers
        self._queue: deque[asyncio.Future[None]] = deque()
        self._rng = random.Random(1)
        self._failing = list(zip(FAILURES, accumulate(FAILURES.values()), strict=True))

    async def evaluate(
        self,
        genome: Genome,
        part: Part = "train",
        *,
        cases: Sequence[str] | None = None,
        model: Model | None = None,
        resources: Resources | None = None,
    ) -> Evaluation:
        seconds = _lognormal(self._rng, self._fleet.evaluation_seconds, self._fleet.sigma)
        outcome = self._drawn_outcome()
        await self._begin()
        await asyncio.sleep(seconds)
        self._end()
        self.busy_seconds += seconds
        values = {"near": self._rng.random(), "far": self._rng.random()} if outcome == "ok" else {}
        return Evaluation(outcome, values, seconds=seconds, worker="simulated", node="simulated")

    async def close(self) -> None:
        """Nothing was started."""

    def _drawn_outcome(self) -> Outcome:
        if self._spared:
            self._spared -= 1
            return "ok"
        drawn = self._rng.random()
        return next((name for name, limit in self._failing if drawn < limit), "ok")

    async def _begin(self) -> None:
        """Take a worker, first come, first served; asyncio's semaphore would take as long as all else here."""
        if self._free:
            self._free -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
            await turn

    def _end(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():  # it is done where it was cancelled
                turn.set_result(None)
                return
        self._free += 1


class SimulatedModels:
    """A gateway without a wire: completions after a while, through a real ledger."""

    def __init__(self, fleet: Fleet, ledger: Ledger) -> None:
        self.ledger = ledger
        self.prices: Mapping[str, Price] = {}
        self._fleet = fleet
        self._rng = random.Random(2)

    async def complete(self, request: Request) -> Completion:
        reservation = self.ledger.reserve(WORST)
        seconds = _lognormal(self._rng, self._fleet.completion_seconds, self._fleet.sigma)
        await asyncio.sleep(seconds)
        tokens = self._rng.randrange(1, 1000)
        completion = Completion(
            "ok", "simulated", request.model, "simulated", 1000, 0, tokens, 1e-6 * tokens, seconds, 1
        )
        self.ledger.settle(reservation, charge_of(completion))
        return completion

    def health(self) -> Mapping[str, Health]:
        return {}

    def worst(self, request: Request) -> Charge:
        return WORST

    def release(self) -> None:
        """Nothing waits to be sent."""

    async def close(self) -> None:
        """Nothing was opened."""


class SimulatedOperator:
    """Asks a model, and proposes something near the base whatever it says."""

    arity: ClassVar[int] = 2
    kind: ClassVar[str] = "vector"
    weight: ClassVar[float] = 1.0

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        assert context.model is not None
        base = parents[0].genome
        assert isinstance(base, Vector)
        await context.model.complete(Request("simulated", (Message("user", base.canonical),)))
        steps = context.rng.normal(0, 0.1, base.size).tolist()
        return Proposal("ok", Vector(tuple(map(add, base.values, steps))))


def _lognormal(rng: random.Random, mean: float, sigma: float) -> float:
    return rng.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)
