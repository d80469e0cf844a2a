"""Histories made for measuring: the real search and the real journal, under simulated offspring and completions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np

from evo.genomes import Program
from evo.journal.log import Journal
from evo.journal.recorder import Recorder
from evo.models import Completion, Message, Request
from evo.protocols import Arm, Problem
from evo.search.islands import Island
from evo.search.population import RankedPopulation
from evo.search.search import Search, SearchSettings
from evo.survival import RankAndCrowding
from evo.values import Ask, Candidate, Evaluation, Individual, Objective, Proposal
from tests.support.made import island_of

OBJECTIVES = (Objective("error", "min"), Objective("steps", "min"), Objective("size", "min"))
LINES, LINE_BYTES = 64, 64
ARMS = tuple(Arm(operator, model, 2, 1.0) for operator in ("cross", "inspire") for model in ("large", "small"))
POPULATION = 1000
GROUP = 64


class History:
    """A search of three objectives in which every individual has two parents, 4 KB of text and a completion; simulated.

    Objectives are the mean of the parents' with something added at random, so that lines grow long.
    """

    def __init__(self, folder: Path, *, population: int = POPULATION, seed: int = 1) -> None:
        self.journal = Journal(folder / "journal.jsonl")
        self.search = Search(SearchSettings(seed, 10**9), OBJECTIVES, island=lambda _: _island(population))
        self._recorder = Recorder(self.journal)
        self._rng = np.random.default_rng(seed)
        problem = SimpleNamespace(objectives=OBJECTIVES, case_names=lambda part: (), description="simulated")
        config = {"problem": {"name": "made"}, "seed": seed}
        self._recorder.started(folder.name, config, cast("Problem", problem))

    def grow(self, count: int) -> None:
        """Add so many individuals, and wait until they are on the disk."""
        asyncio.run(self._grow(count))

    async def _grow(self, count: int) -> None:
        for number in range(count):
            self._add()
            if number % GROUP == 0:
                await self.journal.durable()
        await self.journal.durable()

    def _add(self) -> None:
        ask = self.search.ask()
        assert ask is not None
        self._recorder.asked(ask)
        parents = self.search.ask_snapshot(ask).parents
        self._complete(ask)
        candidate = self.search.admit(ask, Proposal("ok", self._varied(parents)))
        assert isinstance(candidate, Candidate)
        self._recorder.admitted(candidate)
        self._recorder.result(self.search.tell(candidate, self._evaluated(parents)), self.search)

    def _complete(self, ask: Ask) -> None:
        request = Request(
            ask.operator, (Message("user", f"simulated: improve on {ask.parents}"),), model=ask.model or ""
        )
        completion = Completion("ok", "simulated", request.model, "made", 1000, 0, 300, 3e-4, 0.5, 1)
        self._recorder.completed(ask.id, request, completion, stage="proposal")
        self.search.spend(ask.id, completion.cost_usd)

    def _varied(self, parents: tuple[Individual, ...]) -> Program:
        """The base's lines with a stretch of the mate's, and two new ones."""
        if not parents:
            return _program([self._line() for _ in range(LINES)])
        base, mate = (cast("Program", parent.genome).text.splitlines() for parent in parents)
        first = int(self._rng.integers(LINES))
        lines = base[:first] + mate[first : first + 8] + base[first + 8 :]
        for at in self._rng.integers(LINES, size=2):
            lines[at] = self._line()
        return _program(lines)

    def _line(self) -> str:
        numbers = self._rng.integers(1000, size=4)
        text = f"    total_{numbers[0]} = total_{numbers[1]} * {numbers[2] / 1000} + weights[{numbers[3]}]"
        return text.ljust(LINE_BYTES - 1, "#")

    def _evaluated(self, parents: tuple[Individual, ...]) -> Evaluation:
        inherited = np.mean(
            [list(parent.evaluation.objectives.values()) for parent in parents] or [[100.0] * 3], axis=0
        )
        values = inherited + self._rng.normal(size=3)
        named = {objective.name: float(value) for objective, value in zip(OBJECTIVES, values, strict=True)}
        return Evaluation("ok", named, {}, seconds=0.1, worker="made", node="made")


def _program(lines: list[str]) -> Program:
    return Program.single("\n".join(lines), "main.js")  # no Python: its syntax is not what is measured


def _island(population: int) -> Island:
    living = RankedPopulation(population, OBJECTIVES, RankAndCrowding())
    return island_of(living, ARMS, parents="uniform")
