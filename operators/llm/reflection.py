"""Operators on programs that derive a lesson first: from two programs, or from the lessons so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from evo.genomes import Program
from evo.protocols import Context
from evo.values import Individual, Lesson, LessonKind
from operators.llm.budget import Cut
from operators.llm.experience import change, lesson_lines, trajectory
from operators.llm.lessons import Reflective
from operators.llm.program_operators import ProgramModelOperator
from operators.llm.views import worst_first
from operators.parent_genomes import genomes_of
from operators.refusal import RefusalError

LONG_LESSONS, SHORT_LESSONS = 2, 12


class ReflectiveOperator(Reflective, ProgramModelOperator):
    """Reflects on programs."""


class Reflect(ReflectiveOperator):
    """ReEvo's short-term reflection and crossover: why the better of two programs is better, and a child by that.

    The lesson comes by the call reflect:short, the child by reflect:rewrite.
    """

    arity: ClassVar[int] = 2
    weight: ClassVar[float] = 0.5
    purpose: ClassVar[str] = "reflect"
    calls: ClassVar[tuple[str, str]] = ("reflect:short", "reflect:rewrite")
    lesson: ClassVar[LessonKind] = "short"
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
    """ReEvo's long-term reflection and elitist mutation: a lesson distilled from those so far, and a change by it.

    The lesson comes by the call reflect:long, the child by reflect:mutate. Where there are no lessons yet it is
    derived from the base's ancestors.
    """

    weight: ClassVar[float] = 0.3
    purpose: ClassVar[str] = "distil"
    calls: ClassVar[tuple[str, str]] = ("reflect:long", "reflect:mutate")
    lesson: ClassVar[LessonKind] = "long"
    most_words: ClassVar[int] = 100

    def variables(self, parents: Sequence[Individual], context: Context, cut: Cut) -> dict[str, Any]:
        return super().variables(parents, context, cut) | {
            "trajectory": trajectory(parents[0], context, cut),
            "earlier_lessons": lesson_lines(_to_distil(context.lessons), cut),
            "lessons": [],  # the lesson that is distilled takes their place
        }


def _to_distil(lessons: Sequence[Lesson]) -> list[Lesson]:
    """The last long lessons, and the most useful short ones."""
    long = sorted((lesson for lesson in lessons if lesson.kind == "long"), key=lambda lesson: -lesson.ask)
    return [*long[:LONG_LESSONS], *[lesson for lesson in lessons if lesson.kind == "short"][:SHORT_LESSONS]]
