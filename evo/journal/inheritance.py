"""What a run takes over from earlier ones: lessons, and how operators and models did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from evo.journal.log import Event, read_events
from evo.protocols import ArmRecord
from evo.values import Lesson


@dataclass(frozen=True, slots=True)
class Inheritance:
    """Lessons and records of earlier runs; the run's journal keeps them, so that it does not depend on those runs.

    Attributes:
        records: by operator, model and scale of the base's size.
    """

    lessons: tuple[Lesson, ...] = ()
    records: tuple[ArmRecord, ...] = ()

    def to_json(self) -> dict[str, Any]:
        records = [[one.operator, one.model, one.pulls, one.gain, one.usd, one.scale] for one in self.records]
        return {"lessons": [[one.kind, one.text, one.gain] for one in self.lessons], "records": records}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Inheritance:
        lessons = tuple(Lesson(kind, text, gain=gain) for kind, text, gain in fields["lessons"])
        return cls(lessons, tuple(ArmRecord(*one) for one in fields["records"]))


def inherited_by(journal: Path) -> Inheritance | None:
    """What a run that was started took over, as it says right at its beginning; None where it was killed before."""
    first = [event for _, event in islice(read_events(journal), 2)]
    if len(first) < 2:
        return None
    return Inheritance.from_json(first[1]) if first[1]["event"] == "inherit" else Inheritance()


def learnt_from(journals: Sequence[Path], kind: str) -> Inheritance:
    """What these runs have to teach to a search for genomes of this kind.

    Raises:
        JournalError: a journal that is corrupt.
    """
    lessons: list[Lesson] = []
    cells: dict[tuple[str, str | None, int], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for journal in journals:
        history = _History()
        for event in (event for _, event in read_events(journal)):
            history.note(event)
        if kind in history.kinds:
            lessons += history.lessons()
            _add(cells, history)
    return Inheritance(tuple(lessons), tuple(_record(*key, sums) for key, sums in cells.items()))


def _record(operator: str, model: str | None, scale: int, sums: Sequence[float]) -> ArmRecord:
    pulls, gain, usd = sums
    return ArmRecord(operator, model, pulls, gain, usd, scale)


class _History:
    """What one journal says, as far as it teaches."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.asks: dict[int, Event] = {}
        self.sizes: dict[int, int] = {}
        self.gains: dict[int, float] = {}
        self.usd: dict[int, float] = defaultdict(float)
        self._ask_of: dict[int, int] = {}
        self._lessons: dict[int, list[tuple[Any, str]]] = {}

    def note(self, event: Event) -> None:
        kind = event["event"]
        if kind == "ask":
            self.asks[event["ask"]] = event
        elif kind == "completion":
            self.usd[event["ask"]] += event["completion"]["cost_usd"]
        elif kind == "proposal":
            self._propose(event)
        elif kind == "tell":
            gain = 1.0 if event["entered_front"] else 0.5 if event["survived"] else 0.0
            self.gains[self._ask_of[event["individual"]]] = gain

    def lessons(self) -> Iterable[Lesson]:
        for ask, lessons in self._lessons.items():
            yield from (Lesson(kind, text, ask, self.gains.get(ask, 0.0)) for kind, text in lessons)

    def _propose(self, event: Event) -> None:
        ask = event["ask"]
        self.gains.setdefault(ask, 0.0)
        self._lessons[ask] = [(kind, text) for kind, text in event.get("lessons", ())]
        if event["outcome"] == "ok":
            self.kinds.add(event["genome"]["kind"])
            self.sizes[event["individual"]] = event["size"]
            self._ask_of[event["individual"]] = ask


def _add(cells: dict[tuple[str, str | None, int], list[float]], history: _History) -> None:
    for ask, gain in history.gains.items():
        event = history.asks[ask]
        if event["parents"]:
            scale = max(1, history.sizes[event["parents"][0][0]]).bit_length() - 1
            sums = cells[event["operator"], event["model"], scale]
            for place, amount in enumerate((1.0, gain, history.usd[ask])):
                sums[place] += amount
