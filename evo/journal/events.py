"""The events of a journal: a frozen class each, whose fields are those of its line.

A field that has a default is left out of a line where it is None or empty, and has its default where a line, perhaps
of an older version, does not have it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias, TypeVar, get_args

from evo.ledger import Charge
from evo.models import Completion, Price
from evo.values import Evaluation, Lesson, Objective, Parent, Part, ProposalOutcome

if TYPE_CHECKING:
    from evo.journal.log import Event
    from evo.protocols import ArmRecord

Stage = Literal["proposal", "evaluation", "final"]
Convert: TypeAlias = Callable[[Any], Any]
E = TypeVar("E", bound="_Fields")


class BestValue(NamedTuple):
    """The best value of the first objective so far; None before there is a feasible individual."""

    objective: str
    value: float | None


class NicheReading(NamedTuple):
    """How much of its niches an island covers, and its QD score; None without an offset."""

    coverage: float | None
    qd_score: float | None


class Leader(NamedTuple):
    """The best individual by an objective, where measurements are repeated.

    Attributes:
        mean: of its measurements.
        compared: the value by which it is compared: a bound of the mean, or the mean.
    """

    individual: int
    measurements: int
    mean: float
    compared: float


class RecordedMove(NamedTuple):
    """An individual that came to an island where it was not born; see `evo.search.islands.Move`."""

    individual: int
    source: int | None
    target: int
    reason: str
    removed: Sequence[int]


class RecordedVerdict(NamedTuple):
    """What a race decided of a candidate; the evaluation as `Evaluation.to_json` writes it."""

    individual: int
    promoted: bool
    evaluation: Mapping[str, Any]


def _form(to_json: Convert, from_json: Convert) -> dict[str, Convert]:
    """How a field that JSON has no form for is written and read."""
    return {"to_json": to_json, "from_json": from_json}


def _arm_records(rows: Sequence[Sequence[Any]]) -> tuple[ArmRecord, ...]:
    from evo.protocols import ArmRecord  # not at the top: it brings numpy, which reading a status does without

    return tuple(ArmRecord(*row) for row in rows)


def _objectives_json(objectives: Sequence[Objective]) -> list[dict[str, str]]:
    return [
        {"name": objective.name, "direction": objective.direction, "unit": objective.unit} for objective in objectives
    ]


_OBJECTIVES = _form(_objectives_json, lambda rows: tuple(Objective(**row) for row in rows))
_PARENTS = _form(
    lambda parents: [[parent.id, parent.role] for parent in parents],
    lambda rows: tuple([Parent(identity, role) for identity, role in rows]),
)
_LESSONS = _form(
    lambda lessons: [[lesson.kind, lesson.text] for lesson in lessons],
    lambda rows: tuple(Lesson(kind, text) for kind, text in rows),
)
_INHERITED_LESSONS = _form(
    lambda lessons: [[lesson.kind, lesson.text, lesson.gain] for lesson in lessons],
    lambda rows: tuple(Lesson(kind, text, gain=gain) for kind, text, gain in rows),
)
_ARM_RECORDS = _form(
    lambda records: [
        [record.operator, record.model, record.pulls, record.gain, record.usd, record.scale] for record in records
    ],
    _arm_records,
)
_PRICES = _form(
    lambda prices: {model: [price.input_usd, price.cached_usd, price.output_usd] for model, price in prices.items()},
    lambda rows: {model: Price(uncached, output, cached) for model, (uncached, cached, output) in rows.items()},
)
_CHARGE = _form(lambda charge: [charge.nanodollars, charge.tokens, charge.calls], lambda row: Charge(*row))
_COMPLETION = _form(Completion.to_json, Completion.from_json)
_EVALUATION = _form(Evaluation.to_json, Evaluation.from_json)
_BEST = _form(list, lambda row: BestValue(*row))
_NICHES = _form(list, lambda row: NicheReading(*row))
_LEADERS = _form(
    lambda leaders: {name: list(leader) for name, leader in leaders.items()},
    lambda rows: {name: Leader(*row) for name, row in rows.items()},
)
_MOVES = _form(lambda moves: [list(move) for move in moves], lambda rows: tuple(RecordedMove(*row) for row in rows))
_VERDICTS = _form(
    lambda verdicts: [list(verdict) for verdict in verdicts], lambda rows: tuple(RecordedVerdict(*row) for row in rows)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fields:
    """What all events have.

    Attributes:
        kind: of event, as a line names it.
        at: when it was appended, in seconds since 1970; the journal says it.
    """

    kind: ClassVar[str]
    at: float = 0.0

    def to_json(self) -> Event:
        """The fields of its line, without kind and time."""
        line = {}
        for name, may_be_left_out, convert in _WRITTEN[type(self)]:
            value = getattr(self, name)
            if may_be_left_out and (value is None or value == () or value == {}):
                continue
            line[name] = convert(value) if convert else value
        return line

    @classmethod
    def from_json(cls: type[E], line: Event) -> E:
        """The event of a line.

        Raises:
            TypeError, ValueError, KeyError: a field is missing, or not what it should be.
        """
        known = dict(line)
        known.pop("event", None)
        for name, convert in _CONVERTED[cls]:
            if name in known:
                known[name] = convert(known[name])
        try:
            return cls(**known)
        except TypeError:  # a field is missing, or there are some that this version does not know
            names = {each.name for each in fields(cls)}
            return cls(**{name: value for name, value in known.items() if name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent(_Fields):
    """A run begins; the first event of a journal.

    Attributes:
        version: of what follows from a seed and a configuration; see `evo.journal.log.VERSION`.
        run: name of its folder.
        problem: registered name or import path.
        cases: how many cases can be scored separately; None where there are none.
        files: name to digest of the files that the problem was made from.
        working_folder: where the session runs, from which relative paths of the configuration start.
    """

    kind = "run"
    version: int
    run: str
    problem: str
    description: str
    config: Mapping[str, Any]
    objectives: tuple[Objective, ...] = field(metadata=_OBJECTIVES)
    cases: int | None = None
    versions: Mapping[str, str]
    host: str
    pid: int
    files: Mapping[str, str] = field(default_factory=dict)
    working_folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeEvent(_Fields):
    """Another session goes on with the run; `files` and `working_folder` as in `RunEvent`."""

    kind = "resume"
    config: Mapping[str, Any]
    host: str
    pid: int
    files: Mapping[str, str] = field(default_factory=dict)
    working_folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopEvent(_Fields):
    """A session ends by itself, or was asked to."""

    kind = "stop"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesEvent(_Fields):
    """What models cost in this session."""

    kind = "prices"
    usd_per_million_tokens: Mapping[str, Price] = field(metadata=_PRICES)


@dataclass(frozen=True, slots=True, kw_only=True)
class InheritEvent(_Fields):
    """What the run takes over from earlier ones; see `evo.journal.inheritance`."""

    kind = "inherit"
    lessons: tuple[Lesson, ...] = field(metadata=_INHERITED_LESSONS)
    records: tuple[ArmRecord, ...] = field(metadata=_ARM_RECORDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskEvent(_Fields):
    """The search asks for an offspring; fields as of `evo.values.Ask`."""

    kind = "ask"
    ask: int
    operator: str
    parents: tuple[Parent, ...] = field(metadata=_PARENTS)
    island: int
    model: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendEvent(_Fields):
    """A request is about to be sent, and may be billed from now on.

    Attributes:
        digest: of the request.
        worst: the most that it may cost.
    """

    kind = "send"
    ask: int
    stage: Stage
    digest: str
    worst: Charge = field(metadata=_CHARGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsentEvent(_Fields):
    """The request was refused before anything of it was sent."""

    kind = "unsent"
    ask: int
    stage: Stage
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionEvent(_Fields):
    """A completion came, or its process died while it was under way.

    Attributes:
        request: as `Request.to_json` writes it; of a lost completion, its purpose and no messages.
    """

    kind = "completion"
    ask: int
    stage: Stage
    digest: str
    request: Mapping[str, Any]
    completion: Completion = field(metadata=_COMPLETION)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ProposalEvent(_Fields):
    """What both events of a proposal have.

    Attributes:
        thought: the idea behind it in words, or why it failed.
    """

    kind = "proposal"
    ask: int
    outcome: ProposalOutcome
    thought: str
    lessons: tuple[Lesson, ...] = field(default=(), metadata=_LESSONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionEvent(_ProposalEvent):
    """A proposal became a candidate.

    Attributes:
        genome: as `Genome.to_json` writes it.
        vector: its embedding, where it has any.
    """

    individual: int
    genome: Mapping[str, Any]
    digest: str
    size: int
    vector: Sequence[float] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DropEvent(_ProposalEvent):
    """A proposal came to nothing; its outcome says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceEvent(_Fields):
    """What was decided of candidates that were scored together; their tells follow."""

    kind = "race"
    verdicts: tuple[RecordedVerdict, ...] = field(metadata=_VERDICTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultEvent(_Fields):
    """What a result and a re-evaluation have in common: the evaluation, and how far the search is after it.

    Attributes:
        tell: position in the order of results.
        left_front: ids that were in the front and are not any more.
        moves: what passed between islands after it.
        front: individuals in the front.
        population: individuals on all islands together.
        diversity: mean distance to the nearest neighbour in the front.
        niches: of the island that the result was for; None without niches.
        compared: objective to the value that the individual is compared by, where evaluations are noisy.
        leaders: objective to the individual that became the best by it, where evaluations are noisy.
    """

    individual: int
    tell: int
    evaluation: Evaluation = field(metadata=_EVALUATION)
    left_front: Sequence[int]
    moves: tuple[RecordedMove, ...] = field(default=(), metadata=_MOVES)
    front: int
    population: int
    best: BestValue = field(metadata=_BEST)
    hypervolume: float | None
    diversity: float | None
    niches: NicheReading | None = field(default=None, metadata=_NICHES)
    compared: Mapping[str, float] = field(default_factory=dict)
    leaders: Mapping[str, Leader] = field(default_factory=dict, metadata=_LEADERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class TellEvent(ResultEvent):
    """The result of a candidate.

    Attributes:
        generation: 0 for a seed, else 1 more than the highest among its parents; None in old journals.
        removed: ids that left its island for it.
        reference: the hypervolume's reference point, where it is fixed by now and was not before.
    """

    kind = "tell"
    generation: int | None = None
    survived: bool
    removed: Sequence[int]
    entered_front: bool
    reference: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReevaluationEvent(ResultEvent):
    """Another measurement of an individual.

    Attributes:
        measurements: how many succeeded, this measurement included.
        mean: objective to the mean of them.
        gone: islands that it left, since it failed.
        entered_front: ids that are in the front now and were not.
    """

    kind = "reevaluation"
    ask: int
    measurements: int
    mean: Mapping[str, float]
    gone: Sequence[int]
    entered_front: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutEvent(_Fields):
    """What an individual came to on a final part."""

    kind = "holdout"
    individual: int
    part: Part
    evaluation: Evaluation = field(metadata=_EVALUATION)


@dataclass(frozen=True, slots=True)
class OtherEvent:
    """What changes no search: an event of the cluster, or of another version of evo."""

    kind: str
    at: float
    detail: Event

    def to_json(self) -> Event:
        """The fields of its line, without kind and time."""
        return self.detail


JournalEvent: TypeAlias = (
    AskEvent
    | CompletionEvent
    | AdmissionEvent
    | DropEvent
    | TellEvent
    | SendEvent
    | UnsentEvent
    | RaceEvent
    | ReevaluationEvent
    | HoldoutEvent
    | RunEvent
    | ResumeEvent
    | StopEvent
    | PricesEvent
    | InheritEvent
    | OtherEvent
)

_CLASSES: tuple[type[Any], ...] = get_args(JournalEvent)
# Name of each field of a line, whether it may be left out, and how it is written.
_WRITTEN: Mapping[type[Any], Sequence[tuple[str, bool, Convert | None]]] = {
    event: [
        (each.name, each.default is not MISSING or each.default_factory is not MISSING, each.metadata.get("to_json"))
        for each in fields(event)
        if each.name != "at"
    ]
    for event in _CLASSES
}
_CONVERTED: Mapping[type[Any], Sequence[tuple[str, Convert]]] = {
    event: [(each.name, each.metadata["from_json"]) for each in fields(event) if each.metadata] for event in _CLASSES
}
_BY_KIND: Mapping[str, Callable[[Event], JournalEvent]] = {
    "ask": AskEvent.from_json,
    "completion": CompletionEvent.from_json,
    "proposal": lambda line: (AdmissionEvent if line["outcome"] == "ok" else DropEvent).from_json(line),
    "tell": TellEvent.from_json,
    "send": SendEvent.from_json,
    "unsent": UnsentEvent.from_json,
    "race": RaceEvent.from_json,
    "reevaluation": ReevaluationEvent.from_json,
    "holdout": HoldoutEvent.from_json,
    "run": RunEvent.from_json,
    "resume": ResumeEvent.from_json,
    "stop": StopEvent.from_json,
    "prices": PricesEvent.from_json,
    "inherit": InheritEvent.from_json,
}


def event_of(line: Event) -> JournalEvent:
    """The event of a line, as `evo.journal.log.read_events` gives it.

    Raises:
        TypeError, ValueError, KeyError: a field is missing, or not what it should be.
    """
    read = _BY_KIND.get(line["event"])
    if read is not None:
        return read(line)
    detail = {name: value for name, value in line.items() if name not in ("event", "at")}
    return OtherEvent(line["event"], line["at"], detail)
