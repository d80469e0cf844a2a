"""The lessons that a search remembers: a few, the most useful first."""

from __future__ import annotations

from evo.values import Lesson

SHORT_LIMIT = 24
LONG_LIMIT = 3


class LessonMemory:
    """Lessons as later operators see them: the latest distilled lessons, then short lessons by gain, then by recency.

    Attributes:
        best: what an operator is shown; a new tuple after each change.
    """

    def __init__(self) -> None:
        self.best: tuple[Lesson, ...] = ()

    def add(self, lessons: tuple[Lesson, ...]) -> None:
        """Add lessons; the least useful are forgotten, and of equal texts all but the best."""
        if not lessons:
            return
        best = {lesson.text: lesson for lesson in sorted((*self.best, *lessons), key=_rank)}.values()
        long = sorted((lesson for lesson in best if lesson.kind == "long"), key=lambda lesson: lesson.ask, reverse=True)
        short = sorted((lesson for lesson in best if lesson.kind == "short"), key=_rank, reverse=True)
        self.best = (*long[:LONG_LIMIT], *short[:SHORT_LIMIT])


def _rank(lesson: Lesson) -> tuple[float, int]:
    return lesson.gain, lesson.ask
