"""The tables of the lineage as rows, and how events of the journal fill them. Pure: no database, no file.

There is a class for each table, with the columns of `schema.sql` in their order: a new column is a line there and a
field here, and a type checker says where it has to be filled.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from pydantic_core import PydanticSerializationError, to_json

from evo.journal.events import (
    AdmissionEvent,
    AskEvent,
    CompletionEvent,
    DropEvent,
    HoldoutEvent,
    JournalEvent,
    RaceEvent,
    ReevaluationEvent,
    ResultEvent,
    RunEvent,
    SendEvent,
    TellEvent,
    UnsentEvent,
)
from evo.values import Evaluation

Row = tuple[Any, ...]
"""A row of any table."""
Microseconds = int
"""A time in UTC since 1970, as the database takes it."""


class _RunRow(NamedTuple):
    run: str
    started: Microseconds
    problem: str
    description: str
    seed: int
    config: str
    versions: str
    cases: int | None


class _ObjectiveNameRow(NamedTuple):
    position: int
    name: str
    direction: str
    unit: str


class _ProposalRow(NamedTuple):
    ask: int
    individual: int | None
    island: int
    operator: str
    model: str | None
    outcome: str
    thought: str
    proposed: Microseconds


class _IndividualRow(NamedTuple):
    id: int
    tell: int
    island: int
    kind: str
    genome: str
    digest: str
    size: int
    operator: str
    model: str | None
    survived: bool
    thought: str
    outcome: str
    told_at: Microseconds
    generation: int | None


class _ParentRow(NamedTuple):
    child: int
    parent: int
    role: str


class _EvaluationRow(NamedTuple):
    individual: int
    attempt: int
    stage: str
    outcome: str
    seconds: float
    cpu_seconds: float
    memory_bytes: int
    started: Microseconds
    worker: str
    node: str
    isolation: str
    violation: float
    feedback: str
    cases: int


class _ObjectiveRow(NamedTuple):
    individual: int
    name: str
    value: float


class _MeasurementRow(NamedTuple):
    tell: int
    individual: int
    number: int
    name: str
    value: float
    mean: float
    compared: float
    seconds: float


class _LeaderRow(NamedTuple):
    tell: int
    name: str
    individual: int
    measurements: int
    mean: float
    compared: float


class _FinalRow(NamedTuple):
    individual: int
    part: str
    name: str
    value: float


class _LessonRow(NamedTuple):
    ask: int
    individual: int | None
    kind: str
    lesson: str


class _CompletionRow(NamedTuple):
    ask: int
    stage: str
    purpose: str
    model: str
    endpoint: str
    outcome: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float
    seconds: float
    requests: int
    prompt: str
    reply: str
    reasoning: str
    error: str
    completed: Microseconds


class _ArrivalRow(NamedTuple):
    tell: int
    individual: int
    island: int
    source: int | None
    reason: str


class _RemovalRow(NamedTuple):
    tell: int
    individual: int
    island: int


class _FrontMoveRow(NamedTuple):
    tell: int
    individual: int
    entered: bool


class _IndicatorRow(NamedTuple):
    tell: int
    front_size: int
    population: int
    name: str
    best: float | None
    hypervolume: float | None
    diversity: float | None
    coverage: float | None
    qd_score: float | None


class _ReferencePointRow(NamedTuple):
    tell: int
    name: str
    value: float


class _CaseRow(NamedTuple):
    individual: int
    name: str
    score: float


class _DescriptorRow(NamedTuple):
    individual: int
    name: str
    value: float


class _EventRow(NamedTuple):
    happened: Microseconds
    kind: str
    detail: str


@dataclass(slots=True)
class Rows:
    """Rows to be appended, by the name of their table."""

    runs: list[_RunRow] = field(default_factory=list)
    objective_names: list[_ObjectiveNameRow] = field(default_factory=list)
    proposals: list[_ProposalRow] = field(default_factory=list)
    individuals: list[_IndividualRow] = field(default_factory=list)
    parents: list[_ParentRow] = field(default_factory=list)
    evaluations: list[_EvaluationRow] = field(default_factory=list)
    objectives: list[_ObjectiveRow] = field(default_factory=list)
    measurements: list[_MeasurementRow] = field(default_factory=list)
    leaders: list[_LeaderRow] = field(default_factory=list)
    finals: list[_FinalRow] = field(default_factory=list)
    lessons: list[_LessonRow] = field(default_factory=list)
    completions: list[_CompletionRow] = field(default_factory=list)
    arrivals: list[_ArrivalRow] = field(default_factory=list)
    removals: list[_RemovalRow] = field(default_factory=list)
    front_moves: list[_FrontMoveRow] = field(default_factory=list)
    indicators: list[_IndicatorRow] = field(default_factory=list)
    reference_points: list[_ReferencePointRow] = field(default_factory=list)
    cases: list[_CaseRow] = field(default_factory=list)
    descriptors: list[_DescriptorRow] = field(default_factory=list)
    events: list[_EventRow] = field(default_factory=list)

    def by_table(self) -> dict[str, Sequence[Row]]:
        """The rows of each table that has any."""
        tables = {table.name: getattr(self, table.name) for table in fields(self)}
        return {table: rows for table, rows in tables.items() if rows}


class RowMaker:
    """Turns events into rows, and remembers what candidates under way still need: their ask and their proposal."""

    def __init__(self) -> None:
        self._asks: dict[int, tuple[int, AskEvent]] = {}
        self._proposals: dict[int, tuple[int, AdmissionEvent]] = {}

    def oldest_pending(self, otherwise: int) -> int:
        """Offset of the oldest event that a candidate without a result still needs."""
        oldest = [offset for pending in (self._asks, self._proposals) for offset, _ in list(pending.values())[:1]]
        return min([*oldest, otherwise])

    def remember(self, offset: int, event: JournalEvent) -> None:
        """Take in an event that was projected before, only for what is still pending on it."""
        match event:
            case AskEvent():
                self._asks[event.ask] = (offset, event)
            case AdmissionEvent():
                self._proposals[event.individual] = (offset, event)
            case TellEvent():
                if admitted := self._proposals.pop(event.individual, None):
                    self._asks.pop(admitted[1].ask, None)
            case DropEvent() | ReevaluationEvent():
                self._asks.pop(event.ask, None)

    def add(self, offset: int, event: JournalEvent, rows: Rows) -> None:
        """Append the rows of a new event.

        Raises:
            KeyError, ValueError, TypeError: it does not fit what came before.
        """
        match event:
            case AskEvent() | SendEvent() | UnsentEvent():
                pass
            case CompletionEvent():
                rows.completions.append(_completion(event))
            case AdmissionEvent() | DropEvent():
                self._add_proposal(event, rows)
            case TellEvent():
                self._add_result(event, rows)
            case ReevaluationEvent():
                _add_reevaluation(event, rows)
            case HoldoutEvent():
                _add_holdout(event, rows)
            case RunEvent():
                _add_run(event, rows)
            case _:
                detail = _race(event) if isinstance(event, RaceEvent) else event.to_json()
                rows.events.append(
                    _EventRow(happened=microseconds(event.at), kind=event.kind, detail=json.dumps(detail))
                )
        self.remember(offset, event)

    def _add_proposal(self, event: AdmissionEvent | DropEvent, rows: Rows) -> None:
        _, ask = self._asks[event.ask]
        individual = event.individual if isinstance(event, AdmissionEvent) else None
        rows.proposals.append(
            _ProposalRow(
                ask=event.ask,
                individual=individual,
                island=ask.island,
                operator=ask.operator,
                model=ask.model,
                outcome=event.outcome,
                thought=text(event.thought),
                proposed=microseconds(event.at),
            )
        )
        rows.lessons += [_LessonRow(event.ask, individual, lesson.kind, text(lesson.text)) for lesson in event.lessons]

    def _add_result(self, event: TellEvent, rows: Rows) -> None:
        _, proposal = self._proposals[event.individual]
        _, ask = self._asks[proposal.ask]
        individual, tell, evaluation = event.individual, event.tell, event.evaluation
        rows.individuals.append(_individual(event, proposal, ask))
        rows.parents += [_ParentRow(individual, parent.id, parent.role) for parent in ask.parents]
        rows.evaluations.append(_evaluation(individual, evaluation, stage="train", attempt=0))
        rows.objectives += _named(_ObjectiveRow, individual, evaluation.objectives)
        rows.cases += _named(_CaseRow, individual, evaluation.cases)
        rows.descriptors += _named(_DescriptorRow, individual, evaluation.descriptors)
        if event.survived:
            rows.arrivals.append(_ArrivalRow(tell, individual, ask.island, None, "born"))
        rows.removals += [_RemovalRow(tell, removed, ask.island) for removed in event.removed]
        _add_state(event, [individual] if event.entered_front else [], rows)
        if event.compared:
            rows.measurements += _measurements(event, evaluation.objectives, number=1)
        rows.reference_points += _named(_ReferencePointRow, tell, event.reference)


def _add_run(event: RunEvent, rows: Rows) -> None:
    rows.runs.append(
        _RunRow(
            run=event.run,
            started=microseconds(event.at),
            problem=event.problem,
            description=text(event.description),
            seed=event.config["seed"],
            config=json.dumps(event.config),
            versions=json.dumps(event.versions),
            cases=event.cases,
        )
    )
    rows.objective_names += [
        _ObjectiveNameRow(position, objective.name, objective.direction, objective.unit)
        for position, objective in enumerate(event.objectives)
    ]


def _add_reevaluation(event: ReevaluationEvent, rows: Rows) -> None:
    """Another measurement: its evaluation, what all of them come to, and what that changed."""
    ok, number = event.evaluation.outcome == "ok", event.measurements
    # An evaluation that failed does not count as a measurement, and is an attempt all the same.
    attempt = number - 1 if ok else number
    rows.evaluations.append(_evaluation(event.individual, event.evaluation, stage="train", attempt=attempt))
    if ok:
        rows.measurements += _measurements(event, event.mean, number=number)
    rows.removals += [_RemovalRow(event.tell, event.individual, island) for island in event.gone]
    _add_state(event, event.entered_front, rows)


def _add_holdout(event: HoldoutEvent, rows: Rows) -> None:
    rows.evaluations.append(_evaluation(event.individual, event.evaluation, stage=event.part, attempt=0))
    rows.finals += [
        _FinalRow(event.individual, event.part, name, value) for name, value in event.evaluation.objectives.items()
    ]


def _add_state(event: ResultEvent, entered: Iterable[int], rows: Rows) -> None:
    """Moves between islands, changes of the front, how far the search is, and the best by each objective."""
    tell = event.tell
    for move in event.moves:
        rows.removals += [_RemovalRow(tell, removed, move.target) for removed in move.removed]
        rows.arrivals.append(_ArrivalRow(tell, move.individual, move.target, move.source, move.reason))
    rows.front_moves += [_FrontMoveRow(tell, individual, entered=False) for individual in event.left_front]
    rows.front_moves += [_FrontMoveRow(tell, individual, entered=True) for individual in entered]
    rows.indicators.append(
        _IndicatorRow(
            tell=tell,
            front_size=event.front,
            population=event.population,
            name=event.best.objective,
            best=event.best.value,
            hypervolume=event.hypervolume,
            diversity=event.diversity,
            coverage=event.niches.coverage if event.niches else None,
            qd_score=event.niches.qd_score if event.niches else None,
        )
    )
    rows.leaders += [
        _LeaderRow(tell, name, leader.individual, leader.measurements, leader.mean, leader.compared)
        for name, leader in event.leaders.items()
    ]


def _completion(event: CompletionEvent) -> _CompletionRow:
    completion = event.completion
    return _CompletionRow(
        ask=event.ask,
        stage=event.stage,
        purpose=event.request["purpose"],
        model=completion.model,
        endpoint=completion.endpoint,
        outcome=completion.outcome,
        input_tokens=completion.input_tokens,
        cached_tokens=completion.cached_tokens,
        output_tokens=completion.output_tokens,
        cost_usd=completion.cost_usd,
        seconds=completion.seconds,
        requests=completion.requests,
        prompt=_json(event.request["messages"]),
        reply=text(completion.text),
        reasoning=text(completion.reasoning),
        error=text(completion.error),
        completed=microseconds(event.at),
    )


def _individual(tell: TellEvent, proposal: AdmissionEvent, ask: AskEvent) -> _IndividualRow:
    return _IndividualRow(
        id=tell.individual,
        tell=tell.tell,
        island=ask.island,
        kind=proposal.genome["kind"],
        genome=_json(proposal.genome),
        digest=proposal.digest,
        size=proposal.size,
        operator=ask.operator,
        model=ask.model,
        survived=tell.survived,
        thought=text(proposal.thought),
        outcome=tell.evaluation.outcome,
        told_at=microseconds(tell.at),
        generation=tell.generation,
    )


def _evaluation(individual: int, evaluation: Evaluation, *, stage: str, attempt: int) -> _EvaluationRow:
    return _EvaluationRow(
        individual=individual,
        attempt=attempt,
        stage=stage,
        outcome=evaluation.outcome,
        seconds=evaluation.seconds,
        cpu_seconds=evaluation.cpu_seconds,
        memory_bytes=evaluation.memory_bytes,
        started=microseconds(evaluation.started),
        worker=evaluation.worker,
        node=evaluation.node,
        isolation=evaluation.isolation,
        violation=evaluation.violation,
        feedback=text(evaluation.feedback),
        cases=len(evaluation.cases),
    )


def _measurements(event: ResultEvent, mean: Mapping[str, float], *, number: int) -> list[_MeasurementRow]:
    return [
        _MeasurementRow(
            tell=event.tell,
            individual=event.individual,
            number=number,
            name=name,
            value=value,
            mean=mean[name],
            compared=event.compared[name],
            seconds=event.evaluation.seconds,
        )
        for name, value in event.evaluation.objectives.items()
    ]


def _race(event: RaceEvent) -> dict[str, list[int]]:
    return {
        "individuals": [verdict.individual for verdict in event.verdicts],
        "finalists": [verdict.individual for verdict in event.verdicts if verdict.promoted],
    }


def _named(
    table: type[_ObjectiveRow | _CaseRow | _DescriptorRow | _ReferencePointRow], of: int, values: Mapping[str, float]
) -> list[Any]:
    """A row for each name and its value."""
    return [table(of, name, value) for name, value in values.items()]


def microseconds(seconds: float) -> Microseconds:
    """Seconds since 1970 as the database takes a time."""
    return round(1e6 * seconds)


def text(value: str) -> str:
    """What a database takes: no lone surrogates, no NUL."""
    if value.isascii() and "\0" not in value:
        return value
    return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{SYMBOL FOR NULL}")


def _json(value: Any) -> str:
    """A value as JSON; pydantic's writer takes a quarter of the time of Python's own."""
    try:
        return to_json(value).decode()
    except PydanticSerializationError:  # lone surrogates, which candidates and models may write
        return text(json.dumps(value, ensure_ascii=False))
