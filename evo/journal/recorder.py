"""What the journal says of each transition: the one place that knows the fields of its events."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from evo.genomes import genome_from_json
from evo.journal.inheritance import Inheritance
from evo.journal.log import VERSION, Event, Journal
from evo.ledger import Charge
from evo.models import Completion, Price, Request
from evo.policies.base import Verdict
from evo.protocols import ClusterEvent, Problem
from evo.search.islands import Move
from evo.search.niches import Niches
from evo.search.search import ReevaluationResult, Search, TellResult
from evo.values import Ask, Candidate, Evaluation, Individual, Lesson, Parent, Part, Proposal

Stage = Literal["proposal", "evaluation", "final"]


class Recorder:
    """Writes transitions into a journal."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._reference_told = False
        self._leaders: Mapping[str, list[Any]] = {}

    def started(self, name: str, config: Mapping[str, Any], problem: Problem) -> None:
        objectives, cases = problem.objectives, len(problem.case_names("train"))
        named = [{"name": one.name, "direction": one.direction, "unit": one.unit} for one in objectives]
        self.journal.append(
            "run",
            version=VERSION,
            run=name,
            problem=config["problem"]["name"],
            description=problem.description,
            config=config,
            objectives=named,
            **({"cases": cases} if cases else {}),
            versions={"python": platform.python_version()},
            **_process(),
        )

    def resumed(self, config: Mapping[str, Any], search: Search) -> None:
        self._reference_told = search.count_told > 0 and search.indicators.reference is not None
        self._leaders = _leaders(search)
        self.journal.append("resume", config=config, **_process())

    def asked(self, ask: Ask) -> None:
        parents = [[parent.id, parent.role] for parent in ask.parents]
        self.journal.append(
            "ask", ask=ask.id, operator=ask.operator, parents=parents, island=ask.island, model=ask.model
        )

    def priced(self, prices: Mapping[str, Price]) -> None:
        shown = {model: [price.input_usd, price.cached_usd, price.output_usd] for model, price in prices.items()}
        self.journal.append("prices", usd_per_million_tokens=shown)

    def inherited(self, inheritance: Inheritance) -> None:
        self.journal.append("inherit", **inheritance.to_json())

    def sending(self, ask: int, request: Request, worst: Charge, *, stage: Stage) -> None:
        """A call that may be billed from now on, whatever becomes of this process."""
        amounts = [worst.nanodollars, worst.tokens, worst.calls]
        self.journal.append("send", ask=ask, stage=stage, digest=request.digest, worst=amounts)

    def unsent(self, ask: int, request: Request, *, stage: Stage) -> None:
        """The call was refused before anything of it was sent."""
        self.journal.append("unsent", ask=ask, stage=stage, digest=request.digest)

    def lost(self, ask: int, digest: str, worst: Charge, *, stage: Stage) -> None:
        """A call whose process died: it is counted at its worst case."""
        request = {"purpose": "lost", "messages": []}
        completion = Completion(
            *("cancelled", "", "", ""),
            output_tokens=worst.tokens,
            cost_usd=worst.usd,
            requests=worst.calls,
            error="its process died while it was under way",
        )
        self.journal.append(
            "completion", ask=ask, stage=stage, digest=digest, request=request, completion=completion.to_json()
        )

    def completed(self, ask: int, request: Request, completion: Completion, *, stage: Stage) -> None:
        self.journal.append(
            "completion",
            ask=ask,
            stage=stage,
            digest=request.digest,
            request=request.to_json(),
            completion=completion.to_json(),
        )

    def admitted(self, candidate: Candidate, lessons: Sequence[Lesson] = ()) -> None:
        self.journal.append(
            "proposal",
            ask=candidate.ask.id,
            outcome="ok",
            individual=candidate.id,
            genome=candidate.genome.to_json(),
            digest=candidate.genome.digest,
            size=candidate.genome.size,
            thought=candidate.thought,
            **_learnt(lessons),
            **({"vector": candidate.vector} if candidate.vector else {}),
        )

    def dropped(self, ask: Ask, proposal: Proposal, twin: str = "") -> None:
        """An ask that gave nothing to evaluate.

        Args:
            twin: why a proposal with a genome is a duplicate.
        """
        outcome = "duplicate" if twin else proposal.outcome
        thought = f"{twin}; its idea: {proposal.thought}" if twin else proposal.thought
        self.journal.append("proposal", ask=ask.id, outcome=outcome, thought=thought, **_learnt(proposal.lessons))

    def raced(self, batch: Sequence[Candidate], verdicts: Sequence[Verdict]) -> None:
        """What was decided of candidates that were scored together; their tells follow."""
        decided = [
            [one.id, verdict.promoted, verdict.evaluation.to_json()]
            for one, verdict in zip(batch, verdicts, strict=True)
        ]
        self.journal.append("race", verdicts=decided)

    def result(self, told: TellResult, search: Search) -> None:
        self.journal.append(
            "tell",
            individual=told.individual.id,
            tell=told.individual.tell,
            evaluation=told.individual.evaluation.to_json(),
            generation=told.individual.generation,
            survived=told.survived,
            removed=told.removed,
            **_moved(told.moves),
            entered_front=told.entered_front,
            left_front=told.left_front,
            **_standing(search, told.individual.ask.island),
            **self._newly_fixed(search),
            **_appraised(told.individual),
            **self._new_leaders(search),
        )

    def reevaluated(self, ask: Ask, told: ReevaluationResult, search: Search) -> None:
        one = told.individual
        self.journal.append(
            "reevaluation",
            ask=ask.id,
            individual=one.id,
            tell=told.tell,
            evaluation=told.evaluation.to_json(),
            measurements=one.measurements,
            mean=one.evaluation.objectives,
            gone=told.gone,
            **_moved(told.moves),
            entered_front=told.entered_front,
            left_front=told.left_front,
            **_standing(search, ask.island),
            **_appraised(one),
            **self._new_leaders(search),
        )

    def _new_leaders(self, search: Search) -> dict[str, Any]:
        """Who is best by which objective, where measurements may change that and have."""
        before, self._leaders = self._leaders, _leaders(search)
        new = {name: one for name, one in self._leaders.items() if one != before.get(name)}
        return {"leaders": new} if new else {}

    def _newly_fixed(self, search: Search) -> dict[str, Any]:
        """The hypervolume's reference point, told once a run."""
        reference = search.indicators.reference
        if reference is None or self._reference_told:
            return {}
        self._reference_told = True
        return {"reference": dict(reference)}

    def held_out(self, individual: int, part: Part, evaluation: Evaluation) -> None:
        self.journal.append("holdout", individual=individual, part=part, evaluation=evaluation.to_json())

    def cluster_event(self, event: ClusterEvent) -> None:
        self.journal.append(event.kind, **event.detail)

    def stopped(self, reason: str) -> None:
        self.journal.append("stop", reason=reason)


def ask_from(event: Event) -> Ask:
    """The ask that `asked` wrote."""
    parents = tuple(Parent(identity, role) for identity, role in event["parents"])
    return Ask(event["ask"], event["operator"], parents, event["island"], event["model"])


def candidate_from(event: Event, ask: Ask) -> Candidate:
    """The candidate that `admitted` wrote."""
    genome, vector = genome_from_json(event["genome"]), tuple(event.get("vector", ()))
    return Candidate(event["individual"], ask, genome, event["thought"], vector)


def verdicts_from(event: Event) -> dict[int, Verdict]:
    """By individual, what `raced` wrote."""
    return {one: Verdict(Evaluation.from_json(seen), promoted) for one, promoted, seen in event["verdicts"]}


def lessons_from(event: Event) -> tuple[Lesson, ...]:
    """The lessons that came with a proposal."""
    return tuple(Lesson(kind, text) for kind, text in event.get("lessons", ()))


def _standing(search: Search, island: int) -> dict[str, Any]:
    """How far the search is, and the niches of the island that was told."""
    living = search.population.islands[island].population
    niches = {"niches": [living.coverage, living.qd_score]} if isinstance(living, Niches) else {}
    first, reading = search.objectives[0].name, search.indicators.reading
    best = search.best[first].evaluation.objectives[first] if first in search.best else None
    return {
        "front": len(search.front),
        "population": len(search.population),
        "best": [first, best],
        "hypervolume": reading.hypervolume,
        "diversity": reading.diversity,
        **niches,
    }


def _leaders(search: Search) -> Mapping[str, list[Any]]:
    """The best by each objective: id, measurements, mean and the value compared; {} where nothing is measured again."""
    if not search.settings.noise.reevaluates:
        return {}
    return {
        name: [one.id, one.measurements, one.evaluation.objectives[name], one.compared[name]]
        for name, one in search.best.items()
    }


def _appraised(individual: Individual) -> dict[str, Any]:
    return {"compared": individual.appraised} if individual.appraised else {}


def _moved(moves: Sequence[Move]) -> dict[str, Any]:
    return {"moves": [_move(one) for one in moves]} if moves else {}


def _move(move: Move) -> list[Any]:
    return [move.individual, move.source, move.target, move.reason, move.removed]


def _learnt(lessons: Sequence[Lesson]) -> dict[str, Any]:
    return {"lessons": [[one.kind, one.text] for one in lessons]} if lessons else {}


def _process() -> dict[str, Any]:
    return {"host": platform.node(), "pid": os.getpid()}
