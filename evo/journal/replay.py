"""Rebuilds a search from its journal: the same transitions, in the same order, through the same pure search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from evo.config.loading import config_from_json
from evo.config.schema import Config
from evo.errors import JournalError
from evo.genomes import genome_from_json
from evo.journal.completions import ANSWERED, Recorded, answer_key
from evo.journal.events import (
    AdmissionEvent,
    AskEvent,
    CompletionEvent,
    DropEvent,
    HoldoutEvent,
    JournalEvent,
    RaceEvent,
    ReevaluationEvent,
    SendEvent,
    Stage,
    StopEvent,
    TellEvent,
    UnsentEvent,
    event_of,
)
from evo.journal.log import VERSION, Event, latest_event, read_events
from evo.ledger import Charge, charge_of
from evo.models import Completion
from evo.policies.base import Verdict
from evo.search.search import AskSnapshot, Search
from evo.values import REEVALUATE_OPERATOR, Ask, Candidate, Evaluation, Part, Proposal

Sent = tuple[int, str, Stage]


@dataclass(slots=True)
class Replayed:
    """What a journal leaves to be done.

    Attributes:
        asks: those without a proposal.
        candidates: those without a result.
        verdicts: by individual, of candidates that were scored together and have no result yet.
        completions: paid for, of asks that have no proposal yet.
        answers: completions for evaluations, by `evo.journal.completions.answer_key`.
        sent: calls that were sent, and whose completion is not recorded: ask, digest and stage to their worst cases.
        used: what completions used of the run's caps.
        held_out: individual and final part to the evaluation there.
        elapsed_seconds: running time so far.
        stopped: why the last session ended; None where it was cut short.
    """

    asks: dict[int, Ask] = field(default_factory=dict)
    candidates: dict[int, Candidate] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    held_out: dict[tuple[int, Part], Evaluation] = field(default_factory=dict)
    completions: Recorded = field(default_factory=Recorded)
    answers: dict[str, Completion] = field(default_factory=dict)
    sent: dict[Sent, list[Charge]] = field(default_factory=dict)
    used: Charge = field(default_factory=Charge)
    elapsed_seconds: float = 0.0
    stopped: str | None = None


Compare = Callable[[Ask, AskSnapshot, Recorded, Proposal], None]


def replay(path: Path, search: Search, compare: Compare | None = None) -> Replayed:
    """Bring a fresh search to where the journal ends.

    Args:
        compare: called with each ask, what was known when it was made, its completions and its recorded proposal,
            before that is applied.

    Raises:
        JournalError: it is corrupt, or this version would have searched otherwise.
    """
    budget = search.settings.evaluations
    search.settings = replace(search.settings, evaluations=1 << 62)
    replayed = Replayed()
    for line in _timed(read_events(path), replayed):
        _check_another_version(line, path)
        try:
            event = event_of(line)
            if compare and isinstance(event, AdmissionEvent | DropEvent):
                ask = replayed.asks[event.ask]
                compare(ask, search.ask_snapshot(ask), replayed.completions, _proposal_of(event))
            _apply(event, search, replayed)
        except (KeyError, ValueError, TypeError) as error:
            raise JournalError(f"{path}: a {line['event']!r} event does not fit what came before: {error!r}") from error
    search.settings = replace(search.settings, evaluations=budget)
    return replayed


@dataclass(frozen=True, slots=True)
class SessionStart:
    """How a session began: its configuration, the digests of the problem's files, and where it ran."""

    config: Config
    files: Mapping[str, str]
    working_folder: str


def latest_session(journal: Path) -> SessionStart:
    """How the run's latest session began.

    Raises:
        JournalError: the journal is empty or begins with something else than a run.
    """
    line = latest_event(journal, "resume") or _first_event(journal)
    return SessionStart(config_from_json(line["config"]), line.get("files", {}), line.get("working_folder", ""))


def latest_config(journal: Path) -> Config:
    """The configuration of the run's latest session.

    Raises:
        JournalError: as `latest_session`.
    """
    return latest_session(journal).config


def _first_event(path: Path) -> Event:
    _, first = next(read_events(path), (0, {"event": ""}))
    if first["event"] != "run":
        raise JournalError(
            f"{path} does not begin with a 'run' event, so there is nothing to resume; start the run again"
        )
    return first


def _check_another_version(line: Event, path: Path) -> None:
    if line["event"] == "run" and line["version"] != VERSION:
        raise JournalError(
            f"{path.parent} was begun by another version of evo, whose seeds drew other numbers; it can be read, but "
            "neither resumed nor replayed: start it again, with `search.learn_from` to keep what it learnt"
        )


def _timed(lines: Iterable[tuple[int, Event]], replayed: Replayed) -> Iterator[Event]:
    """The lines, adding up the time of each session: from its first event to its last."""
    latest: float | None = None
    for _, line in lines:
        if line["event"] in ("run", "resume") or latest is None:
            latest = line["at"]
        replayed.elapsed_seconds += max(0.0, line["at"] - latest)
        latest = line["at"]
        yield line


def _apply(event: JournalEvent, search: Search, replayed: Replayed) -> None:
    replayed.stopped = event.reason if isinstance(event, StopEvent) else None
    match event:
        case AskEvent():
            _apply_ask(event, search, replayed)
        case SendEvent():
            replayed.sent.setdefault((event.ask, event.digest, event.stage), []).append(event.worst)
        case UnsentEvent():
            replayed.sent[event.ask, event.digest, event.stage].pop()
        case CompletionEvent():
            _apply_completion(event, search, replayed)
        case AdmissionEvent():
            _apply_admission(event, search, replayed)
        case DropEvent():
            ask = _answered(event.ask, replayed)
            search.drop(ask, event.lessons, event.outcome)
        case RaceEvent():
            replayed.verdicts |= {
                verdict.individual: Verdict(Evaluation.from_json(verdict.evaluation), verdict.promoted)
                for verdict in event.verdicts
            }
        case TellEvent():
            replayed.verdicts.pop(event.individual, None)
            search.tell(replayed.candidates.pop(event.individual), event.evaluation)
        case ReevaluationEvent():
            _apply_reevaluation(event, search, replayed)
        case HoldoutEvent():
            replayed.held_out[event.individual, event.part] = event.evaluation


def _apply_completion(event: CompletionEvent, search: Search, replayed: Replayed) -> None:
    completion = event.completion
    replayed.used = replayed.used + charge_of(completion)
    if waiting := replayed.sent.get((event.ask, event.digest, event.stage)):
        waiting.pop()
    if completion.outcome == "cancelled":
        pass  # what it would have said is not known: it is asked for again
    elif event.stage == "proposal":
        replayed.completions.add(event.ask, event.digest, completion)
    elif completion.outcome in ANSWERED:
        ask = search.under_way.get(event.ask)
        own = ask is not None and ask.operator == REEVALUATE_OPERATOR
        replayed.answers[answer_key(event.digest, event.ask, own=own)] = completion
    if event.stage != "final" and event.ask in search.under_way:
        search.spend(event.ask, completion.cost_usd)


def _apply_ask(event: AskEvent, search: Search, replayed: Replayed) -> None:
    recorded = Ask(event.ask, event.operator, event.parents, event.island, event.model)
    ask = search.ask()
    if ask != recorded:
        raise ValueError(f"this version asks for {ask}, the journal has {recorded}")
    replayed.asks[recorded.id] = recorded


def _apply_reevaluation(event: ReevaluationEvent, search: Search, replayed: Replayed) -> None:
    result = search.reevaluated(replayed.asks.pop(event.ask), event.evaluation)
    if result.individual.id != event.individual:
        raise ValueError(f"this version measures {result.individual.id} again, the journal has {event.individual}")


def _apply_admission(event: AdmissionEvent, search: Search, replayed: Replayed) -> None:
    ask, proposal, vector = _answered(event.ask, replayed), _proposal_of(event), tuple(event.vector)
    candidate = search.admit(ask, proposal, vector)
    if isinstance(candidate, str):  # earlier versions compared with the population of that moment
        candidate = search.admit(ask, proposal, vector, compared_with=search.population)
    if isinstance(candidate, str) or candidate.id != event.individual:
        raise ValueError(f"individual {event.individual} would not be admitted now")
    replayed.candidates[candidate.id] = candidate


def _answered(ask: int, replayed: Replayed) -> Ask:
    """An ask that has its proposal now."""
    replayed.completions.forget(ask)
    return replayed.asks.pop(ask)


def _proposal_of(event: AdmissionEvent | DropEvent) -> Proposal:
    genome = genome_from_json(event.genome) if isinstance(event, AdmissionEvent) else None
    return Proposal(event.outcome, genome, event.thought, event.lessons)
