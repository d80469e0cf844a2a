"""Operators that reflect first (ReEvo, Ye et al., NeurIPS 2024): one call draws a lesson, the next makes use of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from evo.genomes import Program
from evo.models import Completion
from evo.protocols import Context
from evo.values import Individual, Proposal, Tip, TipKind
from operators.llm.budget import Cut
from operators.llm.experience import change, lesson_lines, quoted, trajectory
from operators.llm.model_operator import refused
from operators.llm.program_operators import ProgramOperator
from operators.llm.replies import refuses, text_of, thought_of, without_code
from operators.llm.views import worst_first
from operators.parents import genomes_of
from operators.refusal import RefusalError

LONG_TIPS, SHORT_TIPS = 2, 12

_LABEL = re.compile(r"\A\W*lesson\W*:\W*", re.IGNORECASE)


class ReflectiveOperator(ProgramOperator):
    """Draws a lesson, then makes an offspring in its light; the lesson is kept whatever comes of it.

    Attributes:
        calls: purposes of the two requests; their templates are named alike, with an underscore for the colon.
        tip: kind of the lesson.
        most_words: of the lesson; what is longer is cut.
    """

    calls: ClassVar[tuple[str, str]]
    tip: ClassVar[TipKind]
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
        proposal = await self.concluded(self._informed(lesson, shown, context), shown)
        return replace(proposal, tips=(Tip(self.tip, lesson),))

    async def _lesson(self, parents: Sequence[Individual], context: Context) -> str:
        # Neither earlier lessons nor the record may colour what is to be learnt from the parents alone.
        asked = {"most_words": self.most_words, "lessons": [], "record": []}
        completion = await self.ask(self.calls[0], parents, context, template=self.template_names()[0], more=asked)
        return lesson_of(text_of(completion), self.most_words)

    async def _informed(self, lesson: str, parents: Sequence[Individual], context: Context) -> Completion:
        told = {"lesson": quoted(lesson)}
        return await self.ask(self.calls[1], parents, context, template=self.template_names()[1], more=told)


class Reflect(ReflectiveOperator):
    """ReEvo's short-term reflection and crossover: why the better of two programs is better, and a child that heeds it.

    The lesson comes by the call reflect:short, the child by reflect:rewrite.
    """

    arity: ClassVar[int] = 2
    weight: ClassVar[float] = 0.5
    purpose: ClassVar[str] = "reflect"
    calls: ClassVar[tuple[str, str]] = ("reflect:short", "reflect:rewrite")
    tip: ClassVar[TipKind] = "short"
    most_words: ClassVar[int] = 60

    def check(self, parents: Sequence[Individual]) -> None:
        base, other = genomes_of(parents, Program, self.arity)
        if base.canonical == other.canonical:
            raise RefusalError("refused", "the two parents mean the same, so there is nothing to compare")

    def variables(self, parents: Sequence[Individual], context: Context, cut: Cut) -> dict[str, Any]:
        worse, better = worst_first(parents, context.objectives)
        return super().variables(parents, context, cut) | {
            "base_is_better": better is parents[0],
            "change": change(worse.evaluation, better.evaluation, context.objectives),
        }


class Distil(ReflectiveOperator):
    """ReEvo's long-term reflection and elitist mutation: what the lessons so far come to, and a change that heeds it.

    The lesson comes by the call reflect:long, the child by reflect:mutate. Where there are no lessons yet it is drawn
    from how the base came about.
    """

    weight: ClassVar[float] = 0.3
    purpose: ClassVar[str] = "distil"
    calls: ClassVar[tuple[str, str]] = ("reflect:long", "reflect:mutate")
    tip: ClassVar[TipKind] = "long"
    most_words: ClassVar[int] = 100

    def variables(self, parents: Sequence[Individual], context: Context, cut: Cut) -> dict[str, Any]:
        return super().variables(parents, context, cut) | {
            "trajectory": trajectory(parents[0], context, cut),
            "tips": lesson_lines(_to_distil(context.tips), cut),
            "lessons": [],  # what they come to is the lesson that is drawn
        }


def lesson_of(text: str, most_words: int) -> str:
    """The words of a reply in front of any code, on one line.

    Raises:
        RefusalError: there are none, or they are the model's refusal.
    """
    words = _LABEL.sub("", thought_of(text)).split()
    if not words or refuses(text):
        raise without_code(text, "the reply holds no lesson, only code or ornaments")
    return " ".join(words[:most_words]) + (" ..." if len(words) > most_words else "")


def _to_distil(tips: Sequence[Tip]) -> list[Tip]:
    """The last long lessons, and the most useful short ones."""
    long = sorted((tip for tip in tips if tip.kind == "long"), key=lambda tip: -tip.ask)
    return [*long[:LONG_TIPS], *[tip for tip in tips if tip.kind == "short"][:SHORT_TIPS]]
