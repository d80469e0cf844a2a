"""Operators that reflect first (ReEvo, Ye et al., NeurIPS 2024): a call derives a lesson, the next applies it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from evo.protocols import Context
from evo.values import Individual, Lesson, LessonKind, Proposal
from operators.llm.experience import quoted
from operators.llm.model_operator import ModelOperator, refused
from operators.llm.replies import refuses, text_of, thought_of, without_code
from operators.refusal import RefusalError

_LABEL = re.compile(r"\A\W*lesson\W*:\W*", re.IGNORECASE)


class Reflective(ModelOperator):
    """Derives a lesson, then makes an offspring by it; the lesson is kept whatever the offspring's outcome.

    Attributes:
        calls: purposes of the two requests; their templates have the same names, with an underscore for the colon.
        lesson: kind of the lesson.
        most_words: of the lesson; what is longer is cut.
    """

    calls: ClassVar[tuple[str, str]]
    lesson: ClassVar[LessonKind]
    most_words: ClassVar[int]

    @classmethod
    def template_names(cls) -> tuple[str, ...]:
        return tuple(call.replace(":", "_") for call in cls.calls)

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        shown = parents[: self.arity]
        try:
            self.check(parents)
            lesson = await self._lesson(shown, context)
        except RefusalError as refusal:
            return refused(refusal)
        heeded = {"lesson": quoted(lesson)}
        informed = self.ask(self.calls[1], shown, context, template=self.template_names()[1], more=heeded)
        return replace(await self.concluded(informed, shown, context), lessons=(Lesson(self.lesson, lesson),))

    async def _lesson(self, parents: Sequence[Individual], context: Context) -> str:
        # Earlier lessons and the record must not bias what is learnt.
        asked = {"most_words": self.most_words, "lessons": [], "record": []}
        completion = await self.ask(self.calls[0], parents, context, template=self.template_names()[0], more=asked)
        return lesson_of(text_of(completion), self.most_words)


def lesson_of(text: str, most_words: int) -> str:
    """The words of a reply in front of any code, on a single line.

    Raises:
        RefusalError: there are none, or they are the model's refusal.
    """
    words = _LABEL.sub("", thought_of(text)).split()
    if not words or refuses(text):
        raise without_code(text, "the reply holds no lesson, only code or ornaments")
    return " ".join(words[:most_words]) + (" ..." if len(words) > most_words else "")
