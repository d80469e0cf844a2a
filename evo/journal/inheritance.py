"""What a run takes over from earlier ones: lessons, and how operators and models did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from evo.journal.events import (
    AdmissionEvent,
    AskEvent,
    CompletionEvent,
    DropEvent,
    InheritEvent,
    JournalEvent,
    TellEvent,
    event_of,
)
from evo.journal.log import read_events
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


def inherited_by(journal: Path) -> Inheritance | None:
    """What a run took over when it was started, by its second event; None where it was killed before that."""
    first = [event_of(line) for _, line in islice(read_events(journal), 2)]
    if len(first) < 2:
        return None
    return Inheritance(first[1].lessons, first[1].records) if isinstance(first[1], InheritEvent) else Inheritance()


def learnt_from(journals: Sequence[Path], kind: str) -> Inheritance:
    """What these runs have to teach to a search for genomes of this kind.

    Raises:
        JournalError: a journal that is corrupt.
    """
    lessons: list[Lesson] = []
    cells: dict[_Cell, _Sums] = defaultdict(_Sums)
    for journal in journals:
        history = _History()
        for _, line in read_events(journal):
            history.note(event_of(line))
        if kind in history.kinds:
            lessons += history.lessons()
            _add(cells, history)
    records = [
        ArmRecord(cell.operator, cell.model, sums.pulls, sums.gain, sums.usd, cell.scale)
        for cell, sums in cells.items()
    ]
    return Inheritance(tuple(lessons), tuple(records))


@dataclass(frozen=True, slots=True)
class _Cell:
    """What a record is about: an operator with its model, and bases of a scale of size."""

    operator: str
    model: str | None
    scale: int


@dataclass(slots=True)
class _Sums:
    """What came of the asks of a cell; see `ArmRecord`."""

    pulls: float = 0.0
    gain: float = 0.0
    usd: float = 0.0


class _History:
    """What a journal says, as far as it teaches."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.asks: dict[int, AskEvent] = {}
        self.sizes: dict[int, int] = {}
        self.gains: dict[int, float] = {}
        self.usd: dict[int, float] = defaultdict(float)
        self._ask_of: dict[int, int] = {}
        self._lessons: dict[int, tuple[Lesson, ...]] = {}

    def note(self, event: JournalEvent) -> None:
        match event:
            case AskEvent():
                self.asks[event.ask] = event
            case CompletionEvent():
                self.usd[event.ask] += event.completion.cost_usd
            case AdmissionEvent() | DropEvent():
                self._note_proposal(event)
            case TellEvent():
                gain = 1.0 if event.entered_front else 0.5 if event.survived else 0.0
                self.gains[self._ask_of[event.individual]] = gain

    def lessons(self) -> Iterable[Lesson]:
        for ask, lessons in self._lessons.items():
            yield from (Lesson(lesson.kind, lesson.text, ask, self.gains.get(ask, 0.0)) for lesson in lessons)

    def _note_proposal(self, event: AdmissionEvent | DropEvent) -> None:
        self.gains.setdefault(event.ask, 0.0)
        self._lessons[event.ask] = event.lessons
        if isinstance(event, AdmissionEvent):
            self.kinds.add(event.genome["kind"])
            self.sizes[event.individual] = event.size
            self._ask_of[event.individual] = event.ask


def _add(cells: dict[_Cell, _Sums], history: _History) -> None:
    for ask, gain in history.gains.items():
        event = history.asks[ask]
        if event.parents:
            scale = max(1, history.sizes[event.parents[0].id]).bit_length() - 1
            sums = cells[_Cell(event.operator, event.model, scale)]
            sums.pulls += 1.0
            sums.gain += gain
            sums.usd += history.usd[ask]
