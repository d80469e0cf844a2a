"""Rebuilding a search from its journal: the same transitions, in the same order, through the same pure search."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from evo.config.loading import config_from_json
from evo.config.schema import Config
from evo.errors import JournalError
from evo.genomes import genome_from_json
from evo.journal.completions import ANSWERED, Recorded, answer_key
from evo.journal.log import VERSION, Event, latest_event, read_events
from evo.journal.recorder import Stage, ask_from, candidate_from, lessons_from, verdicts_from
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
        asks: made, and without a proposal.
        candidates: admitted, and without a result.
        verdicts: of those that were scored together and are not told yet, by individual.
        completions: paid for, of asks that have no proposal yet.
        answers: completions for evaluations, by `evo.engine.metering.answer_key`.
        sent: calls that were sent, and whose completion is not recorded: ask, digest and stage to their worst cases.
        used: what completions used of the run's caps.
        held_out: what came of measuring an individual on a final part.
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
        JournalError: corrupt, or this version would have searched otherwise.
    """
    budget = search.settings.evaluations
    search.settings = replace(search.settings, evaluations=1 << 62)
    replayed = Replayed()
    for event in _timed(read_events(path), replayed):
        _check_another_version(event, path)
        try:
            if compare and event["event"] == "proposal":
                ask = replayed.asks[event["ask"]]
                compare(ask, search.ask_snapshot(ask), replayed.completions, _recorded_proposal(event))
            _apply(event, search, replayed)
        except (KeyError, ValueError, TypeError) as error:
            raise JournalError(
                f"{path}: a {event['event']!r} event does not fit what came before: {error!r}"
            ) from error
    search.settings = replace(search.settings, evaluations=budget)
    return replayed


def first_event(path: Path) -> Event:
    """The event that says what the run is.

    Raises:
        JournalError: the journal is empty or begins otherwise.
    """
    for _, event in read_events(path):
        if event["event"] == "run":
            return event
        break
    raise JournalError(f"{path} does not begin with a 'run' event, so there is nothing to resume; start the run anew")


def latest_config(journal: Path) -> Config:
    """The configuration of the run's latest session."""
    event = latest_event(journal, "resume") or first_event(journal)
    return config_from_json(event["config"])


def _check_another_version(event: Event, path: Path) -> None:
    if event["event"] == "run" and event["version"] != VERSION:
        raise JournalError(
            f"{path.parent} was begun by another version of evo, whose seeds drew other numbers; it can be read, but "
            "neither resumed nor replayed: start it anew, with `search.learn_from` to keep what it learnt"
        )


def _timed(events: Iterable[tuple[int, Event]], replayed: Replayed) -> Iterable[Event]:
    """The events, adding up the time of each session: from its first event to its last."""
    session = latest = None
    for _, event in events:
        if event["event"] in ("run", "resume") or session is None or latest is None:
            session = latest = event["at"]
        replayed.elapsed_seconds += max(0.0, event["at"] - latest)
        latest = event["at"]
        yield event


def _apply(event: Event, search: Search, replayed: Replayed) -> None:
    kind = event["event"]
    if kind == "ask":
        _apply_ask(ask_from(event), search, replayed)
    elif kind == "send":
        key = event["ask"], event["digest"], event["stage"]
        replayed.sent.setdefault(key, []).append(Charge(*event["worst"]))
    elif kind == "unsent":
        replayed.sent[event["ask"], event["digest"], event["stage"]].pop()
    elif kind == "completion":
        _apply_completion(event, search, replayed)
    elif kind == "proposal":
        _apply_proposal(event, search, replayed)
    elif kind == "race":
        replayed.verdicts |= verdicts_from(event)
    elif kind == "tell":
        replayed.verdicts.pop(event["individual"], None)
        search.tell(replayed.candidates.pop(event["individual"]), Evaluation.from_json(event["evaluation"]))
    elif kind == "reevaluation":
        _apply_reevaluation(event, search, replayed)
    elif kind == "holdout":
        replayed.held_out[event["individual"], event["part"]] = Evaluation.from_json(event["evaluation"])
    replayed.stopped = event["reason"] if kind == "stop" else None


def _apply_completion(event: Event, search: Search, replayed: Replayed) -> None:
    completion = Completion.from_json(event["completion"])
    replayed.used = replayed.used + charge_of(completion)
    if waiting := replayed.sent.get((event["ask"], event["digest"], event["stage"])):
        waiting.pop()
    if completion.outcome == "cancelled":
        pass  # what it was to say, nobody knows: it is asked for again
    elif event["stage"] == "proposal":
        replayed.completions.add(event["ask"], event["digest"], completion)
    elif completion.outcome in ANSWERED:
        ask = search.under_way.get(event["ask"])
        own = ask is not None and ask.operator == REEVALUATE_OPERATOR
        replayed.answers[answer_key(event["digest"], event["ask"], own=own)] = completion
    if event["stage"] != "final" and event["ask"] in search.under_way:
        search.spend(event["ask"], completion.cost_usd)


def _apply_ask(recorded: Ask, search: Search, replayed: Replayed) -> None:
    ask = search.ask()
    if ask != recorded:
        raise ValueError(f"this version asks for {ask}, the journal has {recorded}")
    replayed.asks[ask.id] = ask


def _apply_reevaluation(event: Event, search: Search, replayed: Replayed) -> None:
    told = search.reevaluated(replayed.asks.pop(event["ask"]), Evaluation.from_json(event["evaluation"]))
    if told.individual.id != event["individual"]:
        raise ValueError(f"this version measures {told.individual.id} again, the journal has {event['individual']}")


def _recorded_proposal(event: Event) -> Proposal:
    genome = genome_from_json(event["genome"]) if event["outcome"] == "ok" else None
    return Proposal(event["outcome"], genome, event["thought"], lessons_from(event))


def _apply_proposal(event: Event, search: Search, replayed: Replayed) -> None:
    ask = replayed.asks.pop(event["ask"])
    replayed.completions.forget(ask.id)
    if event["outcome"] != "ok":
        search.drop(ask, lessons_from(event))
        return
    recorded = candidate_from(event, ask)
    candidate = search.admit(ask, _recorded_proposal(event), recorded.vector)
    if isinstance(candidate, str):  # earlier versions compared with who lived by now
        candidate = search.admit(ask, _recorded_proposal(event), recorded.vector, compared_with=search.population)
    if candidate != recorded:
        raise ValueError(f"individual {recorded.id} would not be admitted now")
    replayed.candidates[recorded.id] = recorded
