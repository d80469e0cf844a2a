"""Writes what a run does into its journal: a method for each transition."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict

from evo.config.authoring import task_of
from evo.journal.events import (
    AdmissionEvent,
    AskEvent,
    BestValue,
    CompletionEvent,
    DropEvent,
    HoldoutEvent,
    InheritEvent,
    JournalEvent,
    Leader,
    NicheReading,
    PricesEvent,
    RaceEvent,
    RecordedMove,
    RecordedVerdict,
    ReevaluationEvent,
    ResumeEvent,
    RunEvent,
    SendEvent,
    Stage,
    StopEvent,
    TellEvent,
    UnsentEvent,
)
from evo.journal.inheritance import Inheritance
from evo.journal.log import VERSION, Journal
from evo.ledger import Charge
from evo.models import Completion, Price, Request
from evo.policies.base import Verdict
from evo.protocols import ClusterEvent, Problem
from evo.search.islands import Move
from evo.search.niches import Niches
from evo.search.search import ReevaluationResult, Search, TellResult
from evo.values import Ask, Candidate, Evaluation, Lesson, Part, Proposal

_NO_FILES: Mapping[str, str] = MappingProxyType({})


class Recorder:
    """Writes transitions into a journal."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._reference_recorded = False
        self._leaders: Mapping[str, Leader] = {}

    def _append(self, event: JournalEvent) -> None:
        self.journal.append(event.kind, **event.to_json())

    def started(
        self, name: str, config: Mapping[str, Any], problem: Problem, files: Mapping[str, str] = _NO_FILES
    ) -> None:
        """The run begins, of a problem that was made from these files."""
        self._append(
            RunEvent(
                version=VERSION,
                run=name,
                problem=config["problem"]["name"],
                description=task_of(problem),
                config=config,
                objectives=tuple(problem.objectives),
                cases=len(problem.case_names("train")) or None,
                versions={"python": platform.python_version()},
                host=platform.node(),
                pid=os.getpid(),
                files=dict(files),
                working_folder=str(Path.cwd()),
            )
        )

    def resumed(self, config: Mapping[str, Any], search: Search, files: Mapping[str, str] = _NO_FILES) -> None:
        """Another session goes on with the search, as it was rebuilt."""
        self._reference_recorded = search.count_told > 0 and search.indicators.reference is not None
        self._leaders = _leaders(search)
        self._append(
            ResumeEvent(
                config=config,
                host=platform.node(),
                pid=os.getpid(),
                files=dict(files),
                working_folder=str(Path.cwd()),
            )
        )

    def stopped(self, reason: str) -> None:
        """The session ends."""
        self._append(StopEvent(reason=reason))

    def priced(self, prices: Mapping[str, Price]) -> None:
        """What models cost."""
        self._append(PricesEvent(usd_per_million_tokens=prices))

    def inherited(self, inheritance: Inheritance) -> None:
        """What the run takes over from earlier ones."""
        self._append(InheritEvent(lessons=inheritance.lessons, records=inheritance.records))

    def asked(self, ask: Ask) -> None:
        """The search asked for an offspring."""
        self._append(
            AskEvent(ask=ask.id, operator=ask.operator, parents=ask.parents, island=ask.island, model=ask.model)
        )

    def sending(self, ask: int, request: Request, worst: Charge, *, stage: Stage) -> None:
        """A call that may be billed from now on, whatever becomes of this process."""
        self._append(SendEvent(ask=ask, stage=stage, digest=request.digest, worst=worst))

    def unsent(self, ask: int, request: Request, *, stage: Stage) -> None:
        """The call was refused before anything of it was sent."""
        self._append(UnsentEvent(ask=ask, stage=stage, digest=request.digest))

    def lost(self, ask: int, digest: str, worst: Charge, *, stage: Stage) -> None:
        """A call whose process died: it is counted at its worst case."""
        completion = Completion(
            "cancelled",
            output_tokens=worst.tokens,
            cost_usd=worst.usd,
            requests=worst.calls,
            error="its process died while it was under way",
        )
        request = {"purpose": "lost", "messages": []}
        self._append(CompletionEvent(ask=ask, stage=stage, digest=digest, request=request, completion=completion))

    def completed(self, ask: int, request: Request, completion: Completion, *, stage: Stage) -> None:
        """A completion came, or a failure that counts as such."""
        self._append(
            CompletionEvent(
                ask=ask, stage=stage, digest=request.digest, request=request.to_json(), completion=completion
            )
        )

    def admitted(self, candidate: Candidate, lessons: Sequence[Lesson] = ()) -> None:
        """A proposal became a candidate."""
        self._append(
            AdmissionEvent(
                ask=candidate.ask.id,
                outcome="ok",
                individual=candidate.id,
                genome=candidate.genome.to_json(),
                digest=candidate.genome.digest,
                size=candidate.genome.size,
                thought=candidate.thought,
                lessons=tuple(lessons),
                vector=candidate.vector,
            )
        )

    def dropped(self, ask: Ask, proposal: Proposal, duplicate: str = "") -> None:
        """An ask that gave nothing to evaluate.

        Args:
            duplicate: why a proposal with a genome counts as a duplicate; empty for a proposal without.
        """
        self._append(
            DropEvent(
                ask=ask.id,
                outcome="duplicate" if duplicate else proposal.outcome,
                thought=f"{duplicate}; its idea: {proposal.thought}" if duplicate else proposal.thought,
                lessons=proposal.lessons,
            )
        )

    def raced(self, batch: Sequence[Candidate], verdicts: Sequence[Verdict]) -> None:
        """What was decided of candidates that were scored together; their tells follow."""
        self._append(
            RaceEvent(
                verdicts=tuple(
                    RecordedVerdict(candidate.id, verdict.promoted, verdict.evaluation.to_json())
                    for candidate, verdict in zip(batch, verdicts, strict=True)
                )
            )
        )

    def result(self, result: TellResult, search: Search) -> None:
        """A candidate was evaluated, and what that changed."""
        individual = result.individual
        self._append(
            TellEvent(
                individual=individual.id,
                tell=individual.tell,
                evaluation=individual.evaluation,
                generation=individual.generation,
                survived=result.survived,
                removed=result.removed,
                moves=_moves(result.moves),
                entered_front=result.entered_front,
                left_front=result.left_front,
                reference=self._newly_fixed(search),
                compared=individual.appraised,
                leaders=self._new_leaders(search),
                **_state(search, individual.ask.island),
            )
        )

    def reevaluated(self, ask: Ask, result: ReevaluationResult, search: Search) -> None:
        """An individual was measured again, and what that changed."""
        individual = result.individual
        self._append(
            ReevaluationEvent(
                ask=ask.id,
                individual=individual.id,
                tell=result.tell,
                evaluation=result.evaluation,
                measurements=individual.measurements,
                mean=individual.evaluation.objectives,
                gone=result.gone,
                moves=_moves(result.moves),
                entered_front=result.entered_front,
                left_front=result.left_front,
                compared=individual.appraised,
                leaders=self._new_leaders(search),
                **_state(search, ask.island),
            )
        )

    def held_out(self, individual: int, part: Part, evaluation: Evaluation) -> None:
        """An individual was measured on a final part."""
        self._append(HoldoutEvent(individual=individual, part=part, evaluation=evaluation))

    def unmeasured(self, individual: int, part: Part, reason: str) -> None:
        """An individual could not be measured on a final part."""
        self.journal.append("unmeasured", individual=individual, part=part, reason=reason)

    def cluster_event(self, event: ClusterEvent) -> None:
        """Something happened to the workers."""
        self.journal.append(event.kind, **event.detail)

    def _new_leaders(self, search: Search) -> Mapping[str, Leader]:
        """The best by each objective, of those that are not the same as after the result before."""
        before, self._leaders = self._leaders, _leaders(search)
        return {name: leader for name, leader in self._leaders.items() if leader != before.get(name)}

    def _newly_fixed(self, search: Search) -> Mapping[str, float]:
        """The hypervolume's reference point, once a run."""
        reference = search.indicators.reference
        if reference is None or self._reference_recorded:
            return {}
        self._reference_recorded = True
        return dict(reference)


class _State(TypedDict):
    """How far a search is; fields as of `evo.journal.events.ResultEvent`."""

    front: int
    population: int
    best: BestValue
    hypervolume: float | None
    diversity: float | None
    niches: NicheReading | None


def _state(search: Search, island: int) -> _State:
    population = search.population.islands[island].population
    first, reading = search.objectives[0].name, search.indicators.reading
    best = search.best[first].evaluation.objectives[first] if first in search.best else None
    return {
        "front": len(search.front),
        "population": len(search.population),
        "best": BestValue(first, best),
        "hypervolume": reading.hypervolume,
        "diversity": reading.diversity,
        "niches": NicheReading(population.coverage, population.qd_score) if isinstance(population, Niches) else None,
    }


def _leaders(search: Search) -> Mapping[str, Leader]:
    """The best by each objective; {} where nothing is measured again."""
    if not search.settings.noise.reevaluates:
        return {}
    return {
        name: Leader(best.id, best.measurements, best.evaluation.objectives[name], best.compared[name])
        for name, best in search.best.items()
    }


def _moves(moves: Sequence[Move]) -> tuple[RecordedMove, ...]:
    return tuple(RecordedMove(move.individual, move.source, move.target, move.reason, move.removed) for move in moves)
